"""What the pool works on."""

from __future__ import annotations

from dataclasses import dataclass

from batch_editor.ledger import AcceptedAttempt, PendingRequest
from batch_editor.scheduling import Tally


@dataclass(frozen=True, slots=True)
class Task:
    """A request on its way, with what it has been through in this run.

    `accepted` is there where an attempt of a run before is to be collected, and none to be made.
    """

    request: PendingRequest
    tally: Tally
    accepted: AcceptedAttempt | None = None

    @classmethod
    def from_request(cls, request: PendingRequest) -> Task:
        """A fresh one."""
        return cls(request, Tally(possibly_billed=request.billed))
