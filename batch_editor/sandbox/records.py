"""What the provider keeps of jobs: the records that v2's ids lead to for a while, and the account's history."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox.books import Entry
from batch_editor.sandbox.checks import Refusal
from batch_editor.sandbox.faults import Fault
from batch_editor.sandbox.orders import Order

# The provider's own, by its SDK: https://pypi.org/project/segmind/1.3.0/, generations.py.
_PER_PAGE = 20
_MOST_PER_PAGE = 100
_MOST_DAYS = 31
_PARAMETERS = (
    *("page", "per_page", "from_date", "to_date", "model_name", "status"),
    # Whose requests: the sandbox has one account, and takes any of these for it.
    *("user_id", "user_email"),
    *("sort_by", "sort_order"),
)
_CHOICES = {
    "status": ("COMPLETED", "FAILED", "PENDING"),
    "sort_by": ("model_created", "model_name", "credits_deduction"),
    "sort_order": ("desc", "asc"),
}

State = Literal["QUEUED", "PROCESSING", "COMPLETED", "FAILED"]


@dataclass(slots=True)
class Record:
    """One job. `created_at` and `ended_at` are in seconds since 1970; `polls` counts who asked after it."""

    request_id: str
    endpoint: Endpoint
    body: bytes
    entry: Entry
    fault: Fault | None
    created_at: float
    state: State = "QUEUED"
    ended_at: float | None = None
    error: str | None = None
    file_size: int = 0
    polls: int = 0

    @property
    def order(self) -> Order:
        """What was asked for."""
        return Order(self.endpoint, json.loads(self.body))

    @property
    def file_name(self) -> str:
        """The name of its picture."""
        return f"{self.request_id}.{self.order.format}"

    def complete(self, now: float, *, file_size: int) -> None:
        """The picture is made."""
        self.state, self.ended_at, self.file_size = "COMPLETED", now, file_size

    def fail(self, now: float, error: str) -> None:
        """There is none, and nothing was charged."""
        self.state, self.ended_at, self.error = "FAILED", now, error


class Records:
    """Every job of a sandbox, in the order they came. What v2's ids lead to is forgotten `kept_s` after its end."""

    def __init__(self, *, kept_s: float, rows: int, clock: Callable[[], float] = time.time) -> None:
        self._kept_s = kept_s
        self._rows = rows
        self._clock = clock
        self._records: dict[str, Record] = {}

    def add(self, endpoint: Endpoint, body: bytes, entry: Entry, fault: Fault | None) -> Record:
        """The record of a job that begins."""
        record = Record(f"{entry.body_sha256[:12]}-{entry.number}", endpoint, body, entry, fault, self._clock())
        self._records[record.request_id] = record
        return record

    def find(self, request_id: str) -> Record | None:
        """The record of that id, while it is kept."""
        record = self._records.get(request_id)
        if record is None or record.ended_at is None:
            return record
        lost = record.fault is not None and record.fault.kind == "lost"
        return None if lost or self._clock() > record.ended_at + self._kept_s else record

    def made(self, file_name: str) -> Record | None:
        """The job whose picture has that name; such links outlive the records."""
        record = self._records.get(file_name.rpartition(".")[0])
        return record if record is not None and record.state == "COMPLETED" else None

    def clear(self) -> None:
        """Forget all."""
        self._records.clear()

    def history(self, query: Mapping[str, str], *, origin: str) -> dict[str, Any]:
        """A page of the history, as the query wants it.

        Raises:
            Refusal: 400, the query isn't one.
        """
        page, per_page, first, last = _asked(query, self._clock())
        found = [
            record
            for record in self._records.values()
            if first <= _day(record.created_at) <= last
            and query.get("model_name", "") in record.endpoint.path
            and query.get("status") in (None, _model_status(record))
        ]
        rows = [_row(record, origin) for record in found]
        sort_by = query.get("sort_by", "model_created")
        rows.sort(key=lambda row: row[sort_by], reverse=query.get("sort_order") != "asc")
        rows = [row for row in rows for _ in range(self._rows)]
        start = (page - 1) * per_page
        return {"data": rows[start : start + per_page], "page": page, "per_page": per_page, "total": len(rows)}

    def row(self, request_id: str, *, origin: str) -> dict[str, Any]:
        """One request's row of the history, of any age.

        Raises:
            Refusal: 404, there is no such request.
        """
        record = self._records.get(request_id)
        if record is None:
            raise Refusal(404, "Request not found")
        return _row(record, origin)


def _asked(query: Mapping[str, str], now: float) -> tuple[int, int, date, date]:
    for name in query:
        if name not in _PARAMETERS:
            raise Refusal(400, f"unknown parameter {name!r}")
    for name, choices in _CHOICES.items():
        if query.get(name, choices[0]) not in choices:
            raise Refusal(400, f"{name} is {query[name]!r}; expected {', '.join(choices)}")
    if "user_id" in query and "user_email" in query:
        raise Refusal(400, "expected user_id or user_email, not both")
    try:
        page, per_page = int(query.get("page", "1")), int(query.get("per_page", _PER_PAGE))
        last = date.fromisoformat(query["to_date"]) if "to_date" in query else _day(now)
        first = date.fromisoformat(query["from_date"]) if "from_date" in query else last - timedelta(days=7)
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    if page < 1 or not 1 <= per_page <= _MOST_PER_PAGE:
        raise Refusal(400, f"expected a page from 1 and 1 to {_MOST_PER_PAGE} rows a page")
    if not timedelta(0) <= last - first <= timedelta(days=_MOST_DAYS):
        raise Refusal(400, f"expected at most {_MOST_DAYS} days")
    return page, per_page, first, last


def _row(record: Record, origin: str) -> dict[str, Any]:
    done = record.state == "COMPLETED"
    return {
        "request_id": record.request_id,
        "model_name": record.endpoint.path,
        "model_status": _model_status(record),
        "model_created": datetime.fromtimestamp(record.created_at, UTC).isoformat(),
        "credits_deduction": record.entry.billed_usd or 0.0,
        "request_body": json.loads(record.body),
        "generation_url": f"{origin}/_sandbox/results/{record.file_name}" if done else None,
        "latency_ms": round(1000 * (record.ended_at - record.created_at)) if record.ended_at is not None else None,
        "error": record.error,
    }


def _model_status(record: Record) -> str:
    return record.state if record.state in ("COMPLETED", "FAILED") else "PENDING"


def _day(instant: float) -> date:
    return datetime.fromtimestamp(instant, UTC).date()
