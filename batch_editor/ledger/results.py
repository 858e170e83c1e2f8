"""What became of the manifest's jobs, found by what their rows say: for who brings images back to where rows came from.

A copy in a temporary table: memory stays flat for a million jobs, and a run that is at work meanwhile waits for nobody.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from batch_editor.ledger import readings

# What a job is found by, made of its row's other columns and of its request's parameters, both as JSON.
Keys: TypeAlias = Callable[[str, str], Iterable[str]]

_SCHEMA = """
CREATE TEMP TABLE results (
    job INTEGER PRIMARY KEY, job_id TEXT, status TEXT, output_path TEXT, sha256 TEXT, fingerprint TEXT,
    error_kind TEXT, error TEXT, chosen INTEGER
);
CREATE TEMP TABLE result_keys (key BLOB, job INTEGER);
"""


class Result(NamedTuple):
    """A job of the manifest and what it came to; `output_path` is None where no image of it is in its place.

    chosen: whether one of the patterns that were asked for has it.
    """

    job_id: str
    status: str
    output_path: str | None
    sha256: str | None
    fingerprint: str
    error_kind: str | None
    error: str | None
    chosen: bool


class Results:
    """The manifest's jobs by their keys; without `only` all are chosen. Jobs that have no key are left out."""

    def __init__(self, db: sqlite3.Connection, keys: Keys, *, only: Sequence[str] = ()) -> None:
        self._db = db
        db.executescript(_SCHEMA)
        for job, row in enumerate(readings.rows(db)):
            found = [(_digest(key), job) for key in dict.fromkeys(keys(row.extras, row.params))]
            if not found:
                continue
            values = (row.job_id, row.status, row.output_path, row.sha256, row.fingerprint, row.error_kind, row.error)
            db.execute("INSERT INTO temp.results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (job, *values, not only))
            db.executemany("INSERT INTO temp.result_keys VALUES (?, ?)", found)
        for pattern in only:
            glob = pattern.replace("[!", "[^")  # as `Choice`
            db.execute("UPDATE temp.results SET chosen = 1 WHERE job_id GLOB ?", (glob,))
        db.execute("CREATE INDEX temp.result_keys_by_key ON result_keys (key)")
        db.commit()

    def of(self, key: str) -> list[Result]:
        """The jobs of a key, in the manifest's order."""
        rows = self._db.execute(
            "SELECT job_id, status, output_path, sha256, fingerprint, error_kind, error, chosen FROM temp.result_keys"
            " JOIN temp.results USING (job) WHERE key = ? ORDER BY job",
            (_digest(key),),
        )
        return [Result._make((*row[:-1], bool(row[-1]))) for row in rows]

    def chosen(self) -> Iterator[Result]:
        """Every job that is chosen, in the manifest's order."""
        rows = self._db.execute(
            "SELECT job_id, status, output_path, sha256, fingerprint, error_kind, error FROM temp.results"
            " WHERE chosen ORDER BY job"
        )
        return (Result._make((*row, True)) for row in rows)


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
