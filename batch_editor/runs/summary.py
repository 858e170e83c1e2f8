"""What became of a run, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from batch_editor.finished import FinishedSummary, finished_summary
from batch_editor.ledger import (
    Connection,
    Counts,
    GivenApproval,
    JobChanges,
    figure_readings,
    providers_of,
    readings,
    run_readings,
    shard_of,
    stops_of,
)
from batch_editor.ledger.history_readings import approval_of, changes_of
from batch_editor.ledger.readings import Example, Money, Standing
from batch_editor.ledger.redos import redo_jobs
from batch_editor.output import VerdictCounts, count_verdicts, images_in, verdicts_of
from batch_editor.output.output_manifest import FILE_NAME
from batch_editor.runs.plan_comparison import PlanComparison, compare_with_plan
from batch_editor.runs.redo_commands import redo_commands
from batch_editor.runs.redo_summary import RedoSummary, redo_summary
from batch_editor.runs.stops import StopKind, StopReason, exit_code_of
from batch_editor.shard import WHOLE, Shard
from batch_editor.text import duration, many, printable, shell_word

_FAULTY_ROW = "invalid_row"  # which no further attempt makes sound


@dataclass(frozen=True, slots=True)
class ProviderSummary:
    """What became of one provider's jobs: `sent` and `possibly_billed` are requests of the run, money is over all runs.

    stopped_by, why: the kind and words of what stopped it before its work was done.
    """

    name: str
    jobs: Counts
    sent: int
    possibly_billed: int
    cost: Money
    stopped_by: str | None
    why: str | None

    def as_json(self) -> dict[str, Any]:
        """One of the `providers` of `--json`."""
        return {
            "jobs": _jobs_json(self.jobs),
            "requests": {"sent": self.sent, "possibly_billed": self.possibly_billed},
            "cost_usd": _money_json(self.cost),
            "stopped_by": self.stopped_by,
            "why": self.why,
        }

    def line(self, *, sandbox: bool) -> str:
        """The same for people."""
        left = f", {self.jobs.pending} left ({self.why})" if self.why else ""
        money = money_said(self.cost, sandbox=sandbox)
        return f"  {self.name}: {self.jobs.succeeded} of {self.jobs.total} succeeded{left}; {money}"


def _jobs_json(jobs: Counts) -> dict[str, int]:
    return {
        "total": jobs.total,
        "succeeded": jobs.succeeded,
        "failed": jobs.failed,
        "pending": jobs.pending,
        "unknown": jobs.unknown,
        "reused": jobs.reused,
    }


def _money_json(cost: Money) -> dict[str, float | None]:
    return {
        "estimated": round(cost.estimated, 6),
        "actual": None if cost.actual is None else round(cost.actual, 6),
        "possibly_billed": round(cost.possibly_billed, 6),
    }


_NO_VERDICTS = VerdictCounts(0, 0, 0)
_NO_REDO = RedoSummary()
_NO_FINISHED = FinishedSummary()


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's outcome. Jobs are the manifest's, requests the run's; money is over all runs of the manifest."""

    run_id: str
    output: Path
    exit_code: int
    jobs: Counts
    sent: int
    retried: int
    possibly_billed: int
    cost: Money
    p50_s: float | None
    p95_s: float | None
    elapsed_s: float
    errors: tuple[Example, ...]
    comparison: PlanComparison | None = None
    stop: StopReason | None = None
    sandbox: bool = False
    verdicts: VerdictCounts = _NO_VERDICTS
    redo: RedoSummary = _NO_REDO
    finished: FinishedSummary = _NO_FINISHED
    providers: tuple[ProviderSummary, ...] = ()
    redo_commands: Mapping[str, str] = field(default_factory=dict)
    changes: JobChanges | None = None
    shard: Shard | None = None
    approval: GivenApproval | None = None

    @property
    def manifest(self) -> Path:
        """The output manifest."""
        return self.output / FILE_NAME

    def as_json(self) -> dict[str, Any]:
        """The `--json` object of `run` and `status`."""
        return {
            "run_id": self.run_id,
            "output": str(self.output),
            "exit_code": self.exit_code,
            "jobs": _jobs_json(self.jobs),
            "requests": {"sent": self.sent, "retried": self.retried, "possibly_billed": self.possibly_billed},
            "cost_usd": _money_json(self.cost),
            "latency_s": {"p50": _rounded(self.p50_s), "p95": _rounded(self.p95_s)},
            "elapsed_s": round(self.elapsed_s, 3),
            "errors": {example.kind: example.count for example in self.errors},
            "causes": [
                {
                    "kind": example.kind,
                    "count": example.count,
                    "job_id": example.job_id,
                    "error": example.error,
                    "command": self.redo_commands.get(example.kind),
                }
                for example in self.errors
            ],
            "manifest": str(self.manifest),
            "plan": None if self.comparison is None else self.comparison.as_json(self.elapsed_s),
            "stopped_by": None if self.stop is None else self.stop.kind,
            "sandbox": self.sandbox,
            "verdicts": self.verdicts._asdict(),
            "redo": self.redo.as_json(),
            "finished": self.finished.as_json(),
            "providers": {each.name: each.as_json() for each in self.providers},
            "changes": None if self.changes is None else self.changes._asdict(),
            "shard": None if self.shard is None else {"number": self.shard.number, "count": self.shard.count},
            "approval": None if self.approval is None else self.approval._asdict(),
        }

    def lines(self, *, command: str = "") -> Iterator[str]:
        """The summary for people. `command` is the one that resumes, named where that is the next step."""
        jobs = self.jobs
        if self.stop is not None:
            yield f"Stopped: {self.stop.message}"
        reused = f" ({jobs.reused} took another job's image)" if jobs.reused else ""
        rest = rest_said(jobs.failed, jobs.unknown, jobs.pending)
        yield f"Jobs: {jobs.total}   succeeded {jobs.succeeded}{reused}, {rest}"
        if self.changes is not None and not self.changes.are_all_new:
            yield f"  {self.changes}"
        for error in self.errors:
            said = printable(error.error or "", limit=200)
            yield f"  {error.kind}: {error.count}, for example {error.job_id}: {said}"
            if error.kind in self.redo_commands:
                again = "once mended, to send just these" if error.kind == _FAULTY_ROW else "to redo just these"
                yield f"    {again}: {self.redo_commands[error.kind]}"
        if self.verdicts.approved or self.verdicts.rejected:
            approved, rejected, none = self.verdicts
            yield f"Verdicts: {approved:,} approved, {rejected:,} rejected, {none:,} without"
        yield from self.redo.lines()
        yield from self.finished.lines(self.output)
        if self.approval is not None:
            yield f"Approved: {self.approval}"
        yield f"Requests: {self.sent} sent in this run, {self.retried} of them again"
        yield f"Money: {money_said(self.cost, sandbox=self.sandbox)}"
        if len(self.providers) > 1:
            yield from (each.line(sandbox=self.sandbox) for each in self.providers)
        if self.p50_s is not None and self.p95_s is not None:
            yield f"Latency: half within {self.p50_s:.1f} s, 95 % within {self.p95_s:.1f} s"
        yield f"Time: {duration(self.elapsed_s)}"
        yield from self.comparison.lines(self.elapsed_s) if self.comparison is not None else ()
        yield f"Images: {images_in(self.output)}"
        yield f"Manifest: {self.manifest}"
        if command:
            yield f"Report: batch-editor report {shell_word(str(self.output))}"
        yield from self.next_step(command)

    def next_step(self, command: str) -> Iterator[str]:
        """What to do about the jobs that have no image, if there are any. `command` is the run's own."""
        jobs = self.jobs
        faulty = sum(error.count for error in self.errors if error.kind == _FAULTY_ROW)
        if jobs.pending and self.stop is not None and self.stop.is_approval_spent:
            yield f"{many(jobs.pending, 'job is', 'jobs are')} left, for which a plan of their own is to be approved"
        elif jobs.pending and command:
            # The budget is one for a run and those that resume it: the same command again sends nothing.
            room = " once the budget has room" if self.stop is not None and self.stop.kind == "budget" else ""
            yield f"{many(jobs.pending, 'job is', 'jobs are')} left; to resume{room}: {command}"
        elif self.redo.left and command:
            yield f"{self.redo.left} rejected images are left to be made again; to resume: {command}"
        elif jobs.failed == faulty > 0 and not jobs.unknown and command:
            yield f"Mend the {'row' if faulty == 1 else 'rows'} with faults, then: {command}"
        elif (jobs.failed or jobs.unknown) and command:
            if jobs.unknown and not self.sandbox:
                asking = f"batch-editor reconcile {shell_word(str(self.output))}"
                yield f"Whether unknown jobs were billed, the provider's history may say, for nothing: {asking}"
            risk = ", which may pay unknown ones twice" if jobs.unknown else ""
            yield f"To try failed jobs again{risk}: {command} --retry-failed"


