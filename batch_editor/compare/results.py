"""What became of a comparison's jobs, by the ways in which they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from batch_editor.ledger import JobRow, readings
from batch_editor.planning import Comparison, Way, usd, usd_each
from batch_editor.text import printable, table


@dataclass(frozen=True, slots=True)
class Cell:
    """A job made in one way: its image below the output directory, what that cost and how long it took, or why not."""

    job_id: str
    status: str
    path: str | None
    usd: float | None
    latency_s: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class WayResults:
    """One way: its cells by the job of the manifest, and the command that does all jobs so."""

    way: Way
    cells: Mapping[str, Cell]
    command: str

    @property
    def succeeded(self) -> int:
        """How many jobs have their image."""
        return sum(cell.status == "succeeded" for cell in self.cells.values())

    @property
    def each_usd(self) -> float | None:
        """What an image has cost, on average."""
        paid = [cell.usd for cell in self.cells.values() if cell.usd is not None]
        return fmean(paid) if paid else None

    @property
    def seconds(self) -> float | None:
        """How long half of the images took at most."""
        taken = [cell.latency_s for cell in self.cells.values() if cell.latency_s is not None]
        return median(taken) if taken else None

    @property
    def all_usd(self) -> float:
        """What all jobs of the manifests cost: as these images have, where any has, else as planned."""
        way = self.way
        if self.each_usd is None or not way.each_usd:
            return way.all_cost.expected_usd
        return way.all_cost.expected_usd * self.each_usd / way.each_usd

    def as_json(self) -> dict[str, Any]:
        """An entry of `ways` in `compare --json`."""
        return {
            "values": dict(self.way.values),
            "jobs": len(self.cells),
            "succeeded": self.succeeded,
            "cost_each_usd": None if self.each_usd is None else round(self.each_usd, 6),
            "latency_s": None if self.seconds is None else round(self.seconds, 3),
            "all": {
                "jobs": self.way.all_jobs,
                "requests": self.way.all_requests,
                "cost_usd": round(self.all_usd, 6),
                "duration_s": round(self.way.all_s, 1),
            },
            "command": self.command,
        }


@dataclass(frozen=True, slots=True)
class ComparisonResults:
    """All ways, and where their images are."""

    output: Path
    comparison: Comparison
    ways: Sequence[WayResults]
    is_rehearsal: bool

    @property
    def said_of_money(self) -> str:
        """What is said above the commands."""
        if self.is_rehearsal:
            return "This was a rehearsal: nothing of it was paid for, and a run takes nothing from it"
        return "What was compared is taken over, and not paid for again"

    def as_json(self) -> dict[str, Any]:
        """The `compare` object of `compare --json`."""
        return {
            "over": list(self.comparison.names),
            "jobs": [job.job_id for job in self.comparison.jobs],
            "all_jobs": self.comparison.all_jobs,
            "ways": [way.as_json() for way in self.ways],
        }

    def lines(self) -> Iterator[str]:
        """The table, with the command of each way below it."""
        names, all_jobs = self.comparison.names, self.comparison.all_jobs
        rows = [
            [
                *(printable(each.way.said[name], limit=40) for name in names),
                f"{len(each.cells):,}",
                f"{each.succeeded:,}",
                "-" if each.each_usd is None else usd_each(each.each_usd),
                "-" if each.seconds is None else f"{each.seconds:.1f}",
                usd(each.all_usd),
            ]
            for each in self.ways
        ]
        yield from table([*names, "jobs", "succeeded", "cost each", "seconds", f"all {all_jobs:,}"], rows, right=5)


def read_results(output: Path, comparison: Comparison, commands: Sequence[str]) -> ComparisonResults:
    """What the ledger says of a comparison; `commands` are those of its ways. Blocks.

    Raises:
        UsageError: nothing has run there.
        LedgerError: its ledger can't be read.
    """
    with readings.reading(output) as db:
        rows = {row.job_id: row for row in readings.rows(db)}
        is_rehearsal = readings.is_rehearsal(db)
    owners = rows.keys()
    ways = []
    for way, command in zip(comparison.ways, commands, strict=True):
        found = {job: rows[made] for job, made in way.job_ids.items() if made in rows}
        cells = {job: _cell(row, way, is_own=row.owner in owners) for job, row in found.items()}
        ways.append(WayResults(way, cells, command))
    return ComparisonResults(output, comparison, ways, is_rehearsal)


def _cell(row: JobRow, way: Way, *, is_own: bool) -> Cell:
    """A job's cell. An image of another output directory counts for what it would have cost."""
    is_done = row.status == "succeeded"
    price = (row.cost_usd if row.cost_usd is not None else row.expected_usd) if is_own else way.each_usd
    return Cell(
        job_id=row.job_id,
        status=row.status,
        path=row.output_path,
        usd=price if is_done else None,
        latency_s=row.latency_s if is_done else None,
        error=None if is_done else row.error or row.error_kind,
    )
