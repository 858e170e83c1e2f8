"""Finished files in the ledger: which of them jobs should have, which they have, and which are to be removed."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

# Where the config's words on finished files stand among those of manifests.
OF_CONFIG = ""
# Jobs of one reading.
PAGE = 200


def digest_of_rules(text: str) -> str:
    """What rules are called in the ledger, by their text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class FinishedRow(NamedTuple):
    """A finished file of a job, or why there is none; in the order of the table's columns. `notes`, `checks`: JSON."""

    job_id: str
    name: str
    path: str | None
    rules: str
    image_sha256: str
    by_command: bool
    sha256: str | None = None
    size_bytes: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    notes: str = "[]"
    checks: str = "[]"
    failing: int = 0
    fault: str | None = None


class Finishable(NamedTuple):
    """A job that has a picture, or finished files; `kept` are those, by name.

    image_path: where its picture stands, below the output directory; None while it has none. finish: what the manifest
    says of its finished files is called; None: what the config says holds.
    """

    position: int
    job_id: str
    output: str
    image_path: str | None
    image_sha256: str
    image_format: str
    finish: str | None
    kept: Mapping[str, FinishedRow]


_IN_PLACE = "j.placed_fingerprint = j.fingerprint AND r.state = 'succeeded' AND j.placed_path IS NOT NULL"
_JOB = f"j.position, j.job_id, j.output, iif({_IN_PLACE}, j.placed_path, NULL), r.sha256, r.format, j.finish"
_KEPT = ", ".join(f"f.{name}" for name in FinishedRow._fields)


class Finished:
    """Finished files of jobs. What is written is within the caller's transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def rules(self) -> dict[str, str]:
        """What the manifest says, as JSON, by what that is called; what the config says is under `OF_CONFIG`."""
        if not self._db.execute("SELECT EXISTS (SELECT 1 FROM finish_rules)").fetchone()[0]:
            return {}
        return dict(
            self._db.execute(
                "SELECT digest, rules FROM finish_rules WHERE digest IN"
                " (SELECT DISTINCT coalesce(finish, ?) FROM jobs WHERE active)",
                (OF_CONFIG,),
            )
        )

    def use_config(self, rules: str | None) -> None:
        """Let these rules hold for jobs of which the manifest says none; None: the config says nothing."""
        self._db.execute("DELETE FROM finish_rules WHERE digest = ?", (OF_CONFIG,))
        if rules is not None:
            self._db.execute("INSERT INTO finish_rules VALUES (?, ?)", (OF_CONFIG, rules))

    def has_any(self) -> bool:
        """Whether there are finished files, or any that are to be removed."""
        ((found,),) = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM finished) OR EXISTS (SELECT 1 FROM former_finished)"
        )
        return bool(found)

    def pages(self) -> Iterator[list[Finishable]]:
        """The jobs of the manifest that have a picture or finished files, some at a time, in order. What is written
        meanwhile counts for the pages after it.
        """
        position = -1
        while page := self._page(
            f"SELECT {_JOB} FROM jobs j CROSS JOIN requests r USING (fingerprint) WHERE j.active AND j.position > ?"
            f" AND (({_IN_PLACE}) OR j.job_id IN (SELECT job_id FROM finished)) ORDER BY j.position LIMIT {PAGE}",
            position,
        ):
            yield page
            position = page[-1].position

    def of_request(self, fingerprint: str) -> list[Finishable]:
        """The jobs of the manifest that have the picture of a request."""
        return self._page(
            f"SELECT {_JOB} FROM jobs j CROSS JOIN requests r USING (fingerprint)"
            f" WHERE j.active AND j.fingerprint = ? AND {_IN_PLACE} ORDER BY j.position",
            fingerprint,
        )

    def record(self, row: FinishedRow) -> None:
        """Record a finished file that stands under its name, or why there is none."""
        if row.path is not None:
            self._db.execute("DELETE FROM former_finished WHERE path = ?", (row.path,))
        self._db.execute(f"REPLACE INTO finished VALUES ({', '.join('?' * len(row))})", row)

    def begin(self, path: str, former: FinishedRow | None) -> None:
        """Before a file gets that name, where the job had `former`: as long as it isn't recorded, `former` removes it.

        Or who dies in between would leave a file that nothing tells of, once the rules or names are others.
        """
        if former is not None:
            self.forget(former)
        self._db.execute("INSERT OR IGNORE INTO former_finished VALUES (?)", (path,))

    def forget(self, row: FinishedRow) -> None:
        """Take a row away; its file is removed by `former`, if there is no row of it by then."""
        if row.path is not None:
            self._db.execute("INSERT OR IGNORE INTO former_finished VALUES (?)", (row.path,))
        self._db.execute("DELETE FROM finished WHERE job_id = ? AND name = ?", (row.job_id, row.name))

    def forget_gone(self) -> int:
        """Forget the files of jobs that the manifest no longer has; return how many."""
        gone = "FROM finished WHERE job_id NOT IN (SELECT job_id FROM jobs WHERE active)"
        self._db.execute(f"INSERT OR IGNORE INTO former_finished SELECT path {gone} AND path IS NOT NULL")
        return self._db.execute(f"DELETE {gone}").rowcount

    def former(self) -> list[tuple[str, bool]]:
        """Some paths that are to be removed, and whether another file has that name since; by case, too, for some disks
        take names that differ in case for one.
        """
        rows = self._db.execute(
            "SELECT o.path, EXISTS (SELECT 1 FROM finished f WHERE f.path = o.path COLLATE NOCASE)"
            f" FROM former_finished o LIMIT {PAGE}"
        )
        return [(path, bool(held)) for path, held in rows]

    def removed(self, paths: Sequence[str]) -> None:
        """Record that these paths are seen to."""
        self._db.executemany("DELETE FROM former_finished WHERE path = ?", [(path,) for path in paths])

    def _page(self, sql: str, *values: Any) -> list[Finishable]:
        rows = self._db.execute(
            f"WITH found AS MATERIALIZED ({sql}) SELECT found.*, {_KEPT} FROM found LEFT JOIN finished f"
            " ON f.job_id = found.job_id ORDER BY found.position, f.name",
            values,
        ).fetchall()
        jobs = []
        for job, kept in groupby(rows, key=lambda row: row[:7]):
            found = [FinishedRow._make(row[7:]) for row in kept if row[7] is not None]
            jobs.append(Finishable._make((*job, {row.name: row for row in found})))
        return jobs
