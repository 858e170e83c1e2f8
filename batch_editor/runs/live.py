"""Tells once a second how a run stands: to the file that pages read, and to the terminal where it is slow and why."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from batch_editor.money import Budget
from batch_editor.output.run_status import (
    EVERY_S,
    Failing,
    RunStatus,
    Slow,
    Stopping,
    remove_status,
    write_status,
)
from batch_editor.records import Answer, Failure
from batch_editor.runs.lanes import Lane, latency_s, stopped_by
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.monitor import RunMonitor
from batch_editor.runs.run import Run
from batch_editor.runs.slow import per_min, why_slow
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import GiveUp, LimiterState, Retry
from batch_editor.text import printable
from batch_editor.threads import GroupThread, to_the_end

log = logging.getLogger("batch_editor")

# A pause that is shorter is no news to somebody at a terminal.
NEWS_S = 5.0
# A reason that comes and goes is over when it hasn't come for so long.
CALM_S = 10.0
# A rate that is lowered and raised all night is reported this often.
TOLD_EVERY_S = 60.0
_MINUTE = 60


class LiveStatus(AttemptListener):
    """Counts what the monitor doesn't, and tells how the run stands while `run` runs.

    A snapshot is taken on the event loop, where nothing changes meanwhile (0.5 ms); it is written on a thread.
    `stop_signal`: the signal that stops the run gently, None where it hears none.
    """

    def __init__(
        self, run: Run, *, monitor: RunMonitor, lanes: Sequence[Lane], budget: Budget, stop_signal: str | None
    ) -> None:
        self._run = run
        self._monitor = monitor
        self._lanes = lanes
        self._budget = budget
        self._stop_signal = stop_signal
        self._began_at = run.clock()
        self._sent = 0
        self._departures = _LastMinute()
        self._confirmed_usd = 0.0
        self._possibly_billed = 0
        self._possibly_billed_usd = 0.0
        self._failing: dict[str, Failing] = {}
        self._news = _News(run.options.progress.say)
        self._woken = asyncio.Event()

    def started(self, task: Task, attempt_id: int) -> None:
        """Count a request that left."""
        if task.submitted is None:
            self._sent += 1
            self._departures.count(time.monotonic())

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """Add up what an image cost, as the provider said, or else by the price list."""
        self._confirmed_usd += task.request.expected_usd if answer.cost_usd is None else answer.cost_usd

    def possibly_billed(self, task: Task, usd: float) -> None:
        """Add up what may have been charged in vain."""
        self._possibly_billed += 1
        self._possibly_billed_usd += usd

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        """Count it by its kind, with the latest as the example."""
        before = self._failing.get(failure.kind)
        count = 1 if before is None else before.count + 1
        self._failing[failure.kind] = Failing(failure.kind, count, task.request.job_id, failure.message)

    def wake(self) -> None:
        """Tell at once how the run stands: it starts nothing more."""
        self._woken.set()

    async def run(self) -> None:
        """Tell how the run stands until cancelled."""
        writer = _StatusWriter(self._run.store.root)
        try:
            while True:
                status = self.status()
                self._news.hear(status.slow, time.monotonic())
                writer.write(status)
                if self._run.metrics is not None:
                    self._run.metrics.take(status)
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._woken.wait()
                self._woken.clear()
        finally:
            await to_the_end(writer.close)

    def status(self) -> RunStatus:
        """How the run stands now."""
        run, snapshot, settings = self._run, self._monitor.snapshot(), self._run.settings
        states = [(lane, lane.limiter.state()) for lane in self._lanes]
        limits = [(lane.prefix, state.limit, state.allowed) for lane, state in states]
        limits = limits or [("", settings.rate, settings.rate.count)]
        stop = stopped_by(self._monitor.stop, self._lanes) if self._is_stopping() else None
        failing = sorted(self._failing.values(), key=lambda each: -each.count)
        return RunStatus(
            run_id=run.start.run_id,
            pid=os.getpid(),
            host=socket.gethostname(),
            sandbox=run.options.sandbox,
            stop_signal=None if self._monitor.interrupted else self._stop_signal,
            started_at=self._began_at,
            written_at=run.clock(),
            jobs=snapshot.total,
            jobs_succeeded=snapshot.succeeded,
            jobs_failed=snapshot.failed,
            sent=self._sent,
            retried=snapshot.retried,
            in_flight=snapshot.in_flight,
            concurrency=sum(lane.provider.concurrency for lane in self._lanes) or settings.concurrency,
            per_min=round(snapshot.per_min, 3),
            sent_last_minute=self._departures.sum(time.monotonic()),
            limit=", ".join(f"{prefix}{limit}" for prefix, limit, _ in limits),
            limit_per_min=sum(per_min(limit, limit.count) for _, limit, _ in limits),
            allowed_per_min=round(sum(per_min(limit, allowed) for _, limit, allowed in limits), 3),
            eta_s=snapshot.eta_s,
            latency_p50_s=latency_s(self._lanes, 0.5),
            latency_p95_s=latency_s(self._lanes, 0.95),
            confirmed_usd=round(self._confirmed_usd, 6),
            possibly_billed=self._possibly_billed,
            possibly_billed_usd=round(self._possibly_billed_usd, 6),
            reserved_usd=round(self._budget.reserved_usd, 6),
            spent_usd=round(snapshot.spent_usd, 6),
            budget_usd=self._run.budget_usd,
            slow=tuple(each for lane, state in states for each in _why_slow(lane, state)) if stop is None else (),
            failing=tuple(
                Failing(each.kind, each.count, each.job_id, printable(each.error, limit=300)) for each in failing
            ),
            stopping=None if stop is None else Stopping(stop.kind, stop.message),
        )

    def _is_stopping(self) -> bool:
        return self._monitor.stop is not None or (bool(self._lanes) and all(lane.is_closed for lane in self._lanes))


def _why_slow(lane: Lane, state: LimiterState) -> Iterator[Slow]:
    """Why a provider's requests are slower than its settings allow; nothing of one that has stopped."""
    if not lane.is_closed:
        concurrency, half_s = lane.provider.concurrency, latency_s([lane], 0.5)
        for slow in why_slow(state, in_flight=lane.in_flight, concurrency=concurrency, latency_s=half_s):
            yield Slow(slow.cause, f"{lane.prefix}{slow.message}")


