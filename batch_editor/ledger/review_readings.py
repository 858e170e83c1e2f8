"""What the ledger says of each job, for pages that are open for hours: in short transactions, also while a run writes.

A finished ledger is in rollback mode, where a reader keeps a run from writing. So a reading ends its transaction after
`MOST_S`, and goes on with the next one behind the last position.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import orjson

from batch_editor.ledger.readings import OWNER

# A run waits for five seconds; whoever looks at pages must not be noticed at all.
MOST_S = 0.02
# Jobs of one transaction, 2 ms of them.
PAGE = 500
# Rows that are looked through without one that is wanted, in one transaction.
RANGE = 5_000
# Characters of a request's parameters, and of links in them. What is longer holds a picture as a `data:` link.
LONGEST, LONGEST_LINK = 30_000, 2_000


class ReviewRow(NamedTuple):
    """A job of the manifest as pages list it; `params`, `files`, `extras` and `axes` are JSON.

    path: where the picture of its present request stands under the job's name, below the output directory. params:
    with values and links cut off, where they are longer than `LONGEST` together. owner: the job that the request was
    sent for. former_usd: what its former pictures cost. redo_*: what has become of its being made again, None where
    nobody wants that.
    """

    position: int
    job_id: str
    template: str
    axes: str
    extras: str
    status: str
    path: str | None
    fingerprint: str
    endpoint: str
    params: str
    files: str
    owner: str
    variant: int | None
    identity: str | None
    expected_usd: float
    cost_usd: float | None
    attempts: int
    possibly_billed: int
    error_kind: str | None
    error: str | None
    latency_s: float | None
    sha256: str | None
    width: int | None
    height: int | None
    former_usd: float
    redo_state: str | None
    redo_error_kind: str | None
    redo_error: str | None


class AttemptRow(NamedTuple):
    """One attempt at a request; times in seconds since 1970. redo_params: what a redo sent in their place, as JSON.

    pictures_changed: it was made since the pictures behind the links had changed.
    """

    fingerprint: str
    number: int
    state: str
    sent_at: float
    ended_at: float | None
    latency_s: float | None
    http_status: int | None
    error_kind: str | None
    error: str | None
    possibly_billed: int
    charged_usd: float
    cost_usd: float | None
    request_id: str | None
    sha256: str | None
    redo_params: str | None
    run_id: str
    pruned_at: float | None
    pictures_changed: int
    list_usd: float | None


class FormerPicture(NamedTuple):
    """A picture that a job had before its present one. is_same_request: the request was made again; else it changed."""

    fingerprint: str
    sha256: str
    ended_at: float | None
    is_same_request: bool


class JobFiles(NamedTuple):
    """A job's picture as a file, and its former pictures, newest first.

    sent_params: what it was made of, as JSON, where that isn't what its request says.
    """

    output_path: str | None
    size_bytes: int | None
    format: str | None
    sent_params: str | None
    former: Sequence[FormerPicture]


class Place(NamedTuple):
    """Where a request's picture was put last, and what it is; other pictures of it have been put there before."""

    image_path: str | None
    sha256: str | None


_SHORTENED = (
    "SELECT json_group_object(p.key, CASE p.type"
    f" WHEN 'array' THEN json((SELECT json_group_array(substr(i.value, 1, {LONGEST_LINK}))"
    " FROM json_each(p.value) i))"
    f" WHEN 'text' THEN substr(p.value, 1, {LONGEST}) WHEN 'true' THEN json('true') WHEN 'false' THEN json('false')"
    " ELSE p.value END) FROM json_each(r.params) p"
)
_PARAMS = f"iif(length(r.params) <= {LONGEST}, r.params, ({_SHORTENED}))"
_PATH = "iif(j.placed_fingerprint = j.fingerprint AND r.state = 'succeeded', j.placed_path, NULL)"
_STATUS = "iif(j.fault IS NULL, r.state, 'failed')"
_ROWS = (
    f"SELECT j.position, j.job_id, coalesce(j.template, ''), j.axes, j.extras, {_STATUS},"
    f" {_PATH}, r.fingerprint, r.endpoint, {_PARAMS}, r.files, {OWNER}, r.variant, r.identity, r.expected_usd,"
    " r.cost_usd, r.attempts, r.possibly_billed, iif(j.fault IS NULL, r.error_kind, 'invalid_row'),"
    " coalesce(j.fault, r.error), r.latency_s, r.sha256, r.width, r.height,"
    " coalesce(r.former_cost_usd, r.former_expected_usd), d.state, d.error_kind, d.error"
    " FROM jobs j CROSS JOIN requests r USING (fingerprint) LEFT JOIN redos d USING (fingerprint)"
    f" WHERE j.active AND j.position > ? ORDER BY j.position LIMIT {PAGE}"
)


def review_rows(db: sqlite3.Connection) -> Iterator[ReviewRow]:
    """The manifest's jobs in order. Between two of them no transaction is open for longer than `MOST_S`.

    Whoever writes meanwhile may move a job: then it comes twice, or not at all.
    """
    position = -1
    while page := _page(db, position):
        yield from page
        position = page[-1].position


