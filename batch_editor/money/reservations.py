"""What an attempt may cost is set aside before it leaves, and released once it is known what it did cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from batch_editor.ledger import LedgerWriter, PendingRequest, SubmittedAttempt
from batch_editor.money.budget import TOLERANCE_USD, Budget
from batch_editor.money.shared_budget import SharedBudget
from batch_editor.money.spending import AttemptToken
from batch_editor.money.steady_prices import SteadyPrices
from batch_editor.records import Answer, Failure

# Other processes make room in the day's and the month's budget without a word, so it is looked at this often.
ROOM_AGAIN_S = 0.5


@dataclass(slots=True)
class Reserved:
    """What is set aside for an attempt, and how much of it counts as charged so far.

    `in_budget`: whether it is set aside in this run's budget. What an earlier run submitted may belong to another one.
    """

    usd: float
    charged_usd: float = 0.0
    in_budget: bool = True

    def sent(self) -> None:
        """Count all of it as charged, until an answer says otherwise: the request leaves."""
        self.charged_usd = self.usd

    def answered(self, answer: Answer) -> None:
        """Count what the answer says was charged; all of it where it doesn't say, unless surely nothing was.

        An estimate would do for a report, but not for a limit: a provider that charges more without a word would pass
        it.
        """
        if answer.cost_usd is not None:
            self.charged_usd = answer.cost_usd
        elif isinstance(answer.outcome, Failure) and not answer.outcome.maybe_billed:
            self.charged_usd = 0.0
        else:
            self.charged_usd = self.usd


@dataclass(frozen=True, slots=True)
class Intent:
    """A request's attempt of that number, known to the ledger. `token`: its `AttemptToken`, where runs share a file."""

    attempt_id: int
    number: int
    token: str


class Reservations:
    """Sets money aside for attempts: in the run's budget, in the one of days and months, and in the ledger.

    The shared budget goes first where money is set aside, and last where it is charged. So a crash in between leaves a
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
        writer: LedgerWriter,
        prices: SteadyPrices,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._run_id = run_id
        self._budget = budget
        self._shared = shared
        self._ledger = writer.ledger
        self._writer = writer
        self._prices = prices
        self._clock = clock
        self._released = asyncio.Event()
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
            self._released.clear()
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
                    await self._released.wait()
        return False

    async def intend(self, request: PendingRequest, reserved: Reserved) -> Intent | None:
        """Make the attempt known, durably, at the price set aside; None if the day or the month has no room by now."""
        token = ""
        if self._shared is not None:
            number = await self._writer.do(self._ledger.requests.number_of, request.fingerprint)
            token = str(AttemptToken(self._run_id, request.fingerprint, number))
            steady_usd = self._prices.steady_usd(request)
            if not await self._shared.reserve(
                *(token, reserved.usd, self._clock()), steady_usd=steady_usd, endpoint=request.endpoint
            ):
                return None
        attempt_id, number = await self._writer.do(
            lambda: self._ledger.attempts.intend(
                *(request.fingerprint, self._run_id),
                now=self._clock(),
                reserved_usd=reserved.usd,
                is_redo=request.is_redo,
            )
        )
        return Intent(attempt_id, number, token)

    async def withdraw(self, intent: Intent) -> None:
        """Take an attempt back that did not leave after all."""
        await self._writer.do(self._ledger.attempts.withdraw, intent.attempt_id)
        self.charge(intent, 0.0)

    def charge(self, intent: Intent, usd: float, *, in_vain: bool = False) -> None:
        """Charge what an attempt cost to the day and the month, once its row says so. Not waited for."""
        if self._shared is not None:
            self._shared.charge(intent.token, usd, in_vain=in_vain)

    def learn(self, request: PendingRequest, answer: Answer) -> None:
        """Take in what an answer says of the price of its kind."""
        self._prices.learn(request, answer)

    def release(self, reserved: Reserved) -> None:
        """Give back what an attempt was not charged."""
        if reserved.in_budget:
            self._budget.release(reserved.usd, reserved.charged_usd)
        self._released.set()

    def reopen(self, submitted: SubmittedAttempt) -> tuple[Intent, Reserved]:
        """Set aside again what an attempt of an earlier run counts for, in this run's budget if it counts there."""
        token = AttemptToken(submitted.run_id, submitted.request.fingerprint, submitted.number)
        intent = Intent(submitted.attempt_id, submitted.number, str(token))
        if submitted.counted_usd:
            self._budget.reopen(submitted.counted_usd)
        usd = submitted.charged_usd
        return intent, Reserved(usd, charged_usd=usd, in_budget=bool(submitted.counted_usd))
