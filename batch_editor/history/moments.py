"""Instants for people: in their own time, with its zone where it matters."""

from __future__ import annotations

from datetime import UTC, datetime


def local(instant: float, *, seconds: bool = False) -> str:
    """An instant in the time of this machine, to the minute or the second."""
    return _at(instant).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def zone(instant: float) -> str:
    """What the local time is called at that instant: `CET`, or `UTC+01:00` where it has no name."""
    at = _at(instant)
    name = at.strftime("%Z")
    return name if name.isalpha() else f"UTC{at.isoformat()[-6:]}"


def _at(instant: float) -> datetime:
    return datetime.fromtimestamp(instant, UTC).astimezone()
