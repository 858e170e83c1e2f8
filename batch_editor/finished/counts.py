"""How finished files stand, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from batch_editor.ledger import Connection, FinishedCount, finished_readings
from batch_editor.text import printable, shell_word


class FinishedSummary(NamedTuple):
    """The finished files of an output directory, by name."""

    counts: tuple[FinishedCount, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The `finished` object of `--json`."""
        return {
            count.name: {
                "made": count.made,
                "failed": count.failed,
                "left": count.left,
                "failing_checks": count.failing,
                "checks": {
                    check.rule: {
                        "failed": check.files,
                        "example": {"job_id": check.job_id, "got": check.got, "wanted": check.wanted},
                    }
                    for check in count.checks
                },
                "example": None if count.example is None else {"job_id": count.example[0], "fault": count.example[1]},
            }
            for count in self.counts
        }

    def lines(self, output: Path) -> Iterator[str]:
        """The same for people; nothing where there are none."""
        for count in self.counts:
            failed = f", {count.failed:,} could not be made" if count.failed else ""
            failing = f", {_files(count.failing)} fail{'s' * (count.failing == 1)} a check" if count.failing else ""
            yield f"Finished {count.name}: {count.made:,} made{failed}{failing}"
            for check in count.checks:
                said = printable(f"{check.got}; wanted {check.wanted}", limit=200)
                yield f"  {check.rule}: {check.files:,}, for example {check.job_id}: {said}"
            if count.example is not None:
                job_id, fault = count.example
                yield f"  not made: {count.failed:,}, for example {job_id}: {printable(fault, limit=200)}"
            if count.left:
                yield f"  {_files(count.left)} left to be made; to make them: {finish_command(output)}"


def finished_summary(db: Connection) -> FinishedSummary:
    """What the ledger says of finished files."""
    return FinishedSummary(tuple(finished_readings.finished_counts(db)))


def finish_command(output: Path) -> str:
    """The command that makes what is left."""
    return f"batch-editor finish {shell_word(str(output))}"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
