"""The SQLite record of runs, jobs, requests, attempts and uploads. Synchronous; one connection, one thread.

Order of an attempt's life, each step durable before the next: `intend` (its cost reserved) → sent → its image
whole and fsynced → `received` → checked, placed under its name → `succeeded`; or `failed`. With v2 it is `accepted`
between sending and receiving. `open_attempts` are those that a dead run left in between.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from batch_editor.ledger.comparison import HASHED_BY, hashed_by_of
from batch_editor.ledger.entries import Expected, Interrupted, PendingRequest, RunStart
from batch_editor.ledger.intake import admit, much_memory
from batch_editor.ledger.placing import Placing
from batch_editor.records import Answer, Failure, Redo, SavedImage, Shape

FILE_NAME = "ledger.sqlite3"


class Ledger(Placing):
    """One output directory's ledger, opened for writing; errors are those of `Database`."""

    # Runs

    def holds_paid_results(self) -> bool:
        """Whether a run that was not a rehearsal has written here."""
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM runs WHERE NOT sandbox)").fetchone()[0])

    def forget_rehearsals(self) -> None:
        """Before the first run that is none: what the sandbox answered counts for nothing.

        Its images stay where they are until real ones take their places.
        """
        self._db.execute("DELETE FROM attempts")
        self._db.execute("DELETE FROM requests")
        self._db.execute("DELETE FROM jobs")

    def begin_run(self, run_id: str, *, now: float, sandbox: bool, expected: Expected) -> RunStart:
        """Record a run's start. It shares the budget of the run before, unless that one had finished."""
        last = self._db.execute(
            "SELECT budget_id, exit_code FROM runs WHERE sandbox = ? ORDER BY started_at DESC, rowid DESC LIMIT 1",
            (sandbox,),
        ).fetchone()
        budget_id = run_id if last is None or last[1] in (0, 1) else last[0]
        self._db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, NULL, NULL, ?, ?, ?, ?, ?, NULL, NULL)",
            (
                *(run_id, budget_id, sandbox, now, socket.gethostname(), os.getpid()),
                *(expected.requests, expected.cost_usd, expected.duration_s),
            ),
        )
        (spent,) = self._db.execute(
            "SELECT coalesce(sum(charged_usd), 0) FROM attempts JOIN runs USING (run_id) WHERE budget_id = ?",
            (budget_id,),
        ).fetchone()
        return RunStart(run_id, budget_id, spent)

    def end_run(self, run_id: str, *, now: float, exit_code: int, stop: tuple[str, str] | None) -> None:
        """Record a run's end, and the kind and words of what stopped it.

        Jobs that a limit left pending say so.
        """
        kind, message = stop or (None, None)
        self._db.execute(
            "UPDATE runs SET ended_at = ?, exit_code = ?, stop_kind = ?, stop_message = ? WHERE run_id = ?",
            (now, exit_code, kind, message, run_id),
        )
        if kind in ("budget", "deadline"):
            self._db.execute(
                "UPDATE requests SET error_kind = ?, error = ?"
                " WHERE state = 'pending' AND position IS NOT NULL AND error_kind IS NULL",
                (kind, message),
            )

    def admit(
        self,
        spool: Path,
        *,
        redo: Collection[Redo] = (),
        shapes: Mapping[str, Shape],
        extras: list[str],
    ) -> None:
        """Take over a manifest, see `intake.admit`. Not within a transaction: it makes its own.

        `shapes` are those of the manifest's endpoints, by name; `extras` the names of the rows' other columns, in the
        order of the output manifest.
        """
        self._db.execute("ATTACH ? AS spool", (str(spool),))
        try:
            with much_memory(self._db), self.transaction():
                admit(self._db, redo=redo)
                digests = {name: shape.digest for name, shape in shapes.items()}
                columns = {
                    "parameters": {**self._former_parameters(shapes), **_parameters(shapes)},
                    "extras": extras,
                    HASHED_BY: {**hashed_by_of(self._db, "main"), **digests},
                }
                self._db.executemany(
                    "INSERT OR REPLACE INTO columns VALUES (?, ?)",
                    [(name, orjson.dumps(value).decode()) for name, value in columns.items()],
                )
        except sqlite3.Error as error:
            raise self.error(error) from error
        finally:
            self._db.execute("DETACH spool")

    def _former_parameters(self, shapes: Mapping[str, Shape]) -> dict[str, Any]:
        """The parameters of other endpoints whose images jobs of the manifest keep, as a run before named them."""
        row = self._db.execute("SELECT value FROM columns WHERE name = 'parameters'").fetchone()
        others = {name: names for name, names in (orjson.loads(row[0]) if row else {}).items() if name not in shapes}
        if others:
            rows = self._db.execute("SELECT DISTINCT endpoint FROM jobs JOIN requests USING (fingerprint) WHERE active")
            others = {name: others[name] for (name,) in rows if name in others}
        return others

    def knows_run(self, run_id: str) -> bool:
        """Whether that run was one of this ledger's."""
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM runs WHERE run_id = ?)", (run_id,)).fetchone()[0])

    # What is to be done

    def pending_after(self, position: int, limit: int) -> list[PendingRequest]:
        """The next requests to send, in manifest order."""
        return self._pending("position > ? ORDER BY position LIMIT ?", position, limit)

    def number_of(self, fingerprint: str) -> int:
        """The number that the request's next attempt will have."""
        row = self._db.execute("SELECT attempts + 1 FROM requests WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return int(row[0])

    def charged_of(self, fingerprint: str, number: int) -> float | None:
        """What an attempt counts for in budgets; None if there was none of that number."""
        row = self._db.execute(
            "SELECT charged_usd FROM attempts WHERE fingerprint = ? AND number = ?", (fingerprint, number)
        ).fetchone()
        return None if row is None else float(row[0])

    def pending_among(self, fingerprints: Sequence[str]) -> list[PendingRequest]:
        """Those of the requests that are to be sent."""
        wanted = orjson.dumps(list(fingerprints)).decode()
        return self._pending("fingerprint IN (SELECT value FROM json_each(?))", wanted)

    def pending_cost(self) -> tuple[int, float]:
        """How many requests are left to send, and what they are expected to cost."""
        row = self._db.execute(
            "SELECT count(*), coalesce(sum(expected_usd), 0) FROM requests"
            " WHERE state = 'pending' AND position IS NOT NULL"
        ).fetchone()
        return row[0], row[1]

    def cheapest_pending_usd(self) -> float | None:
        """The dearest price of the cheapest request that is left to send."""
        row = self._db.execute(
            "SELECT min(high_usd) FROM requests WHERE state = 'pending' AND position IS NOT NULL"
        ).fetchone()
        return row[0]  # type: ignore[no-any-return]

    def sent_since(self, instant: float) -> list[float]:
        """When attempts were sent after that instant, oldest first."""
        rows = self._db.execute("SELECT sent_at FROM attempts WHERE sent_at > ? ORDER BY sent_at", (instant,))
        return [at for (at,) in rows]

    # An attempt's life

    def intend(self, fingerprint: str, run_id: str, *, now: float, reserved_usd: float) -> tuple[int, int]:
        """Record that a request is about to leave; return the attempt's id, and its number among the request's."""
        (number,) = self._db.execute(
            "UPDATE requests SET attempts = attempts + 1 WHERE fingerprint = ? RETURNING attempts", (fingerprint,)
        ).fetchone()
        cursor = self._db.execute(
            "INSERT INTO attempts (fingerprint, run_id, number, state, sent_at, charged_usd)"
            " VALUES (?, ?, ?, 'sent', ?, ?)",
            (fingerprint, run_id, number, now, reserved_usd),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid, number

    def withdraw(self, attempt_id: int) -> None:
        """Take an intent back: the request did not leave after all."""
        self._db.execute(
            "UPDATE requests SET attempts = attempts - 1 WHERE fingerprint ="
            " (SELECT fingerprint FROM attempts WHERE attempt_id = ?)",
            (attempt_id,),
        )
        self._db.execute("DELETE FROM attempts WHERE attempt_id = ?", (attempt_id,))

    def received(
        self, attempt_id: int, image: SavedImage, answer: Answer, *, now: float, charged_usd: float | None
    ) -> None:
        """Record that an attempt's image is whole on disk, not yet under its name.

        `charged_usd` None leaves what was reserved for it.
        """
        self._not_in_vain(attempt_id, 0)
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
        """Record that an attempt's image has its name: its request is done."""
        self._db.execute("UPDATE attempts SET state = 'succeeded' WHERE attempt_id = ?", (attempt_id,))
        self._db.execute(
            "UPDATE requests SET state = 'succeeded', image_path = ?, error_kind = NULL, error = NULL, passing = 0,"
            " http_status = a.http_status, latency_s = a.latency_s, cost_usd = a.cost_usd,"
            " request_id = a.request_id, sent_at = a.sent_at, ended_at = a.ended_at, sha256 = a.sha256,"
            " size_bytes = a.size_bytes, format = a.format, width = a.width, height = a.height"
            " FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint",
            (image_path, attempt_id),
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
        """Record an attempt without an image, and what that makes of its request.

        `charged_usd` None leaves what was reserved for it. `counts`: whether it counts against
        retry.max_possibly_billed, which the interruption of a run doesn't.
        """
        billed = int(failure.maybe_billed)
        latency_s, request_id, cost_usd = (
            (answer.latency_s, answer.request_id, answer.cost_usd) if answer else (None, None, None)
        )
        self._not_in_vain(attempt_id, billed)
        self._db.execute(
            "UPDATE attempts SET state = ?, ended_at = ?, latency_s = ?, http_status = ?, error_kind = ?, error = ?,"
            " possibly_billed = ?, charged_usd = coalesce(?, charged_usd), cost_usd = ?,"
            " request_id = coalesce(?, request_id) WHERE attempt_id = ?",
            (
                *("unknown" if billed else "failed", now, latency_s, failure.http_status, failure.kind),
                *(failure.message, billed, charged_usd, cost_usd, request_id, attempt_id),
            ),
        )
        self._db.execute(
            "UPDATE requests SET state = ?, forgiven = forgiven + ?,"
            " passing = ?, http_status = ?, error_kind = ?, error = ?, latency_s = ?, request_id = ?, ended_at = ?,"
            " sent_at = a.sent_at FROM attempts a WHERE a.attempt_id = ? AND requests.fingerprint = a.fingerprint",
            (
                *(state, 0 if counts else billed, failure.passing, failure.http_status, failure.kind),
                *(failure.message, latency_s, request_id, now, attempt_id),
            ),
        )

    def settle_unsent(self, fingerprint: str, failure: Failure, *, now: float) -> None:
        """Record that a request failed before anything left, such as an input that can't be uploaded."""
        self._db.execute(
            "UPDATE requests SET state = ?, passing = ?, error_kind = ?, error = ?, http_status = ?, ended_at = ?"
            " WHERE fingerprint = ?",
            (
                "pending" if failure.reach == "run" else "failed",
                *(failure.passing, failure.kind, failure.message, failure.http_status, now, fingerprint),
            ),
        )

    def open_attempts(self) -> list[Interrupted]:
        """What a dead run left between `intend` and the end."""
        rows = self._db.execute(
            "SELECT attempt_id, fingerprint, number, a.state, endpoint, params, files, a.possibly_billed,"
            " a.http_status, a.latency_s, a.cost_usd, a.request_id, a.sha256, a.size_bytes, a.format, a.width, a.height"
            " FROM attempts a JOIN requests r USING (fingerprint)"
            " WHERE a.state IN ('sent', 'accepted', 'received') ORDER BY attempt_id"
        ).fetchall()
        return [
            Interrupted(
                *(attempt_id, fingerprint, number, state, endpoint, orjson.loads(params), orjson.loads(files)),
                answer=Answer(SavedImage("", *rest[4:]), *rest[:4]) if state == "received" else None,
                uncollected=bool(possibly_billed),
            )
            for attempt_id, fingerprint, number, state, endpoint, params, files, possibly_billed, *rest in rows
        ]

    # Uploads

    def upload_of(self, sha256: str, *, sandbox: bool) -> str | None:
        """The link of a local file that was uploaded before."""
        row = self._db.execute("SELECT url FROM uploads WHERE sha256 = ? AND sandbox = ?", (sha256, sandbox)).fetchone()
        return None if row is None else row[0]

    def uploaded(self, sha256: str, url: str, *, now: float, sandbox: bool) -> None:
        """Record an upload."""
        self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", (sha256, url, now, sandbox))

    def _pending(self, where: str, *values: Any) -> list[PendingRequest]:
        return self._requests(f"state = 'pending' AND position IS NOT NULL AND {where}", *values)


def _parameters(shapes: Mapping[str, Shape]) -> dict[str, Sequence[str]]:
    return {name: shape.parameters for name, shape in shapes.items()}
