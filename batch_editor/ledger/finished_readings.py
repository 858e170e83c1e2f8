"""What the ledger says of finished files, for people and for tables. Reads only."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from batch_editor.ledger.finished import OF_CONFIG, FinishedRow

_COLUMNS = ", ".join(f"f.{name}" for name in FinishedRow._fields)
_IN_PLACE = "j.active AND j.placed_fingerprint = j.fingerprint AND r.state = 'succeeded' AND j.placed_path IS NOT NULL"
# Files, and faults, of pictures that jobs have; a former picture's file counts for nothing.
_CURRENT = (
    "FROM finished f CROSS JOIN jobs j ON j.job_id = f.job_id CROSS JOIN requests r ON r.fingerprint = j.fingerprint"
    f" WHERE {_IN_PLACE} AND f.image_sha256 = r.sha256"
)
# For a SELECT from `jobs j` and `requests r`: paths of the job's finished files, in the order of their names.
PATHS = (
    f"(SELECT group_concat(f.path, '|') FROM finished f WHERE f.job_id = j.job_id AND {_IN_PLACE}"
    " AND f.image_sha256 = r.sha256 AND f.path IS NOT NULL)"
)


class FailingCheck(NamedTuple):
    """A rule that finished files fail: how many of them, and one; what it has, and what was wanted."""

    rule: str
    files: int
    job_id: str
    got: str
    wanted: str


class FinishedCount(NamedTuple):
    """The finished files of one name. left: how many the manifest and the config ask for that aren't made.

    failing: how many fail a check, or several; checks: which, the commonest first. example: a job for which none could
    be made, and why.
    """

    name: str
    made: int
    failed: int
    left: int
    failing: int
    checks: tuple[FailingCheck, ...]
    example: tuple[str, str] | None


def has_finished(db: sqlite3.Connection) -> bool:
    """Whether any job has a finished file."""
    ((found,),) = db.execute("SELECT EXISTS (SELECT 1 FROM finished)")
    return bool(found)


def finished_counts(db: sqlite3.Connection) -> list[FinishedCount]:
    """How the finished files stand, by name."""
    rules = dict(db.execute("SELECT digest, rules FROM finish_rules"))
    made: dict[str, tuple[int, int, int]] = {}
    kept: Counter[str] = Counter()
    for name, files, faults, failing, asked in db.execute(
        "SELECT f.name, sum(f.path IS NOT NULL), sum(f.path IS NULL), sum(f.failing > 0), sum(NOT f.by_command)"
        f" {_CURRENT} GROUP BY f.name"
    ):
        made[name] = files, faults, failing
        kept[name] = asked
    wanted = _wanted(db, rules) if rules else Counter()
    return [
        FinishedCount(
            name,
            *made.get(name, (0, 0, 0))[:2],
            left=max(0, wanted[name] - kept[name]),
            failing=made.get(name, (0, 0, 0))[2],
            checks=tuple(_failing(db, name)),
            example=_fault(db, name),
        )
        for name in sorted(made.keys() | +wanted)
    ]


def finished_rows(db: sqlite3.Connection, name: str) -> Iterator[FinishedRow]:
    """The finished files of a name, those that could not be made included, in the manifest's order."""
    rows = db.execute(f"SELECT {_COLUMNS} {_CURRENT} AND f.name = ? ORDER BY j.position", (name,))
    return map(FinishedRow._make, rows)


def finished_names(db: sqlite3.Connection) -> list[str]:
    """The names under which jobs have finished files, or could not get them."""
    return [name for (name,) in db.execute(f"SELECT DISTINCT f.name {_CURRENT} ORDER BY 1")]


def finished_of(db: sqlite3.Connection, job_id: str) -> list[FinishedRow]:
    """The finished files of a job's picture, those that could not be made included, by name."""
    rows = db.execute(f"SELECT {_COLUMNS} {_CURRENT} AND f.job_id = ? ORDER BY f.name", (job_id,))
    return [FinishedRow._make(row) for row in rows]


def _wanted(db: sqlite3.Connection, rules: dict[str, str]) -> Counter[str]:
    wanted: Counter[str] = Counter()
    for finish, jobs in db.execute(
        f"SELECT coalesce(j.finish, ?), count(*) FROM jobs j CROSS JOIN requests r USING (fingerprint)"
        f" WHERE {_IN_PLACE} GROUP BY 1",
        (OF_CONFIG,),
    ):
        for each in orjson.loads(rules.get(finish, "[]")):
            wanted[each["name"]] += jobs
    return wanted


def _failing(db: sqlite3.Connection, name: str) -> Iterator[FailingCheck]:
    rows = db.execute(
        "SELECT c.value ->> 'rule', count(*), j.job_id, c.value ->> 'got', c.value ->> 'wanted', min(j.position)"
        f" {_CURRENT.replace('WHERE', 'CROSS JOIN json_each(f.checks) c WHERE')} AND f.failing AND f.name = ?"
        " AND NOT c.value ->> 'ok' GROUP BY 1 ORDER BY 2 DESC, 1",
        (name,),
    )
    return (FailingCheck._make(row[:5]) for row in rows)


def _fault(db: sqlite3.Connection, name: str) -> tuple[str, str] | None:
    row = db.execute(
        f"SELECT f.job_id, f.fault {_CURRENT} AND f.name = ? AND f.path IS NULL ORDER BY j.position LIMIT 1", (name,)
    ).fetchone()
    return None if row is None else (row[0], row[1])
