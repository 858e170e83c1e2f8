"""The message about a run that ended, or couldn't start."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from batch_editor.ledger import Counts
from batch_editor.notify import TITLE_LENGTH, Message
from batch_editor.runs.summary import Summary
from batch_editor.text import duration, many, shell_word

CAUSES = 3
# A command that is longer is described in words: it fills a telephone's screen.
_LONGEST_COMMAND = 200


def message_of(summary: Summary, *, command: str, budget_usd: float | None) -> Message:
    """What was done, money, causes, where to look, the next step. `command`: the run's own; `budget_usd`: its limit."""
    made = 0 if summary.comparison is None else summary.comparison.images
    title = f"batch-editor {summary.output.name}: {_outcome(summary, made)}"
    return Message.of(title, list(_lines(summary, made, command, budget_usd)))


def message_of_no_run(name: str, exit_code: int, error: str, *, command: str) -> Message:
    """Why a run of that name couldn't start, in the words of its error."""
    first, *more = error.splitlines() or ["it was stopped"]
    where = f"Look: on {socket.gethostname()}, in {Path.cwd()}"
    again = f"Next: when that is mended, run {_short(command)} again"
    title = f"batch-editor {name} could not start (exit code {exit_code}): {first}"
    whole = [first] if len(title) > TITLE_LENGTH else []
    rest = [f"… and {len(more) - CAUSES} more"] if len(more) > CAUSES else []
    return Message.of(title, [*whole, *more[:CAUSES], *rest, where, again])


def _outcome(summary: Summary, made: int) -> str:
    """The run in a line."""
    jobs, parts = summary.jobs, []
    if made:
        parts.append(f"{many(made, 'image')} made for {_spent(summary)}")
    if summary.stop is not None:
        parts.insert(0, f"stopped ({summary.stop.kind})")
    parts += [f"{count:,} {word}" for count, word in _without_image(jobs)]
    named = "its only job" if jobs.total == 1 else f"all {jobs.total:,} jobs"
    if not parts:
        return f"nothing to do, {named} {'is' if jobs.total == 1 else 'are'} done"
    if not _without_image(jobs):
        parts.append(f"{named} done")
    return ", ".join(parts)


def _without_image(jobs: Counts) -> list[tuple[int, str]]:
    named = ((jobs.failed, "failed"), (jobs.unknown, "unknown"), (jobs.pending, "left"))
    return [(count, word) for count, word in named if count]


def _spent(summary: Summary) -> str:
    usd = 0.0 if summary.comparison is None else summary.comparison.actual_usd
    return f"${usd:,.2f}" + (" (a rehearsal: nothing is paid)" if summary.sandbox else "")


def _lines(summary: Summary, made: int, command: str, budget_usd: float | None) -> Iterator[str]:
    jobs, plan = summary.jobs, summary.comparison
    if summary.stop is not None:
        yield f"Stopped: {summary.stop.message}"
    rest = "".join(f", {count:,} {word}" for count, word in _without_image(jobs))
    took = duration(summary.elapsed_s)
    yield f"Jobs: {jobs.succeeded:,} of {jobs.total:,} done{rest}; {made:,} made in this run, in {took}"
    of = "" if budget_usd is None else f" of a budget of ${budget_usd:,.2f}"
    if budget_usd is not None and plan is not None and plan.before_usd:
        of += f", ${plan.before_usd:,.2f} of it spent by the runs before"
    lost = 0.0 if plan is None else plan.possibly_usd
    yield f"Money: {_spent(summary)}{of}" + (f"; ${lost:,.2f} of that may be billed without a result" if lost else "")
    if summary.approval is not None:
        yield f"Approved: {summary.approval}"
    causes = sorted(summary.errors, key=lambda error: -error.count)[:CAUSES]
    for cause in causes:
        count = many(cause.count, "job")
        yield f"Cause: {cause.kind}, {count}, such as {cause.job_id}: {cause.error or ''}"
    yield f"Look: on {socket.gethostname()}, {summary.manifest.absolute()}"
    steps = list(summary.next_step(_short(command)))
    if not steps and made:
        steps = [f"batch-editor review {shell_word(str(summary.output.absolute()))}"]
    yield from (f"Next: {step}" for step in steps)


def _short(command: str) -> str:
    return command if len(command) <= _LONGEST_COMMAND else "the same command"
