"""What runs share of spending: what a day, a month and an approved plan may cost, over output directories.

Kept in a file (`SpendingFile`), which the processes of one machine share, or in a database (`SpendingDatabase`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

DAY_S = 86400


class AttemptToken(NamedTuple):
    """What an attempt is called in what runs share.

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


class SharedDay(NamedTuple):
    """What runs that share their spending sent to an endpoint on a day; in USD as it counts against their limits.

    day: of UTC, since 1970. endpoint: None where an earlier version didn't record it. confirmed_usd: of attempts that
    gave a picture; possibly_usd: an upper bound of what was charged in vain, for possibly_billed attempts, of which
    `unrecorded` are of an earlier version, which didn't record whether they gave one. open_usd: what is set aside for
    attempts that are `open`, without an outcome yet.
    """

    day: int
    endpoint: str | None
    attempts: int
    confirmed_usd: float
    possibly_billed: int
    possibly_usd: float
    open: int
    open_usd: float
    unrecorded: int


@dataclass(frozen=True, slots=True)
class ApprovedAmount:
    """What somebody has approved, to be spent once, over all runs that are made with that approval."""

    approval_id: str
    usd: float


class Spending(Protocol):
    """A shared record of spending: one row an attempt, at its max price until its charge is known. Blocks.

    Days and months are those of UTC: a limit must not change its meaning twice a year. A row has an owner, the output
    directory, whose lock is held by whoever writes its rows. What would pass a limit is refused within the very
    transaction that reserves, so processes at work at the same time never pass it together.

    Raises, in all that follows:
        LedgerError: it can't be used.
    """

    @property
    def shared_over_machines(self) -> bool:
        """Whether processes of other machines share it too."""

    def patiently(self, work: Callable[[], T]) -> T:
        """The result of work with it, all of which is done again while it is away, as far as that can pass."""

    def hurry(self) -> None:
        """From now on, wait for others no longer than last charges are worth; also where a thread waits already."""

    def close(self) -> None:
        """Close it."""

    def transaction(self) -> AbstractContextManager[None]:
        """All of the block or nothing of it, durable at its end; within another one a part of that."""

    def left_usd(self, now: float) -> float:
        """What may still be reserved today, this month, and of the approved amount: the least of them."""

    def exhausted(self, usd: float, now: float) -> bool:
        """Whether `usd` will not fit, even if nothing that is open were charged."""

    def approved_usd(self) -> float:
        """What is reserved or charged with the approval, by whichever owner; 0.0 without one."""

    def room(self, now: float) -> tuple[float, bool]:
        """What may still be reserved, and whether attempts are in flight, of whichever run, that may yet make room."""

    def reserve(self, attempt: str, usd: float, now: float, *, steady_usd: float | None, endpoint: str) -> bool:
        """Set the price of an attempt at an endpoint aside, durably; False if a limit would be passed.

        As `Budget.reserve`: an attempt that was charged `steady_usd` every time takes all that is left where nothing
        else is in flight, so that a day is used up to its end. What was set aside for it before is no more.
        """

    def charge(self, attempt: str, usd: float, *, in_vain: bool = False) -> None:
        """Turn a reservation into what was charged; nothing is left of one that cost nothing.

        `in_vain`: it may have been charged without giving a picture, and `usd` is an upper bound.
        """

    def reopen(self, attempt: str) -> None:
        """Call the charge of an attempt unknown again, until it is charged anew: by the next run, if not before."""

    def open_attempts(self) -> list[str]:
        """Reservations that a run of this output directory left behind when it died."""

    def keep(self, attempt: str) -> None:
        """Leave what was reserved for an attempt as its price: nobody knows its fate any more."""


def day_of(now: float) -> int:
    """The day of an instant: of UTC, since 1970.

    >>> day_of(datetime(2026, 11, 27, 23, 59, tzinfo=UTC).timestamp()) - day_of(0)
    20784
    """
    return int(now // DAY_S)


def days_of_month(now: float) -> tuple[int, int]:
    """The first day of the month that an instant is in, and that of the next one.

    >>> first, next_one = days_of_month(datetime(2026, 2, 27, tzinfo=UTC).timestamp())
    >>> next_one - first
    28
    """
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return day_of(first.timestamp()), day_of((first + timedelta(days=32)).replace(day=1).timestamp())
