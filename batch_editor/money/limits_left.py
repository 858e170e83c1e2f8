"""What is left of the limits of the day and the month, for those who only look: nothing is made or changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from batch_editor.config import Settings
from batch_editor.errors import LedgerError, UsageError
from batch_editor.money.database_readings import days_in_database_usd, reading_database
from batch_editor.money.spending import day_of, days_of_month
from batch_editor.money.spending_readings import days_spent_usd
from batch_editor.postgres import DatabaseAddress


class PeriodLimit(NamedTuple):
    """A limit and what has been spent of it, reservations included; None where that wasn't looked at."""

    name: str
    limit_usd: float
    spent_usd: float | None

    @property
    def left_usd(self) -> float | None:
        """What is left of it, 0 at least."""
        return None if self.spent_usd is None else max(self.limit_usd - self.spent_usd, 0.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the day and the month (of UTC), and where they are kept."""

    ledger: str
    periods: Sequence[PeriodLimit]

    @property
    def left_usd(self) -> float | None:
        """The least that is left of them; None where that isn't known."""
        return min((left for each in self.periods if (left := each.left_usd) is not None), default=None)


def limits_left(settings: Settings, *, now: float) -> Limits | None:
    """What is left of `budget.per_day_usd` and `budget.per_month_usd`; None where neither is set. Blocks.

    Of a database that can't be asked it isn't known: who looks needs no access to it.

    Raises:
        LedgerError: the file can't be read.
    """
    budget = settings.budget
    limits = {"today": budget.per_day_usd, "this month": budget.per_month_usd}
    if budget.ledger is None or all(limit is None for limit in limits.values()):
        return None
    days = {"today": (day_of(now), day_of(now) + 1), "this month": days_of_month(now)}
    wanted = {name: days[name] for name, limit in limits.items() if limit is not None}
    if isinstance(budget.ledger, Path):
        file = budget.ledger
        spent: Mapping[str, float | None] = {name: days_spent_usd(file, *each) for name, each in wanted.items()}
    else:
        spent = _asked(budget.ledger, wanted)
    return Limits(
        str(budget.ledger),
        [PeriodLimit(name, limit, spent[name]) for name, limit in limits.items() if limit is not None],
    )


def _asked(address: DatabaseAddress, days: Mapping[str, tuple[int, int]]) -> Mapping[str, float | None]:
    try:
        with reading_database(address) as connection:
            connection.hurry()
            return {name: days_in_database_usd(connection, address.schema, *each) for name, each in days.items()}
    except (LedgerError, UsageError):
        return dict.fromkeys(days)
