"""A ledger of spending that runs share: what a day and a month may cost, over processes and output directories."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from batch_editor.config import Settings
from batch_editor.errors import LedgerError
from batch_editor.files import OpenFiles, expect_regular, make_folder, path_to_text
from batch_editor.money.budget import TOLERANCE_USD


def shared_spending(settings: Settings, output: Path) -> Spending | None:
    """The file that an output directory's runs share with others, as the settings name it; None without one."""
    budget = settings.budget
    if budget.ledger is None:
        return None
    return Spending(
        budget.ledger,
        path_to_text(str(output.resolve())),
        per_day_usd=budget.per_day_usd,
        per_month_usd=budget.per_month_usd,
        attempt_s=settings.api.timeout_s,
    )


# The sums of days are kept as rows come and go: a month at 60/min has 2.6 million of them, and each attempt asks twice
# what is left (0.9 s a time where a million rows were added up).
_SCHEMA = """
BEGIN IMMEDIATE;
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
COMMIT;
"""
DAY_S = 86400

# Another process holds the file for one commit at a time, a few milliseconds; this long means it hangs.
LOCK_WAIT_S = 30.0
# Who ends waits no longer than this.
HURRY_S = 1.0
# SQLite waits so long at a time, and sleeps up to 0.1 s in between.
LOOK_AGAIN_S = 0.25


class AttemptToken(NamedTuple):
    """What an attempt is called in the file that runs share.

    With the run's name: when somebody deletes a ledger, its numbers begin again, and what was spent stays spent.

    >>> str(AttemptToken("20261127T051112-a1b2c3", "f00d", 2))
    '20261127T051112-a1b2c3:f00d:2'
    >>> AttemptToken.parse("20261127T051112-a1b2c3:f00d:2").number
    2
    """

    run_id: str
    fingerprint: str
    number: int

    def __str__(self) -> str:
        return ":".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> AttemptToken:
        """The token that was written so."""
        run_id, fingerprint, number = text.split(":")
        return cls(run_id, fingerprint, int(number))


