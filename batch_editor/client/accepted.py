"""What the provider says of requests that it has accepted ↔ records. Pure, as `wire`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from batch_editor.client.waits import retry_after
from batch_editor.client.wire import MAX_COST_USD, MODERATION, Linked, amount, error_text, image_in_json
from batch_editor.records import Failure
from batch_editor.redaction import printable

# It becomes part of a URL, and `..` would be another one.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
_LINKS = ("poll_url", "status_url", "response_url")


@dataclass(frozen=True, slots=True)
class Accepted:
    """An answer that says under which id the result can be asked for."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The job is done. `image` is there where the answer holds it or its link."""

    image: bytes | Linked | None
    cost_usd: float | None
    remaining_credits: float | None


@dataclass(frozen=True, slots=True)
class Missing:
    """The provider has no such request, or no longer."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """To be asked again: the job is under way, or this answer was none. `message` says which."""

    message: str
    refused: bool = False
    retry_after_s: float | None = None


Said = Completed | Missing | NotYet | Failure


def accepted_in(body: bytes) -> Accepted | None:
    """The id of a request that an answer accepts; None where it holds its image, or no usable id.

    >>> accepted_in(b'{"request_id": "7f-1", "status": "QUEUED"}')
    Accepted(request_id='7f-1')
    >>> accepted_in(b'{"request_id": "../user", "status": "QUEUED"}') is None
    True
    """
    document = _object(body)
    request_id = document.get("request_id")
    if not isinstance(request_id, str) or not _ID.fullmatch(request_id):
        return None
    if _state(document) in ("QUEUED", "PROCESSING"):
        return Accepted(request_id)
    links = any(isinstance(document.get(name), str) for name in _LINKS)
    return Accepted(request_id) if links and isinstance(image_in_json(body), Failure) else None


def progress_of(status: int, headers: Mapping[str, str], body: bytes) -> Said:
    """What a poll's answer says. A failed job is final; that of the poll alone never is."""
    document = _object(body)
    state = _state(document)
    if state == "COMPLETED":
        image = image_in_json(body)
        metrics = document.get("metrics")
        metrics = metrics if isinstance(metrics, dict) else {}
        return Completed(
            image=None if isinstance(image, Failure) else image,
            cost_usd=amount(metrics.get("cost"), most=MAX_COST_USD),
            remaining_credits=amount(metrics.get("remaining_credits")),
        )
    text = error_text(body)
    if state == "FAILED" or status == 422:
        # A failed job is a 422 with a body like any other, of both URLs: v2.py of
        # https://pypi.org/project/segmind/1.3.0/.
        kind = "moderation" if MODERATION.search(text) else "inference_failed"
        return Failure(kind, f"the provider ran it and it failed: {text}", http_status=422)
    if status in (404, 410):
        return Missing()
    if status in (401, 403):
        return Failure("auth", f"HTTP {status} to a poll: {text}", reach="run", http_status=status)
    if status == 429:
        return NotYet("HTTP 429", refused=True, retry_after_s=retry_after(headers, now=datetime.now(UTC)))
    if 200 <= status < 300 and state:
        return NotYet(f"it is {printable(state, limit=40)}")
    return NotYet(f"a poll was answered with HTTP {status}")


def _state(document: Mapping[str, Any]) -> str:
    return str(document.get("status") or "").upper()


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
