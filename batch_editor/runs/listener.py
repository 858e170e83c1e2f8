"""What happens to an attempt is reported once, to an `AttemptListener`; `Listeners` passes it on to several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from batch_editor.errors import MachineError
from batch_editor.records import Answer, Failure
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import GiveUp, Permit, Retry

Event = TypeVar("Event", bound=Callable[..., Any])


class AttemptListener:
    """Hears what happens to attempts. A subclass overrides what it wants to hear of.

    In this order: `permitted` → `started` → `answered` → `succeeded` or `failed` → `ended`, which comes last whatever
    happened, and for what was not sent with at most `permitted` before it. Called on the event loop: it must neither
    block nor raise.
    """

    def upload_refused(self, task: Task, failure: Failure) -> None:
        """The provider didn't take a local file that the request needs; `failed` follows."""

    def permitted(self, task: Task, waited_s: float) -> None:
        """It is the request's turn, after so many seconds' wait for the rate."""

    def started(self, task: Task, attempt_id: int) -> None:
        """A request leaves; with `task.submitted`, one for the result of what an earlier run submitted."""

    def answered(self, task: Task, answer: Answer, permit: Permit | None) -> None:
        """The provider's answer has come, or none will; nothing is recorded yet. No `permit` with `task.submitted`."""

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """So many jobs have their image. `warning`: what is other than asked in it."""

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        """No image came of it, and `then` follows."""

    def possibly_billed(self, task: Task, usd: float) -> None:
        """The attempt that is about to be reported as failed may have been charged, with so much at most."""

    def unsaved(self, task: Task, error: MachineError) -> None:
        """A paid answer is lost: nothing could keep it."""

    def local_error(self, error: MachineError) -> None:
        """This machine's disk or ledger refused what an attempt needs; it may be tried again."""

    def ended(self, task: Task) -> None:
        """The attempt is over."""


def _pass_on(event: Event) -> Event:
    """A method of `Listeners` that tells each of them of that event."""

    def passed_on(listeners: Listeners, *values: object) -> None:
        """Tell each of them, in order."""
        for each in listeners.all:
            getattr(each, event.__name__)(*values)

    return cast("Event", passed_on)


class Listeners(AttemptListener):
    """Passes everything on to each of several listeners, in their order."""

    def __init__(self, *listeners: AttemptListener) -> None:
        self.all = listeners

    upload_refused = _pass_on(AttemptListener.upload_refused)
    permitted = _pass_on(AttemptListener.permitted)
    started = _pass_on(AttemptListener.started)
    answered = _pass_on(AttemptListener.answered)
    succeeded = _pass_on(AttemptListener.succeeded)
    failed = _pass_on(AttemptListener.failed)
    possibly_billed = _pass_on(AttemptListener.possibly_billed)
    unsaved = _pass_on(AttemptListener.unsaved)
    local_error = _pass_on(AttemptListener.local_error)
    ended = _pass_on(AttemptListener.ended)
