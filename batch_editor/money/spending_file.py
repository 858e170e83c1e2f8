"""A file of spending that the runs of one machine share."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from batch_editor.errors import LedgerError
from batch_editor.files import OpenFiles, expect_regular, make_folder
from batch_editor.money.budget import TOLERANCE_USD
from batch_editor.money.spending import ApprovedAmount, day_of, days_of_month

T = TypeVar("T")

# The sums of days are kept as rows come and go: a month at 60/min has 2.6 million of them, and each attempt asks twice
# what is left (0.9 s a time where a million rows were added up).
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spending (
    owner   TEXT NOT NULL,
    attempt TEXT NOT NULL,
    at      REAL NOT NULL,
    usd     REAL NOT NULL,
    open    INTEGER NOT NULL,
    PRIMARY KEY (owner, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spending_by_time ON spending (at, usd);
-- day: of UTC, since 1970. usd: of all its attempts; open_usd: of those whose charge is not known.
CREATE TABLE IF NOT EXISTS days (
    day      INTEGER PRIMARY KEY,
    usd      REAL NOT NULL,
    open_usd REAL NOT NULL
) STRICT;
INSERT INTO days SELECT CAST(at / 86400 AS INTEGER), sum(usd), sum(usd * open) FROM spending
    WHERE NOT EXISTS (SELECT 1 FROM days) GROUP BY 1;
CREATE TRIGGER IF NOT EXISTS spending_added AFTER INSERT ON spending BEGIN
    INSERT INTO days VALUES (CAST(new.at / 86400 AS INTEGER), new.usd, new.usd * new.open)
        ON CONFLICT (day) DO UPDATE SET usd = usd + excluded.usd, open_usd = open_usd + excluded.open_usd;
END;
CREATE TRIGGER IF NOT EXISTS spending_removed AFTER DELETE ON spending BEGIN
    UPDATE days SET usd = usd - old.usd, open_usd = open_usd - old.usd * old.open
        WHERE day = CAST(old.at / 86400 AS INTEGER);
END;
CREATE TRIGGER IF NOT EXISTS spending_settled AFTER UPDATE OF usd, open ON spending BEGIN
    UPDATE days SET usd = usd - old.usd + new.usd, open_usd = open_usd - old.usd * old.open + new.usd * new.open
        WHERE day = CAST(old.at / 86400 AS INTEGER);
END;
"""
# What files of earlier versions don't have. Sums of approvals are kept as those of days are.
_ADDED_COLUMNS = {"endpoint": "TEXT", "approval": "TEXT", "in_vain": "INTEGER"}
_APPROVALS = """
CREATE TABLE IF NOT EXISTS approvals (
    approval TEXT PRIMARY KEY,
    usd      REAL NOT NULL,
    open_usd REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS approved_added AFTER INSERT ON spending WHEN new.approval IS NOT NULL BEGIN
    INSERT INTO approvals VALUES (new.approval, new.usd, new.usd * new.open)
        ON CONFLICT (approval) DO UPDATE SET usd = usd + excluded.usd, open_usd = open_usd + excluded.open_usd;
END;
CREATE TRIGGER IF NOT EXISTS approved_removed AFTER DELETE ON spending WHEN old.approval IS NOT NULL BEGIN
    UPDATE approvals SET usd = usd - old.usd, open_usd = open_usd - old.usd * old.open WHERE approval = old.approval;
END;
CREATE TRIGGER IF NOT EXISTS approved_settled AFTER UPDATE OF usd, open ON spending WHEN old.approval IS NOT NULL BEGIN
    UPDATE approvals
        SET usd = usd - old.usd + new.usd, open_usd = open_usd - old.usd * old.open + new.usd * new.open
        WHERE approval = old.approval;
END;
"""

# Another process holds the file for one commit at a time, a few milliseconds; this long means it hangs.
LOCK_WAIT_S = 30.0
# Who ends waits no longer than this.
HURRY_S = 1.0
# SQLite waits so long at a time, and sleeps up to 0.1 s in between.
LOOK_AGAIN_S = 0.25


