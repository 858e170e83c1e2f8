"""Images of other output directories that a manifest asks for: their requests were finished there, and paid."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from batch_editor.ledger.comparison import requests_anew
from batch_editor.records import Shape

# What another ledger says of a finished request's image; `source` counts the directories that were looked into.
ELSEWHERE = """
CREATE TABLE elsewhere (
    fingerprint TEXT PRIMARY KEY, source INTEGER, called TEXT, job_id TEXT, image_path TEXT, sha256 TEXT,
    size_bytes INTEGER, format TEXT, width INTEGER, height INTEGER, http_status INTEGER, latency_s REAL,
    request_id TEXT, sent_at REAL, ended_at REAL, sent_params TEXT
) WITHOUT ROWID;
"""
_AT_ONCE = 500


class ImageElsewhere(NamedTuple):
    """A finished request of another output directory, `source`, where it is `called` so, and its image there."""

    fingerprint: str
    source: Path
    called: str
    job_id: str
    image_path: str
    sha256: str
    size_bytes: int | None
    format: str
    width: int | None
    height: int | None
    http_status: int | None
    latency_s: float | None
    request_id: str | None
    sent_at: float | None
    ended_at: float | None
    sent_params: str | None

    @property
    def reused_from(self) -> str:
        """How people find it: `<directory>/<job id>`."""
        return f"{self.source.resolve().name}/{self.job_id}"


def find_elsewhere(
    db: sqlite3.Connection,
    ledger: Path,
    source: int,
    shapes: Mapping[str, Shape],
    has_image: Callable[[str, str], bool],
) -> None:
    """Note which requests of the staging another directory's ledger has finished; those found before stay.

    `shapes` are those of the manifest's endpoints, by name; `has_image` says whether an image of that path and SHA-256
    is there.
    """
    db.execute("ATTACH ? AS other", (f"{ledger.resolve().as_uri()}?mode=ro",))
    try:
        db.execute("CREATE TEMP TABLE finished (fingerprint TEXT PRIMARY KEY, called TEXT)")
        db.execute("INSERT INTO finished SELECT fingerprint, fingerprint FROM other.requests WHERE state = 'succeeded'")
        anew = requests_anew(db, "other", shapes)
        db.executemany(
            "INSERT OR IGNORE INTO finished SELECT ?2, ?1 WHERE ?1 IN (SELECT fingerprint FROM finished)",
            ((old, new) for old, new, *_ in anew or () if old != new),
        )
        found = db.execute(
            "SELECT finished.fingerprint, called, r.job_id, coalesce(j.placed_path, r.image_path), r.sha256,"
            " r.size_bytes, r.format, r.width, r.height, r.http_status, r.latency_s, r.request_id, r.sent_at,"
            " r.ended_at, r.sent_params FROM finished CROSS JOIN other.requests r ON r.fingerprint = called"
            " LEFT JOIN other.jobs j ON j.job_id = r.job_id AND j.placed_fingerprint = called"
            " WHERE finished.fingerprint IN (SELECT fingerprint FROM staged WHERE fault IS NULL"
            " AND fingerprint IN (SELECT fingerprint FROM finished))"
            " AND r.sha256 IS NOT NULL AND r.format IS NOT NULL AND coalesce(j.placed_path, r.image_path) IS NOT NULL"
        ).fetchall()
        db.executemany(
            f"INSERT OR IGNORE INTO elsewhere VALUES ({', '.join('?' * 16)})",
            ((row[0], source, *row[1:]) for row in found if has_image(row[3], row[4])),
        )
        db.execute("DROP TABLE temp.finished")
    finally:
        db.execute("DETACH other")


def take_elsewhere(db: sqlite3.Connection, sources: Sequence[Path]) -> dict[str, int]:
    """Take for done what was finished elsewhere and isn't done here; return how many requests, by the directory's name.

    `past` is filled. What failed here, or may have been billed in vain, is taken as well: it costs nothing.
    """
    db.execute(
        "DELETE FROM elsewhere WHERE fingerprint NOT IN (SELECT fingerprint FROM jobs WHERE selected AND sends"
        " AND fault IS NULL AND (NOT done OR known IN ('failed', 'unknown'))"
        " AND fingerprint IN (SELECT fingerprint FROM elsewhere))"
    )
    db.execute(
        "INSERT INTO past SELECT position, 'new', 1, 0 FROM staged"
        " WHERE fault IS NULL AND fingerprint IN (SELECT fingerprint FROM elsewhere)"
        " ON CONFLICT (position) DO UPDATE SET done = 1"
    )
    counts = Counter[str]()
    for source, count in db.execute("SELECT source, count(*) FROM elsewhere GROUP BY source ORDER BY source"):
        counts[sources[source].resolve().name] += count
    return dict(counts)


def images_elsewhere(db: sqlite3.Connection, sources: Sequence[Path]) -> Iterator[list[ImageElsewhere]]:
    """What was taken, some hundreds at a time."""
    last = ""
    sql = f"SELECT * FROM elsewhere WHERE fingerprint > ? ORDER BY fingerprint LIMIT {_AT_ONCE}"
    while rows := db.execute(sql, (last,)).fetchall():
        yield [ImageElsewhere(row[0], sources[row[1]], *row[2:]) for row in rows]
        last = rows[-1][0]
