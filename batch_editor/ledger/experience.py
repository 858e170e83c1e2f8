"""What the ledger's attempts teach about the next ones: what is charged, how long answers take, what is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Of as many attempts, the newest: they tell best what the next ones will be like, and a ledger that grows for years
# must not make each plan slower.
NEWEST = 20_000

_NEWEST = f"""(SELECT * FROM attempts ORDER BY attempt_id DESC LIMIT {NEWEST}) a JOIN requests r USING (fingerprint)
    WHERE r.endpoint = ?"""


@dataclass(frozen=True, slots=True)
class ChargedAlike:
    """Requests that were alike in what prices depend on, and what they were charged in USD.

    `values` are those of the priced parameters, None where a request lacks one; `prompt_length` is an average.
    """

    values: tuple[str | None, ...]
    inputs: int
    prompt_length: int
    count: int
    total_usd: float
    min_usd: float
    max_usd: float


def charges(
    db: sqlite3.Connection, endpoint: str, *, by: Sequence[str], images: str | None, prompt: str | None
) -> Iterator[ChargedAlike]:
    """What an endpoint's newest requests were charged.

    `by` names the parameters that prices depend on, `images` and `prompt` those that take the input links and the
    text, None where the endpoint has none.
    """
    keys = ", ".join([*(f"params ->> '$.{name}'" for name in by), _inputs(images)])
    numbers = ", ".join(str(n + 1) for n in range(len(by) + 1))
    length = f"length(coalesce(a.redo_params, params) ->> '$.{prompt}')" if prompt else "0"
    for *values, inputs, prompt_length, count, total, low, high in db.execute(
        f"SELECT {keys}, coalesce(avg({length}), 0), count(*), sum(a.cost_usd), min(a.cost_usd), max(a.cost_usd)"
        f" FROM {_NEWEST} AND a.state = 'succeeded' AND a.cost_usd IS NOT NULL GROUP BY {numbers}",
        (endpoint,),
    ):
        yield ChargedAlike(tuple(values), inputs, round(prompt_length), count, total, low, high)


def charges_by_list(
    db: sqlite3.Connection, endpoint: str, *, images: str | None
) -> list[tuple[float, int, int, float, float]]:
    """List price, number of input images, count, lowest and highest charge of all of an endpoint's requests.

    Of all: a budget must hold for the highest, however long ago that was. `images` is as in `charges`.
    """
    # The limit, which is none, keeps SQLite from sorting the parameters themselves, and from counting inputs twice.
    return db.execute(
        "SELECT listed, inputs, count(*), min(cost_usd), max(cost_usd) FROM (SELECT round(expected_usd, 9) AS listed,"
        f" {_inputs(images)} AS inputs, cost_usd FROM requests"
        " WHERE endpoint = ? AND state = 'succeeded' AND cost_usd IS NOT NULL LIMIT -1) GROUP BY 1, 2",
        (endpoint,),
    ).fetchall()


def _inputs(images: str | None) -> str:
    """How many links stand in a parameter that takes a list of them, or one."""
    if images is None:
        return "0"
    at = f"'$.{images}'"
    return (
        f"iif(json_type(params, {at}) = 'array', json_array_length(params, {at}), coalesce(params ->> {at}, '') <> '')"
    )


def speeds(db: sqlite3.Connection, endpoint: str, *, limit: int) -> tuple[list[float], list[tuple[float, bool]], int]:
    """Latencies in seconds of an endpoint's newest successes and transient failures, and how many attempts there were.

    With each failure goes whether an overloaded provider dropped it: 503, 504 or no answer in time. 429s are left
    out: they are the pace's affair, and interruptions our own.
    """
    rows = db.execute(
        f"SELECT a.state, a.latency_s, a.error_kind, a.http_status FROM {_NEWEST} AND a.latency_s IS NOT NULL"
        " AND a.http_status IS NOT 429 ORDER BY attempt_id DESC LIMIT ?",
        (endpoint, limit),
    ).fetchall()
    transient = ("server_error", "timeout", "connection")
    successes = [latency for state, latency, _, _ in rows if state == "succeeded"]
    failures = [
        (latency, kind == "timeout" or status in (503, 504))
        for state, latency, kind, status in rows
        if state != "succeeded" and kind in transient
    ]
    return successes, failures, len(rows)


@dataclass(frozen=True, slots=True)
class Refusals:
    """429s among an endpoint's attempts: how many, and their average latency and pause until the next departure."""

    count: int = 0
    latency_s: float = 0.0
    pause_s: float = 0.0


def refusals(db: sqlite3.Connection, endpoint: str, *, limit: int) -> Refusals:
    """The newest 429s of an endpoint."""
    row = db.execute(
        "SELECT count(*), coalesce(avg(latency_s), 0), coalesce(avg(pause_s), 0) FROM"
        " (SELECT a.latency_s, (SELECT min(sent_at) FROM attempts WHERE sent_at > a.ended_at) - a.ended_at AS pause_s"
        f" FROM {_NEWEST} AND a.http_status = 429 ORDER BY attempt_id DESC LIMIT ?)",
        (endpoint, limit),
    ).fetchone()
    return Refusals(*row)
