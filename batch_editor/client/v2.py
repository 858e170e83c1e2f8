"""v2: what the provider says of submitted requests ↔ records. Pure, as `wire`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from batch_editor.client.pictures import Linked, image_in_json
from batch_editor.client.waits import retry_after
from batch_editor.client.wire import MAX_COST_USD, TooManyValues, amount, error_text, error_words, parsed
from batch_editor.endpoints import Endpoint, ErrorMeaning, ErrorWords
from batch_editor.records import Failure
from batch_editor.text import printable

# The id becomes part of a URL; `..` would lead to another path.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
_LINKS = ("poll_url", "status_url", "response_url")


@dataclass(frozen=True, slots=True)
class Submitted:
    """The request was submitted; its result can be fetched by this id."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The request is done. `image` is the image or its link, if the answer holds one."""

    image: bytes | Linked | None
    cost_usd: float | None
    remaining_credits: float | None


@dataclass(frozen=True, slots=True)
class Missing:
    """The provider doesn't know the request, or no longer."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """Poll again: the request isn't done, or this poll failed. `message` says which; `refused` means 429."""

    message: str
    refused: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class PollRefused:
    """The provider refused the poll for the key or the account. The request's result may still be there."""

    failure: Failure


Said = Completed | Missing | NotYet | PollRefused | Failure


def submitted_in(body: bytes) -> Submitted | None:
    """The id of a submitted request; None where the answer holds the image itself, or no usable id.

    >>> submitted_in(b'{"request_id": "7f-1", "status": "QUEUED"}')
    Submitted(request_id='7f-1')
    >>> submitted_in(b'{"request_id": "../user", "status": "QUEUED"}') is None
    True
    """
    document = _object(body)
    request_id = document.get("request_id")
    if not isinstance(request_id, str) or not _ID.fullmatch(request_id):
        return None
    if _state(document) in ("QUEUED", "PROCESSING"):
        return Submitted(request_id)
    links = any(isinstance(document.get(name), str) for name in _LINKS)
    return Submitted(request_id) if links and isinstance(image_in_json(body), Failure) else None


def progress_of(status: int, headers: Mapping[str, str], body: bytes, *, endpoint: Endpoint, prompt: str = "") -> Said:
    """What a poll's answer says. A failed request is final; a failed poll never is. `prompt` is what was sent."""
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
    words = error_words(body, prompt=prompt)
    if state == "FAILED" or status == 422:
        return _failed(text, endpoint.meaning_of(422, words))
    if 200 <= status < 300 and state:  # queued, processing or a state of another name
        return NotYet(f"it is {printable(state, limit=40)}")
    if status in (404, 410):
        return Missing()
    meaning = endpoint.meaning_of(status, words)
    if status in (401, 403) or (meaning is not None and meaning.kind == "credits" and meaning.scope == "run"):
        kind = "auth" if meaning is None else meaning.kind
        return PollRefused(Failure(kind, f"HTTP {status} to a poll: {text}", scope="run", http_status=status))
    if status == 429:
        return NotYet("HTTP 429", refused=True, retry_after_s=retry_after(headers, now=datetime.now(UTC)))
    return NotYet(f"a poll was answered with HTTP {status}")


def _failed(text: str, meaning: ErrorMeaning | None) -> Failure:
    """A request that the provider couldn't do. It isn't charged."""
    # A failed job is a 422 with a body like any other, of both URLs: v2.py of
    # https://pypi.org/project/segmind/1.3.0/.
    if not isinstance(meaning, ErrorWords):  # the status alone says no more than that
        return Failure("inference_failed", f"the provider ran it and it failed: {text}", http_status=422)
    return Failure(
        meaning.kind,
        f"the provider failed it ({meaning.meaning}): {text}",
        scope="run" if meaning.scope == "run" else "request",
        transient=meaning.transient and meaning.scope != "run",
        http_status=422,
    )


def _state(document: Mapping[str, Any]) -> str:
    return str(document.get("status") or "").upper()


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = parsed(body)
    except (orjson.JSONDecodeError, TooManyValues):
        return {}
    return document if isinstance(document, dict) else {}
