"""What became of rejected images that were to be made again, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batch_editor.ledger import Connection
from batch_editor.ledger.redos import RedoRow, redo_rows, redos_made
from batch_editor.text import many, printable
from batch_editor.verdicts import Picture, Verdict


@dataclass(frozen=True, slots=True)
class RedoSummary:
    """Rejected images: made again by the run; and those that still stand, by what became of their redo.

    left: a run was to make them again and didn't come to that. waiting: to be sent by `--redo rejected`, after a redo
    that was cut off or failed for a passing reason.
    """

    made: int = 0
    failed: int = 0
    unknown: int = 0
    left: int = 0
    waiting: int = 0
    examples: tuple[tuple[int, RedoRow], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The `redo` object of `--json`."""
        return {
            "made": self.made,
            "failed": self.failed,
            "unknown": self.unknown,
            "pending": self.left + self.waiting,
        }

    def lines(self) -> Iterator[str]:
        """The same for people; nothing where there was no redo."""
        if self.made:
            yield f"Made again: {many(self.made, 'rejected image')}; the former are in images/.history"
        still = self.failed + self.unknown + self.left + self.waiting
        if still:
            yield (
                f"Rejected, and not made again: {still:,}; their jobs keep the rejected image (refused {self.failed},"
                f" perhaps billed {self.unknown}, to be sent by --redo rejected {self.left + self.waiting})"
            )
        for count, row in self.examples:
            said = printable(row.error or "", limit=200)
            yield f"  {row.error_kind}: {count}, for example {row.job_id}: {said}"


def redo_summary(db: Connection, run_id: str, verdicts: Mapping[Picture, Verdict]) -> RedoSummary:
    """What the ledger says of redos; not of those whose image isn't rejected any more."""
    counts: Counter[str] = Counter()
    kinds: dict[str, tuple[int, RedoRow]] = {}
    for row in redo_rows(db):
        verdict = verdicts.get(Picture(row.fingerprint, row.sha256))
        if verdict is None or verdict.verdict != "rejected":
            continue
        counts["left" if row.is_left else "waiting" if row.is_transient else row.state] += 1
        if row.error_kind is not None:
            count, first = kinds.get(row.error_kind, (0, row))
            kinds[row.error_kind] = (count + 1, first)
    return RedoSummary(
        made=redos_made(db, run_id),
        failed=counts["failed"],
        unknown=counts["unknown"],
        left=counts["left"],
        waiting=counts["waiting"],
        examples=tuple(sorted(kinds.values(), key=lambda found: -found[0])),
    )
