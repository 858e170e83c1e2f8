"""One request through budget, gate, ledger and client to its image or its last word."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from batch_editor.acceptance import Acceptance
from batch_editor.budget import TOLERANCE_USD, Budget
from batch_editor.client import Client, UploadRefused
from batch_editor.endpoints import Endpoint
from batch_editor.errors import MachineError
from batch_editor.ledger import Ledger, LedgerWriter, PendingRequest, Placement
from batch_editor.limits import GateClosed, RateGate, Ticket
from batch_editor.pool import Later
from batch_editor.publishing import put, set_aside
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.retry import Again, Policy, Tally, decide
from batch_editor.spending import Spending
from batch_editor.steady_prices import SteadyPrices
from batch_editor.storage import Store
from batch_editor.uploads import Uploads

# Other processes make room in the day's and the month's budget without a word, so it is looked at this often.
ROOM_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Intent:
    """A request's attempt of that number, known to the ledger; `token` is its name in the ledger that runs share."""

    attempt_id: int
    number: int
    token: str


@dataclass(frozen=True, slots=True)
class Task:
    """A request on its way, with what it has been through in this run."""

    request: PendingRequest
    tally: Tally

    @classmethod
    def of(cls, request: PendingRequest) -> Task:
        """A fresh one."""
        return cls(request, Tally(possibly_billed=request.billed))


class Watcher(Protocol):
    """Who is told what happens to attempts: progress, limits on failures and time, the log."""

    def may_start(self) -> bool:
        """Whether a request may leave now; called when it is next."""

    def started(self, task: Task, attempt_id: int) -> None:
        """A request left."""

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """An attempt gave its image, for that many jobs; `warning` says what is other than asked."""

    def failed(self, task: Task, failure: Failure, answer: Answer | None, status: str, delay_s: float) -> None:
        """An attempt, or an upload for it, gave none; the request's status is now `status`."""

    def stopped(self, failure: Failure) -> None:
        """A failure that ends the run."""

    def broken(self, error: MachineError) -> None:
        """The disk or a ledger is in the way of an attempt, and so of the run."""


