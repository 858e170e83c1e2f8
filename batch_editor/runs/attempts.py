"""One attempt: budget, rate limiter, ledger, client; then an image, a retry or a final failure."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from batch_editor.client import Client, UploadRefused
from batch_editor.endpoints import Endpoint
from batch_editor.errors import MachineError
from batch_editor.ledger import Ledger, LedgerWriter, SubmittedAttempt
from batch_editor.money import Intent, Reservations, Reserved, charged
from batch_editor.output import Acceptance, DiskRetry, StagedFile, Store, set_aside
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.runs.monitor import RunMonitor
from batch_editor.runs.publish import Publisher
from batch_editor.runs.tasks import Task
from batch_editor.runs.uploads import FileChanged, Uploads
from batch_editor.scheduling import GiveUp, LimiterClosed, Permit, Policy, RateLimiter, Requeue, Retry, Tally, decide
from batch_editor.threads import finished

T = TypeVar("T")


class Attempts:
    """Makes attempts; `work` is what the pool's workers do.

    The order holds the money: slot (the pool's) → upload → budget → permit → intent, durable → send → image whole,
    durable → received, durable → checked → under its name, durable → succeeded; `Publisher` does all after the image
    but the check. The request id of v2 is durable before it is polled. What the check rejects goes from there
    among the rejected → failed. A body that is no image is fsynced → among the rejected → failed. So a crash at any
    instant leaves what was paid for where `recover` finds it; it checks again what was received, and doesn't send it
    again.
    """

    def __init__(
        self,
        *,
        endpoints: Mapping[str, Endpoint],
        client: Client,
        uploads: Uploads,
        limiter: RateLimiter,
        reservations: Reservations,
        ledger: Ledger,
        writer: LedgerWriter,
        store: Store,
        disk_retry: DiskRetry,
        publisher: Publisher,
        acceptance: Acceptance,
        policy: Policy,
        monitor: RunMonitor,
        rng: random.Random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoints = endpoints
        self._client = client
        self._limiter = limiter
        self._reservations = reservations
        self._ledger = ledger
        self._writer = writer
        self._store = store
        self._disk_retry = disk_retry
        self._publisher = publisher
        self._acceptance = acceptance
        self._policy = policy
        self._monitor = monitor
        self._rng = rng
        self._clock = clock
        self._uploads = uploads

    async def work(self, task: Task) -> Requeue[Task] | None:
        """Make one attempt; return the task if it is to be made again.

        What this machine refuses once the request has left is repeated until the disk retry's time is up. After that
        the attempt stays open in the ledger, with its image staged, for `recover` to settle. An error that is raised
        from here would cancel the others in flight, which are paid for as well.
        """
        try:
            if task.submitted is not None:
                await self._fetch_result(task, task.submitted)
                return None
            return await self._attempt(task)
        except MachineError as error:
            await self._disk_retry.trouble(error)
            return None
        finally:
            self._monitor.ended(task)

    async def _attempt(self, task: Task) -> Requeue[Task] | None:
        request = task.request
        endpoint = self._endpoints[request.endpoint]
        try:
            body = await self._uploads.body(request, endpoint)
        except UploadRefused as refused:
            return await self._not_sent(task, refused.failure)
        except FileChanged as changed:
            await self._fail_unsent(task, changed.failure)
            self._monitor.failed(task, changed.failure, None, "failed", 0.0)
            return None
        reserved = await self._reservations.reserve(request)
        if reserved is None:
            return None
        try:
            if not await self._reservations.shared_room(request, reserved):
                return None
            permit = await self._limiter.permit()
            try:
                return await self._send(task, endpoint, body, permit, reserved)
            finally:
                self._limiter.gone(permit)
        except LimiterClosed:
            return None
        finally:
            self._reservations.settle(reserved)

    async def _send(
        self, task: Task, endpoint: Endpoint, body: Mapping[str, Any], permit: Permit, reserved: Reserved
    ) -> Requeue[Task] | None:
        request = task.request
        if not self._monitor.may_start():
            return None
        intent = await self._reservations.intend(request, reserved)
        if intent is None:
            return Requeue(task, 0.0)
        if self._limiter.pause_left_s():  # it began meanwhile: an intent that lasts would look sent after a crash
            await self._reservations.withdraw(intent)
            return Requeue(task, 0.0)
        try:
            await self._limiter.depart(permit)
        except LimiterClosed:
            await self._reservations.withdraw(intent)
            raise
        reserved.charged_usd = reserved.usd
        self._monitor.started(task, intent.attempt_id)
        answer = await self._answer(
            task,
            intent,
            lambda staged: self._client.edit(
                *(endpoint, body, staged), submitted=lambda request_id: self._submitted(intent, request_id)
            ),
        )
        self._reservations.learn(request, reserved, answer)
        self._tell_limiter(task, permit, answer)
        if isinstance(answer.outcome, SavedImage):
            return await self._publish(task, intent, answer, answer.outcome, reserved.charged_usd)
        return await self._failed(task, intent, answer, answer.outcome, reserved.charged_usd)

    async def _answer(self, task: Task, intent: Intent, ask: Callable[[StagedFile], Awaitable[Answer]]) -> Answer:
        """The provider's answer; its body, if it was paid for, is durable in the staging folder."""
        staged = self._store.staged_file(intent.attempt_id, self._disk_retry)
        try:
            answer = await ask(staged)
            failure = answer.outcome
            received = answer.http_status == 200 and staged.size_bytes
            if received and isinstance(failure, Failure) and failure.maybe_billed:
                await staged.keep(transient=failure.transient)
        except MachineError as error:
            self._monitor.unsaved(task, error)
            raise
        finally:
            await staged.discard()
        return answer

    async def _submitted(self, intent: Intent, request_id: str) -> None:
        try:
            await self._writer.do(self._ledger.attempts.submitted, intent.attempt_id, request_id)
        except MachineError as error:
            # Polled all the same: the image may still land, and is kept for `recover`; the id would be lost.
            self._monitor.broken(error)

    async def _fetch_result(self, task: Task, submitted: SubmittedAttempt) -> None:
        """Fetch the result of an attempt that an earlier run submitted. It has passed budget and limiter already."""
        intent, reserved = self._reservations.reopen(submitted)
        asked = self._endpoints[task.request.endpoint], task.request.params
        self._monitor.fetching(task, intent.attempt_id)
        try:
            answer = await self._answer(
                task, intent, lambda staged: self._client.fetch_result(*asked, submitted.request_id, staged)
            )
            charged_usd = charged(answer, submitted.charged_usd)
            if reserved is not None:
                reserved.charged_usd = charged_usd
            if isinstance(answer.outcome, SavedImage):
                await self._publish(task, intent, answer, answer.outcome, charged_usd)
            else:
                await self._failed(task, intent, answer, answer.outcome, charged_usd)
        finally:
            self._reservations.settle(reserved)

    async def _publish(
        self, task: Task, intent: Intent, answer: Answer, image: SavedImage, charged_usd: float
    ) -> Requeue[Task] | None:
        request = task.request

        def record() -> None:
            self._ledger.attempts.received(intent.attempt_id, image, answer, now=self._clock(), charged_usd=charged_usd)

        unplaced = await self._publisher.receive(request.fingerprint, image, record)
        verdict = await self._acceptance.verdict(request.endpoint, request.params, request.files, image)
        if verdict.rejected is not None:
            return await self._failed(task, intent, answer, verdict.rejected, charged_usd)
        jobs = await self._publisher.publish(intent.attempt_id, request.fingerprint, image, unplaced)
        self._reservations.charge(intent, charged_usd)
        self._monitor.succeeded(task, answer, jobs, verdict.warning)
        return None

    async def _failed(
        self, task: Task, intent: Intent, answer: Answer, failure: Failure, charged_usd: float
    ) -> Requeue[Task] | None:
        if answer.fetchable:
            await self._not_fetched(task, intent, answer, failure)
            return None
        tally, verdict, counts = self._decide(task, failure)
        state = "pending" if isinstance(verdict, Retry) else verdict.status

        def failed() -> None:
            self._ledger.attempts.failed(
                *(intent.attempt_id, failure, answer),
                state=state,
                now=self._clock(),
                charged_usd=charged_usd,
                counts=counts,
            )

        if failure.scope == "run":
            self._monitor.stopped(failure)
        if answer.http_status == 200:
            await self._set_aside(task.request.fingerprint, intent)
        await self._record(failed)
        self._reservations.charge(intent, charged_usd)
        if answer.http_status == 200:
            await self._on_disk(lambda: self._store.forget(intent.attempt_id))
        return self._next(task, tally, verdict, failure, answer)

    async def _not_fetched(self, task: Task, intent: Intent, answer: Answer, failure: Failure) -> None:
        """Leave a submitted attempt to the next run, at the price that was set aside for it."""
        if failure.scope == "run":
            self._monitor.stopped(failure)
        await self._record(lambda: self._ledger.attempts.not_fetched(intent.attempt_id, failure, now=self._clock()))
        self._monitor.failed(task, failure, answer, "pending", 0.0)

    async def _set_aside(self, fingerprint: str, intent: Intent) -> None:
        """Put what an attempt has received, if anything, among the rejected: it was paid for."""
        placements = await self._record(lambda: self._ledger.jobs.wanting(fingerprint))
        await self._on_disk(lambda: set_aside(self._store, placements, intent.attempt_id, fingerprint, intent.number))

    async def _on_disk(self, work: Callable[[], None]) -> None:
        await self._disk_retry.persist(lambda: finished(work, executor=self._store.executor))

    async def _not_sent(self, task: Task, failure: Failure) -> Requeue[Task] | None:
        if failure.transient:
            before = self._limiter.outage
            self._limiter.unreached(task.request.fingerprint)
            self._tell_of_outage(before, failure)
        tally, verdict, _ = self._decide(task, failure)
        if failure.scope == "run":
            self._monitor.stopped(failure)
        if not isinstance(verdict, Retry):
            await self._fail_unsent(task, failure)
        return self._next(task, tally, verdict, failure, None)

    async def _fail_unsent(self, task: Task, failure: Failure) -> None:
        fingerprint = task.request.fingerprint
        await self._writer.do(lambda: self._ledger.requests.fail_unsent(fingerprint, failure, now=self._clock()))

    def _tell_limiter(self, task: Task, permit: Permit, answer: Answer) -> None:
        before, failure = self._limiter.outage, None
        if isinstance(answer.outcome, SavedImage):
            self._limiter.succeeded(permit, answer.latency_s or 0.0)
        else:
            failure = answer.outcome
            self._limiter.failed(permit, task.request.fingerprint, failure)
            if self._limiter.only_refused_s() >= self._policy.give_up_s:
                self._monitor.only_refused(failure, self._limiter.only_refused_s())
        self._tell_of_outage(before, failure)

    def _tell_of_outage(self, before: bool, failure: Failure | None) -> None:
        if failure is not None and self._limiter.hopeless():
            self._monitor.gave_up(failure, self._limiter.outage_s())
        elif before != self._limiter.outage:
            self._monitor.outage(failure if self._limiter.outage else None, self._limiter.held_s())

    def _decide(self, task: Task, failure: Failure) -> tuple[Tally, Retry | GiveUp, bool]:
        """The request's tally, what follows, and whether the failure counts: one that an outage explains doesn't."""
        if failure.transient and failure.scope == "request" and self._limiter.outage:
            return task.tally, Retry(self._limiter.held_s()), False
        tally = task.tally.after(failure)
        return tally, decide(failure, tally, self._policy, self._rng), True

    def _next(
        self, task: Task, tally: Tally, verdict: Retry | GiveUp, failure: Failure, answer: Answer | None
    ) -> Requeue[Task] | None:
        if isinstance(verdict, GiveUp):
            self._monitor.failed(task, failure, answer, verdict.status, 0.0)
            return None
        self._monitor.failed(task, failure, answer, "pending", verdict.delay_s)
        return Requeue(Task(task.request, tally), verdict.delay_s)

    async def _record(self, operation: Callable[[], T]) -> T:
        """What became of a request that has left, durable: worth waiting for."""
        return await self._disk_retry.persist(lambda: self._writer.do(operation))
