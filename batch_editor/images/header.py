"""What an image's header says, or the first bytes of one: format, size, transparency. Nothing is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

# What Pillow raises on bytes that are no images, as met by fuzzing; its documentation promises OSError alone.
_PILLOW = (
    *(EOFError, IndexError, KeyError, OSError, OverflowError, SyntaxError, TypeError, ValueError),
    *(struct.error, zlib.error),
)


class NotAnImage(ValueError):
    """The bytes are no image, or a broken one."""


class TooManyPixels(ValueError):
    """The header promises more than 178 million pixels."""


@dataclass(frozen=True, slots=True)
class Header:
    """Format by Pillow's name (`PNG`, `JPEG`, `MPO`, `WEBP`, …), size in pixels, and whether it may be transparent.

    MPO is a phone's JPEG with a second picture behind the first.
    """

    format: str
    width: int
    height: int
    has_alpha: bool


def read_header(file: BinaryIO, *, formats: tuple[str, ...]) -> Header:
    """The header of a whole image in one of these formats, by Pillow's names; its checksums are looked at.

    Raises:
        NotAnImage: it is none of them, or broken.
        TooManyPixels: it would take too much memory to decode.
    """
    return _opened(file, formats=formats, verify=True)


def read_beginning(data: bytes) -> Header:
    """The header of an image of which only the first bytes are here.

    Raises:
        NotAnImage: they don't begin an image, or too little of it is here.
        TooManyPixels: it would take too much memory to decode.
    """
    return _webp(data) or _opened(io.BytesIO(data))


def _opened(file: BinaryIO, *, formats: tuple[str, ...] | None = None, verify: bool = False) -> Header:
    try:
        with Image.open(file, formats=formats) as image:
            header = Header(image.format or "", *image.size, has_alpha=image.has_transparency_data)
            if verify:
                image.verify()
    except Image.DecompressionBombError as error:
        raise TooManyPixels(str(error)) from error
    except _PILLOW as error:
        raise NotAnImage(str(error)) from error
    return header


def _webp(data: bytes) -> Header | None:
    """The header of a WebP, which Pillow reads whole or not at all; None of anything else.

    https://developers.google.com/speed/webp/docs/riff_container
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
            return Header("WEBP", width, height, bool(data[20] & 0x10))
        case b"VP8L" if data[20] == 0x2F:
            bits = int.from_bytes(data[21:25], "little")
            return Header("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1))
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
            return Header("WEBP", width, height, has_alpha=False)
    return None
