"""Every run on record of an output directory: when, what it was about, what it cost, how it ended and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from batch_editor.history.moments import local, zones
from batch_editor.ledger import history_readings, readings
from batch_editor.ledger.history_readings import RunOnRecord
from batch_editor.output import process_at_work
from batch_editor.text import duration, many, printable

RunState = Literal["ended", "at work", "died"]

_INDENT = " " * 18
_WHY = 300


@dataclass(frozen=True, slots=True)
class OutputHistory:
    """The runs of one output directory, oldest first; at_work: the id of the one that is at work now."""

    output: Path
    runs: Sequence[RunOnRecord]
    at_work: str | None

    def state_of(self, run: RunOnRecord) -> RunState:
        """Whether a run has ended, is at work, or died without a word."""
        if run.row.ended_at is not None:
            return "ended"
        return "at work" if run.row.run_id == self.at_work else "died"

    def as_json(self) -> dict[str, Any]:
        """An entry of `outputs` in `history --json`."""
        return {"output": str(self.output), "runs": [_as_json(run, self.state_of(run)) for run in self.runs]}

    def lines(self) -> Iterator[str]:
        """For people, the newest last."""
        paid = [run for run in self.runs if not run.row.sandbox]
        count = many(len(self.runs), "run")
        possibly_usd = sum(run.sums.possibly_usd for run in paid)
        possibly = f", up to ${possibly_usd:,.2f} more possibly billed" if possibly_usd else ""
        confirmed_usd = sum(run.sums.confirmed_usd for run in paid)
        named = zones(run.row.started_at for run in self.runs)
        times = f"; times in {named}" if named else ""
        yield f"{self.output}: {count}, ${confirmed_usd:,.2f} confirmed{possibly}{times}"
        for run in self.runs:
            yield from _lines(run, self.state_of(run))


@dataclass(frozen=True, slots=True)
class History:
    """What `history` shows."""

    outputs: Sequence[OutputHistory]

    def as_json(self) -> dict[str, Any]:
        """The `--json` object of `history`."""
        return {"outputs": [each.as_json() for each in self.outputs]}

    def lines(self) -> Iterator[str]:
        """For people."""
        for number, each in enumerate(self.outputs):
            if number:
                yield ""
            yield from each.lines()


def history_of(output: Path) -> OutputHistory:
    """The runs on record of an output directory.

    Raises:
        UsageError: nothing has run there.
        LedgerError: its ledger can't be read.
    """
    holder = process_at_work(output)
    with readings.reading(output) as db:
        runs = history_readings.runs_on_record(db)
    newest = runs[-1].row if runs else None
    is_at_work = newest is not None and holder is not None and (holder.pid, holder.host) == (newest.pid, newest.host)
    return OutputHistory(output, runs, newest.run_id if newest is not None and is_at_work else None)


def _as_json(run: RunOnRecord, state: RunState) -> dict[str, Any]:
    row, sums = run.row, run.sums
    return {
        "run_id": row.run_id,
        "started_at": readings.iso(row.started_at),
        "ended_at": readings.iso(row.ended_at),
        "state": state,
        "elapsed_s": round(run.elapsed_s, 3),
        "exit_code": row.exit_code,
        "stopped_by": row.stop_kind,
        "why": row.stop_message,
        "sandbox": bool(row.sandbox),
        "approval": None if row.approval is None else row.approval._asdict(),
        "jobs": None if run.jobs is None else asdict(run.jobs),
        "changes": None if run.changes is None else run.changes._asdict(),
        "requests": {"sent": sums.sent, "possibly_billed": sums.possibly_billed, "open": sums.open},
        "cost_usd": {
            "confirmed": round(sums.confirmed_usd, 6),
            "possibly_billed": round(sums.possibly_usd, 6),
            "reserved": round(sums.open_usd, 6),
        },
        "plan": {
            "requests": {"expected": row.plan_requests, "actual": sums.images},
            "cost_usd": {
                "expected": round(row.plan_usd, 6),
                "actual": round(sums.confirmed_usd + sums.possibly_usd, 6),
            },
            "duration_s": {"expected": round(row.plan_s, 1), "actual": round(run.elapsed_s, 1)},
        },
    }


def _lines(run: RunOnRecord, state: RunState) -> Iterator[str]:
    row, sums = run.row, run.sums
    ending = {"ended": f"exit {row.exit_code}", "at work": "at work", "died": "died"}[state]
    rehearsal = "rehearsal, " if row.sandbox else ""
    first, *rest = _jobs(run)
    yield f"{local(row.started_at)}  {ending:<8}  {rehearsal}{first}"
    yield from (f"{_INDENT}{line}" for line in rest)
    yield (
        f"{_INDENT}{many(sums.images, 'image')} of {row.plan_requests:,} planned,"
        f" ${sums.confirmed_usd:,.2f} of ${row.plan_usd:,.2f}, {duration(run.elapsed_s)} of {duration(row.plan_s)}"
    )
    if row.approval is not None:
        yield f"{_INDENT}approved {row.approval}"
    if sums.possibly_billed:
        yield f"{_INDENT}up to ${sums.possibly_usd:,.2f} more possibly billed, for {_attempts(sums.possibly_billed)}"
    if sums.open:
        yield f"{_INDENT}up to ${sums.open_usd:,.2f} reserved, for {_attempts(sums.open)} without an outcome"
    if row.stop_kind is not None:
        yield f"{_INDENT}stopped ({row.stop_kind}): {printable(row.stop_message or '', limit=_WHY)}"


def _attempts(count: int) -> str:
    return many(count, "attempt")


def _jobs(run: RunOnRecord) -> list[str]:
    """What was left at the run's end, and what it was about: a line each, which fits into 80 columns."""
    lines = []
    if run.jobs is not None:
        rest = ((run.jobs.failed, "failed"), (run.jobs.unknown, "unknown"), (run.jobs.pending, "left"))
        done = f"{run.jobs.succeeded:,} of {run.jobs.total:,} jobs done"
        lines.append(", ".join([done, *(f"{count:,} {word}" for count, word in rest if count)]))
    changes = run.changes
    if changes is not None:
        counts = ((changes.new, "new"), (changes.changed, "changed"), (changes.gone, "gone"))
        named = ", ".join(f"{word} {count:,}" for count, word in counts if count)
        lines.append(named or "nothing new")
        lines += [f"{count:,} of the changed in {what}" for what, count in changes.by_links.items()]
    return lines or ["its jobs aren't on record"]
