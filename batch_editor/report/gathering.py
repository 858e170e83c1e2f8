"""What a report says of an output directory, out of its ledger and its verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from batch_editor.ledger import Connection, figure_readings, readings, review_readings
from batch_editor.ledger.figure_readings import Figures, RunRow
from batch_editor.ledger.readings import Example, Standing
from batch_editor.ledger.review_readings import ReviewRow
from batch_editor.output import VerdictCounts, count_verdicts, verdicts_of
from batch_editor.text import printable
from batch_editor.verdicts import Picture, Verdict

# A thumbnail each comes to less than 5 MB.
MOST_PICTURES = 1_000
MOST_FAILED = 300
MOST_RUNS = 30
_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Source:
    """An output directory. `why` says in words why its runs came to other than their plan."""

    output: Path
    why: Callable[[Figures], Sequence[str]] = lambda _: ()


class ShownPicture(NamedTuple):
    """A job's picture: `path` is relative to the output directory."""

    job_id: str
    path: str
    sha256: str
    cost_usd: float
    verdict: str | None
    note: str


class FailedJob(NamedTuple):
    """A job without a picture, and why."""

    job_id: str
    status: str
    kind: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All that a report says of one output directory.

    rejected, others: pictures, of the latter a sample where there are too many. failed: likewise the first ones.
    runs: the newest ones, newest first.
    """

    name: str
    place: str
    why: Sequence[str]
    standing: Standing
    verdicts: VerdictCounts
    latency_s: tuple[float | None, float | None]
    examples: Sequence[Example]
    figures: Figures | None
    runs: Sequence[RunRow]
    rejected: Sequence[ShownPicture]
    others: Sequence[ShownPicture]
    failed: Sequence[FailedJob]

    @property
    def has_approvals(self) -> bool:
        """Whether somebody approved one of the runs."""
        return any(run.approval is not None for run in self.runs)


def gather(source: Source, *, most_pictures: int = MOST_PICTURES) -> Gathered:
    """What a report says of an output directory.

    Raises:
        UsageError: nothing has run there.
        MachineError: its ledger or its verdicts can't be read.
    """
    output = source.output
    with readings.reading(output) as db:
        standing, said = readings.standing(db), verdicts_of(db, output)
        verdicts = count_verdicts(db, said, succeeded=standing.jobs.succeeded)
        rejected, others, failed = _chosen(db, said, verdicts, most=most_pictures)
        figures = figure_readings.figures(db)
        return Gathered(
            name=output.resolve().name,
            place=str(output),
            why=() if figures is None else source.why(figures),
            standing=standing,
            verdicts=verdicts,
            latency_s=readings.latencies(db),
            examples=readings.examples(db),
            figures=figures,
            runs=figure_readings.run_rows(db)[-MOST_RUNS:][::-1],
            rejected=rejected,
            others=others,
            failed=failed,
        )


def _chosen(
    db: Connection, said: dict[Picture, Verdict], verdicts: VerdictCounts, *, most: int
) -> tuple[list[ShownPicture], list[ShownPicture], list[FailedJob]]:
    """The rejected pictures; of the others as many as there is room for, evenly over the manifest; failed jobs."""
    rejected: list[ShownPicture] = []
    others: list[ShownPicture] = []
    failed: list[FailedJob] = []
    room = max(most - verdicts.rejected, 0)
    number = 0
    count = max(verdicts.approved + verdicts.none, 1)
    for row in review_readings.review_rows(db):
        if row.status != "succeeded":
            if row.error_kind is not None and len(failed) < MOST_FAILED:
                error = printable(row.error or "", limit=_MOST_CHARACTERS)
                failed.append(FailedJob(row.job_id, row.status, row.error_kind, error))
            continue
        for shown in _picture(row, said):
            if shown.verdict == "rejected":
                if len(rejected) < most:
                    rejected.append(shown)
                continue
            if number * room // count != (number + 1) * room // count or room >= count:
                others.append(shown)
            number += 1
    return rejected, others[:room], failed


def _picture(row: ReviewRow, said: dict[Picture, Verdict]) -> Iterator[ShownPicture]:
    if row.path is None or row.sha256 is None:
        return
    verdict = said.get(Picture(row.fingerprint, row.sha256))
    yield ShownPicture(
        row.job_id,
        row.path,
        row.sha256,
        0.0 if row.owner != row.job_id else row.expected_usd if row.cost_usd is None else row.cost_usd,
        None if verdict is None else verdict.verdict,
        "" if verdict is None else printable(verdict.note or "", limit=_MOST_CHARACTERS),
    )
