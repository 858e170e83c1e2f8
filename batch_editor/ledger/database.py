"""The ledger's file: opened, migrated, in transactions that are durable at their end."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch_editor.errors import LedgerError
from batch_editor.ledger.migrations import migrate


class Database:
    """A SQLite file, opened for writing, at the newest schema.

    Raises:
        LedgerError: the file can't be opened, is damaged, or a newer version wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Prompts and links are nobody else's; the WAL takes the mode of the file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o660))
            # The writer's thread uses it while the loop runs, the opener before and after: never both.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            # First, for it turns away what a newer version wrote, and that must stay as it is.
            migrate(self._db)
            self._db.execute("PRAGMA journal_mode = WAL")
            # FULL: an intent must survive a power cut, or a charge could have no trace. 0.6 ms a commit.
            self._db.execute("PRAGMA synchronous = FULL")
            # 32 MB: of 2 MB, the default, 14 pages an attempt were read again and again.
            self._db.execute("PRAGMA cache_size = -32768")
        except (OSError, sqlite3.Error, ValueError) as error:
            raise self.error(error) from error

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for readings."""
        return self._db

    def close(self) -> None:
        """Close the file, and leave it as one file, which a plan can read without a trace beside it."""
        with suppress(sqlite3.Error):  # somebody reads it just now: then the next run's end does it
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    def error(self, cause: BaseException) -> LedgerError:
        """What to tell the user of an error of SQLite."""
        return LedgerError(f"{self._path}: the ledger can't be used ({cause})")

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
        """All of the block or nothing of it, durable at its end."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite may have ended the transaction itself (disk full): a second ROLLBACK would hide why.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
