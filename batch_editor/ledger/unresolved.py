"""Attempts that may have been billed without a result, until that is known."""

from __future__ import annotations

import sqlite3

import orjson

from batch_editor.ledger.attempts import count_billed
from batch_editor.ledger.entries import Charge, UnresolvedAttempt
from batch_editor.ledger.providers import PROVIDER
from batch_editor.records import Failure

# Nearer than this, a charge that is known tells whether the history covers an attempt.
NEAR_S = 86_400.0
# What an attempt sent.
_PARAMS = "coalesce(a.redo_params, r.params)"


class UnresolvedAttempts:
    """Attempts with `possibly_billed`; those whose cost is known are resolved."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def all(self) -> list[UnresolvedAttempt]:
        """Attempts that may have been billed in vain, oldest first; those of rehearsals are none."""
        rows = self._db.execute(
            "SELECT a.attempt_id, a.run_id, a.number, a.state, a.sent_at, a.request_id, a.charged_usd, a.fingerprint,"
            f" r.job_id, iif(a.redo_params IS NULL, r.state, coalesce(d.state, 'succeeded')), {PROVIDER}, {_PARAMS},"
            " coalesce(a.redo_files, r.files) FROM attempts a JOIN runs USING (run_id)"
            " JOIN requests r USING (fingerprint) LEFT JOIN redos d USING (fingerprint)"
            " WHERE a.possibly_billed AND a.cost_usd IS NULL AND NOT runs.sandbox"
            " ORDER BY a.sent_at, a.attempt_id"
        )
        return [UnresolvedAttempt(*(*row[:-2], orjson.loads(row[-2]), orjson.loads(row[-1]))) for row in rows]

    def charges_like(self, attempts: list[UnresolvedAttempt]) -> list[Charge]:
        """Attempts that surely were charged for what the unresolved ones sent as well."""
        wanted = orjson.dumps(sorted(attempt.attempt_id for attempt in attempts)).decode()
        return self._charges(
            "(a.fingerprint IN (SELECT fingerprint FROM json_each(?) each JOIN attempts ON attempt_id = each.value)"
            f" OR {_PARAMS} IN (SELECT {_PARAMS} FROM json_each(?) each"
            " CROSS JOIN attempts a ON a.attempt_id = each.value JOIN requests r USING (fingerprint)))",
            *(wanted, wanted),
        )

    def charge_near(self, sent_at: float) -> Charge | None:
        """The attempt nearest to that instant that surely was charged, if one was within a day."""
        before = "a.sent_at BETWEEN ? AND ? ORDER BY a.sent_at DESC LIMIT 1"
        after = "a.sent_at BETWEEN ? AND ? ORDER BY a.sent_at LIMIT 1"
        nearest = self._charges(before, sent_at - NEAR_S, sent_at) or self._charges(after, sent_at, sent_at + NEAR_S)
        return nearest[0] if nearest else None

    def known_ids(self, request_ids: list[str]) -> frozenset[str]:
        """Those of the provider's ids that are of attempts which are resolved."""
        rows = self._db.execute(
            "SELECT request_id FROM attempts WHERE request_id IN (SELECT value FROM json_each(?))"
            " AND NOT (possibly_billed AND cost_usd IS NULL)",
            (orjson.dumps(request_ids).decode(),),
        )
        return frozenset(request_id for (request_id,) in rows)

    def not_billed(self, attempt_id: int) -> None:
        """Record that an attempt cost nothing. Its request is pending again, unless another attempt may have."""
        count_billed(self._db, attempt_id, 0)
        self._db.execute(
            "UPDATE attempts SET state = 'failed', possibly_billed = 0, charged_usd = 0 WHERE attempt_id = ?",
            (attempt_id,),
        )
        self._db.execute(
            "UPDATE requests SET state = 'pending', error_kind = NULL, error = NULL WHERE state = 'unknown'"
            " AND possibly_billed = 0 AND fingerprint = (SELECT fingerprint FROM attempts WHERE attempt_id = ?)",
            (attempt_id,),
        )
        self._db.execute(
            "UPDATE redos SET state = 'pending', error_kind = NULL, error = NULL FROM attempts a"
            " WHERE a.attempt_id = ? AND a.redo_params IS NOT NULL AND redos.fingerprint = a.fingerprint"
            " AND redos.state = 'unknown' AND NOT EXISTS (SELECT 1 FROM attempts other"
            " WHERE other.fingerprint = a.fingerprint AND other.redo_params IS NOT NULL AND other.possibly_billed)",
            (attempt_id,),
        )

    def charged_in_vain(self, attempt_id: int, usd: float, request_id: str, failure: Failure, *, now: float) -> None:
        """Record what an attempt without a result cost."""
        self._db.execute(
            "UPDATE requests SET state = 'unknown', error_kind = ?, error = ?, request_id = ?, passing = 0"
            " FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint"
            " AND (requests.state = 'unknown' OR (requests.state = 'pending' AND a.state = 'accepted'))",
            (failure.kind, failure.message, request_id, attempt_id),
        )
        self._db.execute(
            "UPDATE redos SET state = 'unknown', error_kind = ?, error = ?, passing = 0"
            " FROM attempts a WHERE a.attempt_id = ? AND a.redo_params IS NOT NULL"
            " AND redos.fingerprint = a.fingerprint"
            " AND (redos.state = 'unknown' OR (redos.state = 'pending' AND a.state = 'accepted'))",
            (failure.kind, failure.message, attempt_id),
        )
        self._db.execute(
            "UPDATE attempts SET state = 'unknown', cost_usd = ?, charged_usd = ?, request_id = ?, ended_at = ?,"
            " error_kind = ?, error = ? WHERE attempt_id = ?",
            (usd, usd, request_id, now, failure.kind, failure.message, attempt_id),
        )

    def _charges(self, where: str, *values: object) -> list[Charge]:
        rows = self._db.execute(
            f"SELECT a.attempt_id, a.request_id, a.sent_at, {_PARAMS} FROM attempts a"
            f" JOIN requests r USING (fingerprint) WHERE a.state = 'succeeded' AND {where}",
            values,
        )
        return [Charge(*(*row[:-1], orjson.loads(row[-1]))) for row in rows]
