"""Redos: rejected images that are made again, each by one more attempt at its request.

The request stays what it is, `succeeded` and with its image, until the new one is there; a row of `redos` says what is
sent for it meanwhile. Only a run that was asked for redos gives them a turn. A redo that was refused or may have been
billed in vain isn't sent again in the same words, unless that is asked for as of any other request.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from batch_editor.ledger.entries import PendingRequest, files_from
from batch_editor.records import Redo


@dataclass(frozen=True, slots=True)
class FormerRedo:
    """A redo of the same image that came to nothing: what it sent, and what became of it."""

    prompt: str
    state: str
    transient: bool


class RejectedImage(NamedTuple):
    """A chosen job whose image was rejected, first of those that share it.

    fingerprint: what the ledger calls its request, before it is renamed. endpoint, params, files: what the manifest
    asks for. made_by, made_of: the endpoint that made the image, and the parameters of its request.
    """

    position: int
    job_id: str
    place: str
    template: str
    redo_prompt: str | None
    fingerprint: str
    sha256: str
    endpoint: str
    params: Mapping[str, Any]
    files: str
    made_by: str
    made_of: Mapping[str, Any]
    former: FormerRedo | None


def find_rejected(db: sqlite3.Connection, rejected: Iterable[tuple[str, str]]) -> tuple[RejectedImage, ...]:
    """The staging's chosen jobs that have one of these images, by fingerprint and SHA-256, in manifest order.

    `past` is filled, and the ledger attached as `ledger`. Not those of which the provider still has an answer.
    """
    db.execute("CREATE TEMP TABLE rejected (fingerprint TEXT, sha256 TEXT, PRIMARY KEY (fingerprint, sha256))")
    db.executemany("INSERT OR IGNORE INTO temp.rejected VALUES (?, ?)", rejected)
    rows = db.execute(
        "SELECT s.position, s.job_id, s.place, k.template, s.redo_prompt, r.fingerprint, r.sha256, k.endpoint,"
        " s.params, s.files, r.endpoint, r.params, d.prompt, d.state, d.passing"
        " FROM staged s JOIN past p USING (position) JOIN kinds k USING (kind)"
        " LEFT JOIN renamed n ON n.new = s.fingerprint"
        " JOIN ledger.requests r ON r.fingerprint = coalesce(s.known_as, n.old, s.fingerprint)"
        " JOIN temp.rejected v ON v.fingerprint = r.fingerprint AND v.sha256 = r.sha256"
        " LEFT JOIN ledger.redos d ON d.fingerprint = r.fingerprint AND d.sha256 = r.sha256"
        " WHERE p.done AND s.selected AND s.sends AND s.fault IS NULL AND r.state = 'succeeded'"
        # The first condition lets SQLite use the index attempts_open.
        " AND r.fingerprint NOT IN (SELECT fingerprint FROM ledger.attempts"
        " WHERE state IN ('sent', 'accepted', 'received') AND state = 'accepted') ORDER BY s.position"
    ).fetchall()
    db.execute("DROP TABLE temp.rejected")
    return tuple(
        RejectedImage._make(
            (
                *(*named, orjson.loads(params), files, made_by, orjson.loads(made_of)),
                FormerRedo(prompt, state, bool(passing)) if state is not None else None,
            )
        )
        for *named, params, files, made_by, made_of, prompt, state, passing in rows
    )


def stage_redo(
    db: sqlite3.Connection, image: RejectedImage, *, kind: int, prompt: str, params: Mapping[str, Any]
) -> None:
    """Have a staged job's image made again by these parameters, at the prices of that kind."""
    db.execute(
        "UPDATE staged SET redo = ?, redo_prompt = ?, kind = ?, params = ? WHERE position = ?",
        (image.sha256, prompt, kind, orjson.dumps(params).decode(), image.position),
    )
    db.execute("UPDATE past SET done = 0 WHERE position = ?", (image.position,))


