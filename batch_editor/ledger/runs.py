"""Runs in the ledger: when they began and ended, what they expected, and whose budget they shared."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import orjson

from batch_editor.ledger.entries import Counts, Expected, GivenApproval, GivenCommand, RunStart
from batch_editor.text import escape_bytes


class Runs:
    """The runs of an output directory."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def holds_paid_results(self) -> bool:
        """Whether a run that was not a rehearsal has written here."""
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM runs WHERE NOT sandbox)").fetchone()[0])

    def forget_rehearsals(self) -> None:
        """Before the first real run there is none: what the sandbox answered does not count.

        Its images stay where they are until real ones take their places.
        """
        self._db.execute("DELETE FROM attempts")
        self._db.execute("DELETE FROM redos")
        self._db.execute("DELETE FROM requests")
        self._db.execute("DELETE FROM jobs")
        self._db.execute("DELETE FROM shard")
        self._db.execute("DELETE FROM former_rows")

    def begin(
        self,
        run_id: str,
        *,
        now: float,
        sandbox: bool,
        expected: Expected,
        command: GivenCommand | None = None,
        approval: GivenApproval | None = None,
    ) -> RunStart:
        """Record a run's start. It shares the budget of the run before, unless that one had finished.

        Which one that is, no clock tells, for it may have been put back since: runs are in the order of their rows.
        """
        last = self._db.execute(
            "SELECT budget_id, exit_code FROM runs WHERE sandbox = ? ORDER BY rowid DESC LIMIT 1",
            (sandbox,),
        ).fetchone()
        budget_id = run_id if last is None or last[1] in (0, 1) else last[0]
        self._db.execute(
            "INSERT INTO runs (run_id, budget_id, sandbox, started_at, host, pid, plan_requests, plan_usd, plan_s,"
            " command, folder, changes, approval_id, approved_by, approved_usd)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(run_id, budget_id, sandbox, now, socket.gethostname(), os.getpid()),
                *(expected.requests, expected.cost_usd, expected.duration_s),
                *((None, None) if command is None else (_json(command.words), _json(command.folder))),
                None if expected.changes is None else _json(expected.changes._asdict()),
                *(approval or (None, None, None)),
            ),
        )
        (spent,) = self._db.execute(
            "SELECT coalesce(sum(charged_usd), 0) FROM attempts JOIN runs USING (run_id) WHERE budget_id = ?",
            (budget_id,),
        ).fetchone()
        return RunStart(run_id, budget_id, spent, 0.0 if approval is None else self._approved_spent(approval.plan_id))

    def _approved_spent(self, plan_id: str) -> float:
        """What was or may have been charged in all runs by that plan, finished ones too."""
        (spent,) = self._db.execute(
            "SELECT coalesce(sum(charged_usd), 0) FROM attempts JOIN runs USING (run_id) WHERE approval_id = ?",
            (plan_id,),
        ).fetchone()
        return float(spent)

    def succeeded_at(self) -> float | None:
        """When a run last ended with exit code 0, in seconds since 1970; None if none has."""
        row = self._db.execute("SELECT ended_at FROM runs WHERE exit_code = 0 ORDER BY rowid DESC LIMIT 1").fetchone()
        return None if row is None else float(row[0])

    def end(
        self, run_id: str, *, now: float, exit_code: int, stop: tuple[str, str] | None, jobs: Counts | None = None
    ) -> None:
        """Record a run's end, the kind and words of what stopped it, and how the manifest's jobs stand then."""
        kind, message = stop or (None, None)
        self._db.execute(
            "UPDATE runs SET ended_at = ?, exit_code = ?, stop_kind = ?, stop_message = ?, jobs = ? WHERE run_id = ?",
            (
                *(now, exit_code, kind, None if message is None else escape_bytes(message)),
                *(None if jobs is None else _json(asdict(jobs)), run_id),
            ),
        )

    def left_by(self, limit: str, message: str) -> None:
        """Have requests that are left pending say which limit left them, and how."""
        self._db.execute(
            "UPDATE requests SET error_kind = ?, error = ?"
            " WHERE state = 'pending' AND position IS NOT NULL AND error_kind IS NULL",
            (limit, escape_bytes(message)),
        )

    def knows(self, run_id: str) -> bool:
        """Whether that run was one of this ledger's."""
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM runs WHERE run_id = ?)", (run_id,)).fetchone()[0])


def _json(value: Mapping[str, int] | Sequence[str] | str) -> str:
    return orjson.dumps(value).decode()
