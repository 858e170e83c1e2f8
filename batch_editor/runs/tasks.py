"""What the pool works on, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from batch_editor.errors import MachineError
from batch_editor.ledger import PendingRequest, SubmittedAttempt
from batch_editor.records import Answer, Failure
from batch_editor.scheduling import Tally


@dataclass(frozen=True, slots=True)
class Task:
    """A request on its way, with what it has been through in this run.

    `submitted`: the attempt of an earlier run whose result is to be fetched; None where an attempt is to be made.
    """

    request: PendingRequest
    tally: Tally
    submitted: SubmittedAttempt | None = None

    @classmethod
    def of(cls, request: PendingRequest) -> Task:
        """A fresh one."""
        return cls(request, Tally(possibly_billed=request.billed))


class Watcher(Protocol):
    """Who is told what happens to attempts: progress, limits on failures and time, the log."""

    def may_start(self) -> bool:
        """Whether a request may leave now; called when it is next."""

    def started(self, task: Task, attempt_id: int) -> None:
        """A request left."""

    def fetching(self, task: Task, attempt_id: int) -> None:
        """The result of a submitted request is asked for."""

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """An attempt gave its image, for that many jobs; `warning` says what is other than asked."""

    def failed(self, task: Task, failure: Failure, answer: Answer | None, status: str, delay_s: float) -> None:
        """An attempt, or an upload for it, gave none; the request's status is now `status`."""

    def ended(self, task: Task) -> None:
        """Nothing more comes of an attempt, be it told of before or not."""

    def stopped(self, failure: Failure) -> None:
        """A failure that ends the run."""

    def outage(self, failure: Failure | None, next_s: float) -> None:
        """The provider is down, and is tried again in so many seconds; or, without a failure, it is there again."""

    def gave_up(self, failure: Failure, lasted_s: float) -> None:
        """The provider has been down for so long, and has been tried as often as a run does."""

    def only_refused(self, failure: Failure, lasted_s: float) -> None:
        """The provider has answered nothing but 429s for so long, which is as long as a run bears it."""

    def broken(self, error: MachineError) -> None:
        """The disk or a ledger is in the way of an attempt, and so of the run."""

    def unsaved(self, task: Task, error: MachineError) -> None:
        """An answer came and could not be saved."""
