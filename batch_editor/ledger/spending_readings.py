"""What attempts have cost, and what they were sent for: by day, run, endpoint, job, or a row of it. Reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from batch_editor.ledger import readings
from batch_editor.ledger.run_readings import IMAGE_USD, IS_OPEN

Key = Literal["day", "run", "endpoint", "job", "row"]


class SpentSums(NamedTuple):
    """What some attempts came to, as far as it is known now, in USD.

    key: the day of UTC since 1970, the run, the endpoint or the job that they have in common; None: the ledger doesn't
    know. until: of rows, the job's last attempt for a row that is another by now; None: for the row as it is.

    requests: attempts that were the first of their request. confirmed_usd: what pictures cost, as the provider said or
    the price list says. possibly_usd: an upper bound of what was charged in vain, for possibly_billed attempts.
    open_usd: what is set aside for attempts that are `open`, without an outcome yet.
    """

    key: Any
    until: int | None
    attempts: int
    requests: int
    pictures: int
    possibly_billed: int
    open: int
    confirmed_usd: float
    possibly_usd: float
    open_usd: float


# The job that an attempt `a` was sent for. Looked up only where an earlier version sent it.
_JOB = "coalesce(a.job_id, (SELECT r.job_id FROM requests r WHERE r.fingerprint = a.fingerprint))"
_ENDPOINT = "(SELECT r.endpoint FROM requests r WHERE r.fingerprint = a.fingerprint)"
_SENT = "coalesce(a.redo_params, (SELECT r.params FROM requests r WHERE r.fingerprint = a.fingerprint))"
_UNTIL = (
    f"(SELECT min(f.last_attempt_id) FROM former_rows f WHERE f.job_id = {_JOB} AND f.last_attempt_id >= a.attempt_id)"
)
_KEYS: Mapping[Key, tuple[str, str]] = {
    "day": ("CAST(a.sent_at / 86400 AS INTEGER)", "NULL"),
    "run": ("a.run_id", "NULL"),
    "endpoint": (_ENDPOINT, "NULL"),
    "job": (_JOB, "NULL"),
    "row": (_JOB, _UNTIL),
}
# Of an attempt `a`. A refusal that the provider says it has charged for isn't in doubt either.
_CONFIRMED_USD = (
    f"CASE WHEN a.state = 'succeeded' THEN {IMAGE_USD} WHEN a.possibly_billed OR {IS_OPEN} THEN 0.0"
    " ELSE coalesce(a.cost_usd, 0.0) END"
)
_POSSIBLY_USD = "iif(a.possibly_billed, a.charged_usd, 0.0)"
_OPEN_USD = f"iif({IS_OPEN}, a.charged_usd, 0.0)"
_IS_PAID = "a.run_id NOT IN (SELECT run_id FROM runs WHERE sandbox)"


def spent_by(db: sqlite3.Connection, key: Key, *, without: Collection[str] = ()) -> list[SpentSums]:
    """The sums of all attempts but those of rehearsals, and of the runs `without`."""
    return _sums(db, *_KEYS[key], without)


def spent_by_parameter(db: sqlite3.Connection, name: str, *, without: Collection[str] = ()) -> list[SpentSums]:
    """The same by a parameter as the attempts sent it."""
    sums = _sums(db, f"{_SENT} -> ?", "NULL", without, f'$."{name}"')
    return [each._replace(key=_text(None if each.key is None else orjson.loads(each.key))) for each in sums]


def _sums(db: sqlite3.Connection, key: str, until: str, without: Collection[str], *values: str) -> list[SpentSums]:
    rows = db.execute(
        f"SELECT {key}, {until}, count(*), sum(a.number = 1), sum(a.state = 'succeeded'), sum(a.possibly_billed),"
        f" sum({IS_OPEN}), sum({_CONFIRMED_USD}), sum({_POSSIBLY_USD}), sum({_OPEN_USD}) FROM attempts a"
        f" WHERE {_IS_PAID} AND a.run_id NOT IN (SELECT value FROM json_each(?)) GROUP BY 1, 2",
        (*values, orjson.dumps(list(without)).decode()),
    )
    return list(map(SpentSums._make, rows))


def money_of_requests(db: sqlite3.Connection) -> dict[str, tuple[float, float, float]]:
    """What each request that was sent cost, by fingerprint: confirmed, possibly billed in vain, reserved; in USD."""
    rows = db.execute(
        f"SELECT a.fingerprint, sum({_CONFIRMED_USD}), sum({_POSSIBLY_USD}), sum({_OPEN_USD})"
        f" FROM attempts a WHERE {_IS_PAID} GROUP BY 1"
    )
    return {fingerprint: (confirmed, possibly, open_) for fingerprint, confirmed, possibly, open_ in rows}


def rehearsed_attempts(db: sqlite3.Connection) -> int:
    """How many attempts are of rehearsals, and cost nothing."""
    (count,) = db.execute(f"SELECT count(*) FROM attempts a WHERE NOT {_IS_PAID}").fetchone()
    return int(count)


def paid_runs(db: sqlite3.Connection) -> dict[str, int]:
    """How many attempts each run has made that was no rehearsal, the oldest first."""
    return dict(
        db.execute(
            "SELECT run_id, (SELECT count(*) FROM attempts a WHERE a.run_id = runs.run_id) FROM runs WHERE NOT sandbox"
            " ORDER BY started_at, rowid"
        )
    )


def templates(db: sqlite3.Connection) -> dict[str, str | None]:
    """The manifest's entry that each job was made from last, by job; also of jobs that have left the manifest."""
    return dict(db.execute("SELECT job_id, template FROM jobs"))


def active_jobs(db: sqlite3.Connection) -> list[str]:
    """The jobs of the last manifest."""
    return [job_id for (job_id,) in db.execute("SELECT job_id FROM jobs WHERE active ORDER BY position")]


def column_names(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """What jobs of the last manifest can be grouped by: columns of their rows, and parameters of their requests."""
    parameters, extras = readings.columns(db)
    return extras, parameters


@dataclass(frozen=True, slots=True)
class ColumnOfJobs:
    """What a column of the rows says of each job, and said of it before its row changed.

    present: by job, also of those that have left the manifest: what their last row said. former: by job and its last
    attempt for that row. None: the row has no such column.
    """

    present: Mapping[str, str | None]
    former: Mapping[tuple[str, int], str | None]


def column_of_jobs(db: sqlite3.Connection, name: str) -> ColumnOfJobs | None:
    """A column of the rows, or an axis of their matrix; None where no row has it, or had it."""
    present: dict[str, str | None] = {}
    former: dict[tuple[str, int], str | None] = {}
    axis: dict[str, str | None] = {}
    found = False
    for job_id, extras, axes in db.execute("SELECT job_id, extras, axes FROM jobs"):
        row, combination = orjson.loads(extras), orjson.loads(axes)
        found = found or name in row or name in combination
        axis[job_id] = _text(combination.get(name))
        present[job_id] = _text(row[name]) if name in row else axis[job_id]
    for job_id, last_attempt_id, extras in db.execute("SELECT job_id, last_attempt_id, extras FROM former_rows"):
        row = orjson.loads(extras)
        found = found or name in row
        former[job_id, last_attempt_id] = _text(row[name]) if name in row else axis.get(job_id)
    return ColumnOfJobs(present, former) if found else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return "|".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
