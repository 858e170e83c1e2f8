"""Sends what is pending: opens client, limiter and budget, and runs the pools."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from pydantic import SecretStr

from batch_editor.client import HttpClient
from batch_editor.config import Settings
from batch_editor.endpoints import Endpoint, shared_error_words
from batch_editor.errors import MachineError
from batch_editor.ledger import Counts, Ledger, LedgerWriter, RunStart, experience, readings
from batch_editor.money import Budget, PriceKind, Reservations, SharedBudget, SteadyPrices
from batch_editor.output import Acceptance, DiskRetry, Store
from batch_editor.runs.attempts import Attempts
from batch_editor.runs.monitor import RunMonitor
from batch_editor.runs.progress import Progress
from batch_editor.runs.publish import Publisher
from batch_editor.runs.signals import RunSignals
from batch_editor.runs.summary import StopReason
from batch_editor.runs.tasks import Task
from batch_editor.runs.uploads import Uploads
from batch_editor.scheduling import Pool, RateLimiter, SharedRateLimit, Tally, shared_rate_path, slack_s, spacing_s

# Requests are fetched from the ledger this many at a time; one may hold a few MB of inline links.
PAGE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """What sending needs. `only`: the fingerprints of those requests alone that are to be sent; None: all."""

    settings: Settings
    endpoints: Mapping[str, Endpoint]
    store: Store
    acceptance: Acceptance
    ledger: Ledger
    shared: SharedBudget | None
    start: RunStart
    sandbox: bool
    progress: Progress
    signals: RunSignals | None
    only: Collection[str] | None

    async def send(self, key: SecretStr, writer: LedgerWriter) -> StopReason | None:
        """Make every pending request's attempts; return why it stopped, None if all is done.

        Raises:
            MachineError: the disk or a ledger can't be used.
        """
        # On a thread, and before the first error needs them: to read their file would hold the event loop for 40 ms.
        await asyncio.to_thread(shared_error_words)
        shared_rate = await asyncio.to_thread(self._shared_rate, key)
        try:
            return await self._send(key, writer, shared_rate)
        finally:
            if shared_rate is not None:
                shared_rate.close()

    async def _send(
        self, key: SecretStr, writer: LedgerWriter, shared_rate: SharedRateLimit | None
    ) -> StopReason | None:
        settings = self.settings
        limiter = await self._limiter(writer, shared_rate)
        budget = Budget(settings.budget.max_cost_usd, spent_usd=self.start.spent_usd)
        monitor = RunMonitor(
            settings,
            limiter=limiter,
            budget=budget,
            progress=self.progress,
            counts=await writer.do(self._counts),
        )
        disk_retry = DiskRetry(settings.outputs.wait_s, make_room=self.store.make_room, on_trouble=monitor.broken)
        # Whether polls count towards the provider's limit is not known. Apart from submissions they take nothing from
        # them, and alone they don't pass it; if they do count, 429s teach both limiters.
        polls = self._rate_limiter([], requests="polls")
        async with HttpClient(settings.api, key, retry=settings.retry, polls=polls) as client:
            prices = SteadyPrices(await writer.do(self._charged), self.endpoints)
            reservations = Reservations(
                self.start.run_id,
                budget=budget,
                shared=self.shared,
                ledger=self.ledger,
                writer=writer,
                prices=prices,
            )
            attempts = Attempts(
                endpoints=self.endpoints,
                client=client,
                uploads=Uploads(
                    inline=settings.inputs.local_files == "inline",
                    sandbox=self.sandbox,
                    client=client,
                    ledger=self.ledger,
                    writer=writer,
                    store=self.store,
                ),
                limiter=limiter,
                reservations=reservations,
                ledger=self.ledger,
                writer=writer,
                store=self.store,
                disk_retry=disk_retry,
                publisher=Publisher(self.ledger, writer, self.store, disk_retry),
                acceptance=self.acceptance,
                policy=settings.retry.policy,
                monitor=monitor,
                rng=random.Random(),
            )
            try:
                with self.signals.hearing(monitor) if self.signals else nullcontext():
                    await alongside(
                        self._pools(attempts, prices, monitor, budget, limiter, writer),
                        limiter.run(),
                        polls.run(),
                        monitor.run(),
                    )
            finally:
                monitor.close()
        if reservations.turned_away:
            await self._out_of_budget(monitor, writer)
        return monitor.stop

    async def _pools(
        self,
        attempts: Attempts,
        prices: SteadyPrices,
        monitor: RunMonitor,
        budget: Budget,
        limiter: RateLimiter,
        writer: LedgerWriter,
    ) -> None:
        concurrency = self.settings.concurrency

        async def drain(source: AsyncIterator[Task]) -> None:
            pool = Pool(_while_sound(source, monitor), attempts.work, concurrency=concurrency)
            monitor.on_stop(pool.stop, limiter.close, budget.close)
            await pool.run()

        submitted = self._submitted(writer)
        pending = (
            self._pending(writer, budget, prices, monitor) if self.only is None else self._chosen(writer, self.only)
        )
        await drain(_one_after_the_other(submitted, pending))

    async def _submitted(self, writer: LedgerWriter) -> AsyncIterator[Task]:
        """Requests whose results earlier runs didn't fetch. They come first: the provider keeps results for an hour."""
        submitted = await writer.do(self.ledger.attempts.all_submitted, self.start.budget_id)
        if submitted:
            self.progress.say(f"fetching the results of {len(submitted)} requests that an earlier run submitted")
        for each in submitted:
            yield Task(each.request, Tally(), each)

    async def _chosen(self, writer: LedgerWriter, fingerprints: Collection[str]) -> AsyncIterator[Task]:
        for request in await writer.do(self.ledger.requests.pending_among, list(fingerprints)):
            yield Task.from_request(request)

    async def _pending(
        self, writer: LedgerWriter, budget: Budget, prices: SteadyPrices, monitor: RunMonitor
    ) -> AsyncIterator[Task]:
        """What is to be sent, in manifest order, as long as the budget could pay for any of it."""
        cheapest = await writer.do(self.ledger.requests.cheapest_pending_usd)
        position = -1
        while page := await writer.do(self.ledger.requests.pending_after, position, PAGE):
            assert cheapest is not None
            exhausted = await self._shared_exhausted(min(cheapest, prices.min_usd()))
            for request in page:
                if exhausted or budget.exhausted(min(cheapest, prices.min_usd())):
                    await self._out_of_budget(monitor, writer)
                    return
                yield Task.from_request(request)
            position = page[-1].position

    async def _shared_exhausted(self, usd: float) -> bool:
        return self.shared is not None and await self.shared.exhausted(usd, time.time())

    async def _out_of_budget(self, monitor: RunMonitor, writer: LedgerWriter) -> None:
        requests, usd = await writer.do(self.ledger.requests.pending_cost)
        monitor.out_of_budget(requests, usd)

    def _shared_rate(self, key: SecretStr) -> SharedRateLimit | None:
        """The turns that all runs of this key share; a rehearsal's provider is its own."""
        if self.sandbox:
            return None
        try:
            path = shared_rate_path(key.get_secret_value(), self.settings.api.base_url)
        except RuntimeError as error:  # a user without a home, as containers may have
            self.progress.say(
                f"warning: {error} Without XDG_STATE_HOME, other runs of the same key at the same time would not share"
                " the rate limit with this one"
            )
            return None
        rate = self.settings.rate
        return SharedRateLimit(path, spacing_s=spacing_s(rate), slack_s=slack_s(rate), say=self.progress.say)

    async def _limiter(self, writer: LedgerWriter, shared_rate: SharedRateLimit | None) -> RateLimiter:
        """A limiter that knows what runs before this one sent within the last period."""
        rate = self.settings.rate
        now = time.time()
        # A little longer than a period: an intent is a little older than the departure that followed it.
        since = now - 1.05 * rate.period_s
        recent = [max(0.0, now - at) for at in await writer.do(self.ledger.attempts.sent_since, since)]
        return self._rate_limiter(recent[-rate.count :], shared_rate)

    def _rate_limiter(
        self, recent: Sequence[float], shared_rate: SharedRateLimit | None = None, requests: str = "edits"
    ) -> RateLimiter:
        retry = self.settings.retry
        return RateLimiter(
            self.settings.rate,
            recent=recent,
            backoff_s=retry.backoff_s,
            backoff_max_s=retry.backoff_max_s,
            retry_after_max_s=retry.retry_after_max_s,
            shared=shared_rate,
            requests=requests,
        )

    def _charged(self) -> dict[PriceKind, tuple[int, float, float]]:
        return {
            (name, listed, inputs): (count, low, high)
            for name, endpoint in self.endpoints.items()
            for listed, inputs, count, low, high in experience.charges_by_list(
                self.ledger.connection, name, images=endpoint.images
            )
        }

    def _counts(self) -> Counts:
        return readings.standing(self.ledger.connection).wanted


async def _one_after_the_other(*sources: AsyncIterator[Task]) -> AsyncIterator[Task]:
    for source in sources:
        async for task in source:
            yield task


async def _while_sound(source: AsyncIterator[Task], monitor: RunMonitor) -> AsyncIterator[Task]:
    """What the source gives, until the machine is in its way: raised, that would cancel what is in flight."""
    try:
        async for task in source:
            yield task
    except MachineError as error:
        monitor.broken(error)


async def alongside(main: Awaitable[None], *companions: Coroutine[None, None, None]) -> None:
    """Await `main` while the companions run; they end with it. A lone error comes as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(companion) for companion in companions]
            try:
                await main
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
