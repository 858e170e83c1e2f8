"""What an attempt may cost is set aside before it leaves, and settled by what it did cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from batch_editor.ledger import Ledger, LedgerWriter, PendingRequest, SubmittedAttempt
from batch_editor.money.budget import TOLERANCE_USD, Budget, charged
from batch_editor.money.shared_budget import SharedBudget
from batch_editor.money.steady_prices import SteadyPrices
from batch_editor.records import Answer

# Other processes make room in the day's and the month's budget without a word, so it is looked at this often.
ROOM_AGAIN_S = 0.5


@dataclass(slots=True)
class Reserved:
    """What is set aside in the budget for an attempt, and how much of it counts as charged so far."""

    usd: float
    charged_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Intent:
    """A request's attempt of that number, known to the ledger; `token` is its name in the ledger that runs share, if
    there is one."""

    attempt_id: int
    number: int
    token: str


class Reservations:
    """Sets money aside for attempts: in the run's budget, in the one of days and months, and in the ledger.

    The shared budget goes first where money is set aside, and last where it is settled. So a crash in between leaves a
    reservation without an attempt, or one that is higher than the charge, which the next run takes back; and never an
    attempt without a reservation. It has a thread and transactions of its own: a process elsewhere that hangs while it
    holds that file must not keep this one from recording what it has paid for.

    Parameters:
        shared: the day's and the month's, which other runs share; None if nothing limits them.
        prices: what requests of a kind were charged; it learns from every answer.
    """

    def __init__(
        self,
        run_id: str,
        *,
        budget: Budget,
        shared: SharedBudget | None,
        ledger: Ledger,
        writer: LedgerWriter,
        prices: SteadyPrices,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._run_id = run_id
        self._budget = budget
        self._shared = shared
        self._ledger = ledger
        self._writer = writer
        self._prices = prices
        self._clock = clock
        self._settled = asyncio.Event()
        # How many requests were turned away because no budget has room for their max price.
        self.turned_away = 0

    async def reserve(self, request: PendingRequest) -> Reserved | None:
        """Wait for room in the run's budget; None if there will be none."""
        max_usd, steady_usd = self._prices.both_usd(request)
        usd = await self._budget.reserve(max_usd, steady_usd=steady_usd, again=lambda: self._prices.both_usd(request))
        if usd is None:
            self.turned_away += 1
            return None
        return Reserved(usd)

    async def shared_room(self, request: PendingRequest, reserved: Reserved) -> bool:
        """Wait until the day and the month may have room; before the permit, which is worth a second.

        False if the request is too expensive for what is left, or if the run stops. What is in flight, here or in
        another run, is waited for: it may cost less than was set aside for it.
        """
        if self._shared is None:
            return True
        while not self._budget.closed:
            self._settled.clear()
            left_usd, in_flight = await self._shared.room(self._clock())
            steady_usd = self._prices.steady_usd(request)
            needed_usd = reserved.usd if in_flight or steady_usd is None else min(reserved.usd, steady_usd)
            if needed_usd <= left_usd + TOLERANCE_USD:
                return True
            if not in_flight:
                self.turned_away += 1
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(ROOM_AGAIN_S):
                    await self._settled.wait()
        return False

    async def intend(self, request: PendingRequest, reserved: Reserved) -> Intent | None:
        """Make the attempt known, durably, at the price set aside; None if the day or the month has no room by now."""
        token = ""
        if self._shared is not None:
            # With the run's name: when somebody deletes a ledger, its numbers begin again, and what was spent stays
            # spent.
            number = await self._writer.do(self._ledger.requests.number_of, request.fingerprint)
            token = f"{self._run_id}:{request.fingerprint}:{number}"
            steady_usd = self._prices.steady_usd(request)
            if not await self._shared.reserve(token, reserved.usd, self._clock(), steady_usd=steady_usd):
                return None
        attempt_id, number = await self._writer.do(
            lambda: self._ledger.attempts.intend(
                request.fingerprint, self._run_id, now=self._clock(), reserved_usd=reserved.usd
            )
        )
        return Intent(attempt_id, number, token)

    async def withdraw(self, intent: Intent) -> None:
        """Take an attempt back that did not leave after all."""
        await self._writer.do(self._ledger.attempts.withdraw, intent.attempt_id)
        self.charge(intent, 0.0)

    def charge(self, intent: Intent, usd: float) -> None:
        """Settle what an attempt cost with the day and the month, once its row says so. Not waited for."""
        if self._shared is not None:
            self._shared.settle(intent.token, usd)

    def learn(self, request: PendingRequest, reserved: Reserved, answer: Answer) -> None:
        """Take in what an answer says of its price."""
        reserved.charged_usd = charged(answer, reserved.usd)
        self._prices.learn(request, answer)

    def settle(self, reserved: Reserved | None) -> None:
        """Give back what an attempt was not charged; None for one that the run's budget has no part in."""
        if reserved is not None:
            self._budget.settle(reserved.usd, reserved.charged_usd)
        self._settled.set()

    def reopen(self, accepted: SubmittedAttempt) -> tuple[Intent, Reserved | None]:
        """Set aside again what an attempt of a run before counts for in this run's budget, if it does."""
        token = f"{accepted.run_id}:{accepted.request.fingerprint}:{accepted.number}"
        intent = Intent(accepted.attempt_id, accepted.number, token)
        if not accepted.counted_usd:
            return intent, None
        self._budget.reopen(accepted.counted_usd)
        return intent, Reserved(accepted.counted_usd, charged_usd=accepted.counted_usd)
