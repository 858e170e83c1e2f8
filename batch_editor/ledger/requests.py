"""Requests in the ledger: what is to be sent, and the uploads of local files that requests name."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from batch_editor.ledger.elsewhere import ImageElsewhere
from batch_editor.ledger.entries import PendingRequest, files_from
from batch_editor.ledger.redos import pending_redos, redo_jobs
from batch_editor.records import Failure

_LEFT = (
    "SELECT endpoint, expected_usd, high_usd FROM requests WHERE state = 'pending' AND position IS NOT NULL"
    " UNION ALL SELECT endpoint, d.expected_usd, d.high_usd FROM redos d JOIN requests USING (fingerprint)"
    " WHERE d.state = 'pending' AND d.position IS NOT NULL"
)
_AMONG = "endpoint IN (SELECT value FROM json_each(?))"


class Requests:
    """What is to be sent, and the uploads of local files that requests name."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def pending_after(
        self, position: int, limit: int, *, endpoints: Collection[str] | None = None
    ) -> list[PendingRequest]:
        """The next requests to send, in manifest order, redos among them; of these endpoints alone, where given."""
        among, names = _among(endpoints)
        requests = self._pending(f"{among}position > ? ORDER BY position LIMIT ?", *names, position, limit)
        where = f"{among}d.position > ? ORDER BY d.position LIMIT ?"
        redos = pending_redos(self._db, where, *names, position, limit)
        return sorted((*requests, *redos), key=lambda each: each.position)[:limit] if redos else requests

    def pending_among(self, fingerprints: Sequence[str]) -> list[PendingRequest]:
        """Those of the requests that are to be sent."""
        wanted = orjson.dumps(list(fingerprints)).decode()
        requests = self._pending("fingerprint IN (SELECT value FROM json_each(?))", wanted)
        return requests + pending_redos(self._db, "d.fingerprint IN (SELECT value FROM json_each(?))", wanted)

    def pending_count(self) -> int:
        """How many requests are left to send. An index alone tells."""
        (requests,) = self._db.execute(
            "SELECT count(*) FROM requests WHERE state = 'pending' AND position IS NOT NULL"
        ).fetchone()
        (redos,) = self._db.execute(
            "SELECT count(*) FROM redos WHERE state = 'pending' AND position IS NOT NULL"
        ).fetchone()
        return int(requests + redos)

    def pending_by_endpoint(self) -> dict[str, int]:
        """How many requests are left to send, by their endpoints."""
        return dict(self._db.execute(f"SELECT endpoint, count(*) FROM ({_LEFT}) GROUP BY endpoint"))

    def pending_cost(self, endpoints: Collection[str] | None = None) -> tuple[int, float]:
        """How many requests are left to send, and what they are expected to cost; see `pending_after`."""
        among, names = _among(endpoints)
        row = self._db.execute(
            f"SELECT count(*), coalesce(sum(expected_usd), 0) FROM ({_LEFT}) WHERE {among}1", names
        ).fetchone()
        return row[0], row[1]

    def cheapest_pending_usd(self, endpoints: Collection[str] | None = None) -> float | None:
        """The max price of the cheapest request that is left to send; see `pending_after`."""
        among, names = _among(endpoints)
        row = self._db.execute(f"SELECT min(high_usd) FROM ({_LEFT}) WHERE {among}1", names).fetchone()
        return row[0]  # type: ignore[no-any-return]

    def number_of(self, fingerprint: str) -> int:
        """The number that the request's next attempt will have."""
        row = self._db.execute("SELECT attempts + 1 FROM requests WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return int(row[0])

    def fail_unsent(self, fingerprint: str, failure: Failure, *, now: float) -> None:
        """Record that a request, or its redo, failed before anything left: an input can't be uploaded, for example."""
        became = ("pending" if failure.scope == "run" else "failed", failure.transient, failure.kind, failure.message)
        redone = self._db.execute(
            "UPDATE redos SET state = ?, passing = ?, error_kind = ?, error = ?"
            " WHERE fingerprint = ? AND position IS NOT NULL",
            (*became, fingerprint),
        ).rowcount
        if not redone:
            self._db.execute(
                "UPDATE requests SET state = ?, passing = ?, error_kind = ?, error = ?, http_status = ?, ended_at = ?"
                " WHERE fingerprint = ?",
                (*became, failure.http_status, now, fingerprint),
            )

    def take(self, image: ImageElsewhere, path: str) -> None:
        """Record that a request's image was taken from another output directory, for nothing."""
        self._db.execute(
            "UPDATE requests SET state = 'succeeded', reused_from = ?, image_path = ?, sha256 = ?, size_bytes = ?,"
            " format = ?, width = ?, height = ?, http_status = ?, latency_s = ?, request_id = ?, sent_at = ?,"
            " ended_at = ?, sent_params = ?, expected_usd = 0, cost_usd = NULL, error_kind = NULL, error = NULL,"
            " passing = 0, position = NULL, pruned_at = NULL, contents = NULL,"
            " pictures_changed = 0 WHERE fingerprint = ?",
            (
                *(image.reused_from, path, image.sha256, image.size_bytes, image.format, image.width, image.height),
                *(image.http_status, image.latency_s, image.request_id, image.sent_at, image.ended_at),
                *(image.sent_params, image.fingerprint),
            ),
        )

    def redo_jobs(self) -> int:
        """How many of the run's jobs have an image that is left to be made again."""
        return redo_jobs(self._db)

    def upload_of(self, sha256: str, *, sandbox: bool) -> str | None:
        """The link of a local file that was uploaded before."""
        row = self._db.execute("SELECT url FROM uploads WHERE sha256 = ? AND sandbox = ?", (sha256, sandbox)).fetchone()
        return None if row is None else row[0]

    def uploaded(self, sha256: str, url: str, *, now: float, sandbox: bool) -> None:
        """Record an upload."""
        self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", (sha256, url, now, sandbox))

    def _pending(self, where: str, *values: Any) -> list[PendingRequest]:
        return requests_where(self._db, f"state = 'pending' AND position IS NOT NULL AND {where}", *values)


def _among(endpoints: Collection[str] | None) -> tuple[str, tuple[str, ...]]:
    """A condition of SQL to put before others, and its values. None: no condition, for most runs have one provider."""
    return ("", ()) if endpoints is None else (f"{_AMONG} AND ", (orjson.dumps(sorted(endpoints)).decode(),))


def requests_where(db: sqlite3.Connection, where: str, *values: Any) -> list[PendingRequest]:
    """The requests for which a condition of SQL holds."""
    rows = db.execute(
        "SELECT fingerprint, coalesce(position, -1), endpoint, params, files, job_id, expected_usd, high_usd,"
        " attempts, possibly_billed - forgiven, (SELECT count(*) FROM jobs"
        f" WHERE jobs.fingerprint = requests.fingerprint AND active AND selected) FROM requests WHERE {where}",
        values,
    )
    return [
        PendingRequest(fp, at, endpoint, orjson.loads(params), files_from(files), *rest)
        for fp, at, endpoint, params, files, *rest in rows
    ]
