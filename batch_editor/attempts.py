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

from batch_editor.budget import TOLERANCE_USD, Budget, charged
from batch_editor.client import Client, UploadRefused
from batch_editor.endpoints import Endpoint
from batch_editor.errors import MachineError
from batch_editor.ledger import AcceptedAttempt, Ledger, LedgerWriter, PendingRequest, Placement
from batch_editor.limits import GateClosed, RateGate, Ticket
from batch_editor.pool import Later
from batch_editor.publishing import keep, put
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
    """An attempt that the ledger knows of; `token` is its name in the ledger that runs share."""

    attempt_id: int
    token: str


@dataclass(frozen=True, slots=True)
class Task:
    """A request on its way, with what it has been through in this run.

    `accepted` is there where an attempt of a run before is to be collected, and none to be made.
    """

    request: PendingRequest
    tally: Tally
    accepted: AcceptedAttempt | None = None

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

    def collecting(self, task: Task, attempt_id: int) -> None:
        """The result of an accepted request is asked for."""

    def succeeded(self, task: Task, answer: Answer, jobs: int) -> None:
        """An attempt gave its image, for that many jobs."""

    def failed(self, task: Task, failure: Failure, answer: Answer | None, status: str, delay_s: float) -> None:
        """An attempt, or an upload for it, gave none; the request's status is now `status`."""

    def stopped(self, failure: Failure) -> None:
        """A failure that ends the run."""

    def broken(self, error: MachineError) -> None:
        """The disk or a ledger is in the way of an attempt, and so of the run."""


class Attempts:
    """Makes attempts; `work` is what the pool's workers do.

    The order holds the money: slot (the pool's) → upload → budget → gate → intent, durable → send → image whole,
    fsynced → received, durable → under its name → succeeded. What v2 accepts is durable before it is polled.
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
            if task.accepted is not None:
                await self._collect(task, task.accepted)
                return None
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
            landing = self._store.landing(intent.attempt_id)
            try:
                answer = await self._client.edit(
                    endpoint,
                    body,
                    landing,
                    accepted=lambda request_id: self._accepted(intent, request_id),
                )
            finally:
                await landing.discard()
            charged_usd = charged(answer, reserved_usd)
            self.prices.learn(request, answer)
            if isinstance(answer.outcome, SavedImage):
                await self._publish(task, intent, answer, answer.outcome, charged_usd)
                return None
            return await self._failed(task, intent, ticket, answer, answer.outcome, charged_usd)
        except GateClosed:
            return None
        finally:
            self._budget.settle(reserved_usd, charged_usd)
            self._settled.set()

    async def _accepted(self, intent: Intent, request_id: str) -> None:
        try:
            await self._writer.do(self._ledger.accepted, intent.attempt_id, request_id)
        except MachineError as error:
            # Polled all the same: the image may still land, and is kept for `recover`; the id would be lost.
            self._watcher.broken(error)

    async def _collect(self, task: Task, accepted: AcceptedAttempt) -> None:
        """Go on with an attempt of a run before: no budget and no gate, for it has passed both."""
        intent = Intent(accepted.attempt_id, f"{accepted.run_id}:{task.request.fingerprint}:{accepted.number}")
        self._watcher.collecting(task, intent.attempt_id)
        charged_usd = accepted.charged_usd
        if accepted.counted_usd:
            self._budget.reopen(accepted.counted_usd)
        try:
            landing = self._store.landing(intent.attempt_id)
            try:
                answer = await self._client.collect(accepted.request_id, landing)
            finally:
                await landing.discard()
            charged_usd = charged(answer, accepted.charged_usd)
            if isinstance(answer.outcome, SavedImage):
                await self._publish(task, intent, answer, answer.outcome, charged_usd)
            else:
                await self._failed(task, intent, None, answer, answer.outcome, charged_usd)
        finally:
            if accepted.counted_usd:
                self._budget.settle(accepted.counted_usd, charged_usd)
            self._settled.set()

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
        token = f"{self._run_id}:{request.fingerprint}:{self._ledger.number_of(request.fingerprint)}"
        if self._spending is not None and not self._spending.reserve(token, reserved_usd, now, steady_usd=steady_usd):
            return None
        attempt_id = self._ledger.intend(request.fingerprint, self._run_id, now=now, reserved_usd=reserved_usd)
        return Intent(attempt_id, token)

    def _withdraw(self, intent: Intent) -> None:
        self._settle(intent, 0.0)
        self._ledger.withdraw(intent.attempt_id)

    def _settle(self, intent: Intent, charged_usd: float) -> None:
        if self._spending is not None:
            self._spending.settle(intent.token, charged_usd)

    async def _publish(self, task: Task, intent: Intent, answer: Answer, image: SavedImage, charged_usd: float) -> None:
        fingerprint, attempt_id = task.request.fingerprint, intent.attempt_id

        def received() -> list[Placement]:
            self._settle(intent, charged_usd)
            self._ledger.received(attempt_id, image, answer, now=self._clock(), charged_usd=charged_usd)
            return self._ledger.jobs_of(fingerprint)

        placements = await self._writer.do(received)

        seal = (image.sha256, image.format)

        def place() -> list[tuple[Placement, str]]:
            return [(each, put(self._store, each, Path(image.path), seal)) for each in placements]

        placed = await self._on_disk(place)
        kept = None if placed else await self._on_disk(lambda: keep(self._store, fingerprint, Path(image.path), seal))

        def succeeded() -> None:
            for placement, path in placed:
                self._ledger.placed(placement, path)
            self._ledger.succeeded(attempt_id, kept or placed[0][1])

        await self._writer.do(succeeded)
        await self._on_disk(lambda: self._store.forget(attempt_id))
        self._watcher.succeeded(task, answer, len(placed))

    async def _failed(
        self, task: Task, intent: Intent, ticket: Ticket | None, answer: Answer, failure: Failure, charged_usd: float
    ) -> Later[Task] | None:
        if answer.collectable:
            await self._uncollected(task, intent, answer, failure)
            return None
        if failure.reach == "pace" and ticket is not None:
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
        await self._writer.do(failed)
        return self._next(task, tally, verdict, failure, answer)

    async def _uncollected(self, task: Task, intent: Intent, answer: Answer, failure: Failure) -> None:
        """Leave an accepted attempt to the next run, at the price that was set aside for it."""
        if failure.reach == "run":
            self._watcher.stopped(failure)
        await self._writer.do(lambda: self._ledger.uncollected(intent.attempt_id, failure, now=self._clock()))
        self._watcher.failed(task, failure, answer, "pending", 0.0)

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
