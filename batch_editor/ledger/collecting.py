"""The part of the ledger about attempts that the provider keeps the results of, until they are collected."""

from __future__ import annotations

from typing import Any

import orjson

from batch_editor.ledger.database import Database
from batch_editor.ledger.entries import AcceptedAttempt, PendingRequest
from batch_editor.records import Failure


class Collecting(Database):
    """Attempts in the state `accepted`."""

    def accepted(self, attempt_id: int, request_id: str) -> None:
        """Record under which id the provider keeps an attempt's result."""
        self._db.execute(
            "UPDATE attempts SET state = 'accepted', request_id = ? WHERE attempt_id = ?", (request_id, attempt_id)
        )

    def uncollected(self, attempt_id: int, failure: Failure, *, now: float) -> None:
        """Record that a run ends, or gave up, without the result of an accepted attempt; the next one collects it.

        Until then it counts as possibly billed, but not against retry.max_possibly_billed.
        """
        self._db.execute(
            "UPDATE requests SET state = 'pending', passing = 1, error_kind = ?, error = ?, ended_at = ?,"
            " http_status = NULL, request_id = a.request_id, sent_at = a.sent_at,"
            " possibly_billed = requests.possibly_billed + 1 - a.possibly_billed,"
            " forgiven = forgiven + 1 - a.possibly_billed"
            " FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint",
            (failure.kind, failure.message, now, attempt_id),
        )
        self._db.execute(
            "UPDATE attempts SET error_kind = ?, error = ?, possibly_billed = 1 WHERE attempt_id = ?",
            (failure.kind, failure.message, attempt_id),
        )

    def accepted_attempts(self, budget_id: str) -> list[AcceptedAttempt]:
        """What was accepted and not collected yet, oldest first; `budget_id` is the present run's."""
        rows = self._db.execute(
            "SELECT attempt_id, run_id, a.number, a.request_id, charged_usd, iif(budget_id = ?, charged_usd, 0),"
            " fingerprint FROM attempts a JOIN runs USING (run_id)"
            " WHERE a.state IN ('sent', 'accepted', 'received') AND a.state = 'accepted' ORDER BY attempt_id",
            (budget_id,),
        ).fetchall()
        return [
            AcceptedAttempt(
                attempt_id, run_id, number, request_id, charged, counted, self._requests("fingerprint = ?", fp)[0]
            )
            for attempt_id, run_id, number, request_id, charged, counted, fp in rows
        ]

    def _not_in_vain(self, attempt_id: int, billed: int) -> None:
        """Correct what a request's count says of an attempt: whether it may have been billed in vain."""
        self._db.execute(
            "UPDATE requests SET possibly_billed = requests.possibly_billed + ? - a.possibly_billed,"
            " forgiven = max(0, forgiven - a.possibly_billed)"
            # Most often neither holds, and the request's row need not be looked up.
            " FROM attempts a WHERE a.attempt_id = ? AND (a.possibly_billed OR ?)"
            " AND requests.fingerprint = a.fingerprint",
            (billed, attempt_id, billed),
        )

    def _requests(self, where: str, *values: Any) -> list[PendingRequest]:
        rows = self._db.execute(
            "SELECT fingerprint, coalesce(position, -1), endpoint, params, files, job_id, expected_usd, high_usd,"
            " attempts, possibly_billed - forgiven, (SELECT count(*) FROM jobs"
            f" WHERE jobs.fingerprint = requests.fingerprint AND active AND selected) FROM requests WHERE {where}",
            values,
        )
        return [
            PendingRequest(fp, at, endpoint, orjson.loads(params), orjson.loads(files), *rest)
            for fp, at, endpoint, params, files, *rest in rows
        ]
