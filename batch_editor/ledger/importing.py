"""How a manifest enters the ledger: what is new, what changed, what is done already."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from batch_editor.ledger.comparison import HASHED_BY, hashed_by_of
from batch_editor.ledger.database import CACHE_SIZE, Ledger
from batch_editor.ledger.providers import note_providers
from batch_editor.ledger.redos import take_over_redos
from batch_editor.ledger.tracking import note_contents, take_over_tracking
from batch_editor.records import Redo, Shape


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


def import_jobs(
    ledger: Ledger,
    staging: Path,
    *,
    redo: Collection[Redo] = (),
    shapes: Mapping[str, Shape],
    extras: list[str],
    compared: Sequence[str] = (),
    providers: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Take over the manifest that was staged in that file; return how many jobs it no longer has. Not within a
    transaction: it makes its own.

    `shapes` and `providers` are those of the manifest's endpoints, by name; `extras` the names of the rows' other
    columns, in the order of the output manifest. `compared`: what a comparison's jobs are over; nothing where they are
    no comparison's.
    """
    db = ledger.connection
    db.execute("ATTACH ? AS staging", (os.fsencode(staging),))  # as text it may be no UTF-8
    try:
        with much_memory(db), ledger.transaction():
            gone = _take_over(db, redo=redo)
            digests = {name: shape.digest for name, shape in shapes.items()}
            columns = {
                "parameters": {
                    **_former_parameters(db, shapes),
                    **{name: shape.parameters for name, shape in shapes.items()},
                },
                "extras": extras,
                HASHED_BY: {**hashed_by_of(db, "main"), **digests},
            }
            if compared:
                columns["compared"] = list(compared)
            else:
                db.execute("DELETE FROM columns WHERE name = 'compared'")
            db.executemany(
                "INSERT OR REPLACE INTO columns VALUES (?, ?)",
                [(name, orjson.dumps(value).decode()) for name, value in columns.items()],
            )
            note_providers(db, providers)
    except sqlite3.Error as error:
        raise ledger.error(error) from error
    finally:
        db.execute("DETACH staging")
    return gone


