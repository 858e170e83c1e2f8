"""How OpenAI's API writes requests and answers: pictures as objects, the image within JSON, the cost in tokens."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from batch_editor.client.interface import Sink
from batch_editor.client.wire import BYTE_ORDER_MARK, MAX_ERROR_BYTES, TooManyValues, parsed
from batch_editor.endpoints import Endpoint

# JSON around an image is a few hundred bytes; an answer with more of it has none.
MAX_AROUND_BYTES = MAX_ERROR_BYTES
_IMAGE = re.compile(rb'"b64_json"\s*:\s*"')
_DATA_LINK = re.compile(rb"data:[^,]{0,200},")
# As long as a `data:` link's beginning may be.
_LINK_BYTES = 256
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
# As JSON may write what is in base64; some servers, such as .NET's, write the plus so.
_ESCAPES = (
    *((b"\\/", b"/"), (b"\\n", b""), (b"\\r", b""), (b"\\t", b"")),
    *((b"\\u002b", b"+"), (b"\\u002B", b"+"), (b"\\u002f", b"/"), (b"\\u002F", b"/")),
    *((b"\\u003d", b"="), (b"\\u003D", b"=")),
)
_LONGEST_ESCAPE = 6


def request_body(endpoint: Endpoint, params: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent for a request: the constants of its endpoint, and its parameters, with pictures as objects."""
    body = dict(endpoint.constants)
    for name, value in params.items():
        if name == endpoint.images:
            links = value if isinstance(value, list) else [value]
            body["images"] = [{"image_url": link} for link in links]
        elif name == endpoint.mask:
            body["mask"] = {"image_url": value}
        else:
            body[name] = value
    return body


class EmbeddedImage:
    """Takes an answer as it comes: decodes the image within its JSON into the sink, and keeps the JSON around it.

    So an answer takes no more memory than its image does. What is no such JSON goes to the sink as it is.
    `size_bytes` are those of the answer.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._state: Literal["start", "around", "image", "skipped", "plain"] = "start"
        self._around = bytearray()
        self._looked_at = 0
        self._text = b""  # of the image, not decoded yet
        self._began = self._found = self._broken = False
        self.size_bytes = 0

    async def write(self, data: bytes) -> None:
        """Take the next part of the answer."""
        self.size_bytes += len(data)
        while data:
            match self._state:
                case "start":
                    data = await self._start(data)
                case "around":
                    data = await self._look(data)
                case "image" | "skipped":
                    data = await self._through_text(data)
                case "plain":
                    await self._sink.write(data)
                    return

    async def end(self) -> None:
        """The answer is over: what was kept of one without an image goes to the sink."""
        if self._found:
            await self._decode(b"", is_last=True)
        elif self._around:
            await self._sink.write(bytes(self._around))

    def usage(self) -> object:
        """The `usage` of an answer with an image; None where it has none that can be read."""
        if not self._found:
            return None
        try:
            document = parsed(bytes(self._around))
        except (orjson.JSONDecodeError, TooManyValues):
            return None
        return document.get("usage") if isinstance(document, dict) else None

    async def _start(self, data: bytes) -> bytes:
        self._around += data
        start = self._around.removeprefix(BYTE_ORDER_MARK).lstrip()
        if start and not BYTE_ORDER_MARK.startswith(start):
            self._state = "around" if start.startswith(b"{") else "plain"
            data = bytes(self._around)
            self._around.clear()
            return data
        return b""

    async def _look(self, data: bytes) -> bytes:
        """Keep what is around the image, up to where that begins."""
        self._around += data
        if found := _IMAGE.search(self._around, self._looked_at):
            rest = bytes(self._around[found.end() :])
            del self._around[found.end() :]
            self._looked_at = len(self._around)
            # One is asked for; of more than that, the first counts.
            self._state = "skipped" if self._found else "image"
            self._found = True
            return rest
        self._looked_at = max(0, len(self._around) - 64)  # the key may be cut in two
        if len(self._around) > MAX_AROUND_BYTES and not self._found:
            self._state, rest = "plain", bytes(self._around)
            self._around.clear()
            return rest
        if self._found:
            del self._around[MAX_AROUND_BYTES:]
        return b""

    async def _through_text(self, data: bytes) -> bytes:
        """Take the image's text, up to the quote that ends it."""
        text, quote, rest = data.partition(b'"')
        if self._state == "image":
            await self._decode(text, is_last=bool(quote))
        if quote:
            self._state = "around"
            self._around += quote
            self._looked_at = len(self._around)
        return rest

    async def _decode(self, text: bytes, *, is_last: bool) -> None:
        self._text += text
        if not self._began:
            if len(self._text) < _LINK_BYTES and not is_last:
                return
            if link := _DATA_LINK.match(self._text):
                self._text = self._text[link.end() :]
            self._began = True
        for escape, letter in _ESCAPES:
            self._text = self._text.replace(escape, letter)
        self._text = self._text.translate(_URL_SAFE, b" \t\r\n=")
        # A single letter that is left over at the end can't be decoded: the text was cut off there.
        whole = len(self._text) - (len(self._text) % 4 == 1) if is_last else len(self._text) // 4 * 4
        if not is_last and (cut := self._text.rfind(b"\\", 1 - _LONGEST_ESCAPE)) >= 0:
            whole = cut // 4 * 4  # the rest of the escape is still to come
        ready, self._text = self._text[:whole], self._text[whole:]
        if not ready or self._broken:
            return
        try:
            await self._sink.write(base64.b64decode(ready + b"=" * (-len(ready) % 4), validate=True))
        except binascii.Error:
            self._broken = True  # what came before tells that the image is cut off
