"""Finds the image in an answer: as bytes, in JSON, or as base64 text."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from batch_editor.client.interface import Sink
from batch_editor.client.wire import (
    BYTE_ORDER_MARK,
    MAX_ERROR_BYTES,
    TooManyValues,
    error_text,
    parsed,
    unusable,
)
from batch_editor.records import Failure, SavedImage

_NAMES = ("image", "b64_json", "image_base64", "base64", "images", "output", "image_url", "url", "data", "result")
# Of PNG, JPEG, WebP and GIF.
IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8")
# The same in base64, of either alphabet.
_BASE64_STARTS = (b"iVBORw", b"/9j/", b"_9j_", b"UklGR", b"R0lGOD")
_DATA_LINK = re.compile(rb"data:[^,]{0,200};\s*base64\s*,", re.IGNORECASE)
# As they stand in JSON, in a programming language, or as Python writes bytes.
_QUOTED = re.compile(rb"(?s)b?([\"'`])(.*)\1")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


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
        document = parsed(body)
    except TooManyValues:
        return unusable("HTTP 200 with JSON of more values than an answer with an image has")
    except orjson.JSONDecodeError:
        return image_in_text(body) or unusable("HTTP 200 with broken JSON", transient=True)
    for text in _candidates(document, 0):
        if text.startswith(("http://", "https://")):
            return Linked(text)
        if (decoded := image_in_text(text.encode(errors="replace"))) is not None:
            return decoded
    said = error_text(body, limit=300) if len(body) <= MAX_ERROR_BYTES else ""
    return unusable(f"HTTP 200 without an image: {said}")


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


def image_in_text(text: bytes) -> bytes | None:
    r"""The image that a text is in base64; None if it is none.

    Bare, quoted or as a `data:` link, in either alphabet, with or without line breaks and padding. Of a text that was
    cut off, as much of the image as there is.

    >>> image_in_text(b"data:image/gif;base64,R0lGODlh AQ")
    b'GIF89a\x01'
    >>> image_in_text(b"upstream busy") is None
    True
    """
    text = text.removeprefix(BYTE_ORDER_MARK).strip()
    if quoted := _QUOTED.fullmatch(text):
        text = quoted[2].strip()
    elif text[:1] in (b'"', b"'", b"`"):  # cut off before the other one
        text = text[1:].strip()
    if link := _DATA_LINK.match(text):
        text = text[link.end() :].strip()
    if not text.startswith(_BASE64_STARTS):
        return None
    if b"%" in text:
        text = unquote_to_bytes(text)
    text = text.translate(_URL_SAFE, b" \t\r\n\f\v").rstrip(b"=")
    # A single letter left over can't be decoded: the text was cut off there.
    text = text[: len(text) - (len(text) % 4 == 1)]
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None


async def commit(sink: Sink) -> SavedImage:
    """What was written, as a durable image; decoded before, if it is one as text.

    Raises:
        ValueError: it is no whole image.
    """
    try:
        return await sink.commit()
    except ValueError:
        image = image_in_text(await sink.read())
        if image is None:
            raise
    await sink.restart()
    await sink.write(image)
    return await sink.commit()
