"""Bodies that came compressed though no compression was asked for: unpacked, or refused with the encoding's name.

aiohttp would unpack them on the way, but raises at the header of an encoding that it doesn't know: the body behind it,
which is paid for, would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module

from aiohttp import ClientResponse
from aiohttp.compression_utils import HAS_BROTLI, HAS_ZSTD, BrotliDecompressor, ZLibDecompressor, ZSTDDecompressor

from batch_editor.client.interface import Sink
from batch_editor.client.wire import MAX_BODY_BYTES, unusable
from batch_editor.records import Failure
from batch_editor.text import printable

# Servers compress once. Each layer more would let an attacker fill another 64 MiB of memory.
MAX_LAYERS = 2
_SAME = {"x-gzip": "gzip", "x-compress": "compress"}
_PACKAGES = {"br": "Brotli", "zstd": "backports.zstd"}
# Of the libraries that aiohttp unpacks with, those that are installed.
_ERRORS = ("zlib.error", "brotlicffi.error", "brotli.error", "compression.zstd.ZstdError", "backports.zstd.ZstdError")


class StillPacked(ValueError):
    """A body that can't be unpacked. `broken`: the encoding is known but the data isn't valid; a retry may help."""

    def __init__(self, message: str, *, broken: bool) -> None:
        super().__init__(message)
        self.broken = broken


def _errors() -> Iterator[type[Exception]]:
    for module, _, name in (each.rpartition(".") for each in _ERRORS):
        with suppress(ImportError):
            yield getattr(import_module(module), name)


_UNPACKING: tuple[type[Exception], ...] = (EOFError, ValueError, *_errors())


def encodings_in(values: Iterable[str]) -> tuple[str, ...]:
    """What a body is packed with by its Content-Encoding, in the order in which it was; nothing if it isn't.

    >>> encodings_in(["identity, X-GZIP", "br"])
    ('gzip', 'br')
    """
    words = [word.strip().lower() for word in ",".join(values).split(",")]
    return tuple(_SAME.get(word, word) for word in words if word not in ("", "identity"))


def unpacked(body: bytes, encodings: tuple[str, ...], *, most: int = MAX_BODY_BYTES) -> bytes:
    """The body unpacked; if it was cut off, as much as there is. Blocks.

    Raises:
        StillPacked: it can't be had, or is longer than `most`.
    """
    if len(encodings) > MAX_LAYERS:
        raise StillPacked(f"a body packed {len(encodings)} times", broken=False)
    for encoding in reversed(encodings):
        if (machine := _machine(encoding, body)) is None:
            install = f"; the package {_PACKAGES[encoding]} would do it" if encoding in _PACKAGES else ""
            name = printable(encoding, limit=40)
            raise StillPacked(f"a body packed as {name}, which can't be unpacked here{install}", broken=False)
        try:
            body = machine.decompress_sync(body, max_length=most + 1)
        except _UNPACKING as error:
            raise StillPacked(f"a body that says it is packed as {encoding}, and isn't", broken=True) from error
        if len(body) > most:
            raise StillPacked(f"a body of more than {most >> 20} MiB", broken=False)
    return body


def _machine(encoding: str, body: bytes) -> ZLibDecompressor | BrotliDecompressor | ZSTDDecompressor | None:
    if encoding == "gzip":
        return ZLibDecompressor(encoding="gzip")
    if encoding == "deflate":
        # Some leave out the header that RFC 1950 wants: its lower half of the first byte is 8.
        return ZLibDecompressor(encoding="deflate", suppress_deflate_header=body[:1] != b"" and body[0] & 0xF != 8)
    if encoding == "br" and HAS_BROTLI:
        return BrotliDecompressor()
    return ZSTDDecompressor() if encoding == "zstd" and HAS_ZSTD else None


async def unpack(response: ClientResponse, sink: Sink) -> Failure | None:
    """Unpack what was written to the sink; if that can't be done it stays as it came, and a failure says why."""
    if not (encodings := _encodings(response)):
        return None
    try:
        body = await asyncio.to_thread(unpacked, await sink.read(), encodings)
    except StillPacked as error:
        return unusable(f"HTTP 200 with {error}", transient=error.broken)
    await sink.restart()
    await sink.write(body)
    return None


async def readable(response: ClientResponse, body: bytes) -> bytes:
    """A body unpacked, or as it came if that can't be done."""
    if not (encodings := _encodings(response)):
        return body
    try:
        return await asyncio.to_thread(unpacked, body, encodings)
    except StillPacked:
        return body


def _encodings(response: ClientResponse) -> tuple[str, ...]:
    return encodings_in(response.headers.getall("content-encoding", ()))
