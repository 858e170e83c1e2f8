"""Sends what is pending: opens client, limiter and budget, draws tasks from the ledger, lets workers attempt them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass, replace

from pydantic import SecretStr

from batch_editor.client import HttpClient
from batch_editor.endpoints import shared_error_words
from batch_editor.errors import MachineError
from batch_editor.ledger import Counts, experience, readings
from batch_editor.money import Budget, PriceKind, Reservations, SteadyPrices
from batch_editor.runs.attempt_log import AttemptLog
from batch_editor.runs.attempts import Attempts
from batch_editor.runs.listener import Listeners
from batch_editor.runs.live import LiveStatus
from batch_editor.runs.monitor import RunMonitor
from batch_editor.runs.rate_feedback import RateFeedback
from batch_editor.runs.run import Run
from batch_editor.runs.signals import RunSignals
from batch_editor.runs.summary import StopReason
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import Pool, RateLimiter, SharedRateLimit, Tally, shared_rate_path, slack_s, spacing_s

# Requests are fetched from the ledger this many at a time; one may hold a few MB of inline links.
PAGE = 64


async def send_pending(
    run: Run, key: SecretStr, *, only: Collection[str] | None = None, signals: RunSignals | None = None
) -> StopReason | None:
    """Make every pending request's attempts; return why it stopped, None if all is done.

    `only`: the fingerprints of those requests alone that are to be sent; None: all.

    Raises:
        MachineError: the disk or a ledger can't be used.
    """
    # On a thread, and before the first error needs them: to read their file would hold the event loop for 40 ms.
    await asyncio.to_thread(shared_error_words)
    shared_rate = await asyncio.to_thread(_shared_rate, run, key)
    try:
        limiter = await _limiter(run, shared_rate)
        budget = Budget(run.settings.budget.max_cost_usd, spent_usd=run.start.spent_usd)
        counts = await run.writer.do(_counts, run)
        if run.metrics is not None:
            standing = await run.writer.do(readings.standing, run.ledger.connection)
            run.metrics.began(standing.jobs, succeeded_at=await run.writer.do(run.ledger.runs.succeeded_at))
        monitor = RunMonitor(
            run.settings, limiter=limiter, budget=budget, progress=run.options.progress, counts=counts, clock=run.clock
        )
        prices = SteadyPrices(await run.writer.do(_charged, run), run.endpoints)
        return await _Dispatch(run, limiter, budget, prices, monitor).send(key, only, signals)
    finally:
        if shared_rate is not None:
            shared_rate.close()


@dataclass(frozen=True, slots=True)
class _Dispatch:
    """What draws tasks and stops doing so, for one run."""

    run: Run
    limiter: RateLimiter
    budget: Budget
    prices: SteadyPrices
    monitor: RunMonitor

    async def send(self, key: SecretStr, only: Collection[str] | None, signals: RunSignals | None) -> StopReason | None:
        """Send what is pending, or `only` some of it; return why it stopped, None at the end."""
        run, monitor, settings = self.run, self.monitor, self.run.settings
        reservations = Reservations(
            run.start.run_id,
            budget=self.budget,
            shared=run.shared,
            writer=run.writer,
            prices=self.prices,
            clock=run.clock,
        )
        feedback = RateFeedback(self.limiter, monitor, give_up_s=settings.retry.give_up_s)
        stop_signal = signals.gentle if signals else None
        live = LiveStatus(run, monitor=monitor, limiter=self.limiter, budget=self.budget, stop_signal=stop_signal)
        listeners = [AttemptLog(), feedback, monitor, live]  # whoever else wants to hear of attempts
        if run.metrics is not None:
            listeners.append(run.metrics)
        # Whether polls count towards the provider's limit is not known. Apart from submissions they take nothing from
        # them, and alone they don't pass it; if they do count, 429s teach both limiters.
        polls = RateLimiter(settings.rate, retry=settings.retry.policy, requests="polls")
        async with HttpClient(settings.api, key, retry=settings.retry, polls=polls) as client:
            attempts = Attempts(
                run,
                client=client,
                limiter=self.limiter,
                reservations=reservations,
                listener=Listeners(*listeners),
                may_start=monitor.may_start,
            )
            try:
                with signals.hearing(monitor) if signals else nullcontext():
                    draining = self._drain(attempts, only, live)
                    await alongside(draining, self.limiter.run(), polls.run(), monitor.run(), live.run())
            finally:
                monitor.close()
        if reservations.turned_away:
            await self._out_of_budget()
        return monitor.stop

    async def _drain(self, attempts: Attempts, only: Collection[str] | None, live: LiveStatus) -> None:
        """Have workers attempt whatever there is, until nothing is left or the run stops."""
        pending = self._pending() if only is None else self._chosen(only)
        tasks = _while_sound(_one_after_the_other(self._submitted(), pending), self.monitor)
        pool = Pool(tasks, attempts.work, concurrency=self.run.settings.concurrency)
        self.monitor.on_stop(pool.stop, self.limiter.close, self.budget.close, live.wake)
        await pool.run()

    async def _submitted(self) -> AsyncIterator[Task]:
        """Requests whose results earlier runs didn't fetch. They come first: the provider keeps results for an hour."""
        run = self.run
        submitted = await run.writer.do(run.ledger.attempts.all_submitted, run.start.budget_id)
        if submitted:
            run.options.progress.say(f"fetching the results of {len(submitted)} requests that an earlier run submitted")
        for each in submitted:
            if each.request.endpoint in run.endpoints:
                yield Task(each.request, Tally(), each)
            else:
                run.options.progress.say(
                    f"{each.request.job_id}: its result is not fetched, for nothing here describes the endpoint"
                    f" {each.request.endpoint}"
                )

    async def _chosen(self, fingerprints: Collection[str]) -> AsyncIterator[Task]:
        for request in await self.run.writer.do(self.run.ledger.requests.pending_among, list(fingerprints)):
            yield Task.from_request(request)

    async def _pending(self) -> AsyncIterator[Task]:
        """What is to be sent, in manifest order, as long as the budget could pay for any of it."""
        writer, requests = self.run.writer, self.run.ledger.requests
        cheapest = await writer.do(requests.cheapest_pending_usd)
        position = -1
        while page := await writer.do(requests.pending_after, position, PAGE):
            assert cheapest is not None
            exhausted = await self._shared_exhausted(min(cheapest, self.prices.min_usd()))
            for request in page:
                if exhausted or self.budget.exhausted(min(cheapest, self.prices.min_usd())):
                    await self._out_of_budget()
                    return
                yield Task.from_request(request)
            position = page[-1].position

    async def _shared_exhausted(self, usd: float) -> bool:
        return self.run.shared is not None and await self.run.shared.exhausted(usd, self.run.clock())

    async def _out_of_budget(self) -> None:
        requests, usd = await self.run.writer.do(self.run.ledger.requests.pending_cost)
        self.monitor.out_of_budget(requests, usd)


