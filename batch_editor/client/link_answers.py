"""What a host answers to a link, in words for people. Pure."""

from __future__ import annotations

import errno
import io
import os
import re
from http import HTTPStatus

import aiohttp

from batch_editor.images import (
    MARKUP,
    WEB_PAGE,
    Header,
    NotAnImage,
    TooManyPixels,
    has_end,
    kind_of,
    read_beginning,
    sniff,
)
from batch_editor.text import printable

MIN_SIDE = 64  # a smaller picture is an icon or a tracking pixel that got into a feed
ACCEPTED = ("PNG", "JPEG", "MPO", "WEBP")  # MPO: a phone's JPEG with a second picture behind the first
_STATUSES = {
    401: "it wants a login",
    403: "it isn't public, or its signature has ended",
    404: "there is nothing at this address",
    410: "it was there, and is gone for good",
    416: "it has no bytes to give",
    429: "too many requests, also after waiting",
    451: "it is withheld for legal reasons",
    503: "its host is overloaded or closed, also after waiting",
}
_PHRASES = {status.value: status.phrase.lower() for status in HTTPStatus}
_LOGIN = re.compile(rb"type\s*=\s*[\"']?password", re.IGNORECASE)
_LOGIN_URL = re.compile(r"[/.](?:login|log-in|signin|sign-in|sso|accounts?\.google)\b", re.IGNORECASE)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def words_of_status(status: int) -> str:
    """What a status other than of success says of a link.

    >>> words_of_status(404), words_of_status(500)
    ('answers HTTP 404: there is nothing at this address', 'answers HTTP 500: a fault of its host')
    """
    if (said := _STATUSES.get(status)) is None and status >= 500:
        said = "a fault of its host"
    elif said is None:
        said = _PHRASES.get(status, "a status that nobody knows")
    return f"answers HTTP {status}: {said}"


def is_enough(data: bytes) -> bool:
    """Whether more of a file would tell no more of its header: it is known, or the file is no picture at all."""
    if sniff(data[:12]) is None:
        return True
    try:
        read_beginning(data)
    except TooManyPixels:
        return True
    except NotAnImage:
        return False
    return True


def read_picture(data: bytes, *, whole: bool, content_type: str, url: str) -> Header | str:
    """The header of a picture that the provider takes, of its first bytes or the `whole`; else what is wrong with it.

    `url` is where it came from after redirects, `content_type` what the host calls it.
    """
    if not data:
        return "is empty"
    promised = sniff(data[:12])
    if promised is None or promised == "gif":
        if (kind := kind_of(data[:4096])) not in (None, WEB_PAGE, MARKUP):
            return f"is {kind}; the provider takes png, jpeg and webp"
        return f"answered {_what(data, kind, url)} ({printable(content_type, limit=60) or 'of no type'}), not a picture"
    try:
        header = read_beginning(data)
    except TooManyPixels:
        return "has more than 178 million pixels"
    except NotAnImage:
        if whole:
            return f"begins as a {promised.upper()}, but is none that can be read"
        return f"begins as a {promised.upper()}, but its size isn't said in its first {len(data) / 2**20:.3g} MiB"
    if header.format not in ACCEPTED:
        return f"is a {header.format}; the provider takes png, jpeg and webp"
    if min(header.width, header.height) < MIN_SIDE:
        return f"has {header.width}×{header.height} pixels; a picture has at least {MIN_SIDE} a side"
    if whole and not has_end(io.BytesIO(data), promised):
        return f"is a {promised.upper()} that was cut short: it ends after {len(data):,} bytes"
    return header


def words_of_error(error: Exception) -> str:
    """Why a link wasn't answered."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"not reachable: no host {printable(error.host, limit=100)} is found ({_reason(error.os_error)})"
    if isinstance(error, aiohttp.ClientConnectorError):
        where = f"{printable(error.host, limit=100)}:{error.port}"
        return f"not reachable: {where} takes no connection ({_reason(error.os_error)})"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "not reachable: its host closed the connection without an answer"
    return f"not reachable: {printable(str(error) or type(error).__name__, limit=150)}"


def _reason(error: OSError) -> str:
    # asyncio's own text is "Connect call failed ('203.0.113.9', 443)", with the reason in the number alone.
    is_code = error.errno in errno.errorcode
    return printable(os.strerror(error.errno or 0) if is_code else error.strerror or str(error), limit=100)


def _what(data: bytes, kind: str | None, url: str) -> str:
    if kind == WEB_PAGE:
        is_login = _LOGIN.search(data) is not None or _LOGIN_URL.search(url) is not None
        return "a login page" if is_login else "a web page"
    start = data.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if start[:1] in (b"{", b"["):
        return "JSON"
    if start[:1] == b"<":
        return "XML"
    try:
        text = data[:200].decode()
    except UnicodeDecodeError as error:
        text = data[: error.start].decode() if error.start > 190 else "\0"
    return "text" if text.isprintable() or not any(ord(each) < 9 for each in text) else "a file of an unknown kind"