def take_over_redos(db: sqlite3.Connection, redo: Collection[Redo]) -> None:
    """Give the attached staging's redos their turns, and take all others theirs.

    An image that is not the rejected one any more stays: what a run that died had received may have taken its place
    since the plan was made. A redo in other words, or of another image, than the one before begins anew.
    """
    db.execute("UPDATE main.redos SET position = NULL WHERE position IS NOT NULL")
    if not db.execute("SELECT EXISTS (SELECT 1 FROM staging.staged WHERE redo IS NOT NULL)").fetchone()[0]:
        return
    db.execute(
        "CREATE TEMP TABLE wanted AS SELECT s.position, s.fingerprint, s.redo AS sha256, s.redo_prompt AS prompt,"
        " k.list_usd, k.max_usd"
        " FROM staging.staged s JOIN staging.kinds k USING (kind) JOIN main.requests r USING (fingerprint)"
        " WHERE s.redo IS NOT NULL AND r.state = 'succeeded' AND r.sha256 = s.redo"
    )
    begun = (
        "SELECT w.fingerprint FROM temp.wanted w JOIN main.redos d USING (fingerprint)"
        " WHERE d.sha256 = w.sha256 AND d.prompt = w.prompt"
    )
    # What an attempt of its own may have been billed is all that counts against retry.max_possibly_billed.
    db.execute(
        "UPDATE main.requests SET forgiven = possibly_billed WHERE fingerprint IN (SELECT fingerprint FROM temp.wanted)"
        f" AND fingerprint NOT IN ({begun})"
    )
    db.execute(
        "DELETE FROM main.redos WHERE fingerprint IN (SELECT fingerprint FROM temp.wanted)"
        f" AND fingerprint NOT IN ({begun})"
    )
    db.execute(
        "INSERT INTO main.redos (fingerprint, sha256, prompt, params, files, position, state, expected_usd, high_usd)"
        " SELECT w.fingerprint, w.sha256, w.prompt, s.params, s.files, w.position, 'pending', w.list_usd, w.max_usd"
        " FROM temp.wanted w JOIN staging.staged s USING (position) WHERE 1"
        " ON CONFLICT (fingerprint) DO UPDATE SET params = excluded.params, files = excluded.files,"
        " position = excluded.position, expected_usd = excluded.expected_usd, high_usd = excluded.high_usd"
    )
    db.execute("DROP TABLE temp.wanted")
    # Not to be sent while the provider may still give the result of an attempt that it has accepted.
    db.execute(
        "UPDATE main.redos SET position = NULL WHERE fingerprint IN (SELECT fingerprint FROM main.attempts"
        " WHERE state IN ('sent', 'accepted', 'received'))"
    )
    db.execute("UPDATE main.redos SET state = 'pending' WHERE position IS NOT NULL AND state = 'failed' AND passing")
    for state in ("failed", "unknown"):
        if state in redo or "all" in redo:
            again = "position IS NOT NULL AND state = ?"
            db.execute(
                "UPDATE main.requests SET forgiven = possibly_billed"
                f" WHERE fingerprint IN (SELECT fingerprint FROM main.redos WHERE {again})",
                (state,),
            )
            db.execute(f"UPDATE main.redos SET state = 'pending' WHERE {again}", (state,))
    db.execute("UPDATE main.redos SET position = NULL WHERE state <> 'pending'")


def pending_redos(db: sqlite3.Connection, where: str, *values: Any) -> list[PendingRequest]:
    """The redos to send for which a condition of SQL holds, of `d`, which is theirs."""
    rows = db.execute(
        "SELECT d.fingerprint, d.position, r.endpoint, d.params, d.files, r.job_id, d.expected_usd, d.high_usd,"
        " r.attempts, r.possibly_billed - r.forgiven, (SELECT count(*) FROM jobs"
        " WHERE jobs.fingerprint = d.fingerprint AND active AND selected)"
        " FROM redos d JOIN requests r USING (fingerprint)"
        f" WHERE d.state = 'pending' AND d.position IS NOT NULL AND {where}",
        values,
    )
    return [
        replace(PendingRequest(fp, at, endpoint, orjson.loads(params), files_from(files), *rest), is_redo=True)
        for fp, at, endpoint, params, files, *rest in rows
    ]


def redo_jobs(db: sqlite3.Connection) -> int:
    """How many of a run's jobs have an image that is left to be made again."""
    (count,) = db.execute(
        "SELECT count(*) FROM redos d JOIN jobs j USING (fingerprint)"
        " WHERE d.state = 'pending' AND d.position IS NOT NULL AND j.active AND j.selected"
    ).fetchone()
    return int(count)


class RedoRow(NamedTuple):
    """A redo that has not given its image.

    is_transient: the next run that is asked for redos sends it. is_left: the last one was to, and didn't come to that.
    """

    fingerprint: str
    sha256: str
    job_id: str
    state: str
    error_kind: str | None
    error: str | None
    is_transient: bool
    is_left: bool


def redo_rows(db: sqlite3.Connection) -> Iterator[RedoRow]:
    """The redos that came to nothing, or not yet to an end, of images that the manifest's jobs still have."""
    rows = db.execute(
        "SELECT d.fingerprint, d.sha256, r.job_id, d.state, d.error_kind, d.error,"
        " d.state = 'pending' OR (d.state = 'failed' AND d.passing), d.state = 'pending' AND d.position IS NOT NULL"
        " FROM redos d JOIN requests r USING (fingerprint) WHERE r.state = 'succeeded' AND r.sha256 = d.sha256"
        " AND EXISTS (SELECT 1 FROM jobs j WHERE j.fingerprint = d.fingerprint AND j.active) ORDER BY d.rowid"
    )
    return (RedoRow._make((*row, bool(transient), bool(left))) for *row, transient, left in rows)


def redos_made(db: sqlite3.Connection, run_id: str) -> int:
    """How many images a run made again."""
    (count,) = db.execute(
        "SELECT count(*) FROM attempts WHERE run_id = ? AND redo_params IS NOT NULL AND state = 'succeeded'", (run_id,)
    ).fetchone()
    return int(count)
