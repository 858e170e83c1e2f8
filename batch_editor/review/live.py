"""How the run stands that is at work on an output directory, or the last one: as the page of the run has it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from batch_editor.errors import MachineError
from batch_editor.ledger import figure_readings, readings, review_readings
from batch_editor.ledger.figure_readings import Figures, RunRow
from batch_editor.output import Holder, process_at_work
from batch_editor.output.run_status import RunStatus, read_status
from batch_editor.review.answers import thumb_url
from batch_editor.review.index import Index, Snapshot
from batch_editor.review.judging import Conflict
from batch_editor.text import many

Json = dict[str, Any]
State = Literal["none", "beginning", "quiet", "running", "stopping", "silent", "died", "ended"]

# The file is written once a second.
SILENT_S = 10.0
LATEST = 11
# The figures of 10,000 attempts take 0.1 s.
_SHARE_OF_TIME = 20
_AGAIN_S = 0.9


class Live:
    """Looks at an output directory. Everything blocks; threads may share it."""

    def __init__(self, output: Path, index: Index, *, clock: Callable[[], float] = time.time) -> None:
        self._output = output
        self._index = index
        self._clock = clock
        self._lock = threading.Lock()  # one look at a time
        self._next_at = 0.0
        self._figures_at = 0.0
        self._seen = ""  # the version of the index that the figures are of, where no run is at work
        self._figures: Figures | None = None
        self._counts: Counter[str] = Counter()  # of the figures' instant: a large index is seconds behind a run
        self._latest: list[tuple[str, str]] = []
        self._runs: list[RunRow] = []
        self._heard: tuple[float, float] = 0.0, 0.0  # the status's own instant, and when it came by our clock
        self._told: set[str] = set()
        self._last: Json = {}

    def look(self) -> Json:
        """How things stood a second ago at most.

        Raises:
            UsageError: there is no ledger.
            MachineError: it can't be read, and was not before.
        """
        with self._lock:
            if time.monotonic() >= self._next_at:
                self._last = self._looked()
                self._next_at = time.monotonic() + _AGAIN_S
            return self._last

    def stop(self, run_id: str) -> None:
        """Tell the run to finish what is in flight and to start nothing more; once, for a second time drops that.

        Raises:
            Conflict: it is another one by now, is signalled already, or isn't a process of this machine.
        """
        with self._lock:
            status, holder = read_status(self._output), process_at_work(self._output)
            if status is None or holder is None or status.run_id != run_id or status.pid != holder.pid:
                raise Conflict("that run is not at work any more")
            if run_id in self._told or status.stopping is not None or status.stop_signal is None:
                raise Conflict("it stops already, or doesn't listen")
            if not _is_reached(self._output, holder):
                raise Conflict(f"{holder} is not a process of this machine; stop it there")
            self._told.add(run_id)
            try:
                os.kill(holder.pid, signal.Signals[status.stop_signal])
            except OSError as error:
                raise Conflict(f"{holder} can't be signalled ({error.strerror})") from error
            self._next_at = 0.0

    def _looked(self) -> Json:
        snapshot, now = self._index.snapshot(), self._clock()
        status, holder = read_status(self._output), process_at_work(self._output)
        if snapshot.outdated is None:
            self._read(now if holder is not None else None, snapshot.version)
        run = self._runs[-1] if self._runs else None
        quiet_s = self._quiet_s(status, now)
        state = state_of(run, holder, status, quiet_s=quiet_s)
        if state not in ("running", "stopping", "silent"):
            status = None if state != "died" else status
        return {
            "state": state,
            "words": _words(state, run, holder, status, self._left_open()),
            "outdated": snapshot.outdated,
            "run": None if run is None else _run(run),
            "status": None if status is None else asdict(status),
            "can_stop": state == "running" and self._can_stop(status, holder),
            "jobs": _jobs(self._counts or Counter(job.row.status for job in snapshot.jobs)),
            "failures": _failures(snapshot),
            "latest": _latest(snapshot, self._latest),
            "figures": None if self._figures is None else figures_as_json(self._figures),
        }

    def _read(self, now: float | None, version: str) -> None:
        if now is None and version == self._seen:
            return
        began_at = time.monotonic()
        try:
            with readings.reading(self._output) as db:
                self._runs = figure_readings.run_rows(db)
                if began_at < self._figures_at:
                    return
                at_work = bool(self._runs) and self._runs[-1].ended_at is None
                self._figures = figure_readings.figures(db, now=now if at_work else None)
                self._counts = review_readings.job_counts(db)
                self._latest = figure_readings.latest_images(db, LATEST)
                self._seen = version if now is None else ""
        except MachineError:
            # A run may hold it just now.
            if not self._runs:
                raise
        self._figures_at = time.monotonic() + _SHARE_OF_TIME * (time.monotonic() - began_at)

    def _left_open(self) -> int:
        """Requests whose end isn't on record: the ledger has those of the last second too."""
        return 0 if self._figures is None else self._figures.sums.open

    def _quiet_s(self, status: RunStatus | None, now: float) -> float:
        """For how long the run has said nothing, by this machine's clock: the run's may be another one."""
        if status is None:
            return 0.0
        if status.written_at != self._heard[0]:
            is_first = not self._heard[0]
            self._heard = status.written_at, min(status.written_at, now) if is_first else now
        return now - self._heard[1]

    def _can_stop(self, status: RunStatus | None, holder: Holder | None) -> bool:
        return (
            status is not None
            and holder is not None
            and status.stop_signal is not None
            and status.run_id not in self._told
            and _is_reached(self._output, holder)
        )


