"""Jobs of a manifest that claim what an earlier one has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Claim = Literal["id", "output", "identity", "finished"]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A job that claims what an earlier one has: id, output, identity or finished file; `position` is its place.

    `is_left_out`: its row has a fault besides, for which it is left out already.
    """

    what: Claim
    name: str
    position: int
    job_id: str
    where: str
    is_left_out: int
    first_id: str
    first_where: str

    @property
    def message(self) -> str:
        """What is wrong with it."""
        if self.what == "identity":
            first = f"job {self.first_id} at {self.first_where}"
            return (
                f"identity {self.name!r} of job {self.job_id} is that of {first}, which has other links; expected an"
                " identity for each picture"
            )
        if self.what == "finished":
            first = f"job {self.first_id} at {self.first_where}"
            return (
                f"finished files {self.name!r} of job {self.job_id} would take the name of those of {first} on some"
                " disks; give one of them another output"
            )
        return f"duplicate {self.what} {self.name!r}, first used at {self.first_where}"


def repeats_of(db: sqlite3.Connection, what: Claim, column: str, where: str) -> Iterator[Repeat]:
    """Rows of the staging that have in a column what an earlier one has, among those `where` a condition holds.

    Of a job and a row that is left out the job counts as the earlier one.
    """
    return _found(db, what, column, column, where, "j.position <> f.position")


def mixed_identities(db: sqlite3.Connection) -> Iterator[Repeat]:
    """Rows that would send what an earlier one of the same identity does, but for other links."""
    return _found(db, "identity", "identity", "fingerprint", "links IS NOT NULL", "j.links <> f.links")


def mixed_finished(db: sqlite3.Connection, *, all_finished: bool) -> Iterator[Repeat]:
    """Rows whose finished files would have an earlier one's names on some disks, where people chose either name.

    all_finished: whether jobs have finished files of which the manifest says nothing.
    """
    some = "finish NOT IN (SELECT digest FROM finishes WHERE rules = '[]')"
    has_files = f"iif(finish IS NULL, {int(all_finished)}, {some})"
    where = f"output_key IN colliding AND fault IS NULL AND {has_files}"
    chosen = "(j.named IS NOT NULL OR f.named IS NOT NULL) AND j.named IS NOT f.named"
    is_one = (
        f"j.position <> f.position AND {chosen} AND j.fault IS NULL AND {has_files.replace('finish ', 'j.finish ')}"
    )
    return _found(db, "finished", "output", "output_key", where, is_one)


def _found(db: sqlite3.Connection, what: Claim, column: str, claim: str, where: str, differs: str) -> Iterator[Repeat]:
    rows = db.execute(
        f"""
        SELECT j.{column}, j.position, j.job_id, j.place, j.fault IS NOT NULL, f.job_id, f.place
        FROM (SELECT {claim} AS claim, coalesce(min(iif(fault IS NULL, position, NULL)), min(position)) AS first
              FROM staged WHERE {where} AND {claim} IS NOT NULL GROUP BY {claim} HAVING count(*) > 1) r
        JOIN staged j ON j.{claim} = r.claim
        JOIN staged f ON f.position = r.first
        WHERE {differs}
        ORDER BY j.position
        """
    ).fetchall()
    for row in rows:
        yield Repeat(what, *row)


def share_requests(db: sqlite3.Connection) -> None:
    """Let the first of the jobs with one request own it, and the first selected one send it."""
    db.execute("CREATE TEMP TABLE shared AS SELECT fingerprint FROM staged GROUP BY fingerprint HAVING count(*) > 1")
    if db.execute("SELECT EXISTS (SELECT 1 FROM shared)").fetchone()[0]:
        db.execute(
            "UPDATE staged SET owns = turn = 1, sends = selected_turn = 1 FROM (SELECT position,"
            " row_number() OVER (PARTITION BY fingerprint ORDER BY position) AS turn,"
            " row_number() OVER (PARTITION BY fingerprint, selected ORDER BY position) AS selected_turn"
            " FROM staged WHERE fingerprint IN shared) AS turns WHERE turns.position = staged.position"
        )
    db.execute("DROP TABLE temp.shared")
