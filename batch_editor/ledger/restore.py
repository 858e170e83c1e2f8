"""A ledger made anew from what an output manifest tells, for when the ledger itself is lost."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from batch_editor.ledger.providers import note_providers


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredRow:
    """One row of an output manifest, as values. `each_usd` is what an attempt counts for whose charge nobody knows.

    `owner` is the job whose request it is, or where its image was taken from; `stands` whether the image is under its
    name with that content.
    """

    job_id: str
    owner: str
    output: str
    fingerprint: str
    endpoint: str
    params: Mapping[str, Any]
    extras: Mapping[str, str]
    status: str
    attempts: int
    possibly_billed: int
    passing: bool
    expected_usd: float
    each_usd: float
    cost_usd: float | None
    stands: bool
    image_path: str | None
    sent_at: float | None
    ended_at: float | None
    latency_s: float | None
    columns: Mapping[str, Any] = field(default_factory=dict)


# What the ledger has of a request under the same name as the output manifest.
_SAME = ("http_status", "error_kind", "error", "request_id", "sha256", "format", "width", "height")


def restore(db: sqlite3.Connection, rows: Sequence[RestoredRow], *, providers: Mapping[str, str], now: float) -> float:
    """Fill an empty ledger; return the USD that attempts count for in the budget. Within a transaction.

    They count on if jobs are left, as after a run that died. `providers` are those of the endpoints that are known.
    """
    note_providers(db, providers)
    left = any(row.status == "pending" for row in rows)
    run_id = f"rebuilt-{int(now)}"
    db.execute(
        "INSERT INTO runs (run_id, budget_id, sandbox, started_at, ended_at, exit_code, host, pid, plan_requests,"
        " plan_usd, plan_s) VALUES (?, ?, 0, ?, ?, ?, ?, ?, 0, 0, 0)",
        (run_id, run_id, now, now, None if left else 0, socket.gethostname(), os.getpid()),
    )
    # The owner's row tells what the others, which took its image, leave out. Where it is gone, one of them owns it.
    asked = {row.job_id: row.fingerprint for row in rows}
    for row in sorted(rows, key=lambda row: row.owner != row.job_id):
        owner = row.owner if asked.get(row.owner) == row.fingerprint else row.job_id
        is_elsewhere = "/" in row.owner and row.owner not in asked
        _request(db, row, run_id, owner=owner, reused_from=row.owner if is_elsewhere else None)
    for position, row in enumerate(rows):
        db.execute(
            "INSERT INTO jobs (job_id, position, active, selected, fingerprint, output, extras, placed_path,"
            " placed_output, placed_fingerprint) VALUES (?, ?, 1, 1, ?, ?, ?, ?, ?, ?)",
            (
                *(row.job_id, position, row.fingerprint, row.output, orjson.dumps(dict(row.extras)).decode()),
                *((row.image_path, row.output, row.fingerprint) if row.stands else (None, None, None)),
            ),
        )
    parameters: dict[str, list[str]] = {}
    extras: dict[str, None] = {}
    for row in rows:
        parameters.setdefault(row.endpoint, list(row.params))
        extras.update(dict.fromkeys(row.extras))
    for name, value in (("parameters", parameters), ("extras", list(extras))):
        db.execute("INSERT INTO columns VALUES (?, ?)", (name, orjson.dumps(value).decode()))
    (charged,) = db.execute("SELECT coalesce(sum(charged_usd), 0) FROM attempts").fetchone()
    return float(charged) if left else 0.0


def _request(db: sqlite3.Connection, row: RestoredRow, run_id: str, *, owner: str, reused_from: str | None) -> None:
    same = [row.columns.get(name) for name in _SAME]
    params = {name: value for name, value in row.params.items() if value is not None}
    added = db.execute(
        "INSERT OR IGNORE INTO requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd,"
        " attempts, possibly_billed, passing, latency_s, cost_usd, sent_at, ended_at, image_path, size_bytes,"
        f" reused_from, {', '.join(_SAME)}) VALUES ({', '.join('?' * (18 + len(_SAME)))})",
        (
            *(row.fingerprint, row.endpoint, orjson.dumps(params).decode(), "{}", owner, row.status),
            *(
                0.0 if reused_from else row.expected_usd,
                row.each_usd,
                row.attempts,
                row.possibly_billed,
                row.passing,
                row.latency_s,
            ),
            *(row.cost_usd, row.sent_at, row.ended_at, row.image_path, row.columns.get("bytes"), reused_from, *same),
        ),
    ).rowcount
    if not added:
        return
    succeeded = int(row.status == "succeeded" and row.attempts > 0)
    for number in range(1, row.attempts + 1):
        if succeeded and number == row.attempts:
            state, usd = "succeeded", row.each_usd if row.cost_usd is None else row.cost_usd
        elif number <= row.possibly_billed:
            state, usd = "unknown", row.each_usd
        else:
            state, usd = "failed", 0.0
        db.execute(
            "INSERT INTO attempts (fingerprint, run_id, job_id, number, state, sent_at, ended_at, possibly_billed,"
            " charged_usd, cost_usd, latency_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(row.fingerprint, run_id, owner, number, state, row.sent_at or 0.0, row.ended_at),
                *(state == "unknown", usd),
                *((row.cost_usd, row.latency_s) if state == "succeeded" else (None, None)),
            ),
        )