def state_of(run: RunRow | None, holder: Holder | None, status: RunStatus | None, *, quiet_s: float) -> State:
    """What the ledger's newest run, the lock and the run's own word come to.

    beginning: a process is at work, and no run of it is on record yet. quiet: the run sends nothing: it prepares, or
    writes what it leaves. silent: it has said nothing for long.
    """
    if holder is not None and status is not None and (holder.pid, holder.host) == (status.pid, status.host):
        if quiet_s > SILENT_S:
            return "silent"
        return "running" if status.stopping is None else "stopping"
    if run is None or run.ended_at is not None:
        return "beginning" if holder is not None else "none" if run is None else "ended"
    return "quiet" if holder is not None and (holder.pid, holder.host) == (run.pid, run.host) else "died"


def figures_as_json(figures: Figures) -> Json:
    """What plots and their tables are made of."""
    plan = figures.plan
    return {
        "elapsed_s": round(figures.elapsed_s, 3),
        "runs": len(figures.runs),
        "newest": figures.runs[-1].run_id,
        "plan": {"requests": plan.plan_requests, "usd": round(plan.plan_usd, 6), "s": round(plan.plan_s, 3)},
        "sums": _rounded(asdict(figures.sums)),
        "buckets": [
            {"at_s": each.at_s, "length_s": each.length_s, "per_min": each.per_min, **_rounded(asdict(each.sums))}
            for each in figures.buckets
        ],
        "groups": [{"label": each.label, **_rounded(asdict(each.sums))} for each in figures.groups],
    }


def _rounded(values: Mapping[str, Any]) -> Json:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


def _words(
    state: State,
    run: RunRow | None,
    holder: Holder | None,
    status: RunStatus | None,
    open_requests: int,
) -> str:
    rehearsal = ", a rehearsal that costs nothing," if run is not None and run.sandbox else ""
    match state:
        case "none":
            return "Nothing has run here yet."
        case "beginning":
            return f"Something is at work here, {holder}; it sends nothing yet."
        case "quiet":
            return (
                f"The run{rehearsal} is at work, {holder}. It sends nothing just now: it prepares, or writes its end."
            )
        case "running":
            return f"A run{rehearsal} is at work, {holder}."
        case "stopping":
            assert status is not None
            assert status.stopping is not None
            are = many(status.in_flight, "request in flight is", "requests in flight are")
            left = f" {are} paid for and will be finished." if status.in_flight else ""
            return f"The run stops: {status.stopping.message}.{left}"
        case "silent":
            assert status is not None
            return (
                f"The run, {holder}, has said nothing since {readings.moment(status.written_at)}: it may be held"
                " (Ctrl-Z), or its disk is full or slow. What is shown is as old."
            )
        case "died":
            assert run is not None
            last = f" (its last word is of {readings.moment(status.written_at)})" if status else ""
            were = many(open_requests, "request was", "requests were")
            risk = f" {were} in flight, and may have been billed."
            words = (
                f"The run died{last}: process {run.pid} on {run.host} is gone without an end. What was saved is safe,"
                " and the same command again resumes."
            )
            return f"{words}{risk}" if open_requests else words
        case "ended":
            assert run is not None
            why = f": {run.stop_message}" if run.stop_message else ""
            code = "" if run.exit_code is None else f" with exit code {run.exit_code}"
            return f"The last run{rehearsal} has ended{code}{why}."


def _run(run: RunRow) -> Json:
    return {
        "run_id": run.run_id,
        "started_at": readings.iso(run.started_at),
        "ended_at": readings.iso(run.ended_at),
        "exit_code": run.exit_code,
        "sandbox": bool(run.sandbox),
    }


def _jobs(counts: Counter[str]) -> Json:
    return {
        "total": counts.total(),
        **{status: counts[status] for status in ("succeeded", "failed", "pending", "unknown")},
    }


def _failures(snapshot: Snapshot) -> list[Json]:
    """Jobs without an image by what went wrong, the commonest first, each with one of them."""
    kinds: dict[str, Json] = {}
    for job in snapshot.jobs:
        kind = job.row.error_kind
        if kind is not None and job.row.status != "succeeded":
            found = kinds.setdefault(
                kind, {"kind": kind, "count": 0, "job_id": job.row.job_id, "error": job.row.error or ""}
            )
            found["count"] += 1
    return sorted(kinds.values(), key=lambda each: -int(each["count"]))


def _latest(snapshot: Snapshot, images: list[tuple[str, str]]) -> list[Json]:
    found = []
    for fingerprint, sha256 in images:
        job = snapshot.job_of(fingerprint)
        if job is not None and job.picture is not None and job.row.path and job.row.sha256 == sha256:
            found.append({"job_id": job.row.job_id, "thumb": thumb_url(job.picture), "latency_s": job.row.latency_s})
    return found


def _is_reached(output: Path, holder: Holder) -> bool:
    """Whether a signal to that number goes to the process that is meant."""
    return holder.is_here and holder.has_open(output)
