"""C2PA manifests (Content Credentials): whether a picture's file has one, and what it says of AI. None is verified.

A manifest is signed over the file's bytes. A file that is made anew can't carry it; who could sign a new one is
whoever runs the service. https://spec.c2pa.org/specifications/ ("Embedding manifests into various file formats")
"""

from __future__ import annotations

import re

from batch_editor.finishing.marks import MARKS, SCHEME
from batch_editor.images import ImageFormat

_MOST_PARTS = 100_000
# The strings of a manifest are followed by whatever comes next: the words end where they end, whatever follows.
_MARK = re.compile(
    rb"https?" + re.escape(SCHEME.removeprefix("http").encode()) + rb"(" + "|".join(MARKS.values()).encode() + rb")"
)


def manifest_of(data: bytes, format: ImageFormat) -> bytes:
    """The manifest of a picture's file, as it stands there; empty if it has none."""
    match format:
        case "jpeg":
            return _of_jpeg(data)
        case "png":
            return b"".join(_png_chunks(data, b"caBX"))
        case "webp":
            return b"".join(_webp_chunks(data, b"C2PA"))
        case _:
            return b""


def marks_of(manifest: bytes) -> set[str]:
    """The AI marks that a manifest names, of the picture itself or of one that went into it."""
    return {found.decode() for found in _MARK.findall(manifest)}


def _of_jpeg(data: bytes) -> bytes:
    """What its APP11 segments hold as JUMBF: of C2PA, for others use them too."""
    parts: list[bytes] = []
    at = 2
    for _ in range(_MOST_PARTS):
        marker, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4])
        if len(marker) < 2 or marker[0] != 0xFF or marker[1] in (0xDA, 0xD9):  # the pixels, or the end
            break
        segment = data[at + 4 : at + 2 + length]
        if marker[1] == 0xEB and segment.startswith(b"JP"):
            # Two bytes, the box's number, the segment's; then the box's head, which each segment repeats.
            parts.append(segment[16:] if parts else segment[8:])
        at += 2 + max(length, 2)
    whole = b"".join(parts)
    return whole if b"c2pa" in whole else b""


def _png_chunks(data: bytes, kind: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 8
    for _ in range(_MOST_PARTS):
        length = int.from_bytes(data[at : at + 4])
        name = data[at + 4 : at + 8]
        if name in (b"", b"IEND"):
            break
        if name == kind:
            found.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    return found


def _webp_chunks(data: bytes, kind: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 12
    for _ in range(_MOST_PARTS):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not name:
            break
        if name == kind:
            found.append(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return found
