"""Which part of its manifest's jobs an output directory has, and a staging keeps."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from batch_editor.shard import Shard


def shard_of(db: sqlite3.Connection) -> Shard | None:
    """The part that a ledger is of, `WHOLE` where it has all jobs; None where that isn't known yet."""
    row = db.execute("SELECT number, count FROM shard").fetchone()
    return None if row is None else Shard(*row)


def note_shard(db: sqlite3.Connection, shard: Shard) -> None:
    """Record it, once; within a transaction."""
    db.execute("INSERT INTO shard SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM shard)", (shard.number, shard.count))


def keep_shard(db: sqlite3.Connection, is_own: Callable[[int], bool]) -> tuple[int, int]:
    """Of a staging's jobs keep those whose positions are a shard's own; how many stay, and how many there were."""
    db.create_function("is_own", 1, is_own, deterministic=True)
    db.execute("BEGIN")
    db.execute("INSERT INTO of_other_shards SELECT job_id FROM staged WHERE NOT is_own(position)")
    others = db.execute("DELETE FROM staged WHERE NOT is_own(position)").rowcount
    db.execute("COMMIT")
    ((own,),) = db.execute("SELECT count(*) FROM staged")
    return own, own + others
