"""Bytes and headers of the provider ↔ records. Pure: no socket, no file, no clock of its own."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from batch_editor.client.waits import retry_after
from batch_editor.endpoints import ErrorMeaning
from batch_editor.records import Failure
from batch_editor.redaction import printable

# No image costs a hundredth of it; a figure beyond is a mistake that would end every budget.
MAX_COST_USD = 1000.0

MODERATION = re.compile(r"moderat|safety|content[ _-]policy|nsfw|flagged|prohibited", re.IGNORECASE)
_MONEY = re.compile(r"credit|balance|spend|insufficient|quota|billing|payment", re.IGNORECASE)
_CONTENT_TYPE = re.compile(r"content[ -]?type", re.IGNORECASE)
_PARAMETER = re.compile(r"param|invalid|must be|not allowed|unsupported|expected", re.IGNORECASE)
# Linear in time: a script without an end goes on to the end, and a tag ends where the next one begins. With `[^>]*`,
# 64 KB of `<` took three seconds.
_TAGS = re.compile(rb"(?is)<(script|style)\b.*?(?:</\1>|\Z)|<[^<>]*>")

# CDN statuses between the provider's edge and its origin: https://developers.cloudflare.com/support/
# troubleshooting/http-status-codes/cloudflare-5xx-errors/. With 521 and 523 the origin was never reached.
_EDGE = frozenset([*range(520, 530), 530])
# They are tried again where the status is that stands for them.
_AS = {**dict.fromkeys(_EDGE, 502), 425: 408}
# Successes that hold no image, or not all of it, though one was made: as good as an answer that was cut off.
_BODILESS = frozenset([204, 206])
_EDGE_UNREACHED = frozenset([521, 523])


@dataclass(frozen=True, slots=True)
class Billing:
    """What a 200's headers say of itself."""

    cost_usd: float | None
    request_id: str | None
    remaining_credits: float | None


def billing_of(headers: Mapping[str, str]) -> Billing:
    """The provider's own figures; None wherever a header is absent or no number."""
    request_id = headers.get("x-request-id")
    return Billing(
        cost_usd=amount(headers.get("x-cost"), most=MAX_COST_USD),
        request_id=printable(request_id, limit=200) if request_id else None,
        remaining_credits=amount(headers.get("x-remaining-credits")),
    )


def amount(said: object, *, most: float = math.inf) -> float | None:
    """USD that a header or a JSON value says; None if it is no such number."""
    # float() takes '1_0', '١٢' and 'inf' as well; of JSON's numbers, str() writes nothing else than this takes.
    text = "" if isinstance(said, bool) else str(said).strip()
    if not re.fullmatch(r"(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", text, re.ASCII | re.IGNORECASE):
        return None
    value = float(text)
    return value if math.isfinite(value) and value <= most else None


def failure_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    errors: Mapping[int, ErrorMeaning],
    retried: frozenset[int],
    now: datetime,
) -> Failure:
    """What a status other than 200 means: the endpoint's `errors` first, then what is known of gateways.

    `retried` are the statuses that are worth another attempt.
    """
    text = error_text(body)
    meaning = errors.get(status) or _unlisted(status)
    kind, reach, says = meaning.kind, meaning.reach, meaning.meaning
    if status in (400, 403, 406, 422) and MODERATION.search(text):
        kind, reach = "moderation", "job"
        says = "Refused by the content filter" if status in (403, 406) else says
    elif status == 406:
        kind, reach, says = _not_acceptable(text, says)
    passing = status in retried or status in _BODILESS or _AS.get(status) in retried
    if reach == "pace" and not passing:
        reach = "job"
    detail = f": {text}" if text else ""
    if 300 <= status < 400:
        host = _host(headers.get("location", ""))
        detail = f" to {printable(host, limit=100)}, which is not followed: the key would go there" if host else ""
    return Failure(
        kind=kind,
        message=f"HTTP {status} ({says}){detail}",
        reach=reach,
        maybe_billed=meaning.billed,
        passing=passing and reach != "run",
        http_status=status,
        retry_after_s=retry_after(headers, now=now),
    )


def _host(link: str) -> str | None:
    try:
        return urlsplit(link).hostname
    except ValueError:  # http://[
        return None


