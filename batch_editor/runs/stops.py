"""Why a run ended before its work did, and what its process ends with."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from batch_editor.ledger import Counts

# Where several hold, the first wins.
StopKind = Literal[
    "signal", "machine", "refused", "budget", "deadline", "failures", "outage", "rate_limited", "declined", "canary"
]


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run ended before its work did.

    `exit_code` matters for signals only, which have two; `error_kind` is the refusal's, where the provider refused.
    `is_approval_spent`: no run with the same approved plan can send the rest.
    `providers`: why it stopped to send to some of its providers, kind and words by their names.
    """

    kind: StopKind
    message: str
    exit_code: int = 0
    error_kind: str = ""
    is_approval_spent: bool = False
    providers: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """Where several reasons hold, that of the lowest rank is given."""
        return get_args(StopKind).index(self.kind)

    def outranks(self, other: StopReason | None) -> bool:
        """Whether this reason is given rather than the other."""
        return other is None or self.rank < other.rank


def what_stopped(wanted: Counts, stop: StopReason | None, *, redos: int = 0) -> StopReason | None:
    """The reason that a run stopped, if it did. A limit that was met when no job was left has stopped nothing.

    `redos`: how many jobs' rejected images are left to be made again.
    """
    if stop is None or wanted.pending or redos or stop.kind in ("signal", "machine", "refused"):
        return stop
    return None


def exit_code_of(wanted: Counts, stop: StopReason | None, *, redos: int = 0) -> int:
    """How the process ends: by the reason that it stopped, else by the jobs that the run wanted.

    Jobs that are left come before those that failed: they may be paid for, and the next run may fetch their results.
    """
    if stop is not None and stop.kind == "signal":
        return stop.exit_code
    if stop is not None and stop.kind == "machine":
        return 6
    if stop is not None and stop.kind == "refused":
        return 3
    if wanted.pending or redos:
        return 4
    return 1 if wanted.failed or wanted.unknown else 0


def exit_code_of_signal(number: signal.Signals) -> int:
    """How the process ends that a signal has stopped."""
    return 130 if number is signal.SIGINT else 143
