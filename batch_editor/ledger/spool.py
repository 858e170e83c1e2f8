"""The expanded manifest on disk, before the ledger takes it: so a million jobs need no memory, and a faulty
manifest leaves no trace.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from batch_editor.naming import collision_key, distinct, safe_output
from batch_editor.pricing import Quote
from batch_editor.records import Job

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE jobs (
    position INTEGER PRIMARY KEY, job_id TEXT, place TEXT, template TEXT, text TEXT, named INTEGER, output TEXT,
    output_key TEXT, fingerprint TEXT, endpoint TEXT, params TEXT, files TEXT, extras TEXT,
    low_usd REAL, expected_usd REAL, high_usd REAL, list_usd REAL, source TEXT, charges INTEGER, inputs INTEGER,
    selected INTEGER DEFAULT 1, done INTEGER DEFAULT 0, known TEXT DEFAULT 'new'
);
"""

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Repeat:
    """Two jobs that claim the same id or the same output."""

    what: str
    name: str
    where: str
    first_where: str


class Spool:
    """Jobs in manifest order with their prices. A context manager; its file is gone afterwards.

    `extras` has the names of the rows' other columns, in the order in which they were first seen.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="batch-editor-")
        self.path = Path(self._folder.name) / "spool.sqlite3"
        self._db = sqlite3.connect(self.path.as_uri(), uri=True, isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCHEMA)
        self._rows: list[tuple[object, ...]] = []
        self._count = 0
        self.extras: dict[str, None] = {}
        self._seen_extras: set[tuple[str, ...]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def __len__(self) -> int:
        return self._count

    def add(self, job: Job, quote: Quote, *, list_usd: float, inputs: int) -> None:
        """Append a job with its price, what the price list alone expects, and its number of input images."""
        if (names := tuple(job.extras)) not in self._seen_extras:
            self._seen_extras.add(names)
            self.extras.update(dict.fromkeys(names))
        text = job.output if job.output is not None else job.id
        output = safe_output(text, folders=job.output is not None)
        files = {sha256: [file.path, file.format] for sha256, file in job.files.items()}
        self._rows.append(
            (
                self._count,
                job.id,
                job.where,
                job.template,
                text,
                job.output is not None,
                output,
                collision_key(output),
                job.request.fingerprint,
                job.request.endpoint,
                orjson.dumps(dict(job.request.params)).decode(),
                orjson.dumps(files).decode(),
                orjson.dumps(dict(job.extras)).decode(),
                quote.price.low_usd,
                quote.price.expected_usd,
                quote.price.high_usd,
                list_usd,
                quote.source,
                quote.charges,
                inputs,
            )
        )
        self._count += 1
        if len(self._rows) >= _BATCH:
            self._flush()

    def repeats(self) -> Iterator[Repeat]:
        """Jobs whose id, or whose explicit output, an earlier job has."""
        self._flush()
        yield from self._repeats("id", "job_id", "1")
        yield from self._repeats("output", "text", "named")

    def where_of(self, job_id: str) -> str | None:
        """The place of the job with that id."""
        rows = self.query("SELECT place FROM jobs WHERE job_id = ? LIMIT 1", job_id)
        return rows[0][0] if rows else None

    def finish(self, *, only: Sequence[str] = (), limit: int | None = None) -> None:
        """Make outputs unique, and select the jobs whose id matches a pattern of `only`, at most `limit` of them.

        Outputs that collide (by case, by Unicode form, or after being made safe) each get their own text's hash,
        so that the names don't depend on the order of the manifest. One job's id may be another one's output.
        """
        self._flush()
        self._db.create_function("distinct_output", 2, distinct, deterministic=True)
        self._db.create_function("collision_key", 1, collision_key, deterministic=True)
        self._db.executescript(
            """
            CREATE INDEX IF NOT EXISTS jobs_by_key ON jobs (output_key);
            CREATE TEMP TABLE colliding AS SELECT output_key FROM jobs GROUP BY output_key HAVING count(*) > 1;
            UPDATE jobs SET output = distinct_output(output, iif(named, 'output ' || text, text))
                WHERE output_key IN colliding;
            UPDATE jobs SET output_key = collision_key(output) WHERE output_key IN colliding;
            DROP TABLE colliding;
            """
        )
        if only:
            globs = [pattern.replace("[!", "[^") for pattern in only]  # SQLite's GLOB negates with ^
            self._db.execute(
                f"UPDATE jobs SET selected = {' OR '.join(['job_id GLOB ?'] * len(globs))}",
                globs,
            )
        if limit is not None:
            self._db.execute(
                "UPDATE jobs SET selected = 0 WHERE selected AND position NOT IN"
                " (SELECT position FROM jobs WHERE selected ORDER BY position LIMIT ?)",
                (limit,),
            )

    def compare(self, ledger: Path, *, retry_failed: bool) -> None:
        """Mark what a ledger has of the jobs: which are known, and which of them a run would not send."""
        self._flush()
        self._db.execute("ATTACH ? AS ledger", (f"{ledger.resolve().as_uri()}?mode=ro",))
        self._db.execute(
            "UPDATE jobs SET known = CASE WHEN j.fingerprint = jobs.fingerprint THEN 'unchanged' ELSE 'changed' END"
            " FROM ledger.jobs j WHERE j.job_id = jobs.job_id"
        )
        self._db.execute(
            "UPDATE jobs SET known = CASE r.state WHEN 'failed' THEN iif(r.passing, known, 'failed')"
            " WHEN 'unknown' THEN 'unknown' ELSE known END,"
            " done = r.state = 'succeeded'"
            " OR (NOT ? AND (r.state = 'unknown' OR (r.state = 'failed' AND NOT r.passing)))"
            " FROM ledger.requests r WHERE r.fingerprint = jobs.fingerprint",
            (retry_failed,),
        )
        self._db.execute("DETACH ledger")

    def spread(self, count: int) -> dict[str, float]:
        """Requests to send that stand for all: from each template in turn, spread over its jobs.

        By fingerprint, with their expected price. Single jobs are taken together as one template.
        """
        template = "iif(count(*) OVER (PARTITION BY template) > 1, template, '')"
        rows = self.query(
            "WITH once AS (SELECT *, min(position) FROM jobs WHERE selected AND NOT done GROUP BY fingerprint),"
            f" to_send AS (SELECT fingerprint, position, expected_usd, {template} AS template FROM once),"
            " ranked AS (SELECT fingerprint, position, template, expected_usd, 0.6180339887498949 *"
            " (row_number() OVER (PARTITION BY template ORDER BY position) - 1) AS rank FROM to_send)"
            # Multiples of the golden ratio, without their whole part: those nearest zero lie evenly among the jobs.
            " SELECT fingerprint, expected_usd FROM (SELECT fingerprint, position, expected_usd, row_number() OVER"
            " (PARTITION BY template ORDER BY rank - CAST(rank AS INTEGER)) AS turn FROM ranked)"
            " ORDER BY turn, position LIMIT ?",
            count,
        )
        return dict(rows)

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a SELECT on the table `jobs`, for plans."""
        self._flush()
        return self._db.execute(sql, values).fetchall()

    def flushed(self) -> Path:
        """The file with everything added so far, for another connection to read."""
        self._flush()
        return self.path

    def _repeats(self, what: str, column: str, where: str) -> Iterator[Repeat]:
        self._db.execute(f"CREATE INDEX IF NOT EXISTS jobs_by_{column} ON jobs ({column})")
        rows = self._db.execute(
            f"""
            SELECT j.{column}, j.place, f.place FROM jobs j
            JOIN (SELECT {column} AS name, min(position) AS first FROM jobs WHERE {where}
                  GROUP BY {column} HAVING count(*) > 1) r ON r.name = j.{column}
            JOIN jobs f ON f.position = r.first
            WHERE j.position > r.first AND j.{where} ORDER BY j.position
            """.replace("j.1", "1")
        )
        for name, place, first in rows:
            yield Repeat(what, name, place, first)

    def _flush(self) -> None:
        if self._rows:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT INTO jobs (position, job_id, place, template, text, named, output, output_key, fingerprint,"
                " endpoint, params, files, extras, low_usd, expected_usd, high_usd, list_usd, source, charges, inputs)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                self._rows,
            )
            self._db.execute("COMMIT")
            self._rows.clear()
