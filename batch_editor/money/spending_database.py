"""A database of spending that the runs of several machines share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from batch_editor.money.budget import TOLERANCE_USD
from batch_editor.money.spending import ApprovedAmount, day_of, days_of_month
from batch_editor.postgres import Database, make_tables, table_names

T = TypeVar("T")

_PROOF = "proof of access"
# Sums are kept with the rows, as the file's triggers do; but by each statement itself, for a trigger takes a right that
# not every user has. Whoever writes holds the lock of `LOCK`, so what a statement reads doesn't change meanwhile.
LOCK = "SELECT 1 FROM {lock} FOR UPDATE"

_SPENT = """
    SELECT coalesce(sum(CASE WHEN %(and_open)s THEN usd ELSE usd - open_usd END), 0) FROM"""
# What the limits leave; one that isn't set is null, and so is no least.
_LEFT = f"""least(
    %(per_day_usd)s::float8 - ({_SPENT} {{days}} WHERE day = %(today)s),
    %(per_month_usd)s::float8 - ({_SPENT} {{days}} WHERE day >= %(first)s AND day < %(end)s),
    %(approved_usd)s::float8 - ({_SPENT} {{approvals}} WHERE approval = %(approval)s)
)"""
_IN_FLIGHT = "EXISTS (SELECT 1 FROM {spending} WHERE is_open AND at > %(since)s)"

_CHARGE = """
WITH former AS (
    SELECT floor(at / 86400)::integer AS day, approval, usd, CASE WHEN is_open THEN usd ELSE 0 END AS open_usd
        FROM {spending} WHERE owner = %(owner)s AND attempt = %(attempt)s
), charged AS (
    UPDATE {spending} SET usd = %(usd)s, is_open = false, in_vain = %(in_vain)s
        WHERE owner = %(owner)s AND attempt = %(attempt)s AND %(usd)s <> 0
), removed AS (
    DELETE FROM {spending} WHERE owner = %(owner)s AND attempt = %(attempt)s AND %(usd)s = 0
), of_approval AS (
    UPDATE {approvals} AS sums
        SET usd = sums.usd - former.usd + %(usd)s, open_usd = sums.open_usd - former.open_usd
        FROM former WHERE sums.approval = former.approval
)
UPDATE {days} AS sums SET usd = sums.usd - former.usd + %(usd)s, open_usd = sums.open_usd - former.open_usd
    FROM former WHERE sums.day = former.day;
"""
_REOPEN = """
WITH reopened AS (
    UPDATE {spending} SET is_open = true WHERE owner = %(owner)s AND attempt = %(attempt)s AND NOT is_open
        RETURNING floor(at / 86400)::integer AS day, approval, usd
), of_approval AS (
    UPDATE {approvals} AS sums SET open_usd = sums.open_usd + reopened.usd
        FROM reopened WHERE sums.approval = reopened.approval
)
UPDATE {days} AS sums SET open_usd = sums.open_usd + reopened.usd FROM reopened WHERE sums.day = reopened.day;
"""
RESERVE = f"""
WITH room AS (
    SELECT {_LEFT} AS usd
), added AS (
    INSERT INTO {{spending}} (owner, attempt, at, usd, is_open, endpoint, approval)
        SELECT %(owner)s, %(attempt)s, %(now)s, taken.usd, true, %(endpoint)s, %(approval)s FROM (
            SELECT CASE
                WHEN usd IS NULL OR %(usd)s <= usd + %(tolerance)s THEN %(usd)s
                WHEN %(steady_usd)s::float8 <= usd + %(tolerance)s AND NOT {_IN_FLIGHT} THEN usd
            END AS usd FROM room
        ) AS taken WHERE taken.usd IS NOT NULL
        ON CONFLICT DO NOTHING
        RETURNING usd
), of_day AS (
    INSERT INTO {{days}} AS sums (day, usd, open_usd) SELECT %(today)s, usd, usd FROM added
        ON CONFLICT (day) DO UPDATE
        SET usd = sums.usd + excluded.usd, open_usd = sums.open_usd + excluded.open_usd
), of_approval AS (
    INSERT INTO {{approvals}} AS sums (approval, usd, open_usd)
        SELECT %(approval)s, usd, usd FROM added WHERE %(approval)s::text IS NOT NULL
        ON CONFLICT (approval) DO UPDATE
        SET usd = sums.usd + excluded.usd, open_usd = sums.open_usd + excluded.open_usd
)
SELECT EXISTS (SELECT 1 FROM added),
    EXISTS (SELECT 1 FROM {{spending}} WHERE owner = %(owner)s AND attempt = %(attempt)s)
