"""What answers teach a rate limiter, and what it makes of them for its provider: an outage, or nothing but refusals."""

from __future__ import annotations

from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.runs.lanes import Lane
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import Permit


class RateFeedback(AttemptListener):
    """Tells a provider's rate limiter how each request ended, and its lane what that means for those that are left.

    `give_up_s`: for how long the provider may answer nothing but 429s.
    """

    def __init__(self, lane: Lane, *, give_up_s: float) -> None:
        self._limiter = lane.limiter
        self._lane = lane
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
        if answer.rate is not None:
            self._limiter.said(permit, answer.rate)
        if isinstance(outcome, SavedImage):
            self._limiter.succeeded(permit, answer.latency_s or 0.0)
            self._watch_outage(was_down, None)
            return
        self._limiter.failed(permit, task.request.fingerprint, outcome)
        if self._limiter.only_refused_s() >= self._give_up_s:
            self._lane.only_refused(outcome, self._limiter.only_refused_s())
        self._watch_outage(was_down, outcome)

    def _watch_outage(self, was_down: bool, failure: Failure | None) -> None:
        if failure is not None and self._limiter.hopeless():
            self._lane.gave_up(failure, self._limiter.outage_s())
        elif was_down != self._limiter.outage:
            self._lane.outage(failure if self._limiter.outage else None, self._limiter.held_s())