def _not_acceptable(text: str, says: str) -> tuple[str, Any, str]:
    """406 is overloaded: credits, a spend limit, a wrong content type, or a parameter that was rejected."""
    if _MONEY.search(text) or not text:
        return "credits", "run", says
    if _CONTENT_TYPE.search(text):
        return "bad_request", "run", "Content type refused: a bug in batch-editor, not in the account"
    return ("invalid_parameter", "job", "Parameter refused") if _PARAMETER.search(text) else ("credits", "run", says)


def _unlisted(status: int) -> ErrorMeaning:
    def meaning(kind: str, text: str, *, billed: bool) -> ErrorMeaning:
        return ErrorMeaning(kind=kind, reach="job", billed=billed, meaning=text)

    if status in _EDGE_UNREACHED:
        return meaning("server_error", "The provider's server was not reached", billed=False)
    if status in _EDGE:
        return meaning("server_error", "The provider's edge got no answer", billed=True)
    if 300 <= status < 400:
        return meaning("bad_response", "Redirected", billed=False)
    if status == 425:
        return meaning("timeout", "Too early", billed=True)
    if 400 <= status < 500:
        return meaning("invalid_parameter", "Request refused", billed=False)
    if 500 <= status < 600:
        # Only of these two it is sure that nothing was done; gateways make up others, such as 598 for a time-out.
        return meaning("server_error", "Server error", billed=status not in (501, 505))
    return meaning("bad_response", "Not a status of this API", billed=True)


def error_text(body: bytes) -> str:
    """What an error's body says, as one printable line: the usual JSON fields, or HTML without its tags.

    >>> error_text(b'{"error": 42, "error_description": "no such model"}')
    'no such model'
    >>> error_text(b"<html><h1>502 Bad Gateway</h1></html>")
    '502 Bad Gateway'
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        if b"\0" in body:
            return ""  # an image, or packed text: nothing to read
        return printable(_TAGS.sub(b" ", body).decode(errors="replace"))
    return printable(_said(document) or "")


def _said(document: Any, depth: int = 0) -> str | None:
    if isinstance(document, str):
        return document
    if not isinstance(document, dict) or depth > 8:
        return _compact(document) if document else None
    for name in ("error_description", "error", "detail", "message", "msg"):
        value = document.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, (dict, list)) and value:
            return (_said(value, depth + 1) if isinstance(value, dict) else None) or _compact(value)
    return _compact(document) if document else None


def _compact(document: Any) -> str:
    try:
        return orjson.dumps(document).decode()
    except orjson.JSONEncodeError:  # 254 levels are written, 1024 are read
        return "JSON that is nested without end"


@dataclass(frozen=True, slots=True)
class Linked:
    """An answer that says where the image is."""

    url: str


def image_in_json(body: bytes) -> bytes | Linked | Failure:
    """The image, or the link to it, that a 200's JSON holds.

    Understood are base64 (bare or as a `data:` link) and http(s) links, under the names and nestings that are
    seen: `image`, `b64_json`, `output`, `image_url`, `url`, `images[0]`, `data[0]`, ….
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return unusable("HTTP 200 with broken JSON", passing=True)
    for text in _candidates(document, 0):
        if text.startswith(("http://", "https://")):
            return Linked(text)
        if (decoded := _base64(text)) is not None:
            return decoded
    return unusable(f"HTTP 200 without an image: {printable(_said(document) or '', limit=300)}")


_NAMES = ("image", "b64_json", "image_base64", "base64", "images", "output", "image_url", "url", "data", "result")


def _candidates(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value]
    if depth > 4:
        return []
    if isinstance(value, list):
        return [text for item in value[:1] for text in _candidates(item, depth + 1)]
    if isinstance(value, dict):
        return [text for name in _NAMES if name in value for text in _candidates(value[name], depth + 1)]
    return []


def _base64(text: str) -> bytes | None:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    if len(text) < 64:
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def unusable(message: str, *, passing: bool = False) -> Failure:
    """A 200 that gave no image. 200 is the status that is billed, so it may have been."""
    return Failure("bad_response", printable(message), maybe_billed=True, passing=passing, http_status=200)
