"""How a manifest enters the ledger: what is new, what changed, what is done already."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from batch_editor.ledger.database import CACHE_SIZE


@contextmanager
def much_memory(db: sqlite3.Connection) -> Iterator[None]:
    """Within the block, SQLite keeps 48 MB of the ledger's pages.

    Fingerprints come in no order: an index of them that doesn't fit would be written to the WAL over and over.
    """
    db.execute("PRAGMA main.cache_size = -48000")
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

    When a run goes on, nearly every job has its image and belongs to a request that is done. A look at each job and
    each request, in the order in which they lie in the file, finds the others; only those are looked up by their
    fingerprints, which lie in no order, and only what differs is written.
    """
    _take_over_jobs(db)
    _find_unsettled(db)
    _take_over_requests(db)
    _give_new_owners(db)
    _give_turns(db)
    _take_up_again(db, {"failed": retry_failed, "unknown": retry_failed or resend_unknown})
    for table in ("differing", "unsettled", "waiting"):
        db.execute(f"DROP TABLE temp.{table}")


def _take_over_jobs(db: sqlite3.Connection) -> None:
    """Make the spool's jobs the active ones. What is not rewritten need not be made durable again."""
    # First which: a statement that reads the table it writes would keep whole rows aside.
    db.execute(
        "CREATE TEMP TABLE differing AS SELECT s.position FROM spool.spooled s LEFT JOIN main.jobs j USING (job_id)"
        " WHERE (j.active, j.selected, j.position, j.fingerprint, j.output, j.extras)"
        " IS NOT (1, s.selected, s.position, s.fingerprint, s.output, s.extras)"
    )
    db.execute(
        "INSERT INTO main.jobs (job_id, position, active, selected, fingerprint, output, extras)"
        " SELECT job_id, position, 1, selected, fingerprint, output, extras"
        " FROM temp.differing CROSS JOIN spool.spooled USING (position) WHERE 1"
        " ON CONFLICT (job_id) DO UPDATE SET position = excluded.position, active = 1,"
        " selected = excluded.selected, fingerprint = excluded.fingerprint, output = excluded.output,"
        " extras = excluded.extras"
    )
    ((others,),) = db.execute(
        "SELECT (SELECT count(*) FROM main.jobs WHERE active) > (SELECT count(*) FROM spool.spooled)"
    )
    if others:
        # Who is in the manifest has its place there by now.
        db.execute(
            "UPDATE main.jobs SET active = 0, selected = 0 WHERE active AND NOT EXISTS"
            " (SELECT 1 FROM spool.spooled s WHERE s.position = jobs.position AND s.job_id = jobs.job_id)"
        )


def _find_unsettled(db: sqlite3.Connection) -> None:
    """Note the requests that are not done, or whose job no longer asks for them; and the jobs that may want one.

    A job that has the image it asks for, of a request that is none of these, wants nothing.
    """
    db.execute(
        "CREATE TEMP TABLE unsettled AS SELECT r.rowid AS request, r.fingerprint FROM main.requests r"
        " LEFT JOIN main.jobs j ON j.job_id = r.job_id AND j.active AND j.fingerprint = r.fingerprint"
        " WHERE r.state <> 'succeeded' OR j.job_id IS NULL"
    )
    db.execute("CREATE INDEX temp.unsettled_by_fingerprint ON unsettled (fingerprint)")
    # CROSS JOIN: from the few to the many.
    db.execute(
        "CREATE TEMP TABLE waiting AS SELECT position, s.job_id, s.fingerprint, owns, s.selected AND sends AS sends"
        " FROM main.jobs j LEFT JOIN unsettled u ON u.fingerprint = j.fingerprint"
        " CROSS JOIN spool.spooled s USING (position)"
        " WHERE active AND (placed_fingerprint IS NOT j.fingerprint OR u.request IS NOT NULL)"
    )


_UNSETTLED = "rowid IN (SELECT request FROM temp.unsettled)"


def _take_over_requests(db: sqlite3.Connection) -> None:
    """Add what is new.

    A request that is not done takes the manifest's newest words: the same picture under a freshly signed link, the
    prices of today.
    """
    db.execute(
        "INSERT INTO main.requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd)"
        " SELECT wanted.fingerprint, endpoint, params, files, wanted.job_id, 'pending', list_usd, high_usd"
        " FROM temp.waiting CROSS JOIN spool.jobs AS wanted USING (position) WHERE waiting.owns"
        " ON CONFLICT (fingerprint) DO UPDATE SET params = excluded.params, files = excluded.files,"
        " job_id = excluded.job_id, expected_usd = excluded.expected_usd, high_usd = excluded.high_usd"
        " WHERE state <> 'succeeded'"
    )


def _give_new_owners(db: sqlite3.Connection) -> None:
    """A done request belongs to the job that it was done for, as long as that job is there and still asks for it."""
    db.execute(
        "UPDATE main.requests SET job_id = w.job_id FROM temp.waiting w WHERE w.owns"
        " AND w.fingerprint IN (SELECT fingerprint FROM temp.unsettled)"
        " AND w.fingerprint = requests.fingerprint AND state = 'succeeded'"
    )


def _give_turns(db: sqlite3.Connection) -> None:
    """Put what this run wants, and what isn't done, in the manifest's order."""
    db.execute(
        f"UPDATE main.requests SET position = NULL WHERE position IS NOT NULL AND state <> 'succeeded' AND {_UNSETTLED}"
    )
    db.execute(
        "UPDATE main.requests SET position = w.position FROM temp.waiting w"
        " WHERE w.sends AND w.fingerprint = requests.fingerprint AND state <> 'succeeded'"
    )
    # Not to be sent while the provider may still give the result of an attempt that it has accepted.
    db.execute(
        "UPDATE main.requests SET position = NULL WHERE fingerprint IN (SELECT fingerprint FROM main.attempts"
        " WHERE state IN ('sent', 'accepted', 'received'))"
    )


def _take_up_again(db: sqlite3.Connection, again: dict[str, bool]) -> None:
    """Make pending what failed in passing, and what is in those of the states of `again` that are wanted."""
    db.execute(
        "UPDATE main.requests SET state = 'pending'"
        f" WHERE position IS NOT NULL AND state = 'failed' AND passing AND {_UNSETTLED}"
    )
    db.execute(
        "UPDATE main.requests SET error_kind = NULL, error = NULL"
        f" WHERE state = 'pending' AND error_kind IN ('budget', 'deadline') AND {_UNSETTLED}"
    )
    for state in (state for state, wanted in again.items() if wanted):
        db.execute(
            "UPDATE main.requests SET state = 'pending', forgiven = possibly_billed"
            f" WHERE position IS NOT NULL AND state = ? AND {_UNSETTLED}",
            (state,),
        )
