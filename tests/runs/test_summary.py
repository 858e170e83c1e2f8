"""How a run ends: which of several reasons counts, and what is told."""

from __future__ import annotations

from typing import get_args

import pytest

from batch_editor.ledger import Counts
from batch_editor.runs.stops import StopKind, StopReason, exit_code_of, what_stopped

LIMITS = ("budget", "deadline", "failures", "outage", "declined")


def counts(*, failed: int = 0, pending: int = 0, unknown: int = 0) -> Counts:
    return Counts(10, 10 - failed - pending - unknown, failed, pending, unknown, 0)


DONE, LEFT = counts(), counts(pending=1)
WRONG = (counts(failed=1), counts(unknown=1))
LEFT_AND_WRONG = (counts(failed=1, pending=1), counts(unknown=1, pending=1))


@pytest.mark.parametrize("wanted", [DONE, LEFT, *WRONG, *LEFT_AND_WRONG])
@pytest.mark.parametrize(("kind", "code"), [("signal", 130), ("signal", 143), ("machine", 6), ("refused", 3)])
def test_a_signal_the_machine_and_a_refusal_come_first(kind: StopKind, code: int, wanted: Counts) -> None:
    stop = StopReason(kind, "why", code if kind == "signal" else 0)
    assert what_stopped(wanted, stop) is stop
    assert exit_code_of(wanted, stop) == code


@pytest.mark.parametrize("kind", [*LIMITS, None])
@pytest.mark.parametrize("wanted", [LEFT, *LEFT_AND_WRONG])
def test_jobs_that_are_left_come_before_those_that_failed(kind: StopKind | None, wanted: Counts) -> None:
    stop = kind and StopReason(kind, "why")
    assert what_stopped(wanted, stop) is stop
    assert exit_code_of(wanted, stop) == 4


@pytest.mark.parametrize("kind", [*LIMITS, None])
@pytest.mark.parametrize(("wanted", "code"), [(DONE, 0), *((wanted, 1) for wanted in WRONG)])
def test_a_limit_that_is_met_when_nothing_is_left_has_stopped_nothing(
    kind: StopKind | None, wanted: Counts, code: int
) -> None:
    stop = what_stopped(wanted, kind and StopReason(kind, "why"))
    assert stop is None
    assert exit_code_of(wanted, stop) == code


def test_of_two_reasons_to_stop_the_first_of_the_list_is_told() -> None:
    assert get_args(StopKind)[:3] == ("signal", "machine", "refused")
    for first, second in zip(get_args(StopKind), get_args(StopKind)[1:], strict=False):
        assert StopReason(first, "").outranks(StopReason(second, ""))
        assert not StopReason(second, "").outranks(StopReason(first, ""))
