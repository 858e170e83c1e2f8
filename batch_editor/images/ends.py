"""Whether an image file reaches its own end, by its structure alone: nothing is decoded.

Pillow's `verify()` finds a cut only in a PNG; a JPEG or WebP of which half is missing passes it.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO, Literal

ImageFormat = Literal["png", "jpeg", "webp", "gif"]

_BLOCK_BYTES = 2**16
# More is an attack on our time: 50 MB of PNG in pieces of 1 KB have half as many chunks; a JPEG of many scans and a
# long colour profile has a few hundred segments, each of which costs a look at a block.
_MOST_CHUNKS, _MOST_SEGMENTS = 100_000, 10_000
# What begins a segment of a JPEG or ends it: 0xFF before neither a stuffed zero, another 0xFF nor a restart marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JPEG_END = 0xD9
_JPEG_WITHOUT_LENGTH = (0x01, 0xD8)


def sniff(head: bytes) -> ImageFormat | None:
    """The format that the first bytes promise; 12 of them are enough.

    >>> sniff(b"\\x89PNG\\r\\n\\x1a\\n....")
    'png'
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return None


def has_end(file: BinaryIO, format: ImageFormat) -> bool:
    """Whether the file holds all of its image; what stands behind the image doesn't matter.

    A phone puts a second picture there, others a few bytes. Of several pictures the first counts. A GIF isn't looked
    into: it counts as whole.
    """
    match format:
        case "png":
            return _png_has_end(file)
        case "jpeg":
            return _jpeg_has_end(file)
        case "webp":
            return _webp_has_end(file)
        case _:
            return True


def _png_has_end(file: BinaryIO) -> bool:
    size = file.seek(0, os.SEEK_END)
    at = 8
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        at += 12 + int.from_bytes(head[:4])
        if head[4:] == b"IEND" or at >= size:
            return head[4:] == b"IEND" and at <= size
    return False


def _jpeg_has_end(file: BinaryIO) -> bool:
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        marker = _next_marker(file)
        if marker is None or marker == _JPEG_END:
            return marker is not None
        if marker in _JPEG_WITHOUT_LENGTH:
            continue
        # Segments are jumped over, for a thumbnail in one of them has an end of its own. The data of a scan follow
        # the segment that begins it, and are searched.
        length = file.read(2)
        file.seek(max(int.from_bytes(length) - 2, 0), os.SEEK_CUR)
    return False


def _next_marker(file: BinaryIO) -> int | None:
    """The next marker, the file standing behind it; None if there is none."""
    while block := file.read(_BLOCK_BYTES):
        if found := _JPEG_MARKER.search(block):
            file.seek(found.end() - len(block), os.SEEK_CUR)
            return block[found.end() - 1]
        if block.endswith(b"\xff") and len(block) > 1:  # the other half is in the next block
            file.seek(-1, os.SEEK_CUR)
    return None


def _webp_has_end(file: BinaryIO) -> bool:
    size = file.seek(0, os.SEEK_END)
    file.seek(4)
    end = int.from_bytes(file.read(4), "little") + 8
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at >= end:
            return True
        file.seek(at + 4)
        length = int.from_bytes(file.read(4), "little")
        if at + 8 + length > size:
            return False
        at += 8 + length + length % 2  # the padding of the last chunk is left out by some
    return False