"""


class SpendingDatabase:
    """Spending in a database, see `Spending`. Blocks.

    Parameters:
        database: where it is, once `prove` has been called.
        owner: names the output directory, on whichever machine it is: its ledger's id.
        approval: a third limit beside the day's and the month's, on what is reserved here with it.
        attempt_s: how long an attempt may take: a reservation that has been open for longer is that of a run that died.
    """

    shared_over_machines = True

    def __init__(
        self,
        database: Database,
        owner: str,
        *,
        per_day_usd: float | None,
        per_month_usd: float | None,
        approval: ApprovedAmount | None = None,
        attempt_s: float = 300.0,
    ) -> None:
        self._database = database
        self._connection = database.connect()
        self._tables = table_names(database.address.schema)
        self._attempt_s = attempt_s
        self._limits: dict[str, object] = {
            "owner": owner,
            "per_day_usd": per_day_usd,
            "per_month_usd": per_month_usd,
            "approval": None if approval is None else approval.approval_id,
            "approved_usd": None if approval is None else approval.usd,
            "tolerance": TOLERANCE_USD,
        }

    def prove(self, now: float) -> None:
        """Make the tables if need be, and see that they can be read and written. Not within a transaction.

        Raises:
            UsageError: the database refuses what the settings say.
        """
        self._database.proved(self._connection, lambda: self._prove(now))

    def patiently(self, work: Callable[[], T]) -> T:
        """See `Spending.patiently`."""
        return self._database.patiently(self._connection, work)

    def hurry(self) -> None:
        """See `Spending.hurry`: also for one that restarts, unless somebody wants the run's end."""
        self._connection.finish()

    def close(self) -> None:
        """See `Spending.close`."""
        self._connection.close()

    def transaction(self) -> AbstractContextManager[None]:
        """See `Spending.transaction`."""
        return self._connection.transaction(LOCK.format(**self._tables))

    def left_usd(self, now: float) -> float:
        """See `Spending.left_usd`."""
        return self._room(now, and_open=True)[0]

    def exhausted(self, usd: float, now: float) -> bool:
        """See `Spending.exhausted`."""
        return usd > self._room(now, and_open=False)[0] + TOLERANCE_USD

    def approved_usd(self) -> float:
        """See `Spending.approved_usd`."""
        ((usd,),) = self._run("SELECT coalesce(sum(usd), 0) FROM {approvals} WHERE approval = %(approval)s")
        return float(usd)

    def room(self, now: float) -> tuple[float, bool]:
        """See `Spending.room`."""
        return self._room(now, and_open=True)

    def reserve(self, attempt: str, usd: float, now: float, *, steady_usd: float | None, endpoint: str) -> bool:
        """See `Spending.reserve`."""
        values = {"attempt": attempt, "usd": usd, "steady_usd": steady_usd, "endpoint": endpoint, "and_open": True}
        with self.transaction():
            ((is_added, is_former),) = self._run(RESERVE, now, **values)
            if is_former:  # its intent failed, or the answer to this was lost: what it held is free again
                self.charge(attempt, 0.0)
                ((is_added, _),) = self._run(RESERVE, now, **values)
            return bool(is_added)

    def charge(self, attempt: str, usd: float, *, in_vain: bool = False) -> None:
        """See `Spending.charge`."""
        with self.transaction():
            self._run(_CHARGE, attempt=attempt, usd=usd, in_vain=in_vain)

    def reopen(self, attempt: str) -> None:
        """See `Spending.reopen`."""
        with self.transaction():
            self._run(_REOPEN, attempt=attempt)

    def open_attempts(self) -> list[str]:
        """See `Spending.open_attempts`."""
        rows = self._run("SELECT attempt FROM {spending} WHERE owner = %(owner)s AND is_open")
        return [attempt for (attempt,) in rows]

    def keep(self, attempt: str) -> None:
        """See `Spending.keep`."""
        with self.transaction():
            for (usd,) in self._run(
                "SELECT usd FROM {spending} WHERE owner = %(owner)s AND attempt = %(attempt)s", attempt=attempt
            ):
                self.charge(attempt, usd, in_vain=True)

    def _prove(self, now: float) -> None:
        make_tables(self._connection, self._database.address.schema)
        with self.transaction():
            self.reserve(_PROOF, 0.0, now, steady_usd=None, endpoint="")
            self.charge(_PROOF, 0.0)
            self._run(
                "INSERT INTO {turns} VALUES (%(attempt)s, 0) ON CONFLICT (key) DO UPDATE SET due = 0", attempt=_PROOF
            )
            self._run("DELETE FROM {turns} WHERE key = %(attempt)s", attempt=_PROOF)

    def _room(self, now: float, *, and_open: bool) -> tuple[float, bool]:
        ((left_usd, in_flight),) = self._run(f"SELECT {_LEFT}, {_IN_FLIGHT}", now, and_open=and_open)
        return float("inf") if left_usd is None else left_usd, in_flight

    def _run(self, script: str, now: float = 0.0, **values: object) -> list[tuple[Any, ...]]:
        today, (first, end) = day_of(now), days_of_month(now)
        instants = {"now": now, "since": now - self._attempt_s, "today": today, "first": first, "end": end}
        return self._connection.run(script.format(**self._tables), **self._limits, **instants, **values)
