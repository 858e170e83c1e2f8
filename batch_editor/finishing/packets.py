"""Where a picture's file keeps its XMP: each format in a place of its own, and some programs in another.

https://developer.adobe.com/xmp/docs/XMPSpecifications/ (part 3, "Storage in files")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from batch_editor.finishing.parts import gif_extension, parts_of
from batch_editor.images import ImageFormat

_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_IN_JPEG = b"http://ns.adobe.com/xmp/extension/\0"
# Its packet's digest, the whole length, where in it this piece belongs.
_MORE_HEAD = len(_MORE_IN_JPEG) + 32 + 4 + 4
# What Pillow calls the texts of a PNG that have a packet, and ImageMagick's, which has it in hex digits.
XMP_TEXTS = ("xmp", "XML:com.adobe.xmp")
_HEX_TEXT = "Raw profile type xmp"
# The second is ImageMagick 6's, which other programs read.
_IN_WEBP = (b"XMP ", b"XMP\0")
# Behind the packet of a GIF: bytes by which a reader that takes it for blocks finds its end.
_GIF_TRAILER = b"\x01\xff\xfe"


class Packets(NamedTuple):
    """A file's XMP packet, and what a JPEG has of it beyond the 64 KiB of a segment; empty for none."""

    packet: bytes = b""
    extension: bytes = b""


def packets_of(data: bytes, format: ImageFormat, texts: Mapping[Any, Any]) -> Packets:
    """What the file has. `texts`: what Pillow knows of a PNG besides its pixels, once they are loaded."""
    match format:
        case "jpeg":
            return _of_jpeg(data)
        case "webp":
            return Packets(next((content for name, content in parts_of(data, format) if name in _IN_WEBP), b""))
        case "png":
            return Packets(_of_texts(texts))
        case _:
            packet, end, _ = gif_extension(data, b"XMP DataXMP").partition(_GIF_TRAILER)
            return Packets(packet if end else b"")


def _of_jpeg(data: bytes) -> Packets:
    segments = [content for name, content in parts_of(data, "jpeg") if name == b"\xe1"]
    packet = next((each.removeprefix(_IN_JPEG) for each in segments if each.startswith(_IN_JPEG)), b"")
    # Only the pieces that the packet names are its own: programs that write a new one leave those of the former.
    pieces = [each for each in segments if each.startswith(_MORE_IN_JPEG) and _digest(each) in packet]
    pieces.sort(key=lambda each: int.from_bytes(each[_MORE_HEAD - 4 : _MORE_HEAD]))
    return Packets(packet, b"".join(each[_MORE_HEAD:] for each in pieces))


def _digest(piece: bytes) -> bytes:
    return piece[len(_MORE_IN_JPEG) : len(_MORE_IN_JPEG) + 32]


def _of_texts(texts: Mapping[Any, Any]) -> bytes:
    found = next((texts[name] for name in XMP_TEXTS if texts.get(name)), b"")
    if not found and (digits := texts.get(_HEX_TEXT)):
        # Two lines, the kind and the length, and then the digits.
        try:
            found = bytes.fromhex("".join(str(digits).split()[2:]))
        except ValueError:
            return b"no hex digits"  # which is no XMP, as is then said
    return found.encode("utf-8", "replace") if isinstance(found, str) else bytes(found)
