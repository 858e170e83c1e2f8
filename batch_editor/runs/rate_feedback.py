"""What answers teach the rate limiter, and what it makes of them for the run: an outage, or nothing but refusals."""

from __future__ import annotations

from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.monitor import RunMonitor
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import Permit, RateLimiter


class RateFeedback(AttemptListener):
    """Tells the rate limiter how each request ended, and the monitor what that means for the run.

    `give_up_s`: for how long the provider may answer nothing but 429s.
    """

    def __init__(self, limiter: RateLimiter, monitor: RunMonitor, *, give_up_s: float) -> None:
        self._limiter = limiter
        self._monitor = monitor
        self._give_up_s = give_up_s

    def upload_refused(self, task: Task, failure: Failure) -> None:
        """Count it towards an outage, if it may well succeed later."""
        if failure.transient:
            was_down = self._limiter.outage
            self._limiter.unreached(task.request.fingerprint)
            self._watch_outage(was_down, failure)

    def answered(self, task: Task, answer: Answer, permit: Permit | None) -> None:
        """Give the permit back, by how its request ended."""
        if permit is None:
            return
        was_down, outcome = self._limiter.outage, answer.outcome
        if isinstance(outcome, SavedImage):
            self._limiter.succeeded(permit, answer.latency_s or 0.0)
            self._watch_outage(was_down, None)
            return
        self._limiter.failed(permit, task.request.fingerprint, outcome)
        if self._limiter.only_refused_s() >= self._give_up_s:
            self._monitor.only_refused(outcome, self._limiter.only_refused_s())
        self._watch_outage(was_down, outcome)

    def _watch_outage(self, was_down: bool, failure: Failure | None) -> None:
        if failure is not None and self._limiter.hopeless():
            self._monitor.gave_up(failure, self._limiter.outage_s())
        elif was_down != self._limiter.outage:
            self._monitor.outage(failure if self._limiter.outage else None, self._limiter.held_s())
