"""Jobs in the ledger: which images stand under their names, and which should."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from batch_editor.ledger.entries import Gone, Placement

_GONE = "NOT active AND placed_path IS NOT NULL"


class Jobs:
    """Jobs of the manifest, and those that left it, with the images under their names."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def wanting(self, fingerprint: str) -> list[Placement]:
        """The manifest's jobs that want the image of that request, whether or not it has one yet."""
        return self._placements("j.active AND j.fingerprint = ? ORDER BY j.position", fingerprint)

    def misplaced_after(self, position: int, limit: int) -> list[int]:
        """Positions of jobs whose request has succeeded, but whose image does not stand under their name; in order."""
        rows = self._db.execute(
            "SELECT j.position FROM jobs j CROSS JOIN requests r USING (fingerprint) WHERE j.active AND j.position > ?"
            " AND (j.placed_fingerprint IS NOT j.fingerprint OR j.placed_output IS NOT j.output)"
            " AND r.state = 'succeeded' ORDER BY j.position LIMIT ?",
            (position, limit),
        )
        return [at for (at,) in rows]

    def images_after(self, position: int, limit: int) -> list[tuple[int, str | None]]:
        """Positions of jobs whose image stood under their name, be it lost since, and its path; in order."""
        return self._db.execute(
            "SELECT position, placed_path FROM jobs WHERE active AND position > ? AND placed_fingerprint = fingerprint"
            " ORDER BY position LIMIT ?",
            (position, limit),
        ).fetchall()

    def placements_at(self, positions: Sequence[int]) -> list[Placement]:
        """The jobs at these positions whose request has succeeded, in order."""
        wanted = orjson.dumps(list(positions)).decode()
        return self._placements(
            "j.active AND r.state = 'succeeded' AND j.position IN (SELECT value FROM json_each(?)) ORDER BY j.position",
            wanted,
        )

    def placed(self, placement: Placement, path: str) -> None:
        """Record that a job's image stands under its name."""
        self._db.execute(
            "UPDATE jobs SET placed_path = ?, placed_output = ?, placed_fingerprint = ? WHERE job_id = ?",
            (path, placement.output, placement.fingerprint, placement.job_id),
        )
        self._db.execute("UPDATE requests SET image_path = ? WHERE fingerprint = ?", (path, placement.fingerprint))

    def gone_after(self, rowid: int, limit: int) -> list[Gone]:
        """Images of jobs that the manifest no longer has, in the order of the file; not those that another job has.

        `rowid` is the last one's of the page before.
        """
        if not self._db.execute(f"SELECT EXISTS (SELECT 1 FROM jobs WHERE {_GONE})").fetchone()[0]:
            return []
        rows = self._db.execute(
            "SELECT j.rowid, j.job_id, iif(j.placed_path IN (SELECT placed_path FROM jobs WHERE active"
            " AND placed_path IS NOT NULL), NULL, j.placed_path), r.sha256 FROM jobs j"
            f" LEFT JOIN requests r ON r.fingerprint = j.placed_fingerprint WHERE {_GONE} AND j.rowid > ?"
            " ORDER BY j.rowid LIMIT ?",
            (rowid, limit),
        )
        return [Gone(*row) for row in rows]

    def forget_placed(self, job_id: str) -> None:
        """Record that no image stands under a job's name any more."""
        self._db.execute(
            "UPDATE jobs SET placed_path = NULL, placed_output = NULL, placed_fingerprint = NULL WHERE job_id = ?",
            (job_id,),
        )

    def lost(self, fingerprint: str, *, now: float) -> None:
        """Record that a paid image is gone from the disk: not sent again by itself."""
        self._db.execute(
            "UPDATE requests SET state = 'unknown', error_kind = 'result_lost', ended_at = ?,"
            " error = 'the image was paid for and is no longer on disk; --retry-failed makes and pays it again'"
            " WHERE fingerprint = ?",
            (now, fingerprint),
        )

    def _placements(self, where: str, *values: Any) -> list[Placement]:
        rows = self._db.execute(
            "SELECT j.job_id, j.output, j.fingerprint, coalesce(r.sha256, ''), coalesce(r.format, ''),"
            " r.image_path, j.placed_path,"
            " (SELECT f.sha256 FROM requests f WHERE f.fingerprint = j.placed_fingerprint)"
            f" FROM jobs j JOIN requests r USING (fingerprint) WHERE {where}",
            values,
        )
        return [Placement(*row) for row in rows]
