"""The ledger's file: opened, migrated, in transactions that are durable at their end."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from batch_editor.errors import LedgerError
from batch_editor.files import OpenFiles, expect_side_files, open_regular
from batch_editor.ledger.attempts import Attempts
from batch_editor.ledger.finished import Finished
from batch_editor.ledger.jobs import Jobs
from batch_editor.ledger.migrations import MIGRATIONS, migrate
from batch_editor.ledger.requests import Requests
from batch_editor.ledger.runs import Runs
from batch_editor.ledger.unresolved import UnresolvedAttempts

FILE_NAME = "ledger.sqlite3"

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NETWORKS = frozenset(["nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "fuse.sshfs", "glusterfs"])
# A ledger of 40,000 jobs. Up to that its indexes are compared with its rows as well, which takes 0.25 s.
SMALL = 32 * 2**20
MOUNTS = Path("/proc/self/mounts")


def on_network(path: Path, mounts: Path) -> bool:
    """Whether a file lies on a file system that other machines share; False where the system doesn't say.

    `mounts` has a line a mount: device, place and type, with octal escapes for what a line can't hold.
    """
    longest, found = 0, ""
    path = path.resolve()
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    for line in lines:
        _, place, kind, *_ = line.split(" ")
        place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place)
        # Of two at one place the later hides the earlier.
        if path.is_relative_to(place) and len(place) >= longest:
            longest, found = len(place), kind
    return found in _NETWORKS


def unusable(path: Path, cause: BaseException) -> LedgerError:
    """What to tell the user of an error that a ledger gave."""
    error = LedgerError(f"{path}: the ledger can't be used ({_words(path, cause)}{_next_step(path, cause)})")
    error.transient = _code(cause) not in _DAMAGED
    return error


def is_lost(path: Path) -> bool:
    """Whether a ledger is not there, empty or damaged.

    Raises:
        LedgerError: it can't be looked at, or a newer version or another program wrote it.
    """
    try:
        if path.is_symlink() or path.exists():
            os.close(open_regular(path, os.O_RDWR | os.O_NOFOLLOW))
            expect_side_files(path)
            _examine(path)
            return not path.stat().st_size
    except (OSError, sqlite3.Error, ValueError) as error:
        if _code(error) in _DAMAGED:
            return True
        raise unusable(path, error) from error
    return True


# Pages of review read 10,000 jobs in 0.2 s. SQLite waits for nobody when the journal's mode changes.
CLOSE_TRIES, CLOSE_PAUSE_S = 20, 0.05
# KiB, with a minus: of 2 MB, SQLite's default, 14 pages an attempt were read again and again.
CACHE_SIZE = -32768


class Ledger:
    """One output directory's record of runs, jobs, requests and attempts, opened for writing, at the newest schema.

    Synchronous; one connection, used by one thread at a time. `mounts` is where the system lists its mounts.

    runs, jobs, requests, attempts, unresolved, finished: what is recorded of each, over this connection.

    Raises:
        LedgerError: the file can't be opened, is damaged, or a newer version wrote it.
    """

    def __init__(self, path: Path, *, mounts: Path = MOUNTS) -> None:
        self._path = path
        try:
            # Prompts and links are nobody else's; the WAL takes the mode of the file.
            os.close(open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o660))
            expect_side_files(path)
            _examine(path)
            # The writer's thread uses it while the loop runs, the opener before and after: never both.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            migrate(self._db)
            # FULL: an intent must survive a power cut, or a charge could have no trace. 0.6 ms a commit. The journal
            # of a network's file system is deleted at each commit, and EXTRA makes that durable too: a WAL needs
            # memory that all its users share.
            journal, synchronous = ("DELETE", "EXTRA") if on_network(path, mounts) else ("WAL", "FULL")
            self._db.execute(f"PRAGMA journal_mode = {journal}")
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            self._db.execute(f"PRAGMA cache_size = {CACHE_SIZE}")
            self._files = OpenFiles(path)
        except (OSError, sqlite3.Error, ValueError) as error:
            raise self.error(error) from error
        self.runs = Runs(self._db)
        self.jobs = Jobs(self._db)
        self.requests = Requests(self._db)
        self.attempts = Attempts(self._db)
        self.unresolved = UnresolvedAttempts(self._db)
        self.finished = Finished(self._db)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for readings."""
        return self._db

    @property
    def id(self) -> str:
        """What the ledger is known by elsewhere; the same for as long as it lasts."""
        (known,) = self._db.execute("SELECT id FROM ledger_id").fetchone()
        return str(known)

    def take_id(self, known: str) -> None:
        """Be known by another ledger's id, in whose place this one is. Within a transaction."""
        self._db.execute("UPDATE ledger_id SET id = ?", (known,))

    def close(self) -> None:
        """Close the file, and leave it as one file, which a plan can read without a trace beside it."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA busy_timeout = 0")
            for _ in range(CLOSE_TRIES):
                try:
                    self._db.execute("PRAGMA journal_mode = DELETE")
                    break
                except sqlite3.OperationalError as error:
                    if _code(error) != sqlite3.SQLITE_BUSY:
                        break
                    time.sleep(CLOSE_PAUSE_S)  # if somebody reads it for longer, the next run's end does it
        self._db.close()

    def error(self, cause: BaseException) -> LedgerError:
        """What to tell the user of an error of SQLite."""
        return unusable(self._path, cause)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Within the block, SQLite's errors are this package's.

        Raises:
            LedgerError: the ledger can't be read or written.
        """
        try:
            yield
        except sqlite3.Error as error:
            raise self.error(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it, durable at its end.

        Raises:
            LedgerError: the file is gone.
        """
        try:
            self._files.expect_in_place()
        except OSError as error:
            raise self.error(error) from error
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            # Not committed, nor ended by SQLite itself (disk full): a second ROLLBACK would hide why.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """All of the block or nothing of it, within a transaction."""
        self._db.execute("SAVEPOINT operation")
        is_whole = False
        try:
            yield
            is_whole = True
        finally:
            if not is_whole and self._db.in_transaction:
                self._db.execute("ROLLBACK TO operation")
            if is_whole or self._db.in_transaction:
                self._db.execute("RELEASE operation")


def roll_back(path: Path) -> None:
    """Take back what a process that died had written within a transaction, as SQLite does for whoever may write.

    Without a WAL the file itself changes before a transaction's end, and a journal beside it (a hot one) has what stood
    there. A reader that may not write can neither take that back nor read past it.

    Raises:
        sqlite3.Error: it can't be taken back.
    """
    if path.with_name(f"{path.name}-journal").exists():
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as db:
            db.execute("SELECT count(*) FROM sqlite_master")


def _examine(path: Path) -> None:
    """Look a ledger over: whether this program wrote it, and whether its pages hang together.

    Nothing is changed but what a process that died left half done; for whoever holds the directory's lock. The check
    reads the whole file: 0.25 s for 200,000 jobs, or five times of that with the indexes.

    Raises:
        ValueError: a newer version or another program wrote it.
        sqlite3.DatabaseError: it is damaged.
    """
    roll_back(path)
    if not path.stat().st_size:
        return
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise ValueError(f"its schema is version {version}, this program knows {len(MIGRATIONS)}")
        if not version and db.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()[0]:
            raise ValueError("another program's database")
        check = "integrity_check" if path.stat().st_size <= SMALL else "quick_check"
        (found,) = db.execute(f"PRAGMA {check}(1)").fetchone()
        if found != "ok":
            damage = sqlite3.DatabaseError(" ".join(found.split()))
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage


def _code(cause: BaseException) -> int:
    """SQLite's primary result code; 0 of another error."""
    return (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF


def _words(path: Path, cause: BaseException) -> str:
    if not isinstance(cause, OSError):
        return str(cause)
    other = "" if cause.filename in (None, str(path), str(path.absolute())) else f"{cause.filename}: "
    return f"{other}{cause.strerror}"


def _next_step(path: Path, cause: BaseException) -> str:
    if _code(cause) == sqlite3.SQLITE_BUSY:
        return "; another program has it open, close that"
    if _code(cause) in _DAMAGED:
        return f"; `batch-editor status {path.parent} --rebuild` makes it anew from manifest.csv and the images"
    return ""
