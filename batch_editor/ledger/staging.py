"""The expanded manifest on disk, before the ledger takes it: so a million jobs need no memory, and a faulty
manifest leaves no trace.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from batch_editor.errors import StorageError
from batch_editor.files import path_to_text
from batch_editor.ledger.choice import matching
from batch_editor.ledger.comparison import Changes, compare
from batch_editor.ledger.elsewhere import ImageElsewhere, find_elsewhere, images_elsewhere, take_elsewhere
from batch_editor.ledger.entries import JobKind
from batch_editor.ledger.finished import digest_of_rules
from batch_editor.ledger.redos import RejectedImage, stage_redo
from batch_editor.ledger.repeats import Repeat, mixed_finished, mixed_identities, repeats_of, share_requests
from batch_editor.ledger.shards import keep_shard
from batch_editor.ledger.staging_schema import INTO_STAGED, SCHEMA
from batch_editor.ledger.tracking import Tracking
from batch_editor.naming import collision_key, distinct, safe_output
from batch_editor.records import EditRequest, FaultyRow, Job, LocalFile, ParamValue, Redo, Shape, known_by
from batch_editor.text import escape_all, escape_bytes

# Jobs that are drawn, made rows of, and written together: the code of each of these steps then stays in the processor's
# caches. One job at a time took a third longer.
_AT_ONCE = 100
# SQLite asks whether to continue after this many instructions of its virtual machine: every few milliseconds.
_LOOK_UP_EVERY = 10_000


class Staging:
    """Jobs in manifest order with their prices. A context manager; its file, `path`, is gone afterwards.

    `extras` has the names of the rows' other columns, in the order in which they were first seen.

    Raises:
        StorageError: there is no room for it.
    """

    def __init__(self) -> None:
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="batch-editor-")
            self.path = Path(self._folder.name) / "staging.sqlite3"
            self._db = sqlite3.connect(self.path.as_uri(), uri=True, isolation_level=None, check_same_thread=False)
            self._db.executescript(SCHEMA)
            self._cancelled = False
            self._db.set_progress_handler(lambda: self._cancelled, _LOOK_UP_EVERY)
        except (OSError, sqlite3.Error) as error:
            raise _no_room(error) from error
        self.extras: dict[str, None] = {}
        self._are_named = False
        self._collides = False
        self._has_identities = False
        self._finishes: dict[str, str] = {}
        self._sources: list[Path] = []

    def cancel(self) -> None:
        """Let whatever is at work on it fail soon, with a `StorageError` that means nothing. From any thread."""
        self._cancelled = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Within the block, SQLite's errors are this package's.

        Raises:
            StorageError: the file can't be written.
        """
        try:
            yield
        except sqlite3.Error as error:
            raise _no_room(error) from error

    def add_kind(self, kind: JobKind) -> int:
        """Note what many jobs have in common; return its number, for `add`."""
        kind = replace(kind, template=escape_bytes(kind.template))
        cursor = self._db.execute("INSERT INTO kinds VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(kind))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def add(self, jobs: Iterable[tuple[Job, int] | FaultyRow]) -> None:
        """Take all jobs in, once, each with the number of its kind; drawn a hundred at a time, and not kept.

        Rows that are left out take their place among them.
        """
        self._db.execute("BEGIN")
        self._db.executemany(f"INSERT {INTO_STAGED}", chain.from_iterable(self._batches(jobs)))
        self._db.execute("COMMIT")

    def _batches(self, jobs: Iterable[tuple[Job, int] | FaultyRow]) -> Iterator[list[tuple[object, ...]]]:
        numbered = enumerate(jobs)
        while batch := list(islice(numbered, _AT_ONCE)):
            yield [self._row(position, entry) for position, entry in batch]

    def _row(self, position: int, entry: tuple[Job, int] | FaultyRow) -> tuple[object, ...]:
        extras = entry.extras if isinstance(entry, FaultyRow) else entry[0].extras
        if not extras.keys() <= self.extras.keys():
            self.extras.update(dict.fromkeys(extras))
        if isinstance(entry, FaultyRow):
            return position, *self._left_out(entry)
        job, kind = entry
        request, files = job.request, job.files
        if job.output is None:
            output = safe_output(job.id, folders=False)
        else:
            output = safe_output(job.output, folders=True)
            self._are_named = True
        return (
            position,
            job.id,
            escape_bytes(job.where),
            kind,
            job.output,
            output,
            collision_key(output),
            request.fingerprint,
            orjson.dumps(request.params).decode(),
            _files(files) if files else "{}",
            _json(extras),
            request.variant,
            request.identity,
            self._links(request) if request.identity is not None else None,
            None,
            _json(job.axes) if job.axes else "{}",
            job.redo_prompt,
            self._finish(job.finish),
        )

    def _left_out(self, row: FaultyRow) -> tuple[object, ...]:
        output = safe_output(row.id, folders=False)
        # Something that no request is called: the job's former one, if it had any, stays what it is.
        fingerprint = f"row:{hashlib.sha256(row.id.encode()).hexdigest()[:28]}"
        extras = _json(row.extras)
        named = (
            row.id,
            escape_bytes(row.where),
            None,
            None,
            output,
            collision_key(output),
            fingerprint,
            "{}",
            "{}",
            extras,
        )
        return *named, None, None, None, row.message, "{}", None, None

    def _finish(self, rules: str | None) -> str | None:
        if rules is None:
            return None
        if (digest := self._finishes.get(rules)) is None:
            digest = self._finishes[rules] = digest_of_rules(rules)
            self._db.execute("INSERT INTO finishes VALUES (?, ?)", (digest, rules))
        return digest

    def _links(self, request: EditRequest) -> str:
        self._has_identities = True
        links = {name: known_by(request.params.get(name)) for name in request.inputs}
        return hashlib.sha256(orjson.dumps(links)).hexdigest()[:32]

    def repeats(self, *, all_finished: bool = False) -> Iterator[Repeat]:
        """Jobs whose id, or whose explicit output, an earlier job has, or whose identity stands for other links there;
        or whose finished files would have its names on some disks.

        Once, when all jobs have been added. Of a job and a row that is left out the job counts as the earlier one.
        all_finished: whether jobs have finished files of which the manifest says nothing.
        """
        self._db.execute(
            "CREATE TEMP TABLE colliding AS SELECT output_key FROM staged GROUP BY output_key HAVING count(*) > 1"
        )
        ((self._collides,),) = self.query("SELECT EXISTS (SELECT 1 FROM colliding)")
        # What stands twice as a name collides as a file, unless outputs are named apart from ids.
        if self._collides or self._are_named:
            yield from repeats_of(self._db, "id", "job_id", "1" if self._are_named else "output_key IN colliding")
        if self._collides:
            yield from repeats_of(self._db, "output", "named", "output_key IN colliding")
        if self._has_identities:
            yield from mixed_identities(self._db)
        if self._collides:
            yield from mixed_finished(self._db, all_finished=all_finished)

    def leave_out(self, repeat: Repeat, *, stem: str) -> None:
        """Take the row of a repeated claim for one that is left out; one of a repeated id needs another name."""
        name, number = repeat.job_id, 1
        while repeat.what == "id" and (number == 1 or self.where_of(name) is not None):
            name = f"{stem}-row-{repeat.where.rpartition(':')[2]}" + (f"-{number}" if number > 1 else "")
            number += 1
        ((extras, fault),) = self.query("SELECT extras, fault FROM staged WHERE position = ?", repeat.position)
        message = "; ".join(filter(None, (fault, repeat.message)))
        row = FaultyRow(name, repeat.where, message, orjson.loads(extras))
        self._db.execute(f"REPLACE {INTO_STAGED}", (repeat.position, *self._left_out(row)))

    def where_of(self, job_id: str) -> str | None:
        """The place of the job with that id."""
        rows = self.query("SELECT place FROM staged WHERE job_id = ? LIMIT 1", job_id)
        return rows[0][0] if rows else None

    def has_any(self, only: Sequence[str]) -> bool:
        """Whether any job's id, be its row left out, matches one of the patterns."""
        matches, globs = matching(only)
        return bool(self.query(f"SELECT EXISTS (SELECT 1 FROM staged WHERE {matches})", *globs)[0][0])

    def keep_shard(self, is_own: Callable[[int], bool]) -> tuple[int, int]:
        """Let go of the jobs whose positions aren't a shard's own; return how many stay, and how many there were.

        After all `repeats`: what a manifest may not name twice is looked for over all shards.
        """
        return keep_shard(self._db, is_own)

    def finish(self, *, only: Sequence[str] = (), limit: int | None = None) -> None:
        """Make outputs unique, and select the jobs whose id matches a pattern of `only`, at most `limit` of them.

        Outputs that collide (by case, by Unicode form, or after being made safe) each get their own text's hash,
        so that the names don't depend on the order of the manifest. One job's id may be another one's output.
        """
        if self._collides:
            self._db.create_function("distinct_output", 2, distinct, deterministic=True)
            self._db.execute(
                "UPDATE staged SET output = distinct_output(output, coalesce('output ' || named, job_id))"
                " WHERE output_key IN (SELECT output_key FROM staged WHERE fault IS NULL GROUP BY output_key"
                " HAVING count(*) > 1)"
            )
        if only:
            matches, globs = matching(only)
            self._db.execute(f"UPDATE staged SET selected = {matches}", globs)
        if limit is not None:
            self._db.execute(
                "UPDATE staged SET selected = 0 WHERE selected AND position NOT IN"
                " (SELECT position FROM staged WHERE selected ORDER BY position LIMIT ?)",
                (limit,),
            )
        share_requests(self._db)

    def compare(
        self,
        ledger: Path,
        shapes: Mapping[str, Shape],
        *,
        former: Mapping[str, Shape] | None = None,
        redo: Collection[Redo] = (),
        rejected: Iterable[tuple[str, str]] = (),
    ) -> Changes:
        """Mark what a ledger has of the jobs, see `comparison.compare`. Once."""
        return compare(self._db, ledger, shapes, former=former, redo=redo, rejected=rejected)

    def find_elsewhere(
        self, ledger: Path, source: Path, shapes: Mapping[str, Shape], has_image: Callable[[str, str], bool]
    ) -> None:
        """Look for the jobs' requests in the ledger of another output directory, `source`; before `compare`."""
        self._sources.append(source)
        find_elsewhere(self._db, ledger, len(self._sources) - 1, shapes, has_image)

    def take_elsewhere(self) -> dict[str, int]:
        """Take for done what was found there and isn't done here, after `compare`: how many requests by directory."""
        return take_elsewhere(self._db, self._sources) if self._sources else {}

    def images_elsewhere(self) -> Iterator[list[ImageElsewhere]]:
        """The images that were taken so, some hundreds at a time."""
        return images_elsewhere(self._db, self._sources)

    def tracking(self, shapes: Mapping[str, Shape]) -> Tracking:
        """What is behind the links of the jobs, after `compare`; `shapes` are those of the manifest's endpoints."""
        return Tracking(self._db, shapes)

    def redo(self, image: RejectedImage, *, kind: int, prompt: str, params: Mapping[str, ParamValue]) -> None:
        """Have a rejected image made again, after `compare`: with that prompt, which the parameters have as well."""
        stage_redo(self._db, image, kind=kind, prompt=prompt, params=params)

    def tally(self) -> None:
        """Make the table `tallies`: how many selected jobs there are of each kind that have the same to come.

        `first` is the position of the first of them; `has_files` says whether any names local files. One look at a
        million rows takes half a second, and a plan has many questions. Not of the view: that looks every kind up.
        """
        self._db.executescript(
            """
            DROP TABLE IF EXISTS tallies;
            CREATE TEMP TABLE tallies AS
                SELECT kind, coalesce(known, 'new') AS known, coalesce(done, 0) AS done, sends, count(*) AS jobs,
                    min(position) AS first, max(files <> '{}') AS has_files
                FROM staged LEFT JOIN past USING (position) WHERE selected AND fault IS NULL
                GROUP BY kind, past.known, past.done, sends;
            """
        )

    def spread(self, count: int) -> dict[str, float]:
        """Requests to send that stand for all: from each template in turn, spread over its jobs.

        By fingerprint, with their expected price. Single jobs are taken together as one template.
        """
        template = "iif(count(*) OVER (PARTITION BY template) > 1, template, '')"
        rows = self.query(
            f"WITH turns AS (SELECT fingerprint, position, expected_usd, {template} AS template FROM to_send),"
            " ranked AS (SELECT fingerprint, position, template, expected_usd, 0.6180339887498949 *"
            " (row_number() OVER (PARTITION BY template ORDER BY position) - 1) AS rank FROM turns)"
            # Multiples of the golden ratio, without their whole part: those nearest zero lie evenly among the jobs.
            " SELECT fingerprint, expected_usd FROM (SELECT fingerprint, position, expected_usd, row_number() OVER"
            " (PARTITION BY template ORDER BY rank - CAST(rank AS INTEGER)) AS turn FROM ranked)"
            " ORDER BY turn, position LIMIT ?",
            count,
        )
        return dict(rows)

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a SELECT on `jobs`, on those `to_send`, one a request, or on `kinds` and `tallies`; for `staged`."""
        return self._db.execute(sql, values).fetchall()

    def each(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """As `query`, a row at a time: where there may be as many as jobs."""
        return self._db.execute(sql, values)


def _no_room(error: Exception) -> StorageError:
    return StorageError(
        f"the directory for temporary files can't be used ({error}); an expanded manifest takes about a kilobyte a job"
        " there. Make room, or let TMPDIR name another one"
    )


def _files(files: Mapping[str, LocalFile]) -> str:
    """As `files_from` reads it."""
    return orjson.dumps({sha256: [path_to_text(file.path), file.format] for sha256, file in files.items()}).decode()


def _json(extras: Mapping[str, str]) -> str:
    try:
        return orjson.dumps(extras).decode()
    except TypeError:  # a cell has the name of a file that isn't UTF-8
        return orjson.dumps(escape_all(dict(extras))).decode()
