"""The budget of days and months on a thread of its own: waiting for its lock holds up the sending, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from batch_editor.ledger import Ledger
from batch_editor.money.spending import AttemptToken, Spending
from batch_editor.threads import GroupThread

T = TypeVar("T")
_Item: TypeAlias = "Callable[[], Any] | _Charge | _Look"


@dataclass(frozen=True, slots=True)
class _Charge:
    """What an attempt was charged, still to be written."""

    attempt: str
    usd: float
    in_vain: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """Whether there is room, asked at an instant."""

    now: float


class SharedBudget:
    """A run's share in what runs share of spending. Belongs to the running loop; methods are those of `Spending`.

    What queues up while the file is locked shares one transaction. A charge is not waited for, and made again with
    the next transaction where the file could not be written; what is never made leaves the attempt counted at what was
    reserved for it, until the next run of the output directory charges it.
    """

    def __init__(self, spending: Spending) -> None:
        self._spending = spending
        self._uncharged: dict[str, _Charge] = {}
        self._thread: GroupThread[_Item, Any] = GroupThread(self._commit, name="budget")

    async def exhausted(self, usd: float, now: float) -> bool:
        """See `Spending.exhausted`."""
        return await self._do(self._spending.exhausted, usd, now)

    async def approved_usd(self) -> float:
        """See `Spending.approved_usd`."""
        return await self._do(self._spending.approved_usd)

    async def room(self, now: float) -> tuple[float, bool]:
        """See `Spending.room`. Those who ask at the same time, as all do at the end of a budget, share a look."""
        return cast("tuple[float, bool]", await self._thread.do(_Look(now)))

    async def reserve(self, attempt: str, usd: float, now: float, *, steady_usd: float | None, endpoint: str) -> bool:
        """See `Spending.reserve`: durable when it returns."""
        reserve = partial(self._spending.reserve, attempt, usd, now, steady_usd=steady_usd, endpoint=endpoint)
        return await self._do(reserve)

    def charge(self, attempt: str, usd: float, *, in_vain: bool = False) -> None:
        """See `Spending.charge`; made before whatever is asked for later."""
        self._thread.leave(_Charge(attempt, usd, in_vain))

    def close(self) -> None:
        """Do what is queued, if nobody holds what is shared for long, then end the thread. Blocks."""
        self._spending.hurry()
        self._thread.leave(lambda: None)  # with which what could not be charged before is charged
        self._thread.close()

    async def _do(self, operation: Callable[..., T], *values: Any) -> T:
        return cast("T", await self._thread.do(partial(operation, *values)))

    def _commit(self, items: Sequence[_Item]) -> list[Any]:
        self._uncharged.update((item.attempt, item) for item in items if isinstance(item, _Charge))
        results = self._spending.patiently(lambda: self._together(items))
        self._uncharged.clear()
        return results

    def _together(self, items: Sequence[_Item]) -> list[Any]:
        if not self._uncharged and all(isinstance(item, _Look) for item in items):
            return self._done(items)  # who only looks keeps nobody from writing
        with self._spending.transaction():
            for charge in self._uncharged.values():
                self._spending.charge(charge.attempt, charge.usd, in_vain=charge.in_vain)
            return self._done(items)

    def _done(self, items: Sequence[_Item]) -> list[Any]:
        room: tuple[float, bool] | None = None
        results: list[Any] = []
        for item in items:
            if isinstance(item, _Look):
                room = room or self._spending.room(item.now)
                results.append(room)
            else:
                results.append(None if isinstance(item, _Charge) else item())
        return results


def charge_left_open(spending: Spending, ledger: Ledger) -> None:
    """Turn reservations of a run that died into what the ledger knows of them. Blocks, also while `spending` is away.

    It knows of every attempt that left. So one that it knows not was not made, unless the ledger is another one.
    """
    spending.patiently(lambda: _charge_left_open(spending, ledger))


def _charge_left_open(spending: Spending, ledger: Ledger) -> None:
    for attempt in spending.open_attempts():
        token = AttemptToken.parse(attempt)
        if ledger.runs.knows(token.run_id):
            usd, in_vain = ledger.attempts.charged_of(token.fingerprint, token.number) or (0.0, False)
            spending.charge(attempt, usd, in_vain=in_vain)
        else:
            spending.keep(attempt)
