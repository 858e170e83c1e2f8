"""Attempts in the ledger.

Order of an attempt's life, each step durable before the next: `intend` (its cost reserved) → sent → its image
whole and fsynced → `received` → checked, placed under its name → `succeeded`; or `failed`. With v2 it is `accepted`
between sending and receiving. `left_open` are those that a dead run left in between.

An attempt of a redo has `redo_params`. Until it has succeeded its request stays what it is, done and with its image;
what becomes of the redo is in the row of `redos`.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Literal

import orjson

from batch_editor.ledger.entries import Interrupted, PendingRequest, SubmittedAttempt, files_from
from batch_editor.ledger.providers import PROVIDER
from batch_editor.ledger.requests import requests_where
from batch_editor.records import Answer, Failure, SavedImage


class Attempts:
    """Attempts, each from its intent to its end."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def intend(
        self, fingerprint: str, run_id: str, *, now: float, reserved_usd: float, is_redo: bool = False
    ) -> tuple[int, int]:
        """Record that a request is about to leave, or its redo; return the attempt's id, and its number among the
        request's.
        """
        number, job_id, list_usd, pictures_changed = self._db.execute(
            "UPDATE requests SET attempts = attempts + 1 WHERE fingerprint = ?"
            " RETURNING attempts, job_id, expected_usd, pictures_changed",
            (fingerprint,),
        ).fetchone()
        cursor = self._db.execute(
            "INSERT INTO attempts (fingerprint, run_id, number, state, sent_at, charged_usd, job_id, list_usd,"
            " pictures_changed) VALUES (?, ?, ?, 'sent', ?, ?, ?, ?, ?)",
            (fingerprint, run_id, number, now, reserved_usd, job_id, list_usd, pictures_changed),
        )
        assert cursor.lastrowid is not None
        if pictures_changed:
            self._db.execute("UPDATE requests SET pictures_changed = 0 WHERE fingerprint = ?", (fingerprint,))
        if is_redo:
            noted = self._db.execute(
                "UPDATE attempts SET redo_params = d.params, redo_files = d.files, list_usd = d.expected_usd"
                " FROM redos d WHERE d.fingerprint = attempts.fingerprint AND attempt_id = ?",
                (cursor.lastrowid,),
            ).rowcount
            assert noted, "an attempt of a redo must not pass for one of its request"
        return cursor.lastrowid, number

    def withdraw(self, attempt_id: int) -> None:
        """Take an intent back: the request did not leave after all."""
        self._db.execute(
            "UPDATE requests SET attempts = requests.attempts - 1, pictures_changed = a.pictures_changed"
            " FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint",
            (attempt_id,),
        )
        self._db.execute("DELETE FROM attempts WHERE attempt_id = ?", (attempt_id,))

    def submitted(self, attempt_id: int, request_id: str) -> None:
        """Record under which id the provider keeps an attempt's result."""
        self._db.execute(
            "UPDATE attempts SET state = 'accepted', request_id = ? WHERE attempt_id = ?", (request_id, attempt_id)
        )

    def received(
        self, attempt_id: int, image: SavedImage, answer: Answer, *, now: float, charged_usd: float | None
    ) -> None:
        """Record that an attempt's image is whole on disk, not yet under its name.

        `charged_usd` None leaves what was reserved for it.
        """
        count_billed(self._db, attempt_id, 0)
        self._db.execute(
            "UPDATE attempts SET state = 'received', ended_at = ?, latency_s = ?, http_status = ?,"
            " charged_usd = coalesce(?, charged_usd), possibly_billed = 0, error_kind = NULL, error = NULL,"
            " cost_usd = ?, request_id = coalesce(?, request_id), sha256 = ?, size_bytes = ?, format = ?, width = ?,"
            " height = ? WHERE attempt_id = ?",
            (
                *(now, answer.latency_s, answer.http_status, charged_usd, answer.cost_usd, answer.request_id),
                *(image.sha256, image.size_bytes, image.format, image.width, image.height),
                attempt_id,
            ),
        )

    def succeeded(self, attempt_id: int, image_path: str) -> None:
        """Record that an attempt's image has its name: its request is done, and so is a redo of it."""
        self._db.execute("UPDATE attempts SET state = 'succeeded' WHERE attempt_id = ?", (attempt_id,))
        # What an image before this one cost stays counted.
        self._db.execute(
            "UPDATE requests SET former_expected_usd = former_expected_usd + expected_usd,"
            " former_cost_usd = iif(requests.cost_usd IS NULL, former_cost_usd,"
            " coalesce(former_cost_usd, 0) + requests.cost_usd),"
            " expected_usd = coalesce((SELECT d.expected_usd FROM redos d WHERE d.fingerprint = a.fingerprint),"
            " expected_usd), files = json_patch(files, a.redo_files), contents = NULL"
            " FROM attempts a WHERE a.attempt_id = ? AND a.redo_params IS NOT NULL"
            " AND requests.fingerprint = a.fingerprint",
            (attempt_id,),
        )
        self._db.execute(
            "UPDATE requests SET state = 'succeeded', image_path = ?, error_kind = NULL, error = NULL, passing = 0,"
            " http_status = a.http_status, latency_s = a.latency_s, cost_usd = a.cost_usd,"
            " request_id = a.request_id, sent_at = a.sent_at, ended_at = a.ended_at, sha256 = a.sha256,"
            " size_bytes = a.size_bytes, format = a.format, width = a.width, height = a.height,"
            " sent_params = a.redo_params, reused_from = NULL, pruned_at = NULL"
            " FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint",
            (image_path, attempt_id),
        )
        self._db.execute(
            "DELETE FROM redos WHERE fingerprint = (SELECT fingerprint FROM attempts WHERE attempt_id = ?)",
            (attempt_id,),
        )

    def failed(
        self,
        attempt_id: int,
        failure: Failure,
        answer: Answer | None,
        *,
        state: Literal["pending", "failed", "unknown"],
        now: float,
        charged_usd: float | None,
        counts: bool = True,
    ) -> None:
        """Record an attempt without an image, and what that makes of its request, or of the redo.

        `charged_usd` None leaves what was reserved for it. `counts`: whether it counts against
        retry.max_possibly_billed, which the interruption of a run doesn't.
        """
        billed = int(failure.maybe_billed)
        latency_s, request_id, cost_usd = (
            (answer.latency_s, answer.request_id, answer.cost_usd) if answer else (None, None, None)
        )
        count_billed(self._db, attempt_id, billed)
        self._db.execute(
            "UPDATE attempts SET state = ?, ended_at = ?, latency_s = ?, http_status = ?, error_kind = ?, error = ?,"
            " possibly_billed = ?, charged_usd = coalesce(?, charged_usd), cost_usd = ?,"
            " request_id = coalesce(?, request_id) WHERE attempt_id = ?",
            (
                *("unknown" if billed else "failed", now, latency_s, failure.http_status, failure.kind),
                *(failure.message, billed, charged_usd, cost_usd, request_id, attempt_id),
            ),
        )
        if billed and not counts:
            self._db.execute(
                "UPDATE requests SET forgiven = forgiven + 1 FROM attempts a"
                " WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint",
                (attempt_id,),
            )
        self._db.execute(
            "UPDATE requests SET state = ?,"
            " passing = ?, http_status = ?, error_kind = ?, error = ?, latency_s = ?, request_id = ?, ended_at = ?,"
            " sent_at = a.sent_at FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint"
            " AND a.redo_params IS NULL",
            (
                *(state, failure.transient, failure.http_status, failure.kind, failure.message),
                *(latency_s, request_id, now, attempt_id),
            ),
        )
        self._redo_became(attempt_id, state, failure)

    def not_fetched(self, attempt_id: int, failure: Failure, *, now: float) -> None:
        """Record that a run ends, or gave up, without the result of a submitted attempt; the next one fetches it.

        Until then it counts as possibly billed, but not against retry.max_possibly_billed.
        """
        self._db.execute(
            "UPDATE requests SET possibly_billed = requests.possibly_billed + 1 - a.possibly_billed,"
            " forgiven = forgiven + 1 - a.possibly_billed"
            " FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint",
            (attempt_id,),
        )
        self._db.execute(
            "UPDATE requests SET state = 'pending', passing = 1, error_kind = ?, error = ?, ended_at = ?,"
            " http_status = NULL, request_id = a.request_id, sent_at = a.sent_at"
            " FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint"
            " AND a.redo_params IS NULL",
            (failure.kind, failure.message, now, attempt_id),
        )
        self._redo_became(attempt_id, "pending", failure)
        self._db.execute(
            "UPDATE attempts SET error_kind = ?, error = ?, possibly_billed = 1 WHERE attempt_id = ?",
            (failure.kind, failure.message, attempt_id),
        )

    def left_open(self) -> list[Interrupted]:
        """What a dead run left between `intend` and the end."""
        rows = self._db.execute(
            "SELECT attempt_id, fingerprint, number, a.state, endpoint, coalesce(redo_params, params),"
            " coalesce(redo_files, files), a.possibly_billed, redo_params IS NOT NULL,"
            " a.http_status, a.latency_s, a.cost_usd, a.request_id, a.sha256, a.size_bytes, a.format, a.width, a.height"
            " FROM attempts a JOIN requests r USING (fingerprint)"
            " WHERE a.state IN ('sent', 'accepted', 'received') ORDER BY attempt_id"
        ).fetchall()
        return [
            Interrupted(
                *(attempt_id, fingerprint, number, state, endpoint, orjson.loads(params), files_from(files)),
                answer=Answer(SavedImage("", *rest[4:]), *rest[:4]) if state == "received" else None,
                not_fetched=bool(possibly_billed),
                is_redo=bool(is_redo),
            )
            for attempt_id, fingerprint, number, state, endpoint, params, files, possibly_billed, is_redo, *rest in rows
        ]

    def all_submitted(self, budget_id: str) -> list[SubmittedAttempt]:
        """Attempts whose results are not fetched yet, oldest first; `budget_id` is the present run's."""
        # The first condition lets SQLite use the index attempts_open.
        rows = self._db.execute(
            "SELECT attempt_id, run_id, a.number, a.request_id, charged_usd, iif(budget_id = ?, charged_usd, 0),"
            " fingerprint, redo_params, redo_files FROM attempts a JOIN runs USING (run_id)"
            " WHERE a.state IN ('sent', 'accepted', 'received') AND a.state = 'accepted' ORDER BY attempt_id",
            (budget_id,),
        ).fetchall()
        return [
            SubmittedAttempt(
                attempt_id,
                run_id,
                number,
                request_id,
                charged,
                counted,
                self._request_of(fingerprint, params, files),
            )
            for attempt_id, run_id, number, request_id, charged, counted, fingerprint, params, files in rows
        ]

    def _request_of(self, fingerprint: str, redo_params: str | None, redo_files: str | None) -> PendingRequest:
        """An attempt's request, as it was sent."""
        (request,) = requests_where(self._db, "fingerprint = ?", fingerprint)
        if redo_params is None or redo_files is None:
            return request
        return replace(request, params=orjson.loads(redo_params), files=files_from(redo_files), is_redo=True)

    def _redo_became(self, attempt_id: int, state: Literal["pending", "failed", "unknown"], failure: Failure) -> None:
        """Record what a redo's attempt without an image makes of the redo; nothing where it is no redo's."""
        self._db.execute(
            "UPDATE redos SET state = ?, passing = ?, error_kind = ?, error = ? FROM attempts a"
            " WHERE a.attempt_id = ? AND a.redo_params IS NOT NULL AND redos.fingerprint = a.fingerprint",
            (state, failure.transient, failure.kind, failure.message, attempt_id),
        )

    def charged_of(self, fingerprint: str, number: int) -> tuple[float, bool] | None:
        """What an attempt counts for in budgets, and whether that is in doubt; None if there was no such attempt."""
        row = self._db.execute(
            "SELECT charged_usd, possibly_billed OR state NOT IN ('succeeded', 'failed') FROM attempts"
            " WHERE fingerprint = ? AND number = ?",
            (fingerprint, number),
        ).fetchone()
        return None if row is None else (float(row[0]), bool(row[1]))

    def sent_since(self, instant: float, provider: str) -> list[float]:
        """When attempts were sent to that provider after that instant, oldest first."""
        rows = self._db.execute(
            "SELECT a.sent_at FROM attempts a JOIN requests r USING (fingerprint)"
            f" WHERE a.sent_at > ? AND {PROVIDER} = ? ORDER BY a.sent_at",
            (instant, provider),
        )
        return [at for (at,) in rows]


def count_billed(db: sqlite3.Connection, attempt_id: int, billed: int) -> None:
    """Correct what a request's count says of an attempt: whether it may have been billed in vain."""
    db.execute(
        "UPDATE requests SET possibly_billed = requests.possibly_billed + ? - a.possibly_billed,"
        " forgiven = max(0, forgiven - a.possibly_billed)"
        # Most often neither holds, and the request's row need not be looked up.
        " FROM attempts a WHERE a.attempt_id = ? AND (a.possibly_billed OR ?)"
        " AND requests.fingerprint = a.fingerprint",
        (billed, attempt_id, billed),
    )
