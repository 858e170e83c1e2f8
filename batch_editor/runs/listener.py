"""What happens to an attempt is told once, to an `AttemptListener`; `Listeners` passes it on to several."""

# ruff: noqa: D102  # what the methods of `Listeners` mean is said once, in `AttemptListener`

from __future__ import annotations

from batch_editor.errors import MachineError
from batch_editor.records import Answer, Failure
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import GiveUp, Permit, Retry


class AttemptListener:
    """Hears what happens to attempts. A subclass overrides what it wants to hear of.

    In this order: `started`, or `fetching` for the result of an earlier run's attempt → `answered` → `succeeded` or
    `failed` → `ended`, which comes last whatever happened before, and alone for what was not sent. Called on the event
    loop: it must neither block nor raise.
    """

    def upload_refused(self, task: Task, failure: Failure) -> None:
        """The provider didn't take a local file that the request needs; `failed` follows."""

    def started(self, task: Task, attempt_id: int) -> None:
        """A request leaves."""

    def fetching(self, task: Task, attempt_id: int) -> None:
        """The result of an attempt that an earlier run submitted is asked for."""

    def answered(self, task: Task, answer: Answer, permit: Permit | None) -> None:
        """The provider's answer has come, or failed to; nothing is recorded yet. `permit`: None with `fetching`."""

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """So many jobs have their image. `warning`: what is other than asked in it."""

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        """No image came of it, and `then` follows."""

    def unsaved(self, task: Task, error: MachineError) -> None:
        """A paid answer is lost: nothing could keep it."""

    def local_error(self, error: MachineError) -> None:
        """This machine's disk or ledger refused what an attempt needs; it may be tried again."""

    def ended(self, task: Task) -> None:
        """The attempt is over."""


class Listeners(AttemptListener):
    """Passes everything on to each of several listeners, in their order."""

    def __init__(self, *listeners: AttemptListener) -> None:
        self._listeners = listeners

    def upload_refused(self, task: Task, failure: Failure) -> None:
        for each in self._listeners:
            each.upload_refused(task, failure)

    def started(self, task: Task, attempt_id: int) -> None:
        for each in self._listeners:
            each.started(task, attempt_id)

    def fetching(self, task: Task, attempt_id: int) -> None:
        for each in self._listeners:
            each.fetching(task, attempt_id)

    def answered(self, task: Task, answer: Answer, permit: Permit | None) -> None:
        for each in self._listeners:
            each.answered(task, answer, permit)

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        for each in self._listeners:
            each.succeeded(task, answer, jobs, warning)

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        for each in self._listeners:
            each.failed(task, failure, then)

    def unsaved(self, task: Task, error: MachineError) -> None:
        for each in self._listeners:
            each.unsaved(task, error)

    def local_error(self, error: MachineError) -> None:
        for each in self._listeners:
            each.local_error(error)

    def ended(self, task: Task) -> None:
        for each in self._listeners:
            each.ended(task)