def summarize(
    db: Connection,
    run_id: str,
    standing: Standing,
    *,
    output: Path,
    stop: StopReason | None,
    exit_code: int,
    elapsed_s: float,
    sandbox: bool,
) -> Summary:
    """The summary of a run out of the ledger."""
    shard = shard_of(db)
    sent, retried, possibly_billed = run_readings.attempts_of(db, run_id)
    p50_s, p95_s = readings.latencies(db)
    said = verdicts_of(db, output)
    return Summary(
        run_id=run_id,
        output=output,
        exit_code=exit_code,
        jobs=standing.jobs,
        sent=sent,
        retried=retried,
        possibly_billed=possibly_billed,
        cost=standing.money,
        p50_s=p50_s,
        p95_s=p95_s,
        elapsed_s=elapsed_s,
        errors=tuple(readings.examples(db)),
        comparison=compare_with_plan(db, run_id, elapsed_s),
        stop=stop,
        sandbox=sandbox,
        verdicts=count_verdicts(db, said, succeeded=standing.jobs.succeeded),
        redo=redo_summary(db, run_id, said),
        finished=finished_summary(db),
        providers=tuple(_by_provider(db, run_id, standing)),
        changes=changes_of(db, run_id),
        shard=None if shard == WHOLE else shard,
        approval=approval_of(db, run_id),
    )