class Attempts:
    """Makes attempts; `work` is what the pool's workers do.

    The order holds the money: slot (the pool's) → upload → budget → gate → intent, durable → send → image whole,
    fsynced → received, durable → checked → under its name → succeeded. What the check rejects goes from there among
    the rejected → failed. A body that is no image is fsynced → among the rejected → failed. So a crash at any instant
    leaves what was paid for where `recover` finds it; it checks again what was received, and doesn't send it again.
    """

    def __init__(
        self,
        *,
        run_id: str,
        endpoints: Mapping[str, Endpoint],
        client: Client,
        uploads: Uploads,
        gate: RateGate,
        budget: Budget,
        spending: Spending | None,
        ledger: Ledger,
        writer: LedgerWriter,
        store: Store,
        acceptance: Acceptance,
        policy: Policy,
        prices: SteadyPrices,
        watcher: Watcher,
        rng: random.Random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._run_id = run_id
        self._endpoints = endpoints
        self._client = client
        self._gate = gate
        self._budget = budget
        self._spending = spending
        self._ledger = ledger
        self._writer = writer
        self._store = store
        self._acceptance = acceptance
        self._policy = policy
        self._watcher = watcher
        self._rng = rng
        self._clock = clock
        self._uploads = uploads
        self._settled = asyncio.Event()
        self.prices = prices
        self.too_dear = 0

    async def work(self, task: Task) -> Later[Task] | None:
        """Make one attempt; return the task if it is to be made again.

        An attempt that the machine gets in the way of stays open in the ledger, with its image where it has landed,
        for `recover` to settle. Raised from here, it would cancel the others in flight, which are paid for as well.
        """
        try:
            return await self._attempt(task)
        except MachineError as error:
            self._watcher.broken(error)
            return None

    async def _attempt(self, task: Task) -> Later[Task] | None:
        request = task.request
        endpoint = self._endpoints[request.endpoint]
        try:
            body = await self._uploads.body(request, endpoint)
        except UploadRefused as refused:
            return await self._not_sent(task, refused.failure)
        dearest_usd, steady_usd = self.prices.both_usd(request)
        reserved_usd = await self._budget.reserve(
            dearest_usd, steady_usd=steady_usd, again=lambda: self.prices.both_usd(request)
        )
        if reserved_usd is None:
            self.too_dear += 1
            return None
        charged_usd = 0.0
        try:
            if not await self._shared_room(request, reserved_usd):
                return None
            ticket = await self._gate.ticket()
            if not self._watcher.may_start():
                return None
            intent = await self._writer.do(self._intend, request, reserved_usd, self.prices.steady_usd(request))
            if intent is None:
                return Later(task, 0.0)
            if self._gate.pause_left_s():  # it began meanwhile: an intent that lasts would look sent after a crash
                await self._writer.do(self._withdraw, intent)
                return Later(task, 0.0)
            try:
                await self._gate.depart()
            except GateClosed:
                await self._writer.do(self._withdraw, intent)
                raise
            charged_usd = reserved_usd
            self._watcher.started(task, intent.attempt_id)
            answer = await self._send(intent, endpoint, body)
            charged_usd = _charged(answer, reserved_usd)
            self.prices.learn(request, answer)
            if isinstance(answer.outcome, SavedImage):
                return await self._publish(task, intent, ticket, answer, answer.outcome, charged_usd)
            return await self._failed(task, intent, ticket, answer, answer.outcome, charged_usd)
        except GateClosed:
            return None
        finally:
            self._budget.settle(reserved_usd, charged_usd)
            self._settled.set()

    async def _send(self, intent: Intent, endpoint: Endpoint, body: Mapping[str, Any]) -> Answer:
        """The provider's answer; its body, if it was paid for, is durable in the landing folder."""
        landing = self._store.landing(intent.attempt_id)
        try:
            answer = await self._client.edit(endpoint, body, landing)
            if isinstance(answer.outcome, Failure) and answer.http_status == 200 and landing.size_bytes:
                await landing.keep()
        finally:
            await landing.discard()
        return answer

    async def _shared_room(self, request: PendingRequest, reserved_usd: float) -> bool:
        """Wait until the day and the month may have room; before the gate, for a permit is worth a second.

        False if the request is too dear for what is left, or if the run stops. What is in flight, here or in another
        run, is waited for: it may cost less than was set aside for it.
        """
        if self._spending is None:
            return True
        while not self._budget.closed:
            self._settled.clear()
            left_usd, in_flight = await self._writer.do(self._spending.room, self._clock())
            steady_usd = self.prices.steady_usd(request)
            needed_usd = reserved_usd if in_flight or steady_usd is None else min(reserved_usd, steady_usd)
            if needed_usd <= left_usd + TOLERANCE_USD:
                return True
            if not in_flight:
                self.too_dear += 1
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(ROOM_AGAIN_S):
                    await self._settled.wait()
        return False

    # The shared ledger goes first where money is set aside and where it is settled: a crash in between leaves a
    # reservation without an attempt, which the next run takes back, and never an attempt without a reservation.

    def _intend(self, request: PendingRequest, reserved_usd: float, steady_usd: float | None) -> Intent | None:
        now = self._clock()
        # With the run's name: when somebody deletes a ledger, its numbers begin again, and what was spent stays spent.
        number = self._ledger.number_of(request.fingerprint)
        token = f"{self._run_id}:{request.fingerprint}:{number}"
        if self._spending is not None and not self._spending.reserve(token, reserved_usd, now, steady_usd=steady_usd):
            return None
        attempt_id = self._ledger.intend(request.fingerprint, self._run_id, now=now, reserved_usd=reserved_usd)
        return Intent(attempt_id, number, token)

    def _withdraw(self, intent: Intent) -> None:
        self._settle(intent, 0.0)
        self._ledger.withdraw(intent.attempt_id)

    def _settle(self, intent: Intent, charged_usd: float) -> None:
        if self._spending is not None:
            self._spending.settle(intent.token, charged_usd)

    async def _publish(
        self, task: Task, intent: Intent, ticket: Ticket, answer: Answer, image: SavedImage, charged_usd: float
    ) -> Later[Task] | None:
        request, fingerprint, attempt_id = task.request, task.request.fingerprint, intent.attempt_id

        def received() -> list[Placement]:
            self._settle(intent, charged_usd)
            self._ledger.received(attempt_id, image, answer, now=self._clock(), charged_usd=charged_usd)
            return self._ledger.jobs_of(fingerprint)

        placements = await self._writer.do(received)
        verdict = await self._acceptance.verdict(request.endpoint, request.params, request.files, image)
        if verdict.rejected is not None:
            return await self._failed(task, intent, ticket, answer, verdict.rejected, charged_usd)

        def place() -> list[tuple[Placement, str]]:
            seal = (image.sha256, image.format)
            return [(each, put(self._store, each, Path(image.path), seal)) for each in placements]

        placed = await self._on_disk(place)

        def succeeded() -> None:
            for placement, path in placed:
                self._ledger.placed(placement, path)
            self._ledger.succeeded(attempt_id, placed[0][1])

        await self._writer.do(succeeded)
        await self._on_disk(lambda: self._store.forget(attempt_id))
        self._watcher.succeeded(task, answer, len(placed), verdict.warning)
        return None

    async def _failed(
        self, task: Task, intent: Intent, ticket: Ticket, answer: Answer, failure: Failure, charged_usd: float
    ) -> Later[Task] | None:
        if failure.reach == "pace":
            self._gate.refused(ticket, failure.retry_after_s)
        tally = task.tally.after(failure)
        verdict = decide(failure, tally, self._policy, self._rng)
        state = "pending" if isinstance(verdict, Again) else verdict.status

        def failed() -> None:
            self._settle(intent, charged_usd)
            self._ledger.failed(
                intent.attempt_id, failure, answer, state=state, now=self._clock(), charged_usd=charged_usd
            )

        if failure.reach == "run":
            self._watcher.stopped(failure)
        if answer.http_status == 200:
            await self._set_aside(task.request.fingerprint, intent)
        await self._writer.do(failed)
        if answer.http_status == 200:
            await self._on_disk(lambda: self._store.forget(intent.attempt_id))
        return self._next(task, tally, verdict, failure, answer)

    async def _set_aside(self, fingerprint: str, intent: Intent) -> None:
        """Put what an attempt has received, if anything, among the rejected: it was paid for."""
        placements = await self._writer.do(self._ledger.jobs_of, fingerprint)
        await self._on_disk(lambda: set_aside(self._store, placements, intent.attempt_id, fingerprint, intent.number))

    async def _not_sent(self, task: Task, failure: Failure) -> Later[Task] | None:
        tally = task.tally.after(failure)
        verdict = decide(failure, tally, self._policy, self._rng)
        if failure.reach == "run":
            self._watcher.stopped(failure)
        if not isinstance(verdict, Again):

            def settle() -> None:
                self._ledger.settle_unsent(task.request.fingerprint, failure, now=self._clock())

            await self._writer.do(settle)
        return self._next(task, tally, verdict, failure, None)

    def _next(
        self, task: Task, tally: Tally, verdict: Any, failure: Failure, answer: Answer | None
    ) -> Later[Task] | None:
        again = isinstance(verdict, Again)
        delay_s = verdict.delay_s if again else 0.0
        self._watcher.failed(task, failure, answer, "pending" if again else verdict.status, delay_s)
        return Later(Task(task.request, tally), delay_s) if again else None

    def _on_disk(self, work: Callable[[], Any]) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self._store.executor, work)


def _charged(answer: Answer, reserved_usd: float) -> float:
    """What an attempt counts for in the budget: what was set aside for it, unless the provider says what it charged.

    An estimate would do for a report, but not for a limit: a provider that charges more without a word would pass it.
    """
    outcome = answer.outcome
    if answer.cost_usd is not None:
        return answer.cost_usd
    if isinstance(outcome, Failure) and not outcome.maybe_billed:
        return 0.0
    return reserved_usd
