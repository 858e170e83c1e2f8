"""One attempt: budget, rate limiter, ledger, client; then an image, a retry or a final failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from batch_editor.client import Client, UploadRefused
from batch_editor.endpoints import Endpoint
from batch_editor.errors import LedgerError, MachineError
from batch_editor.ledger import SubmittedAttempt
from batch_editor.money import Intent, Reservations, Reserved
from batch_editor.output import DiskRetry, StagedFile
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.publish import Publisher
from batch_editor.runs.run import Run
from batch_editor.runs.tasks import Task
from batch_editor.runs.uploads import FileChanged, Uploads
from batch_editor.scheduling import GiveUp, LimiterClosed, Permit, RateLimiter, Requeue, Retry, Tally, decide


class Attempts:
    """Makes a run's attempts; `work` is what the pool's workers do.

    The order holds the money: slot (the pool's) → upload → budget → permit → intent, durable → send → image whole,
    durable → received, durable → checked → under its name, durable → succeeded; `Publisher` does all after the image
    but the check. The request id of v2 is durable before it is polled. What the check rejects goes from there
    among the rejected → failed. A body that is no image is fsynced → among the rejected → failed. So a crash at any
    instant leaves what was paid for where `recover` finds it; it checks again what was received, and doesn't send it
    again.

    Parameters:
        may_start: whether a request that leaves now will probably be back in time; if not, the run stops.
    """

    def __init__(
        self,
        run: Run,
        *,
        client: Client,
        limiter: RateLimiter,
        reservations: Reservations,
        listener: AttemptListener,
        may_start: Callable[[], bool],
    ) -> None:
        self._run = run
        self._rows = run.ledger.attempts
        self._client = client
        self._limiter = limiter
        self._reservations = reservations
        self._listener = listener
        self._may_start = may_start
        self._disk_retry = DiskRetry(
            run.settings.outputs.wait_s, make_room=run.store.make_room, on_trouble=listener.local_error
        )
        self._publisher = Publisher(run, self._disk_retry)
        self._uploads = Uploads(run, client)

    async def work(self, task: Task) -> Requeue[Task] | None:
        """Make one attempt; return the task if it is to be made again.

        What this machine refuses once the request has left is repeated until the disk retry's time is up. After that
        the attempt stays open in the ledger, with its image staged, for `recover` to resolve. An error that is raised
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
            self._listener.ended(task)

    async def _attempt(self, task: Task) -> Requeue[Task] | None:
        request = task.request
        endpoint = self._run.endpoints[request.endpoint]
        try:
            body = await self._uploads.body(request, endpoint)
        except UploadRefused as refused:
            return await self._upload_refused(task, refused.failure)
        except FileChanged as changed:
            await self._fail_unsent(task, changed.failure)
            self._listener.failed(task, changed.failure, GiveUp("failed"))
            return None
        reserved = await self._reservations.reserve(request)
        if reserved is None:
            return None
        try:
            if not await self._reservations.shared_room(request, reserved):
                return None
            clock = asyncio.get_running_loop().time
            waits_since = clock()
            permit = await self._limiter.permit()
            self._listener.permitted(task, clock() - waits_since)
            try:
                return await self._send(task, endpoint, body, permit, reserved)
            finally:
                self._limiter.gone(permit)
        except LimiterClosed:
            return None
        finally:
            self._reservations.release(reserved)

    async def _send(
        self, task: Task, endpoint: Endpoint, body: Mapping[str, Any], permit: Permit, reserved: Reserved
    ) -> Requeue[Task] | None:
        request = task.request
        if not self._may_start():
            return None
        intent = await self._reservations.intend(request, reserved)
        if intent is None:
            return Requeue(task, 0.0)
        if self._limiter.pause_left_s():  # it began meanwhile: an intent that lasts would look sent after a crash
            await self._reservations.withdraw(intent)
            return Requeue(task, 0.0)
        try:
            await self._limiter.depart(permit)
        except (LimiterClosed, LedgerError):
            await self._reservations.withdraw(intent)
            raise
        reserved.sent()
        self._listener.started(task, intent.attempt_id)
        answer = await self._answer(
            task,
            intent,
            lambda staged: self._client.edit(
                *(endpoint, body, staged), submitted=lambda request_id: self._submitted(intent, request_id)
            ),
        )
        self._reservations.learn(request, answer)
        return await self._answered(task, intent, answer, reserved, permit)

    async def _answer(self, task: Task, intent: Intent, ask: Callable[[StagedFile], Awaitable[Answer]]) -> Answer:
        """The provider's answer; its body, if it was paid for, is durable in the staging folder."""
        staged = self._run.store.staged_file(intent.attempt_id, self._disk_retry)
        try:
            answer = await ask(staged)
            failure = answer.outcome
            received = answer.http_status == 200 and staged.size_bytes
            if received and isinstance(failure, Failure) and failure.maybe_billed:
                await staged.keep(transient=failure.transient)
        except MachineError as error:
            self._listener.unsaved(task, error)
            raise
        finally:
            await staged.discard()
        return answer

    async def _submitted(self, intent: Intent, request_id: str) -> None:
        try:
            await self._run.writer.do(self._rows.submitted, intent.attempt_id, request_id)
        except MachineError as error:
            # Polled all the same: the image may still land, and is kept for `recover`; the id would be lost.
            self._listener.local_error(error)

    async def _fetch_result(self, task: Task, submitted: SubmittedAttempt) -> None:
        """Fetch the result of an attempt that an earlier run submitted. It has passed budget and limiter already."""
        intent, reserved = self._reservations.reopen(submitted)
        asked = self._run.endpoints[task.request.endpoint], task.request.params
        self._listener.started(task, intent.attempt_id)
        try:
            answer = await self._answer(
                task, intent, lambda staged: self._client.fetch_result(*asked, submitted.request_id, staged)
            )
            await self._answered(task, intent, answer, reserved, None)
        finally:
            self._reservations.release(reserved)

    async def _answered(
        self, task: Task, intent: Intent, answer: Answer, reserved: Reserved, permit: Permit | None
    ) -> Requeue[Task] | None:
        reserved.answered(answer)
        self._listener.answered(task, answer, permit)
        if isinstance(answer.outcome, SavedImage):
            return await self._publish(task, intent, answer, answer.outcome, reserved.charged_usd)
        if answer.fetchable:
            await self._not_fetched(task, intent, answer.outcome)
            return None
        return await self._failed(task, intent, answer, answer.outcome, reserved.charged_usd)

    async def _publish(
        self, task: Task, intent: Intent, answer: Answer, image: SavedImage, charged_usd: float
    ) -> Requeue[Task] | None:
        request, now = task.request, self._run.clock

        def received() -> None:
            """Write the row, on the ledger's thread."""
            self._rows.received(intent.attempt_id, image, answer, now=now(), charged_usd=charged_usd)

        unplaced = await self._publisher.receive(request.fingerprint, image, received)
        verdict = await self._run.acceptance.verdict(request.endpoint, request.params, request.files, image)
        if verdict.rejected is not None:
            return await self._failed(task, intent, answer, verdict.rejected, charged_usd)
        jobs = await self._publisher.publish(intent.attempt_id, request.fingerprint, image, unplaced)
        self._reservations.charge(intent, charged_usd)
        self._listener.succeeded(task, answer, jobs, verdict.warning)
        return None

    async def _failed(
        self, task: Task, intent: Intent, answer: Answer, failure: Failure, charged_usd: float
    ) -> Requeue[Task] | None:
        tally, then, counts = self._decide(task, failure)

        def failed() -> None:
            """Write the row, on the ledger's thread."""
            self._rows.failed(
                *(intent.attempt_id, failure, answer),
                state="pending" if isinstance(then, Retry) else then.status,
                now=self._run.clock(),
                charged_usd=charged_usd,
                counts=counts,
            )

        paid = answer.http_status == 200
        if paid:
            await self._publisher.reject(intent.attempt_id, intent.number, task.request.fingerprint)
        await self._publisher.record(failed)
        self._reservations.charge(intent, charged_usd, in_vain=failure.maybe_billed)
        if failure.maybe_billed:
            self._listener.possibly_billed(task, charged_usd)
        if paid:
            await self._publisher.forget(intent.attempt_id)
        return self._next(task, tally, failure, then)

    async def _not_fetched(self, task: Task, intent: Intent, failure: Failure) -> None:
        """Leave a submitted attempt to the next run, at the price that was set aside for it."""
        now = self._run.clock
        await self._publisher.record(lambda: self._rows.not_fetched(intent.attempt_id, failure, now=now()))
        self._listener.failed(task, failure, GiveUp("pending"))

    async def _upload_refused(self, task: Task, failure: Failure) -> Requeue[Task] | None:
        self._listener.upload_refused(task, failure)
        tally, then, _ = self._decide(task, failure)
        if isinstance(then, GiveUp):
            await self._fail_unsent(task, failure)
        return self._next(task, tally, failure, then)

    async def _fail_unsent(self, task: Task, failure: Failure) -> None:
        requests, now = self._run.ledger.requests, self._run.clock
        await self._run.writer.do(lambda: requests.fail_unsent(task.request.fingerprint, failure, now=now()))

    def _decide(self, task: Task, failure: Failure) -> tuple[Tally, Retry | GiveUp, bool]:
        """The request's tally, what follows, and whether the failure counts: one that an outage explains doesn't."""
        if failure.transient and failure.scope == "request" and self._limiter.outage:
            return task.tally, Retry(self._limiter.held_s()), False
        tally = task.tally.after(failure)
        return tally, decide(failure, tally, self._run.settings.retry.policy, self._run.rng), True

    def _next(self, task: Task, tally: Tally, failure: Failure, then: Retry | GiveUp) -> Requeue[Task] | None:
        self._listener.failed(task, failure, then)
        return Requeue(Task(task.request, tally), then.delay_s) if isinstance(then, Retry) else None
