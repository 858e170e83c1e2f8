"""Instants for people: in their own time, with its zone where it matters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def local(instant: float, *, seconds: bool = False) -> str:
    """An instant in the time of this machine, to the minute or the second."""
    return _at(instant).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def zones(instants: Iterable[float]) -> str:
    """What the local time is called at these instants: `CET`, or `UTC+01:00` where it has no name.

    `CEST and CET` where summer time ends between them; empty where there are none.
    """
    return " and ".join(dict.fromkeys(map(_zone, instants)))


def _zone(instant: float) -> str:
    at = _at(instant)
    name = at.strftime("%Z")
    return name if name.isalpha() else f"UTC{at.isoformat()[-6:]}"


def _at(instant: float) -> datetime:
    return datetime.fromtimestamp(instant, UTC).astimezone()
