"""How a manifest enters the ledger: what is new, what changed, what is done already."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from batch_editor.ledger.database import CACHE_SIZE


@contextmanager
def much_memory(db: sqlite3.Connection) -> Iterator[None]:
    """Within the block, SQLite keeps 64 MB of the ledger's pages.

    Fingerprints come in no order: an index of them that doesn't fit would be written to the WAL over and over.
    """
    db.execute("PRAGMA main.cache_size = -64000")
    try:
        yield
    finally:
        db.execute(f"PRAGMA main.cache_size = {CACHE_SIZE}")
        db.execute("PRAGMA shrink_memory")


def admit(db: sqlite3.Connection, *, retry_failed: bool, resend_unknown: bool) -> None:
    """Make the attached spool's jobs the manifest's, and mark which requests this run is to send.

    Pending is whatever the ledger hasn't finished: new and changed requests, those never started, and those that
    failed for a passing reason. What was refused for good, or whose fate is unknown, is taken up again with
    `retry_failed` only, or the latter with `resend_unknown`.
    """
    # Nearly every row is as it was when a run goes on: what is not rewritten need not be made durable again.
    db.execute("CREATE INDEX spool.spooled_by_id ON spooled (job_id)")
    db.execute(
        "UPDATE main.jobs SET active = 0, selected = 0 WHERE (active OR selected) AND NOT EXISTS"
        " (SELECT 1 FROM spool.spooled WHERE spooled.job_id = jobs.job_id)"
    )
    db.execute(
        "INSERT INTO main.jobs (job_id, position, active, selected, fingerprint, output, extras)"
        " SELECT job_id, position, 1, selected, fingerprint, output, extras FROM spool.jobs WHERE 1"
        " ON CONFLICT (job_id) DO UPDATE SET position = excluded.position, active = 1,"
        " selected = excluded.selected, fingerprint = excluded.fingerprint, output = excluded.output,"
        " extras = excluded.extras"
        " WHERE (active, selected, position, fingerprint, output, extras) IS NOT (1, excluded.selected,"
        " excluded.position, excluded.fingerprint, excluded.output, excluded.extras)"
    )
    # A request that is not done takes the manifest's newest words: the same picture under a freshly signed link, the
    # prices of today.
    db.execute(
        "INSERT INTO main.requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd)"
        " SELECT fingerprint, endpoint, params, files, job_id, 'pending', list_usd, high_usd"
        " FROM spool.jobs WHERE owns"
        " ON CONFLICT (fingerprint) DO UPDATE SET params = excluded.params, files = excluded.files,"
        " job_id = excluded.job_id, expected_usd = excluded.expected_usd, high_usd = excluded.high_usd"
        " WHERE state <> 'succeeded'"
    )
    # A done request belongs to the job that it was done for, as long as that job is there and still asks for it.
    db.execute(
        "UPDATE main.requests SET job_id = wanted.job_id"
        " FROM spool.jobs AS wanted"
        " WHERE owns AND wanted.fingerprint = requests.fingerprint AND state = 'succeeded'"
        " AND requests.job_id <> wanted.job_id AND NOT EXISTS"
        " (SELECT 1 FROM main.jobs j WHERE j.job_id = requests.job_id AND j.active"
        " AND j.fingerprint = requests.fingerprint)"
    )
    db.execute("UPDATE main.requests SET position = NULL WHERE position IS NOT NULL AND state <> 'succeeded'")
    db.execute(
        "UPDATE main.requests SET position = wanted.position"
        " FROM spool.jobs AS wanted WHERE selected AND sends AND wanted.fingerprint = requests.fingerprint"
        " AND state <> 'succeeded'"
    )
    # Not to be sent while the provider may still give the result of an attempt that it has accepted.
    db.execute(
        "UPDATE main.requests SET position = NULL WHERE fingerprint IN (SELECT fingerprint FROM main.attempts"
        " WHERE state IN ('sent', 'accepted', 'received'))"
    )
    db.execute("UPDATE main.requests SET state = 'pending' WHERE position IS NOT NULL AND state = 'failed' AND passing")
    db.execute(
        "UPDATE main.requests SET error_kind = NULL, error = NULL"
        " WHERE state = 'pending' AND error_kind IN ('budget', 'deadline')"
    )
    again = {"failed": retry_failed, "unknown": retry_failed or resend_unknown}
    for state in (state for state, wanted in again.items() if wanted):
        db.execute(
            "UPDATE main.requests SET state = 'pending', forgiven = possibly_billed"
            " WHERE position IS NOT NULL AND state = ?",
            (state,),
        )
