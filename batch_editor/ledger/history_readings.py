"""Every run on record, with what its attempts came to: one look at all of them. Reads only, also while a run writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from batch_editor.ledger.entries import Counts, GivenApproval, GivenCommand, JobChanges
from batch_editor.ledger.figure_readings import RunRow, run_rows
from batch_editor.ledger.run_readings import IMAGE_USD, IS_OPEN


class RunSums(NamedTuple):
    """What a run's attempts came to, by what is known of them now: a later run or `reconcile` may have settled some.

    confirmed_usd: what images cost, as the provider said or the price list says. possibly_usd: an upper bound of what
    was charged in vain, for possibly_billed attempts. open: attempts without an outcome yet, for which open_usd is
    reserved. last_at: the last sign of the run, in seconds since 1970; None where it sent nothing.
    """

    sent: int = 0
    images: int = 0
    confirmed_usd: float = 0.0
    possibly_billed: int = 0
    possibly_usd: float = 0.0
    open: int = 0
    open_usd: float = 0.0
    last_at: float | None = None


@dataclass(frozen=True, slots=True)
class RunOnRecord:
    """A run as the ledger has it. changes, jobs: None where an earlier version made it; jobs too where it died."""

    row: RunRow
    sums: RunSums
    changes: JobChanges | None
    jobs: Counts | None

    @property
    def elapsed_s(self) -> float:
        """For how many seconds it was at work; of one that died, until the last sign of it."""
        last_at = self.row.ended_at if self.row.ended_at is not None else self.sums.last_at
        return 0.0 if last_at is None else max(last_at - self.row.started_at, 0.0)


def runs_on_record(db: sqlite3.Connection) -> list[RunOnRecord]:
    """Every run, oldest first."""
    sums = {
        run_id: RunSums(*rest)
        for run_id, *rest in db.execute(
            "SELECT a.run_id, count(*), sum(a.state = 'succeeded'),"
            f" sum(iif(a.state = 'succeeded', {IMAGE_USD}, 0.0)),"
            " sum(a.possibly_billed), sum(iif(a.possibly_billed, a.charged_usd, 0.0)),"
            f" sum({IS_OPEN}), sum(iif({IS_OPEN}, a.charged_usd, 0.0)), max(a.sent_at + coalesce(a.latency_s, 0))"
            " FROM attempts a GROUP BY a.run_id"
        )
    }
    more = {run_id: rest for run_id, *rest in db.execute("SELECT run_id, changes, jobs FROM runs")}
    found = []
    for row in run_rows(db):
        changes, jobs = (None if text is None else orjson.loads(text) for text in more.get(row.run_id, (None, None)))
        found.append(
            RunOnRecord(
                row,
                sums.get(row.run_id, RunSums()),
                None if changes is None else JobChanges(**changes),
                None if jobs is None else Counts(**jobs),
            )
        )
    return found


def changes_of(db: sqlite3.Connection, run_id: str) -> JobChanges | None:
    """The jobs that a run was about; of the runs of one command the first has them. None: not on record."""
    row = db.execute(
        "SELECT changes FROM runs WHERE changes IS NOT NULL AND rowid <= (SELECT rowid FROM runs WHERE run_id = ?)"
        " ORDER BY rowid DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    return None if row is None else JobChanges(**orjson.loads(row[0]))


def approval_of(db: sqlite3.Connection, run_id: str) -> GivenApproval | None:
    """The plan that a run was made by, and who approved it; None where none was given."""
    row = db.execute(
        "SELECT approval_id, approved_by, approved_usd FROM runs WHERE run_id = ? AND approval_id IS NOT NULL",
        (run_id,),
    ).fetchone()
    return None if row is None else GivenApproval._make(row)


def last_command(db: sqlite3.Connection) -> GivenCommand | None:
    """The command line of the newest run, None where it had none or an earlier version made it."""
    row: Sequence[str | None] | None = db.execute(
        "SELECT command, folder FROM runs ORDER BY started_at DESC, rowid DESC LIMIT 1"
    ).fetchone()
    if row is None or row[0] is None or row[1] is None:
        return None
    return GivenCommand(orjson.loads(row[0]), orjson.loads(row[1]))
