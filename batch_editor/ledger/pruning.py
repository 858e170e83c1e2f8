"""Which images no job has any more, and the mark of those that were removed: what they cost stays on record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

# Of an image's SHA-256, as many hex digits as its name in the history has.
DIGITS = 12

_PRUNED = "temp.pruned_digits"
_IS_PRUNED = f"sha256 IS NOT NULL AND substr(sha256, 1, {DIGITS}) IN (SELECT digits FROM {_PRUNED})"
_IS_DONE = f"state = 'succeeded' AND {_IS_PRUNED}"


def images_in_use(db: sqlite3.Connection) -> set[str]:
    """The first digits of the images that jobs of the manifest ask for or have, and of those on their way to a name."""
    rows = db.execute(
        f"SELECT substr(sha256, 1, {DIGITS}) FROM requests WHERE sha256 IS NOT NULL AND fingerprint IN"
        " (SELECT fingerprint FROM jobs WHERE active"
        " UNION SELECT placed_fingerprint FROM jobs WHERE placed_fingerprint IS NOT NULL)"
        # The first condition lets SQLite use the index attempts_open.
        f" UNION SELECT substr(sha256, 1, {DIGITS}) FROM attempts"
        " WHERE state IN ('sent', 'accepted', 'received') AND sha256 IS NOT NULL"
    )
    return {digits for (digits,) in rows}


def count_done(db: sqlite3.Connection, digits: Iterable[str]) -> int:
    """How many done requests have an image with one of these first digits."""
    _note(db, digits)
    (count,) = db.execute(f"SELECT count(*) FROM requests WHERE {_IS_DONE}").fetchone()
    return int(count)


def mark_pruned(db: sqlite3.Connection, digits: Iterable[str], *, now: float) -> None:
    """Mark the images with these first digits, which are in use nowhere, as removed. Within a transaction.

    Attempts, and what they cost, stay as they are. A request is as one that was never sent, should a manifest ask for
    it again.
    """
    _note(db, digits)
    db.execute(
        "UPDATE requests SET state = 'pending', position = NULL, forgiven = possibly_billed, pruned_at = ?,"
        " image_path = NULL, sha256 = NULL, size_bytes = NULL, format = NULL, width = NULL, height = NULL,"
        f" sent_params = NULL, reused_from = NULL WHERE {_IS_DONE}",
        (now,),
    )
    db.execute(f"UPDATE attempts SET pruned_at = ? WHERE {_IS_PRUNED}", (now,))


def _note(db: sqlite3.Connection, digits: Iterable[str]) -> None:
    db.execute(f"CREATE TABLE IF NOT EXISTS {_PRUNED} (digits TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute(f"DELETE FROM {_PRUNED}")
    db.executemany(f"INSERT OR IGNORE INTO {_PRUNED} VALUES (?)", ((each,) for each in digits))
