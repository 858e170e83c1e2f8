"""Bytes and headers of the provider ↔ records. Pure: no socket, no file, no clock of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any
from urllib.parse import urlsplit

import orjson

from batch_editor.client.waits import retry_after
from batch_editor.endpoints import Endpoint, ErrorMeaning
from batch_editor.records import Failure
from batch_editor.text import printable

# An image of the largest size is 3 MB as PNG; JSON around it adds a third.
MAX_BODY_BYTES = 64 * 2**20
MAX_ERROR_BYTES = 64 * 2**10
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# JSON of two million keys, 25 MB of it, takes 415 MB as objects. An answer has a few dozen values; a prompt that it
# repeats may have a few thousand commas.
MAX_VALUES = 200_000

# No image costs a hundredth of this. A larger figure is a mistake, which would use up any budget.
MAX_COST_USD = 1000.0

# Linear in time: a script without an end runs to the end, and a tag ends where the next one begins. With `[^>]*`,
# 64 KB of `<` took three seconds.
_TAGS = re.compile(rb"(?is)<(script|style)\b.*?(?:</\1>|\Z)|<[^<>]*>")

_NO_JSON = object()
# The fields of an error that say what is wrong. Other fields may repeat the request, as pydantic's `input` does.
_FIELDS = frozenset(
    [
        *("error", "errors", "error_description", "error_message", "error_code", "error_type", "errormessage"),
        *("errorcode", "detail", "details", "message", "msg", "title", "reason", "description"),
        *("code", "type", "name", "status"),
    ]
)
_LINK = re.compile(r"https?://[^\s\"'<>)\]}]+")
_TWO_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Characters of an error's text that are searched for words; and of a prompt's beginning that show it is repeated.
MAX_WORDS = 2000
ECHO = 12

# CDN statuses between the provider's edge and its origin: https://developers.cloudflare.com/support/
# troubleshooting/http-status-codes/cloudflare-5xx-errors/. With 521 and 523 the origin was never reached.
_EDGE = frozenset([*range(520, 530), 530])
# These are retried where the status that they stand for is.
_AS = {**dict.fromkeys(_EDGE, 502), 425: 408}
# Success, but without an image or with a part of it: treated like an answer that was cut off.
_BODILESS = frozenset([204, 206])
_EDGE_UNREACHED = frozenset([521, 523])


class TooManyValues(Exception):
    """JSON of so many values that it would take many times its length in memory."""


@dataclass(frozen=True, slots=True)
class Billing:
    """What the headers of a 200 say of its price."""

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
    endpoint: Endpoint,
    retried: frozenset[int],
    now: datetime,
    prompt: str = "",
) -> Failure:
    """What a status other than 200 means: by the endpoint's words and statuses, then by what is known of gateways.

    `retried` are the statuses that are worth another attempt; `prompt` is what was sent.
    """
    text = error_text(body)
    meaning = endpoint.meaning_of(status, error_words(body, prompt=prompt)) or _unlisted(status)
    scope = meaning.scope
    again = status in retried or status in _BODILESS or _AS.get(status) in retried
    again = again or meaning.transient
    if scope == "rate" and not again:
        scope = "request"
    detail = f": {text}" if text and text.rstrip(".") != meaning.meaning else ""
    if 300 <= status < 400:
        host = _host(headers.get("location", ""))
        detail = f" to {printable(host, limit=100)}, which is not followed: the key would go there" if host else ""
    if meaning.kind == "retired" and endpoint.successor is not None:
        detail += f"; the successor of {endpoint.name} is {endpoint.successor.endpoint}"
    return Failure(
        kind=meaning.kind,
        message=f"HTTP {status} ({meaning.meaning}){detail}",
        scope=scope,
        maybe_billed=meaning.billed,
        transient=again and scope != "run",
        http_status=status,
        retry_after_s=retry_after(headers, now=now),
    )


def _host(link: str) -> str | None:
    try:
        return urlsplit(link).hostname
    except ValueError:  # http://[
        return None


def _unlisted(status: int) -> ErrorMeaning:
    def meaning(kind: str, text: str, *, billed: bool) -> ErrorMeaning:
        """What concerns this job alone."""
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
        # Only with these two nothing was done for sure; gateways invent others, such as 598 for a time-out.
        return meaning("server_error", "Server error", billed=status not in (501, 505))
    return meaning("bad_response", "Not a status of this API", billed=True)


def error_text(body: bytes, *, limit: int = 500) -> str:
    """What an error's body says, as one printable line: the usual JSON fields, or HTML without its tags.

    >>> error_text(b'{"error": 42, "error_description": "no such model"}')
    'no such model'
    >>> error_text(b"<html><h1>502 Bad Gateway</h1></html>")
    '502 Bad Gateway'
    """
    document = _loaded(body)
    if document is not _NO_JSON:
        return printable(_said(document) or "", limit=limit)
    if b"\0" in body:
        return ""  # an image, or packed text: nothing to read
    return printable(_TAGS.sub(b" ", body).decode(errors="replace"), limit=limit)


def parsed(body: bytes, *, most: int = MAX_VALUES) -> Any:
    """JSON as objects.

    Raises:
        orjson.JSONDecodeError: it is none.
        TooManyValues: it may have more values than `most`, and isn't read.
    """
    # Each value but the first of a list or object has a comma before it. Strings are counted as well, and are cheap.
    if body.count(b",") + body.count(b"[") + body.count(b"{") > most:
        raise TooManyValues
    return orjson.loads(body.removeprefix(BYTE_ORDER_MARK))


def _loaded(body: bytes) -> Any:
    try:
        return parsed(body)
    except (orjson.JSONDecodeError, TooManyValues):
        return _NO_JSON


def error_words(body: bytes, *, prompt: str = "") -> str:
    """What an error's body says, to look for words in: every text of its usual fields, or a page without its tags.

    Left out is what may match by accident: the rest of links, a repeated prompt, and other fields, which may repeat
    the request. InsufficientCredits becomes two words.

    >>> error_words(b'{"error": {"message": "No.", "code": "NoFunds", "input": "a cup"}}')
    'No. No Funds'
    """
    document = _loaded(body)
    text = " ".join(_texts(document)) if isinstance(document, (dict, list)) else error_text(body)
    text = printable(_LINK.sub("https://", text), limit=MAX_WORDS)
    echo = printable(prompt, limit=MAX_WORDS)
    start = text.find(echo[:ECHO])
    if len(echo) >= ECHO and start >= 0:  # remove as much of the prompt as is repeated
        text = text.replace(_common_beginning(text[start:], echo), " ")
    return _TWO_WORDS.sub(" ", text)


def _common_beginning(text: str, other: str) -> str:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False))
    return "".join(letter for letter, _ in pairs)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth > 8:
        return
    elif isinstance(value, list):
        for item in value[:20]:
            yield from _texts(item, depth + 1)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name.lower() in _FIELDS:
                yield from _texts(inner, depth + 1)


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


def unusable_by_words(body: bytes, endpoint: Endpoint, *, prompt: str) -> Failure | None:
    """What a 200 without an image says in words that the endpoint knows; None if none of them fits."""
    meaning = endpoint.meaning_of(200, error_words(body, prompt=prompt))
    if meaning is None:
        return None
    return Failure(
        meaning.kind,
        printable(f"HTTP 200 ({meaning.meaning}): {error_text(body, limit=300)}"),
        scope=meaning.scope,
        maybe_billed=meaning.billed,
        transient=meaning.transient and meaning.scope != "run",
        http_status=200,
    )


def unusable(message: str, *, transient: bool = False) -> Failure:
    """A 200 that gave no image. 200 is the status that is billed, so it may have been."""
    return Failure("bad_response", printable(message), maybe_billed=True, transient=transient, http_status=200)
