"""The parts that a picture's file is made of, as they stand there: nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator

from batch_editor.images import ImageFormat

_MOST_PARTS = 100_000


def parts_of(data: bytes, format: ImageFormat) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each segment of a JPEG up to its pixels, or of each chunk of a PNG or WebP; of a GIF none.

    A JPEG's names are markers, of a byte each.
    """
    match format:
        case "jpeg":
            return _segments(data)
        case "png":
            return _png_chunks(data)
        case "webp":
            return _webp_chunks(data)
        case _:
            return iter(())


def gif_extension(data: bytes, name: bytes) -> bytes:
    """What the application extension of that name (11 bytes) holds, from its blocks' first length on; empty: none."""
    _, found, rest = data.partition(b"!\xff\x0b" + name)
    return rest if found else b""


def _segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 2
    for _ in range(_MOST_PARTS):
        while data[at : at + 2] == b"\xff\xff":  # a marker may stand behind any number of these
            at += 1
        marker, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4])
        if len(marker) < 2 or marker[0] != 0xFF or marker[1] in (0xDA, 0xD9):  # the pixels, or the end
            break
        yield marker[1:], data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    for _ in range(_MOST_PARTS):
        length = int.from_bytes(data[at : at + 4])
        name = data[at + 4 : at + 8]
        if name in (b"", b"IEND"):
            break
        yield name, data[at + 8 : at + 8 + length]
        at += 12 + length


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    for _ in range(_MOST_PARTS):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not name:
            break
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
