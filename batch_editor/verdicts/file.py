"""The file of verdicts: events that are only ever added, so that people who review at once lose nothing.

Each event has the whole of what holds of an image from then on, or takes an earlier event back. What holds is the
newest event that was not taken back.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Lock

from batch_editor.errors import VerdictsError
from batch_editor.files import OpenFiles, expect_side_files, open_regular
from batch_editor.verdicts.entries import (
    UNCHANGED,
    Picture,
    Unchanged,
    Verdict,
    VerdictWord,
    checked_name,
    checked_note,
)

FILE_NAME = "verdicts.sqlite3"

_VERSION = 1
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# Whoever has it open holds it for a commit or a reading of at most some tens of milliseconds.
_LOCK_WAIT_S = 5.0

_SCHEMA = f"""
BEGIN IMMEDIATE;
-- batch: the first event of those that were given together. undoes: the event that this one takes back.
CREATE TABLE IF NOT EXISTS events (
    event       INTEGER PRIMARY KEY AUTOINCREMENT,
    batch       INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    verdict     TEXT CHECK (verdict IN ('approved', 'rejected')),
    note        TEXT,
    given_by    TEXT NOT NULL,
    given_at    REAL NOT NULL,
    undoes      INTEGER UNIQUE
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_picture ON events (fingerprint, sha256);
CREATE INDEX IF NOT EXISTS events_by_batch ON events (batch);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_HOLDING = (
    "SELECT fingerprint, sha256, verdict, note, given_by, given_at, max(event) FROM events e WHERE undoes IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM events u WHERE u.undoes = e.event)"
)


class Verdicts:
    """What people said of an output directory's images, opened to be added to; made where there is none.

    Blocks. Several processes may have it open; several threads may share it. Everything is durable when it returns.
    The journal is one that is deleted at each commit: works on a network's file system as well, and the file is
    whole for whoever reads or copies it, while a person's verdicts come slowly enough for its two extra syncs.

    Raises:
        VerdictsError: the file can't be opened, is damaged, or a newer version wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()  # one transaction at a time on the one connection
        try:
            # Notes are nobody else's.
            os.close(open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o660))
            expect_side_files(path)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_LOCK_WAIT_S)
            with ExitStack() as stack:
                stack.callback(self._db.close)
                if not _is_there(self._db):
                    self._db.executescript(_SCHEMA)
                # Also the deletion of the journal is durable: otherwise a power cut could bring it back.
                self._db.execute("PRAGMA synchronous = EXTRA")
                self._files = OpenFiles(path)
                stack.pop_all()
        except (OSError, sqlite3.Error, ValueError) as error:
            raise _unusable(path, error) from error

    def give(
        self,
        pictures: Sequence[Picture],
        *,
        verdict: VerdictWord | Unchanged | None = UNCHANGED,
        note: str | Unchanged | None = UNCHANGED,
        by: str,
        now: float,
    ) -> int:
        """Say something of images, all together or nothing; return the number by which `undo` takes it back.

        None takes the verdict or the note away. 0 if there are no pictures.

        Raises:
            UsageError: the note or the name is none, see `checked_note` and `checked_name`.
            VerdictsError: it can't be written.
        """
        by = checked_name(by)
        note = checked_note(note) if isinstance(note, str) else note
        with self._transaction():
            (batch,) = self._db.execute("SELECT coalesce(max(event), 0) + 1 FROM events").fetchone()
            given = []
            for picture in dict.fromkeys(pictures):
                former = self._holding(picture)
                given.append(
                    (
                        *(batch, *picture),
                        (former and former.verdict) if isinstance(verdict, Unchanged) else verdict,
                        (former and former.note) if isinstance(note, Unchanged) else note,
                        *(by, now),
                    )
                )
            self._db.executemany(
                "INSERT INTO events (batch, fingerprint, sha256, verdict, note, given_by, given_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                given,
            )
        return int(batch) if given else 0

    def undo(self, batch: int, *, by: str, now: float) -> list[Picture]:
        """Take back what was given together; return the pictures of which something else holds now.

        What somebody has said of a picture since stays.

        Raises:
            UsageError: the name is none, see `checked_name`.
            VerdictsError: it can't be written.
        """
        by = checked_name(by)
        with self._transaction():
            events = self._db.execute(
                "SELECT event, fingerprint, sha256 FROM events WHERE batch = ? AND undoes IS NULL ORDER BY event",
                (batch,),
            ).fetchall()
            undone = []
            for event, *names in events:
                picture = Picture(*names)
                holds = self._holding(picture)
                if holds is not None and holds.event == event:
                    undone.append((event, picture))
            self._db.executemany(
                "INSERT INTO events (batch, fingerprint, sha256, given_by, given_at, undoes) VALUES (?, ?, ?, ?, ?, ?)",
                [(batch, *picture, by, now, event) for event, picture in undone],
            )
        return [picture for _, picture in undone]

    def version(self) -> int:
        """Grows with whatever anybody says or takes back.

        Raises:
            VerdictsError: it can't be read.
        """
        with self._translated():
            (newest,) = self._db.execute("SELECT coalesce(max(event), 0) FROM events").fetchone()
            return int(newest)

    def all(self) -> dict[Picture, Verdict]:
        """What holds, of each picture of which a verdict or a note holds.

        Raises:
            VerdictsError: it can't be read.
        """
        with self._translated():
            return _all(self._db)

    def of(self, picture: Picture) -> Verdict | None:
        """What holds of a picture; None where neither a verdict nor a note does.

        Raises:
            VerdictsError: it can't be read.
        """
        with self._translated():
            found = self._holding(picture)
            return found if found and (found.verdict or found.note) else None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _holding(self, picture: Picture) -> Verdict | None:
        row = self._db.execute(
            f"{_HOLDING} AND fingerprint = ? AND sha256 = ? GROUP BY fingerprint, sha256", picture
        ).fetchone()
        return None if row is None else Verdict(*row[2:])

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (OSError, sqlite3.Error) as error:
            raise _unusable(self._path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._files.expect_in_place()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


def read_verdicts(output: Path) -> dict[Picture, Verdict]:
    """What people said of an output directory's images, also while they say it; nothing where there is no file.

    Raises:
        VerdictsError: it can't be read.
    """
    path = output / FILE_NAME
    try:
        if not path.is_symlink() and not path.exists():
            return {}
        os.close(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW))
        expect_side_files(path)
        # Not `mode=ro`: what a process that died left half done is then taken back. Where nobody may write, SQLite
        # reads.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_LOCK_WAIT_S)) as db:
            db.execute("PRAGMA query_only = ON")
            return _all(db) if _is_there(db) else {}
    except (OSError, sqlite3.Error, ValueError) as error:
        raise _unusable(path, error) from error


def _all(db: sqlite3.Connection) -> dict[Picture, Verdict]:
    rows = db.execute(f"{_HOLDING} GROUP BY fingerprint, sha256").fetchall()
    return {Picture(*row[:2]): Verdict(*row[2:]) for row in rows if row[2] or row[3]}


def _is_there(db: sqlite3.Connection) -> bool:
    """Whether a file has this program's tables; False of an empty one, as of one whose maker died at once.

    Raises:
        ValueError: a newer version or another program wrote it.
        sqlite3.DatabaseError: it is damaged.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise ValueError(f"its schema is version {version}, this program knows {_VERSION}")
    if not version and db.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()[0]:
        raise ValueError("another program's database")
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        damage = sqlite3.DatabaseError(" ".join(found.split()))
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
    return bool(version)


def _unusable(path: Path, cause: BaseException) -> VerdictsError:
    said = str(cause)
    if isinstance(cause, OSError):
        other = "" if cause.filename in (None, str(path), str(path.absolute())) else f"{cause.filename}: "
        said = f"{other}{cause.strerror}"
    code = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
    step = ""
    if code == sqlite3.SQLITE_BUSY:
        step = "; another program has it open, close that"
    elif code in _DAMAGED:
        step = "; bring it back from a copy, or move it away: manifest.csv has the verdicts of the last run's end"
    return VerdictsError(f"{path}: the verdicts can't be used ({said}{step})", transient=code not in _DAMAGED)