def _page(db: sqlite3.Connection, position: int) -> list[ReviewRow]:
    page: list[ReviewRow] = []
    with closing(db.execute(_ROWS, (position,))) as rows:
        ends_at = time.monotonic() + MOST_S
        for row in rows:
            page.append(ReviewRow._make(row))
            if time.monotonic() > ends_at:
                break
    return page


def job_counts(db: sqlite3.Connection) -> Counter[str]:
    """The manifest's jobs by status: how many have succeeded, and so on."""
    found = _ranged(
        db,
        "jobs",
        f"SELECT {_STATUS} FROM jobs j CROSS JOIN requests r USING (fingerprint) WHERE j.active AND {{range}}",
        alias="j",
    )
    return Counter(status for (status,) in found)


def former_pictures(db: sqlite3.Connection) -> Counter[str]:
    """How many pictures requests had before their present one, by fingerprint; those without are left out."""
    found = _ranged(
        db,
        "attempts",
        "SELECT a.fingerprint FROM attempts a JOIN requests r USING (fingerprint) WHERE a.state = 'succeeded'"
        " AND a.sha256 IS NOT r.sha256 AND a.sha256 IS NOT NULL AND a.pruned_at IS NULL AND {range}",
        alias="a",
    )
    return Counter(fingerprint for (fingerprint,) in found)


def attempts_of(db: sqlite3.Connection, *fingerprints: str) -> list[AttemptRow]:
    """Every attempt at some requests, oldest first."""
    found = _ranged(
        db,
        "attempts",
        "SELECT fingerprint, number, state, sent_at, ended_at, latency_s, http_status, error_kind, error,"
        " possibly_billed, charged_usd, cost_usd, request_id, sha256, redo_params, run_id, pruned_at,"
        " pictures_changed, list_usd"
        " FROM attempts a"
        " WHERE fingerprint IN (SELECT value FROM json_each(?)) AND {range}",
        orjson.dumps(fingerprints).decode(),
        alias="a",
    )
    return [AttemptRow._make(row) for row in found]


def job_files(db: sqlite3.Connection, job_id: str, attempts: Sequence[AttemptRow]) -> JobFiles | None:
    """The files of a job of the manifest, None if there is none. `attempts` are those at its request."""
    row = db.execute(
        f"SELECT {_PATH}, r.size_bytes, r.format, r.sent_params, r.fingerprint, r.sha256"
        " FROM jobs j JOIN requests r USING (fingerprint)"
        " WHERE j.job_id = ? AND j.active",
        (job_id,),
    ).fetchone()
    if row is None:
        return None
    path, size_bytes, format, sent_params, fingerprint, present = row
    others = _requests_of(db, job_id, fingerprint)
    found: dict[tuple[str, str], FormerPicture] = {}
    for each in (*attempts, *attempts_of(db, *others)):
        is_there = each.state == "succeeded" and each.pruned_at is None
        if is_there and each.sha256 not in (None, present):
            is_same = each.fingerprint == fingerprint
            found[each.fingerprint, each.sha256] = FormerPicture(each.fingerprint, each.sha256, each.ended_at, is_same)
    former = sorted(found.values(), key=lambda each: each.ended_at or 0.0, reverse=True)
    return JobFiles(path, size_bytes, format, sent_params, former)


def _requests_of(db: sqlite3.Connection, job_id: str, present: str) -> list[str]:
    """The requests that a job had before its present one, by fingerprint."""
    sql = "SELECT fingerprint FROM requests r WHERE job_id = ? AND fingerprint <> ? AND sha256 IS NOT NULL AND {range}"
    return [fingerprint for (fingerprint,) in _ranged(db, "requests", sql, job_id, present, alias="r")]


def places_of(db: sqlite3.Connection, fingerprint: str) -> list[Place]:
    """Where the picture of a request is: under the names of the jobs that share it, and where it was put last."""
    rows = db.execute(
        "SELECT j.placed_path, r.sha256 FROM requests r JOIN jobs j ON j.placed_fingerprint = r.fingerprint"
        " WHERE r.fingerprint = ?1 UNION ALL SELECT image_path, sha256 FROM requests WHERE fingerprint = ?1",
        (fingerprint,),
    )
    return [Place._make(row) for row in rows]


def inputs_of(db: sqlite3.Connection, fingerprint: str) -> tuple[str, str, str] | None:
    """The endpoint, parameters and local files of a request; the last two are JSON."""
    row: tuple[str, str, str] | None = db.execute(
        "SELECT endpoint, params, files FROM requests WHERE fingerprint = ?", (fingerprint,)
    ).fetchone()
    return row


def _ranged(db: sqlite3.Connection, table: str, sql: str, *values: Any, alias: str) -> Iterator[Sequence[Any]]:
    """The rows that a search through a whole table finds, a range of row ids to a transaction."""
    (last,) = db.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()
    for start in range(0, last, RANGE):
        within = f"{alias}.rowid > {start} AND {alias}.rowid <= {start + RANGE}"
        yield from db.execute(f"{sql.format(range=within)} ORDER BY {alias}.rowid", values).fetchall()
