"""Sends what is pending: opens budget and clients, draws tasks from the ledger, lets workers attempt them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

from batch_editor.client import HttpClient
from batch_editor.endpoints import shared_error_words
from batch_editor.errors import MachineError
from batch_editor.ledger import Counts, PendingRequest, SubmittedAttempt, experience, readings
from batch_editor.money import TOLERANCE_USD, Budget, PriceKind, Reservations, SteadyPrices
from batch_editor.runs.approving import spent_words
from batch_editor.runs.attempt_log import AttemptLog
from batch_editor.runs.attempts import Attempts
from batch_editor.runs.finishing import Finishing
from batch_editor.runs.lanes import Lane, open_lanes, stopped_by
from batch_editor.runs.listener import AttemptListener, Listeners
from batch_editor.runs.live import LiveStatus
from batch_editor.runs.monitor import RunMonitor
from batch_editor.runs.rate_feedback import RateFeedback
from batch_editor.runs.run import Run
from batch_editor.runs.signals import RunSignals
from batch_editor.runs.stops import StopReason
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import Pool, RateLimiter, Tally

# Requests are fetched from the ledger this many at a time; one may hold a few MB of inline links.
PAGE = 64


async def send_pending(
    run: Run, *, only: Collection[str] | None = None, signals: RunSignals | None = None
) -> StopReason | None:
    """Make every pending request's attempts; return why it stopped, None if all is done.

    `only`: the fingerprints of those requests alone that are to be sent; None: all.

    Raises:
        MachineError: the disk or a ledger can't be used.
    """
    # On a thread, and before the first error needs them: to read their file would hold the event loop for 40 ms.
    await asyncio.to_thread(shared_error_words)
    async with open_lanes(run) as lanes:
        budget = Budget(run.budget_usd, spent_usd=run.start.spent_usd)
        counts = await run.writer.do(_counts, run)
        if run.metrics is not None:
            standing = await run.writer.do(readings.standing, run.ledger.connection)
            run.metrics.began(standing.jobs, succeeded_at=await run.writer.do(run.ledger.runs.succeeded_at))
        monitor = RunMonitor(
            run.settings, lanes=lanes, budget=budget, progress=run.options.progress, counts=counts, clock=run.clock
        )
        prices = SteadyPrices(await run.writer.do(_charged, run), run.endpoints)
        return await _Dispatch(run, lanes, budget, prices, monitor).send(only, signals)


@dataclass(frozen=True, slots=True)
class _Dispatch:
    """What draws tasks and stops doing so, for one run: each provider's by workers of its own."""

    run: Run
    lanes: Sequence[Lane]
    budget: Budget
    prices: SteadyPrices
    monitor: RunMonitor

    async def send(self, only: Collection[str] | None, signals: RunSignals | None) -> StopReason | None:
        """Send what is pending, or `only` some of it; return why it stopped, None at the end."""
        run, monitor = self.run, self.monitor
        reservations = Reservations(
            run.start.run_id,
            budget=self.budget,
            shared=run.shared,
            writer=run.writer,
            prices=self.prices,
            clock=run.clock,
        )
        await self._say_unknown()
        stop_signal = signals.gentle if signals else None
        live = LiveStatus(run, monitor=monitor, lanes=self.lanes, budget=self.budget, stop_signal=stop_signal)
        finishing = Finishing(run)
        # Whoever else wants to hear of every provider's attempts goes here.
        observers: list[AttemptListener] = [monitor, live, finishing]
        if run.metrics is not None:
            observers.append(run.metrics)
        try:
            with signals.stopping(monitor) if signals else nullcontext():
                sending = self._send_all(reservations, live, observers, only)
                async with finishing.at_work():
                    await alongside(sending, monitor.run(), live.run())
        finally:
            monitor.close()
        if reservations.turned_away or any(lane.is_out_of_budget for lane in self.lanes):
            await self._out_of_budget()
        monitor.halt_if_not_approved()
        return stopped_by(monitor.stop, self.lanes)

    async def _send_all(
        self,
        reservations: Reservations,
        live: LiveStatus,
        observers: Sequence[AttemptListener],
        only: Collection[str] | None,
    ) -> None:
        for lane in self.lanes:
            lane.on_close(self._close_budget, live.wake)
        open_lanes = [lane for lane in self.lanes if not lane.is_closed]
        await all_of(*(self._send_to(lane, reservations, observers, only) for lane in open_lanes))

    async def _send_to(
        self,
        lane: Lane,
        reservations: Reservations,
        observers: Sequence[AttemptListener],
        only: Collection[str] | None,
    ) -> None:
        """Send what is pending for one provider."""
        run, provider, retry = self.run, lane.provider, self.run.settings.retry
        feedback = RateFeedback(lane, give_up_s=retry.give_up_s)
        # Whether polls count towards the provider's limit is not known. Apart from submissions they take nothing from
        # them, and alone they don't pass it; if they do count, 429s teach both limiters.
        polls = RateLimiter(provider.rate, retry=retry.policy, requests="polls")
        async with HttpClient(provider.api, run.keys.of(provider.name), retry=retry, polls=polls) as client:
            attempts = Attempts(
                run,
                client=client,
                limiter=lane.limiter,
                reservations=reservations,
                listener=Listeners(AttemptLog(), feedback, lane, *observers),
                may_start=partial(self.monitor.may_start, lane),
            )
            await alongside(self._drain(lane, attempts, only), lane.limiter.run(), polls.run())

    async def _drain(self, lane: Lane, attempts: Attempts, only: Collection[str] | None) -> None:
        """Have workers attempt whatever there is for that provider, until nothing is left or it stops."""
        pending = self._pending(lane) if only is None else self._chosen(lane, only)
        tasks = _while_sound(_one_after_the_other(self._submitted(lane), pending), self.monitor)
        pool = Pool(tasks, attempts.work, concurrency=lane.provider.concurrency)
        lane.on_close(pool.stop, lane.limiter.close)
        if lane.is_closed:  # a signal came before it began
            lane.close()
        await pool.run()

    def _close_budget(self) -> None:
        """Let nobody wait for the budget once nothing more is sent."""
        if all(lane.is_closed for lane in self.lanes):
            self.budget.close()
            if self.run.database is not None and not self._has_run_dry():  # nor for it: all is saved without it
                self.run.database.hurry()

    def _has_run_dry(self) -> bool:
        """Whether nothing but the budget ends the run. Then it has the time to write its last charges."""
        stop = self.monitor.stop
        return all(lane.is_out_of_budget for lane in self.lanes) and (stop is None or stop.kind == "budget")

    async def _all_submitted(self) -> list[SubmittedAttempt]:
        return await self.run.writer.do(self.run.ledger.attempts.all_submitted, self.run.start.budget_id)

    async def _say_unknown(self) -> None:
        """Say what is fetched of what earlier runs submitted, and what can't be."""
        run = self.run
        submitted = await self._all_submitted()
        if submitted:
            run.options.progress.say(f"fetching the results of {len(submitted)} requests that an earlier run submitted")
        for each in submitted:
            if each.request.endpoint not in run.endpoints:
                run.options.progress.say(
                    f"{each.request.job_id}: its result is not fetched, for nothing here describes the endpoint"
                    f" {each.request.endpoint}"
                )

    async def _submitted(self, lane: Lane) -> AsyncIterator[Task]:
        """Requests whose results earlier runs didn't fetch. They come first: the provider keeps results for an hour."""
        for each in await self._all_submitted():
            if each.request.endpoint in lane.endpoints:
                yield Task(each.request, Tally(), each)

    async def _chosen(self, lane: Lane, fingerprints: Collection[str]) -> AsyncIterator[Task]:
        for request in await self.run.writer.do(self.run.ledger.requests.pending_among, list(fingerprints)):
            if request.endpoint in lane.endpoints and self._is_approved(request):
                yield Task.from_request(request)

    def _is_approved(self, request: PendingRequest) -> bool:
        """Whether a request may be sent. One that counted as done when the run was planned may be none of the plan."""
        approval = self.run.approval
        if approval is None or approval.covers(request):
            return True
        self.monitor.left_out()
        return False

    async def _pending(self, lane: Lane) -> AsyncIterator[Task]:
        """What is to be sent, in manifest order, as long as the budget could pay for any of it."""
        writer, requests = self.run.writer, self.run.ledger.requests
        endpoints = None if len(self.lanes) == 1 else lane.endpoints
        cheapest = await writer.do(requests.cheapest_pending_usd, endpoints)
        position = -1
        while page := await writer.do(partial(requests.pending_after, position, PAGE, endpoints=endpoints)):
            assert cheapest is not None
            exhausted = await self._shared_exhausted(min(cheapest, self.prices.min_usd()))
            for request in page:
                if exhausted or self.budget.exhausted(min(cheapest, self.prices.min_usd())):
                    lane.run_dry()
                    return
                if self._is_approved(request):
                    yield Task.from_request(request)
            position = page[-1].position

    async def _shared_exhausted(self, usd: float) -> bool:
        return self.run.shared is not None and await self.run.shared.exhausted(usd, self.run.clock())

    async def _out_of_budget(self) -> None:
        run, requests = self.run, self.run.ledger.requests
        endpoints = frozenset().union(*(lane.endpoints for lane in self.lanes if lane.stop is None))
        left, usd = await run.writer.do(requests.pending_cost, endpoints)
        cheapest = await run.writer.do(requests.cheapest_pending_usd, endpoints)
        if run.approval is not None and cheapest is not None:
            spent_usd = await self._approved_spent_usd()
            if cheapest > run.approval.amount_usd - spent_usd + TOLERANCE_USD:
                self.monitor.approval_spent(spent_words(run.approval, spent_usd, left, usd))
                return
        self.monitor.out_of_budget(left, usd)

    async def _approved_spent_usd(self) -> float:
        """What is spent of the approval, by the output directory's ledger, or as all runs count it if that is more."""
        start = self.run.start
        here = start.approved_spent_usd + self.budget.spent_usd - start.spent_usd
        return here if self.run.shared is None else max(here, await self.run.shared.approved_usd())


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


async def all_of(*works: Coroutine[None, None, None]) -> None:
    """Await them all, at once. A lone error comes as itself, and cancels the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
