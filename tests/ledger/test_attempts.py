"""What the ledger says of requests, attempt by attempt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batch_editor.ledger import JobRow, Ledger, readings
from batch_editor.records import Answer, Failure


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with one job, `mug`, whose request is to be sent."""
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        ledger.connection.execute(
            "INSERT INTO requests (fingerprint, endpoint, params, files, job_id, position, state, expected_usd,"
            " high_usd) VALUES ('f', 'e', '{}', '{}', 'mug', 0, 'pending', 0.2, 0.3)"
        )
        ledger.connection.execute(
            "INSERT INTO jobs (job_id, position, active, selected, fingerprint, output, extras)"
            " VALUES ('mug', 0, 1, 1, 'f', 'mug', '{}')"
        )
        yield ledger


def row(ledger: Ledger) -> JobRow:
    (found,) = readings.rows(ledger.connection)
    return found


def test_a_request_that_did_not_leave_after_all_was_never_sent(ledger: Ledger) -> None:
    attempt_id, number = ledger.attempts.intend("f", "run", now=100.0, reserved_usd=0.3)
    ledger.attempts.withdraw(attempt_id)
    assert (number, row(ledger).attempts, row(ledger).sent_at) == (1, 0, None)


def test_one_that_left_before_was_sent_then(ledger: Ledger) -> None:
    first, _ = ledger.attempts.intend("f", "run", now=100.0, reserved_usd=0.3)
    failure = Failure("server_error", "HTTP 502", maybe_billed=True, transient=True, http_status=502)
    answer = Answer(failure, http_status=502, latency_s=5.0)
    ledger.attempts.failed(first, failure, answer, state="pending", now=105.0, charged_usd=None)
    second, number = ledger.attempts.intend("f", "run", now=200.0, reserved_usd=0.3)
    ledger.attempts.withdraw(second)
    assert (number, row(ledger).attempts, row(ledger).sent_at, row(ledger).ended_at) == (2, 1, 100.0, 105.0)
