"""C2PA manifests (Content Credentials): whether a picture's file has one, and what it says of AI. None is verified.

A manifest is signed over the file's bytes. A file that is made anew can't carry it; who could sign a new one is
whoever runs the service. https://spec.c2pa.org/specifications/ ("Embedding manifests into various file formats")
"""

from __future__ import annotations

import re

from batch_editor.finishing.marks import MARKS, SCHEME
from batch_editor.finishing.parts import gif_extension, parts_of
from batch_editor.images import ImageFormat

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
            return b"".join(content for name, content in parts_of(data, format) if name == b"caBX")
        case "webp":
            return b"".join(content for name, content in parts_of(data, format) if name == b"C2PA")
        case _:
            return _of_gif(data)


def marks_of(manifest: bytes) -> set[str]:
    """The AI marks that a manifest names, of the picture itself or of one that went into it."""
    return {found.decode() for found in _MARK.findall(manifest)}


def _of_jpeg(data: bytes) -> bytes:
    """What its APP11 segments hold as JUMBF: of C2PA, for others use them too."""
    parts: list[bytes] = []
    for name, segment in parts_of(data, "jpeg"):
        if name == b"\xeb" and segment.startswith(b"JP"):
            # Two bytes, the box's number, the segment's; then the box's head, which each segment repeats.
            parts.append(segment[16:] if parts else segment[8:])
    whole = b"".join(parts)
    return whole if b"c2pa" in whole else b""


def _of_gif(data: bytes) -> bytes:
    blocks, whole, at = gif_extension(data, b"C2PA_GIF\1\0\0"), [], 0
    while length := int.from_bytes(blocks[at : at + 1]):
        whole.append(blocks[at + 1 : at + 1 + length])
        at += 1 + length
    return b"".join(whole)