def _by_provider(db: Connection, run_id: str, standing: Standing) -> Iterator[ProviderSummary]:
    """What became of each provider's jobs."""
    names, stops = providers_of(db), stops_of(db, run_id)
    for name in names:
        only = name if len(names) > 1 else None  # of one alone that is known already, and takes a while of many jobs
        its = standing if only is None else readings.standing(db, provider=only)
        if not its.jobs.total:  # named by a manifest, and nothing is asked of it
            continue
        sent, _, possibly_billed = run_readings.attempts_of(db, run_id, provider=only)
        kind, why = stops.get(name, (None, None))
        yield ProviderSummary(name, its.jobs, sent, possibly_billed, its.money, kind, why)


def last_summary(output: Path) -> Summary:
    """The summary of an output directory's newest run, also while that run is at work.

    Raises:
        UsageError: nothing has run there.
        LedgerError: its ledger can't be read.
    """
    with readings.reading(output) as db:
        run, standing = readings.last_run(db), readings.standing(db)
        summary = summarize(
            db,
            run.run_id if run else "",
            standing,
            output=output,
            stop=StopReason(cast("StopKind", run.stop_kind), run.stop_message or "") if run and run.stop_kind else None,
            exit_code=run.exit_code
            if run and run.exit_code is not None
            else exit_code_of(standing.wanted, None, redos=redo_jobs(db)),
            elapsed_s=0.0 if run is None else figure_readings.length_s(db, run),
            sandbox=bool(run and run.sandbox),
        )
        return replace(summary, redo_commands=redo_commands(db, [error.kind for error in summary.errors]))


def rest_said(failed: int, unknown: int, pending: int, **_: int) -> str:
    """The jobs that have no image, for people."""
    return f"failed {failed}, unknown {unknown}, pending {pending}"


def money_said(cost: Money, *, sandbox: bool) -> str:
    """Money for people; a rehearsal costs none."""
    if sandbox:
        return f"none, this was a rehearsal; by the price list it would be ${cost.estimated:,.2f}"
    said = "" if cost.actual is None else f", ${cost.actual:,.2f} by what the provider said"
    lost = f"; up to ${cost.possibly_billed:,.2f} more possibly billed without a result" if cost.possibly_billed else ""
    return f"${cost.estimated:,.2f} by the price list{said}{lost}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