def _shared_rate(run: Run, key: SecretStr) -> SharedRateLimit | None:
    """The turns that all runs of this key share; a rehearsal's provider is its own."""
    if run.options.sandbox:
        return None
    say, rate = run.options.progress.say, run.settings.rate
    try:
        path = shared_rate_path(key.get_secret_value(), run.settings.api.base_url)
    except RuntimeError as error:  # a user without a home, as containers may have
        say(
            f"warning: {error} Without XDG_STATE_HOME, other runs of the same key at the same time would not share"
            " the rate limit with this one"
        )
        return None
    return SharedRateLimit(path, spacing_s=spacing_s(rate), slack_s=slack_s(rate), say=say)


async def _limiter(run: Run, shared_rate: SharedRateLimit | None) -> RateLimiter:
    """A limiter that knows what runs before this one sent within the last period."""
    rate, now = run.settings.rate, run.clock()
    # A little longer than a period: an intent is a little older than the departure that followed it.
    since = now - 1.05 * rate.period_s
    recent = [max(0.0, now - at) for at in await run.writer.do(run.ledger.attempts.sent_since, since)]
    return RateLimiter(rate, retry=run.settings.retry.policy, recent=recent[-rate.count :], shared=shared_rate)


def _charged(run: Run) -> dict[PriceKind, tuple[int, float, float]]:
    return {
        (name, listed, inputs): (count, low, high)
        for name, endpoint in run.endpoints.items()
        for listed, inputs, count, low, high in experience.charges_by_list(
            run.ledger.connection, name, images=endpoint.images
        )
    }


def _counts(run: Run) -> Counts:
    """The run's jobs as it begins; those whose image is to be made again are not done."""
    wanted = readings.standing(run.ledger.connection).wanted
    return replace(wanted, succeeded=wanted.succeeded - run.ledger.requests.redo_jobs())


async def _one_after_the_other(*sources: AsyncIterator[Task]) -> AsyncIterator[Task]:
    for source in sources:
        async for task in source:
            yield task


async def _while_sound(source: AsyncIterator[Task], monitor: RunMonitor) -> AsyncIterator[Task]:
    """What the source gives, until a local I/O error: raised, that would cancel what is in flight."""
    try:
        async for task in source:
            yield task
    except MachineError as error:
        monitor.local_error(error)


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
