"""Watches a run: counts, progress, and the reasons to stop it."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence

from batch_editor.config import Settings
from batch_editor.errors import MachineError
from batch_editor.ledger import Counts
from batch_editor.money import Budget
from batch_editor.records import Answer, Failure
from batch_editor.runs.lanes import Lane
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.progress import Progress, Snapshot
from batch_editor.runs.stops import StopReason, exit_code_of_signal
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import GiveUp, Retry
from batch_editor.text import duration, many

log = logging.getLogger("batch_editor")
# Without a handler Python prints warnings bare: "failed", to whoever calls this package from code of their own.
log.addHandler(logging.NullHandler())

# A share of failures means nothing before this many jobs have ended.
SHARE_AFTER = 20
# The ends of the latest jobs, from which the speed is computed.
ENDS = 500
# As often as a bar is painted. A snapshot of 500 latencies costs 0.1 ms, and 1,000 results a second bring two each.
SHOW_EVERY_S = 0.1
# The clock and time drift apart by less than this while a clock is being adjusted.
JUMP_S = 60.0


class RunMonitor(AttemptListener):
    """Counts and shows what happens to attempts, and halts the run when it must not continue.

    Two jobs that share a request count as two. What stops a provider alone is the affair of its lane.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        lanes: Sequence[Lane],
        budget: Budget,
        progress: Progress,
        counts: Counts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._budget = budget
        self._progress = progress
        self._clock = clock
        self._total = counts.total
        self._succeeded = counts.succeeded
        self._failed = counts.failed + counts.unknown
        self._retried = 0
        self._in_flight: set[str] = set()  # by fingerprint: a request has one attempt at a time
        self._ended = 0
        self._went_wrong = 0
        self._ends: deque[float] = deque(maxlen=ENDS)
        self._other = 0
        self._other_example = ""
        self._kinds: dict[str, tuple[int, str]] = {}
        self._shows_at = 0.0
        self._not_approved = 0
        self._deadline = settings.ends_at.timestamp() if settings.ends_at else None
        self.stop: StopReason | None = None

    @property
    def interrupted(self) -> bool:
        """Whether a signal has stopped the run."""
        return self.stop is not None and self.stop.kind == "signal"

    def interrupt(self, number: signal.Signals) -> None:
        """A signal came: let what is in flight finish, start nothing more."""
        self._progress.say(
            f"{number.name}: {self._in_flight_are()} paid for and will be finished; a second signal drops"
            f" {'it' if len(self._in_flight) == 1 else 'them'}"
        )
        code = exit_code_of_signal(number)
        self.halt(StopReason("signal", f"by {number.name}; running the same command again resumes", code))

    def drop(self) -> None:
        """A second signal came: what is in flight is dropped."""
        fetched = (
            "; the next run fetches the results of those that were submitted"
            if self._settings.api.version == "v2"
            else ""
        )
        self._progress.say(
            f"dropped {many(len(self._in_flight), 'request')} in flight, which may have been billed{fetched}"
        )

    def out_of_budget(self, requests: int, usd: float) -> None:
        """Only requests that the budget has no room for remain: how many, and what they are expected to cost."""
        self.halt(
            StopReason(
                "budget",
                f"the budget has no room for the max price of any request that is left: {many(requests, 'request')},"
                f" about ${usd:,.2f}. Raise --max-cost, or the limits per day and month",
            )
        )

    def approval_spent(self, message: str) -> None:
        """Only requests that the approved amount has no room for remain; `message` says so."""
        self.halt(StopReason("budget", message, is_approval_spent=True))

    def left_out(self) -> None:
        """Count a request that the approved plan lacks."""
        self._not_approved += 1

    def halt_if_not_approved(self) -> None:
        """Say that requests are left because the approved plan lacks them, if there are any."""
        if not self._not_approved:
            return
        are = many(self._not_approved, "request that is left isn't", "requests that are left aren't")
        again = "Save a plan of them with `plan --save`, and have that approved"
        self.halt(StopReason("budget", f"{are} in the approved plan. {again}", is_approval_spent=True))

    def may_start(self, lane: Lane) -> bool:
        """Whether a request to that provider that leaves now will probably be back before the deadline; if not, it is
        sent no more.
        """
        if self._deadline is None or self._clock() + lane.p95_s() <= self._deadline:
            return True
        lane.close()
        self._note(StopReason("deadline", "no further request would be back before the deadline"))
        return False

    def started(self, task: Task, attempt_id: int) -> None:
        """Count a request that left."""
        self._in_flight.add(task.request.fingerprint)
        self._retried += task.is_retry
        self._show()

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """Count jobs that have their image, and those among them that have another one than they asked for."""
        self._in_flight.discard(task.request.fingerprint)
        self._succeeded += jobs
        self._ended += jobs
        self._ends.append(time.monotonic())
        self._check_failures()
        if warning is not None:
            self._other += jobs
            self._other_example = self._other_example or f"{task.request.job_id}: {warning}"
        self._show()

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        """Count an attempt that gave nothing, and the jobs it ends."""
        self._in_flight.discard(task.request.fingerprint)
        if isinstance(then, GiveUp) and then.status != "pending":
            jobs = task.request.jobs
            count, _ = self._kinds.get(failure.kind, (0, ""))
            self._kinds[failure.kind] = (count + jobs, f"{task.request.job_id}: {failure.message}")
            if task.request.is_redo:
                self._succeeded += jobs  # each keeps the image that it has
            else:
                self._failed += jobs
            self._ended += jobs
            self._went_wrong += jobs
            self._check_failures()
        self._show()

    def ended(self, task: Task) -> None:
        """Count one less in flight, also where a local I/O error has ended it."""
        self._in_flight.discard(task.request.fingerprint)

    def local_error(self, error: MachineError) -> None:
        """Let what is in flight finish, as far as it can."""
        if self._in_flight and (self.stop is None or self.stop.kind != "machine"):
            self._progress.say(
                f"{error}; {self._in_flight_are()} paid for and will be finished, and saved as"
                f" soon as this machine lets them, within {duration(self._settings.outputs.wait_s)}"
            )
        self.halt(StopReason("machine", str(error)))

    def _in_flight_are(self) -> str:
        return many(len(self._in_flight), "request in flight is", "requests in flight are")

    def unsaved(self, task: Task, error: MachineError) -> None:
        """Say that a paid answer is lost."""
        self._progress.say(f"{task.request.job_id}: its answer could not be saved and may have been billed: {error}")

    async def run(self) -> None:
        """Show progress once a second, and stop the run at its deadline, until cancelled."""
        offset_s = self._clock() - time.monotonic()
        while True:
            self._show()
            await asyncio.sleep(1.0)
            jump_s = self._clock() - time.monotonic() - offset_s
            if abs(jump_s) > JUMP_S:
                offset_s += jump_s
                self._jumped(jump_s)
            for lane in self._lanes:
                self.may_start(lane)

    def _jumped(self, jump_s: float) -> None:
        """The clock moved otherwise than time did; while a machine sleeps, its time stands still."""
        way = "forward" if jump_s > 0 else "back"
        self._progress.say(
            f"the clock went {way} by {duration(abs(jump_s))}: it was set, or this machine slept. The deadline goes by"
            " the clock; requests that were in flight in a sleep are lost and may have been billed"
        )
        log.warning("clock jumped", extra={"jump_s": round(jump_s, 3)})

    def close(self) -> None:
        """The last figures stay."""
        self._show(last=True)
        self._progress.close()
        if self._other:
            self._progress.say(
                f"warning: {many(self._other, 'image is', 'images are')} other than asked, for example"
                f" {self._other_example}; `checks: full` would reject them"
            )

    def halt(self, stop: StopReason) -> None:
        """Draw nothing more, of any provider, for this reason."""
        self._note(stop)
        for lane in self._lanes:
            lane.close()
        self._budget.close()

    def _note(self, stop: StopReason) -> None:
        if stop.outranks(self.stop):
            self.stop = stop
            log.warning("stopping", extra={"kind": stop.kind, "reason": stop.message})

    def _check_failures(self) -> None:
        limit = self._settings.max_failures
        if limit is None:
            return
        if limit.endswith("%"):
            wrong = self._ended >= SHARE_AFTER and self._went_wrong >= float(limit[:-1]) / 100 * self._ended
        else:
            wrong = self._went_wrong >= int(limit)
        if wrong:
            kind, (count, example) = max(self._kinds.items(), key=lambda item: item[1][0])
            self.halt(
                StopReason(
                    "failures",
                    f"{self._went_wrong} of {self._ended} jobs failed, which max_failures {limit} does not allow;"
                    f" {count} of them with {kind}, for example {example}",
                )
            )

    def snapshot(self) -> Snapshot:
        """Where the run is now."""
        now = time.monotonic()
        recent = [at for at in self._ends if at > now - 60]
        done = self._succeeded + self._failed
        return Snapshot(
            total=self._total,
            done=done,
            succeeded=self._succeeded,
            failed=self._failed,
            retried=self._retried,
            in_flight=len(self._in_flight),
            per_min=60 * len(recent) / max(now - recent[0], 1.0) if recent else 0.0,
            spent_usd=self._budget.spent_usd,
            eta_s=max(filter(None, (lane.eta_s() for lane in self._lanes if not lane.is_closed)), default=None),
        )

    def _show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if now < self._shows_at and not last:
            return
        self._shows_at = now + SHOW_EVERY_S
        self._progress.show(self.snapshot())
