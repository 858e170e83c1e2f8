"""How a run stands: one small file in its output directory while it sends, whole at any instant, for whoever looks.

It is a courtesy, and nothing depends on it: it isn't made durable, and a disk that refuses it is no trouble of the
run's. One that is there when no process holds the directory's lock is of a run that died.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter

from batch_editor.files import open_regular
from batch_editor.text import escape_all

FILE_NAME = ".status.json"
EVERY_S = 1.0
_MOST_BYTES = 2**20
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

# Why a run is slower than its settings allow: the provider is down; a 429's pause; the rate learnt from 429s; a limit
# on requests in flight after many were dropped; all of `concurrency` is in use.
Cause = Literal["outage", "pause", "rate", "dropped", "concurrency"]


@dataclass(frozen=True, slots=True)
class Slow:
    """A reason why a run is slow, in words for people."""

    cause: Cause
    message: str


@dataclass(frozen=True, slots=True)
class Failing:
    """Attempts of a run that gave nothing, also where they are made again: how many of a kind, and the latest."""

    kind: str
    count: int
    job_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """Why a run starts nothing more, while it finishes what is in flight."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """How a run stands at an instant. Instants are seconds since 1970, and money is in USD.

    stop_signal: the signal that ends it gently, None where it hears none. jobs_*: of those that the run wants; failed
    ones include those that may have been billed. sent, retried: requests. per_min: results of the last minute.
    sent_last_minute: requests that left in it. limit_per_min, allowed_per_min: that may leave by the settings, and by
    what the provider has taught. latency_p*_s: of the latest results. confirmed_usd: the run's own, as the
    provider said or the price list says. possibly_billed_usd: an upper bound. spent_usd: what counts against
    budget_usd, earlier runs that this one resumes included; a request whose charge nobody said counts with its max
    price there. reserved_usd: set aside for requests in flight and about to leave.
    """

    run_id: str
    pid: int
    host: str
    sandbox: bool
    stop_signal: str | None
    started_at: float
    written_at: float
    jobs: int
    jobs_succeeded: int
    jobs_failed: int
    sent: int
    retried: int
    in_flight: int
    concurrency: int
    per_min: float
    sent_last_minute: int
    limit: str
    limit_per_min: float
    allowed_per_min: float
    eta_s: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    confirmed_usd: float
    possibly_billed: int
    possibly_billed_usd: float
    reserved_usd: float
    spent_usd: float
    budget_usd: float | None
    slow: Sequence[Slow]
    failing: Sequence[Failing]
    stopping: Stopping | None


def write_status(root: Path, status: RunStatus) -> None:
    """Put it in its file's place. Blocks."""
    path = root / FILE_NAME
    temporary = path.with_name(f"{FILE_NAME}.part")
    with suppress(OSError):
        temporary.unlink(missing_ok=True)  # whatever it is, nothing is written through it
        with os.fdopen(os.open(temporary, _FRESH, 0o660), "wb") as file:
            file.write(orjson.dumps(_escaped(status)))
        temporary.replace(path)


def remove_status(root: Path) -> None:
    """Have none, for the run is over: the ledger says the rest. Blocks."""
    for name in (FILE_NAME, f"{FILE_NAME}.part"):
        with suppress(OSError):
            (root / name).unlink()


def read_status(root: Path) -> RunStatus | None:
    """The latest word of the run that is at work, or of one that died; None where there is none to be read. Blocks."""
    try:
        with open(root / FILE_NAME, "rb", opener=_opened) as file:
            return _reader().validate_json(file.read(_MOST_BYTES))
    except (OSError, ValueError):  # pydantic's error is a ValueError
        return None


def _escaped(status: RunStatus) -> Any:
    """As JSON's values, with the bytes of names that aren't UTF-8 escaped."""
    return escape_all({**_reader().dump_python(status)})


@cache
def _reader() -> TypeAdapter[RunStatus]:
    return TypeAdapter(RunStatus)


def _opened(path: str, flags: int) -> int:
    return open_regular(path, flags | os.O_NOFOLLOW)
