"""A run's plan beside what became of it, and why they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batch_editor.ledger import Connection, readings, run_readings
from batch_editor.ledger.figure_readings import Figures, RunRow
from batch_editor.ledger.readings import LastRun
from batch_editor.ledger.run_readings import RunCost
from batch_editor.text import duration, many


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """A run's plan beside what became of it; `why` explains the difference, most telling first.

    possibly_usd: of `actual_usd`, what may have been billed without a result. before_usd: what the runs that it resumes
    were charged, which counts against the same budget.
    """

    expected_requests: int
    expected_usd: float
    expected_s: float
    images: int
    actual_usd: float
    why: tuple[str, ...]
    possibly_usd: float = 0.0
    before_usd: float = 0.0

    def as_json(self, elapsed_s: float) -> dict[str, Any]:
        """The `plan` object of `--json`."""
        return {
            "requests": {"expected": self.expected_requests, "actual": self.images},
            "cost_usd": {"expected": round(self.expected_usd, 6), "actual": round(self.actual_usd, 6)},
            "duration_s": {"expected": round(self.expected_s, 1), "actual": round(elapsed_s, 1)},
            "why": list(self.why),
        }

    def lines(self, elapsed_s: float) -> Iterator[str]:
        """The same for people, in a line; none of a run that was to send nothing."""
        if not self.expected_requests:
            return
        why = f": {'; '.join(self.why)}" if self.why else ""
        expected = many(self.expected_requests, "image")
        yield (
            f"Plan: ${self.expected_usd:,.2f} and {duration(self.expected_s)} for {expected};"
            f" it was ${self.actual_usd:,.2f} and {duration(elapsed_s)} for {self.images}{why}"
        )


def compare_with_plan(db: Connection, run_id: str, elapsed_s: float) -> PlanComparison | None:
    """The newest run beside its plan; None of an older run."""
    run = readings.last_run(db)
    if run is None or run.run_id != run_id:
        return None
    cost = run_readings.cost_of(db, run_id)
    actual_usd = cost.charged_usd + cost.possibly_usd
    return PlanComparison(
        expected_requests=run.plan_requests,
        expected_usd=run.plan_usd,
        expected_s=run.plan_s,
        images=cost.images,
        actual_usd=actual_usd,
        why=tuple(_why(run, cost, elapsed_s)),
        possibly_usd=cost.possibly_usd,
        before_usd=run_readings.charged_before(db, run_id),
    )


def why_they_differ(figures: Figures) -> tuple[str, ...]:
    """Why runs that count as one came to other than their plan, most telling first."""
    sums = figures.sums
    cost = RunCost(sums.images, sums.confirmed_usd, sums.possibly_usd, sums.possibly_billed, sums.refused)
    return tuple(_why(figures.plan, cost, figures.elapsed_s))


def _why(run: LastRun | RunRow, cost: RunCost, elapsed_s: float) -> Iterator[str]:
    """What made a run more expensive, cheaper, slower or quicker than planned; only what makes two per cent or more."""
    if not run.plan_requests:
        return
    if cost.images < run.plan_requests:
        yield f"{many(run.plan_requests - cost.images, 'request')} gave no image"
    if cost.possibly_billed:
        attempts = many(cost.possibly_billed, "attempt")
        yield f"up to ${cost.possibly_usd:,.2f} for {attempts} possibly billed without a result"
    if cost.images and run.plan_requests:
        each, planned = cost.charged_usd / cost.images, run.plan_usd / run.plan_requests
        if abs(each - planned) > 0.02 * planned:
            yield f"an image cost ${each:,.4f} instead of ${planned:,.4f}"
    if cost.refused:
        yield f"{many(cost.refused, 'request was', 'requests were')} refused with 429 and waited"
    if cost.images >= run.plan_requests and not cost.refused and abs(elapsed_s - run.plan_s) > 0.1 * run.plan_s:
        yield f"answers came {'slower' if elapsed_s > run.plan_s else 'quicker'} than assumed"