class Spending:
    """A shared file of spending; one row an attempt, at its max price until its charge is known. Blocks.

    Days and months are those of UTC: a limit must not change its meaning twice a year. `owner` names the output
    directory; its lock is held by whoever writes its rows. What `limits` would pass is refused within the very
    transaction that reserves, so processes at work at the same time never pass it together. `attempt_s` is how long
    an attempt may take: a reservation that has been open for longer is that of a run that died.

    Raises:
        LedgerError: the file can't be used.
    """

    def __init__(
        self,
        path: Path,
        owner: str,
        *,
        per_day_usd: float | None,
        per_month_usd: float | None,
        attempt_s: float = 300.0,
    ) -> None:
        self._path = path
        self._owner = owner
        self._attempt_s = attempt_s
        self._limits = [("day", per_day_usd), ("month", per_month_usd)]
        self._lock_wait_s = LOCK_WAIT_S
        try:
            make_folder(path.parent)
            with suppress(FileNotFoundError):
                expect_regular(path)
            # Opened by the run, used on a thread of its own: never both at once.
            self._db = sqlite3.connect(path, isolation_level=None, timeout=LOOK_AGAIN_S, check_same_thread=False)
            # A new file is switched once, for it keeps the mode. Of processes that switch at the same time one
            # succeeds; the others hear at once that the file is locked, whatever the time-out (2 of 100 were, with
            # four starting together).
            self._once_unlocked(self._db.execute, "PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._once_unlocked(self._db.executescript, _SCHEMA)
            real = path.resolve()  # of a link SQLite puts the WAL beside what it leads to
            self._files = OpenFiles(path, real.with_name(f"{real.name}-wal"))
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

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

    def hurry(self) -> None:
        """From now on, wait for another process no longer than a second; also where a thread waits already."""
        self._lock_wait_s = HURRY_S

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it, durable at its end; within another one a part of that.

        Raises:
            LedgerError: the file can't be used.
        """
        if self._db.in_transaction:
            yield
            return
        with self._errors():
            self._once_unlocked(self._db.execute, "BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:  # not committed
                    self._db.execute("ROLLBACK")

    def left_usd(self, now: float) -> float:
        """What may still be reserved today and this month."""
        self._expect_in_place()
        with self._errors():
            return self._left(now)

    def exhausted(self, usd: float, now: float) -> bool:
        """Whether `usd` will not fit, even if nothing that is open were charged."""
        self._expect_in_place()
        with self._errors():
            return usd > self._left(now, and_open=False) + TOLERANCE_USD

    def room(self, now: float) -> tuple[float, bool]:
        """What may still be reserved, and whether attempts are in flight, of whichever run, that may yet make room."""
        self._expect_in_place()
        # At one instant: what is charged between two looks would be seen neither in flight nor as room.
        with self.transaction():
            return self._left(now), self._in_flight(now)

    def reserve(self, attempt: str, usd: float, now: float, *, steady_usd: float | None = None) -> bool:
        """Set the price of an attempt aside, durably; False if a limit would be passed.

        As `Budget.reserve`: an attempt that was charged `steady_usd` every time takes all that is left where nothing
        else is in flight, so that a day is used up to its end.
        """
        self._expect_in_place()
        with self.transaction():
            left = self._left(now)
            if usd > left + TOLERANCE_USD:
                if steady_usd is None or steady_usd > left + TOLERANCE_USD or self._in_flight(now):
                    return False
                usd = left
            # Whose intent failed is reserved again. Not by OR REPLACE, whose deletions no trigger hears of.
            self._db.execute("DELETE FROM spending WHERE owner = ? AND attempt = ?", (self._owner, attempt))
            self._db.execute("INSERT INTO spending VALUES (?, ?, ?, ?, 1)", (self._owner, attempt, now, usd))
            return True

    def charge(self, attempt: str, usd: float) -> None:
        """Turn a reservation into what was charged; nothing is left of one that cost nothing."""
        with self.transaction():
            if usd:
                self._db.execute(
                    "UPDATE spending SET usd = ?, open = 0 WHERE owner = ? AND attempt = ?",
                    (usd, self._owner, attempt),
                )
            else:
                self._db.execute("DELETE FROM spending WHERE owner = ? AND attempt = ?", (self._owner, attempt))

    def open_attempts(self) -> list[str]:
        """Reservations that a run of this output directory left behind when it died."""
        with self._errors():
            rows = self._db.execute("SELECT attempt FROM spending WHERE owner = ? AND open", (self._owner,))
            return [attempt for (attempt,) in rows]

    def keep(self, attempt: str) -> None:
        """Leave what was reserved for an attempt as its price: nobody knows its fate any more."""
        with self._errors():
            self._db.execute(
                "UPDATE spending SET open = 0 WHERE owner = ? AND attempt = ?",
                (self._owner, attempt),
            )

    def _in_flight(self, now: float) -> bool:
        since = now - self._attempt_s
        (found,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM spending WHERE open AND at > ?)", (since,)).fetchone()
        return bool(found)

    def _left(self, now: float, *, and_open: bool = True) -> float:
        left = float("inf")
        for period, limit in self._limits:
            if limit is not None:
                begin, end = _period(period, now)
                (spent,) = self._db.execute(
                    "SELECT coalesce(sum(iif(?, usd, usd - open_usd)), 0) FROM days WHERE day >= ? AND day < ?",
                    (and_open, begin // DAY_S, end // DAY_S),
                ).fetchone()
                left = min(left, limit - spent)
        return left

    def _expect_in_place(self) -> None:
        """For what sends money: not with a file that others no longer see. What was charged is recorded even there."""
        try:
            self._files.expect_in_place()
        except OSError as error:
            raise LedgerError(
                f"{self._path}: budget.ledger was removed or replaced while this run was on ({error.filename}:"
                f" {error.strerror}), and what the day and the month have spent is no longer known. Put it back, or run"
                " again to begin anew",
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
        return LedgerError(f"{self._path}: budget.ledger can't be used ({words})")


def _is_locked(error: BaseException) -> bool:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF == sqlite3.SQLITE_BUSY


def _period(period: str, now: float) -> tuple[float, float]:
    """First instant of the UTC day or month of `now`, and of the next one."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return today.timestamp(), (today + timedelta(days=1)).timestamp()
    first = today.replace(day=1)
    return first.timestamp(), (first + timedelta(days=32)).replace(day=1).timestamp()