class SpendingFile:
    """A file of spending, see `Spending`. Blocks.

    Parameters:
        owner: names the output directory.
        approval: a third limit beside the day's and the month's, on what is reserved here with it.
        attempt_s: how long an attempt may take: a reservation that has been open for longer is that of a run that died.

    Raises:
        LedgerError: the file can't be used.
    """

    shared_over_machines = False
    # What messages call it.
    name = "budget.ledger"

    def __init__(
        self,
        path: Path,
        owner: str,
        *,
        per_day_usd: float | None,
        per_month_usd: float | None,
        approval: ApprovedAmount | None = None,
        attempt_s: float = 300.0,
    ) -> None:
        self._path = path
        self._owner = owner
        self._attempt_s = attempt_s
        self._per_day_usd = per_day_usd
        self._per_month_usd = per_month_usd
        self._approval = approval
        self._lock_wait_s = LOCK_WAIT_S
        try:
            make_folder(path.parent)
            with suppress(FileNotFoundError):
                expect_regular(path)
            with ExitStack() as stack:
                # Opened by the run, used on a thread of its own: never both at once.
                self._db = stack.enter_context(
                    closing(sqlite3.connect(path, isolation_level=None, timeout=LOOK_AGAIN_S, check_same_thread=False))
                )
                # A new file is switched once, for it keeps the mode. Of processes that switch at the same time one
                # succeeds; the others hear at once that the file is locked, whatever the time-out (2 of 100 were, with
                # four starting together).
                self._once_unlocked(self._db.execute, "PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                with self._exclusively():
                    self._prepare()
                real = path.resolve()  # of a link SQLite puts the WAL beside what it leads to
                self._files = OpenFiles(path, real.with_name(f"{real.name}-wal"))
                stack.pop_all()  # it is open
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _prepare(self) -> None:
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "spending" not in tables:
            raise LedgerError(
                f"{self._path}: {self.name} can't be used (a database of something else; expected a file of its own)"
            )
        for statement in _statements(_SCHEMA):
            self._db.execute(statement)
        columns = {row[1] for row in self._db.execute("PRAGMA table_info (spending)")}
        for name, kind in _ADDED_COLUMNS.items():
            if name not in columns:
                self._db.execute(f"ALTER TABLE spending ADD COLUMN {name} {kind}")
        for statement in _statements(_APPROVALS):
            self._db.execute(statement)

    def _once_unlocked(self, execute: Callable[[str], object], statement: str) -> None:
        """Begin to write, once no other process does."""
        began_at = time.monotonic()
        while True:
            try:
                execute(statement)
                return
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() > began_at + self._lock_wait_s:
                    raise
                time.sleep(0.01)

    def patiently(self, work: Callable[[], T]) -> T:
        """See `Spending.patiently`; each transaction waits for others by itself."""
        return work()

    def hurry(self) -> None:
        """See `Spending.hurry`."""
        self._lock_wait_s = HURRY_S

    def close(self) -> None:
        """See `Spending.close`."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Spending.transaction`."""
        if self._db.in_transaction:
            yield
            return
        with self._errors(), self._exclusively():
            yield

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        self._once_unlocked(self._db.execute, "BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # not committed
                self._db.execute("ROLLBACK")

    def left_usd(self, now: float) -> float:
        """See `Spending.left_usd`."""
        self._expect_in_place()
        with self._errors():
            return self._left(now)

    def exhausted(self, usd: float, now: float) -> bool:
        """See `Spending.exhausted`."""
        self._expect_in_place()
        with self._errors():
            return usd > self._left(now, and_open=False) + TOLERANCE_USD

    def approved_usd(self) -> float:
        """See `Spending.approved_usd`."""
        if self._approval is None:
            return 0.0
        with self._errors():
            return self._spent("approvals WHERE approval = ?", self._approval.approval_id, and_open=True)

    def room(self, now: float) -> tuple[float, bool]:
        """See `Spending.room`."""
        self._expect_in_place()
        # At one instant: what is charged between two looks would be seen neither in flight nor as room.
        with self.transaction():
            return self._left(now), self._in_flight(now)

    def reserve(self, attempt: str, usd: float, now: float, *, steady_usd: float | None, endpoint: str) -> bool:
        """See `Spending.reserve`."""
        self._expect_in_place()
        with self.transaction():
            # Whose intent failed is reserved again. Not by OR REPLACE, whose deletions no trigger hears of.
            self._db.execute("DELETE FROM spending WHERE owner = ? AND attempt = ?", (self._owner, attempt))
            left = self._left(now)
            if usd > left + TOLERANCE_USD:
                if steady_usd is None or steady_usd > left + TOLERANCE_USD or self._in_flight(now):
                    return False
                usd = left
            approval = None if self._approval is None else self._approval.approval_id
            self._db.execute(
                "INSERT INTO spending (owner, attempt, at, usd, open, endpoint, approval) VALUES (?, ?, ?, ?, 1, ?, ?)",
                (self._owner, attempt, now, usd, endpoint, approval),
            )
            return True

    def charge(self, attempt: str, usd: float, *, in_vain: bool = False) -> None:
        """See `Spending.charge`."""
        with self.transaction():
            if usd:
                self._db.execute(
                    "UPDATE spending SET usd = ?, open = 0, in_vain = ? WHERE owner = ? AND attempt = ?",
                    (usd, in_vain, self._owner, attempt),
                )
            else:
                self._db.execute("DELETE FROM spending WHERE owner = ? AND attempt = ?", (self._owner, attempt))

    def reopen(self, attempt: str) -> None:
        """See `Spending.reopen`."""
        with self._errors():
            self._db.execute("UPDATE spending SET open = 1 WHERE owner = ? AND attempt = ?", (self._owner, attempt))

    def open_attempts(self) -> list[str]:
        """See `Spending.open_attempts`."""
        with self._errors():
            rows = self._db.execute("SELECT attempt FROM spending WHERE owner = ? AND open", (self._owner,))
            return [attempt for (attempt,) in rows]

    def keep(self, attempt: str) -> None:
        """See `Spending.keep`."""
        with self._errors():
            self._db.execute(
                "UPDATE spending SET open = 0, in_vain = 1 WHERE owner = ? AND attempt = ?",
                (self._owner, attempt),
            )

    def _in_flight(self, now: float) -> bool:
        since = now - self._attempt_s
        (found,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM spending WHERE open AND at > ?)", (since,)).fetchone()
        return bool(found)

    def _left(self, now: float, *, and_open: bool = True) -> float:
        left = float("inf")
        today = day_of(now)
        for limit, (first, end) in (
            (self._per_day_usd, (today, today + 1)),
            (self._per_month_usd, days_of_month(now)),
        ):
            if limit is not None:
                left = min(left, limit - self._spent("days WHERE day >= ? AND day < ?", first, end, and_open=and_open))
        if self._approval is not None:
            spent = self._spent("approvals WHERE approval = ?", self._approval.approval_id, and_open=and_open)
            left = min(left, self._approval.usd - spent)
        return left

    def _spent(self, source: str, *values: object, and_open: bool) -> float:
        query = f"SELECT coalesce(sum(iif(?, usd, usd - open_usd)), 0) FROM {source}"
        (spent,) = self._db.execute(query, (and_open, *values)).fetchone()
        return float(spent)

    def _expect_in_place(self) -> None:
        """For what sends money: not with a file that others no longer see. What was charged is recorded even there."""
        try:
            self._files.expect_in_place()
        except OSError as error:
            again = "Put it back" if self._approval is not None else "Put it back, or run again to begin anew"
            raise LedgerError(
                f"{self._path}: {self.name} was removed or replaced while this run was on ({error.filename}:"
                f" {error.strerror}), and what was spent is no longer known. {again}",
                transient=False,
            ) from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: BaseException) -> LedgerError:
        words = error.strerror if isinstance(error, OSError) else error
        if _is_locked(error):
            words = f"another process has kept it locked for {self._lock_wait_s:.0f} s; end that process, and run again"
        return LedgerError(f"{self._path}: {self.name} can't be used ({words})")


class SpentOfPlan(SpendingFile):
    """A file beside an approved plan's: what is spent of that, where `budget.ledger` isn't set."""

    name = "what is spent of the approved plan"


def _is_locked(error: BaseException) -> bool:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF == sqlite3.SQLITE_BUSY


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` commits first, whatever transaction it is in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
