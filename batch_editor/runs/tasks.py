"""What the pool works on."""

from __future__ import annotations

from dataclasses import dataclass

from batch_editor.ledger import PendingRequest, SubmittedAttempt
from batch_editor.scheduling import Tally


@dataclass(frozen=True, slots=True)
class Task:
    """A request on its way, with what it has been through in this run.

    `submitted`: the attempt of an earlier run whose result is to be fetched; None where an attempt is to be made.
    """

    request: PendingRequest
    tally: Tally
    submitted: SubmittedAttempt | None = None

    @property
    def is_retry(self) -> bool:
        """Whether a request that leaves for it was sent before."""
        before = 0 if self.request.is_redo else self.request.attempts
        return self.submitted is None and before + self.tally.attempts + self.tally.refusals > 0

    @classmethod
    def from_request(cls, request: PendingRequest) -> Task:
        """A fresh one."""
        return cls(request, Tally(possibly_billed=request.billed))
