"""Jobs without an image by cause, for the command that sends just these again. Reads only."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class JobsOfCause(NamedTuple):
    """The jobs of an error kind. ids: all of them, None where there are more than asked for.

    refused: some were refused for good; unknown: some may have been billed without a result. others: whether jobs of
    other kinds have no image either.
    """

    ids: list[str] | None
    refused: bool
    unknown: bool
    others: bool


def jobs_of_cause(db: sqlite3.Connection, kind: str, *, most: int) -> JobsOfCause:
    """Which jobs of the manifest have no image for that cause, in its order."""
    without = (
        "FROM jobs j CROSS JOIN requests r USING (fingerprint)"
        " WHERE j.active AND (r.state <> 'succeeded' OR j.fault IS NOT NULL)"
    )
    of_kind = f"{without} AND iif(j.fault IS NULL, r.error_kind, 'invalid_row') IS ?"
    refused, unknown = db.execute(
        "SELECT coalesce(max(r.state = 'failed' AND NOT r.passing AND j.fault IS NULL), 0),"
        f" coalesce(max(r.state = 'unknown' AND j.fault IS NULL), 0) {of_kind}",
        (kind,),
    ).fetchone()
    ids = [
        job_id for (job_id,) in db.execute(f"SELECT j.job_id {of_kind} ORDER BY j.position LIMIT ?", (kind, most + 1))
    ]
    ((others,),) = db.execute(
        f"SELECT EXISTS (SELECT 1 {without} AND iif(j.fault IS NULL, r.error_kind, 'invalid_row') IS NOT ?)", (kind,)
    )
    return JobsOfCause(ids if len(ids) <= most else None, bool(refused), bool(unknown), bool(others))