class _LastMinute:
    """How many there were in the last minute, by seconds: as many numbers, however many there were."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque(maxlen=_MINUTE)

    def count(self, now: float) -> None:
        """One more."""
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = second, self._seconds[-1][1] + 1
        else:
            self._seconds.append((second, 1))

    def sum(self, now: float) -> int:
        """How many there were."""
        return sum(count for second, count in self._seconds if second > int(now) - _MINUTE)


class _News:
    """Tells somebody at a terminal why the run is slow, when that changes; the log hears of each change.

    An outage is reported by the monitor, and what `concurrency` allows was said by the plan.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told_at: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._logged: dict[str, float] = {}  # when each was last seen
        self._is_told = False

    def hear(self, slow: Sequence[Slow], now: float) -> None:
        """Take in the reasons of this second."""
        causes = {each.cause: each for each in slow}
        self._log(slow, now)
        self._since = {cause: self._since.get(cause, now) for cause in causes}
        for cause in ("pause", "rate", "dropped"):
            if cause in causes and self._is_news(cause, now):
                self._told_at[cause] = now
                self._is_told = True
                self._say(f"slow: {causes[cause].message}")
        if self._is_told and not causes:
            self._is_told = False
            self._say("not slow any more: the rate is what the settings allow")

    def _log(self, slow: Sequence[Slow], now: float) -> None:
        """Tell the log of each reason once; one that comes and goes within seconds, as full slots do, lasts."""
        for each in slow:
            if each.cause not in self._logged:
                log.info("slow", extra={"cause": each.cause, "why": each.message})
            self._logged[each.cause] = now
        lasting = {cause: seen_at for cause, seen_at in self._logged.items() if now - seen_at < CALM_S}
        if self._logged and not lasting:
            log.info("not slow any more")
        self._logged = lasting

    def _is_news(self, cause: str, now: float) -> bool:
        """Whether it has begun, or begun again after a while; a pause that lasts."""
        if cause == "pause" and now - self._since[cause] < NEWS_S:
            return False
        told_at = self._told_at.get(cause)
        return told_at is None or (self._since[cause] > told_at and now - told_at >= TOLD_EVERY_S)


class _StatusWriter:
    """Writes the newest status on a thread of its own; one that is overtaken by the next is left out."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._thread: GroupThread[RunStatus, None] = GroupThread(self._write, name="status")

    def write(self, status: RunStatus) -> None:
        """Have it written; return at once."""
        self._thread.leave(status)

    def close(self) -> None:
        """End the thread, and remove the file: the run is over. Blocks."""
        self._thread.close()
        remove_status(self._root)

    def _write(self, statuses: Sequence[RunStatus]) -> list[None]:
        write_status(self._root, statuses[-1])
        return [None] * len(statuses)