def _former_parameters(db: sqlite3.Connection, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The parameters of other endpoints whose images jobs of the manifest keep, as a run before named them."""
    row = db.execute("SELECT value FROM columns WHERE name = 'parameters'").fetchone()
    others = {name: names for name, names in (orjson.loads(row[0]) if row else {}).items() if name not in shapes}
    if others:
        rows = db.execute("SELECT DISTINCT endpoint FROM jobs JOIN requests USING (fingerprint) WHERE active")
        others = {name: others[name] for (name,) in rows if name in others}
    return others


def _take_over(db: sqlite3.Connection, *, redo: Collection[Redo]) -> int:
    """Make the attached staging's jobs the manifest's, and mark which requests this run is to send; return how many
    jobs are gone.

    Pending is whatever the ledger hasn't finished: new and changed requests, those never started, and those that
    failed for a transient reason. What was refused for good, whose fate is unknown, or what is done is taken up again
    where `redo` says so.

    When a run resumes, nearly every job has its image and belongs to a request that is done. A look at each job and
    each request, in the order in which they lie in the file, finds the others; only those are looked up by their
    fingerprints, which lie in no order, and only what differs is written.
    """
    _rename(db)
    if "all" in redo:
        db.execute(
            "UPDATE main.requests SET state = 'pending', forgiven = possibly_billed WHERE state = 'succeeded'"
            " AND fingerprint IN (SELECT fingerprint FROM staging.staged WHERE selected AND fault IS NULL)"
            " AND fingerprint NOT IN (SELECT fingerprint FROM staging.staged WHERE redo IS NOT NULL)"
            # As the plan has it: of what the provider still works on an image comes anyway.
            " AND fingerprint NOT IN (SELECT fingerprint FROM main.attempts"
            " WHERE state IN ('sent', 'accepted', 'received'))"
        )
    take_over_tracking(db)
    db.execute("INSERT OR IGNORE INTO main.finish_rules SELECT digest, rules FROM staging.finishes")
    gone = _take_over_jobs(db)
    _find_unfinished(db)
    _take_over_requests(db)
    _take_over_faulty(db)
    _give_new_owners(db)
    _give_turns(db)
    _take_up_again(db, [state for state in ("failed", "unknown") if state in redo or "all" in redo])
    note_contents(db)
    take_over_redos(db, redo)
    for table in ("differing", "unfinished", "waiting"):
        db.execute(f"DROP TABLE temp.{table}")
    return gone


def _rename(db: sqlite3.Connection) -> None:
    """Give done requests the fingerprints under which the manifest asks for them, see `comparison`."""
    ((found,),) = db.execute("SELECT EXISTS (SELECT 1 FROM staging.renamed)")
    if not found:
        return
    # What stands under the new name already stays as it is.
    db.execute("DELETE FROM staging.renamed WHERE new <> old AND new IN (SELECT fingerprint FROM main.requests)")
    # Also of what was renamed before.
    db.execute(
        "INSERT OR IGNORE INTO main.former_fingerprints SELECT old, new FROM staging.renamed WHERE new <> old"
        " UNION SELECT former, new FROM staging.renamed n JOIN main.former_fingerprints f ON f.fingerprint = n.old"
        " WHERE new <> old"
    )
    same = (
        "endpoint, params, sent_params, files, job_id, state, passing, http_status, latency_s, request_id, sent_at,"
        " ended_at"
    )
    image = "image_path, sha256, size_bytes, format, width, height"
    db.execute(
        f"INSERT INTO main.requests (fingerprint, {same}, {image}, expected_usd, high_usd, cost_usd, variant, identity)"
        f" SELECT new, {same}, {image}, 0, 0, 0, n.variant, n.identity"
        " FROM staging.renamed n JOIN main.requests r ON r.fingerprint = n.old WHERE NOT n.moves"
    )
    for table, column in (
        *(("jobs", "fingerprint"), ("jobs", "placed_fingerprint"), ("attempts", "fingerprint")),
        ("redos", "fingerprint"),
    ):
        db.execute(
            f"UPDATE main.{table} SET {column} = n.new FROM staging.renamed n"
            f" WHERE n.moves AND n.new <> n.old AND n.old = {table}.{column}"
        )
    db.execute(
        "UPDATE main.requests SET fingerprint = n.new, variant = n.variant, identity = n.identity"
        " FROM staging.renamed n WHERE n.moves AND n.old = requests.fingerprint"
    )


def _take_over_jobs(db: sqlite3.Connection) -> int:
    """Make the staging's jobs the active ones; return how many no longer are. What is not rewritten need not be made
    durable again.
    """
    # First which: a statement that reads the table it writes would keep whole rows aside.
    db.execute(
        "CREATE TEMP TABLE differing AS SELECT s.position, k.template FROM staging.staged s"
        " LEFT JOIN staging.kinds k USING (kind) LEFT JOIN main.jobs j USING (job_id)"
        " WHERE (j.active, j.selected, j.position, j.fingerprint, j.output, j.extras, j.fault, j.template, j.axes,"
        " j.finish) IS NOT (1, s.selected, s.position, s.fingerprint, s.output, s.extras, s.fault, k.template, s.axes,"
        " s.finish)"
    )
    _keep_rows(db)
    # A job whose row is left out keeps its request, and with that its image.
    kept = ", ".join(f"{name} = iif(excluded.fault IS NULL, excluded.{name}, {name})" for name in _OF_SOUND_ROWS)
    db.execute(
        "INSERT INTO main.jobs (job_id, position, active, selected, fingerprint, output, extras, fault, template, axes,"
        " finish) SELECT job_id, position, 1, selected, fingerprint, output, extras, fault, template, axes, finish"
        " FROM temp.differing CROSS JOIN staging.staged USING (position) WHERE 1"
        " ON CONFLICT (job_id) DO UPDATE SET position = excluded.position, active = 1,"
        f" selected = excluded.selected, fault = excluded.fault, {kept}"
    )
    ((others,),) = db.execute(
        "SELECT (SELECT count(*) FROM main.jobs WHERE active) > (SELECT count(*) FROM staging.staged)"
    )
    if not others:
        return 0
    # Who is in the manifest has its place there by now.
    return db.execute(
        "UPDATE main.jobs SET active = 0, selected = 0 WHERE active AND NOT EXISTS"
        " (SELECT 1 FROM staging.staged s WHERE s.position = jobs.position AND s.job_id = jobs.job_id)"
    ).rowcount


def _keep_rows(db: sqlite3.Connection) -> None:
    """Keep the rows that are about to change, of jobs that money was spent for since they last did."""
    if not db.execute("SELECT EXISTS (SELECT 1 FROM main.attempts)").fetchone()[0]:
        return
    db.execute(
        "CREATE TEMP TABLE edited AS SELECT job_id FROM temp.differing"
        " CROSS JOIN staging.staged s USING (position) CROSS JOIN main.jobs j USING (job_id)"
        " WHERE s.fault IS NULL AND j.extras IS NOT s.extras"
    )
    if db.execute("SELECT EXISTS (SELECT 1 FROM temp.edited)").fetchone()[0]:
        # One look at all attempts, for they have no index by job: an attempt has enough of them to write.
        db.execute(
            "INSERT INTO main.former_rows (job_id, last_attempt_id, extras) SELECT job_id, last_attempt_id, extras"
            " FROM (SELECT coalesce(job_id, (SELECT r.job_id FROM main.requests r"
            " WHERE r.fingerprint = a.fingerprint)) AS job_id, max(attempt_id) AS last_attempt_id"
            " FROM main.attempts a GROUP BY 1) CROSS JOIN main.jobs USING (job_id)"
            " WHERE job_id IN (SELECT job_id FROM temp.edited) AND last_attempt_id >"
            " (SELECT coalesce(max(f.last_attempt_id), 0) FROM main.former_rows f WHERE f.job_id = jobs.job_id)"
        )
    db.execute("DROP TABLE temp.edited")


def _find_unfinished(db: sqlite3.Connection) -> None:
    """Note the requests that are not done, or whose job no longer asks for them; and the jobs that may want one.

    A job that has the image it asks for, of a request that is none of these, wants nothing.
    """
    db.execute(
        "CREATE TEMP TABLE unfinished AS SELECT r.rowid AS request, r.fingerprint FROM main.requests r"
        " LEFT JOIN main.jobs j ON j.job_id = r.job_id AND j.active AND j.fingerprint = r.fingerprint"
        " WHERE r.state <> 'succeeded' OR j.job_id IS NULL"
    )
    db.execute("CREATE INDEX temp.unfinished_by_fingerprint ON unfinished (fingerprint)")
    # CROSS JOIN: from the few to the many.
    db.execute(
        "CREATE TEMP TABLE waiting AS SELECT position, s.job_id, s.fingerprint, owns, s.selected AND sends AS sends"
        " FROM main.jobs j LEFT JOIN unfinished u ON u.fingerprint = j.fingerprint"
        " CROSS JOIN staging.staged s USING (position)"
        " WHERE active AND j.fault IS NULL AND (placed_fingerprint IS NOT j.fingerprint OR u.request IS NOT NULL)"
    )


_OF_SOUND_ROWS = ("fingerprint", "output", "extras", "template", "axes", "finish")
_UNFINISHED = "rowid IN (SELECT request FROM temp.unfinished)"


def _take_over_requests(db: sqlite3.Connection) -> None:
    """Add what is new.

    A request that is not done takes the manifest's newest words: the same picture under a freshly signed link, the
    prices of today.
    """
    db.execute(
        "INSERT INTO main.requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd,"
        " variant, identity) SELECT wanted.fingerprint, endpoint, params, files, wanted.job_id, 'pending', list_usd,"
        " max_usd, variant, identity"
        " FROM temp.waiting CROSS JOIN staging.jobs AS wanted USING (position) WHERE waiting.owns"
        " AND wanted.redo IS NULL"
        " ON CONFLICT (fingerprint) DO UPDATE SET params = excluded.params, files = excluded.files,"
        " job_id = excluded.job_id, expected_usd = excluded.expected_usd, high_usd = excluded.high_usd,"
        " variant = excluded.variant, identity = excluded.identity WHERE state <> 'succeeded'"
    )


def _take_over_faulty(db: sqlite3.Connection) -> None:
    """Jobs that never had a request get one that is none, so that they stand among the others with what is wrong."""
    db.execute(
        "INSERT INTO main.requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd,"
        " error_kind, error) SELECT s.fingerprint, '', '{}', '{}', s.job_id, 'failed', 0, 0, 'invalid_row', s.fault"
        " FROM staging.staged s JOIN main.jobs j USING (job_id) WHERE s.fault IS NOT NULL"
        " AND j.fingerprint = s.fingerprint ON CONFLICT (fingerprint) DO UPDATE SET error = excluded.error"
    )
    # Another job may have been given the place of one of them; its image then moves to the history.
    db.execute(
        "UPDATE main.jobs SET placed_path = NULL, placed_output = NULL, placed_fingerprint = NULL"
        " WHERE active AND fault IS NOT NULL AND output IN (SELECT output FROM staging.staged WHERE fault IS NULL)"
    )


def _give_new_owners(db: sqlite3.Connection) -> None:
    """A done request belongs to the job that it was done for, as long as that job is there and still asks for it."""
    db.execute(
        "UPDATE main.requests SET job_id = w.job_id FROM temp.waiting w WHERE w.owns"
        " AND w.fingerprint IN (SELECT fingerprint FROM temp.unfinished)"
        " AND w.fingerprint = requests.fingerprint AND state = 'succeeded'"
    )


def _give_turns(db: sqlite3.Connection) -> None:
    """Put what this run wants, and what isn't done, in the manifest's order."""
    db.execute(
        "UPDATE main.requests SET position = NULL"
        f" WHERE position IS NOT NULL AND state <> 'succeeded' AND {_UNFINISHED}"
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


def _take_up_again(db: sqlite3.Connection, states: Sequence[str]) -> None:
    """Make pending what failed for a transient reason, and what is in one of these states."""
    db.execute(
        "UPDATE main.requests SET state = 'pending'"
        f" WHERE position IS NOT NULL AND state = 'failed' AND passing AND {_UNFINISHED}"
    )
    db.execute(
        "UPDATE main.requests SET error_kind = NULL, error = NULL"
        f" WHERE state = 'pending' AND error_kind IN ('budget', 'deadline') AND {_UNFINISHED}"
    )
    for state in states:
        db.execute(
            "UPDATE main.requests SET state = 'pending', forgiven = possibly_billed"
            f" WHERE position IS NOT NULL AND state = ? AND {_UNFINISHED}",
            (state,),
        )
