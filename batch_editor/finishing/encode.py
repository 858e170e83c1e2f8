"""Pixels as a file of so many bytes at most. The same pixels and rules give the same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin

from batch_editor.finishing.compose import Composed, Placing
from batch_editor.finishing.finished_file import CannotFinish
from batch_editor.finishing.rules import Format

# Below it blocks and false colours show at arm's length: then a smaller picture is better than a worse one.
LOWEST_QUALITY = 40
_SMALLEST_SIDE = 32


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file's bytes, where the picture is in it, and what is to be said of both."""

    data: bytes
    placing: Placing
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Encoder:
    """How pixels become a file: in which format, at most of which quality, with which XMP packet (empty for none).

    `full_colour`: a JPEG keeps the colour of each pixel, not of four together. Then what stands beside white darkens
    the white of 8 pixels at most, and not of 16, so that a border stays exactly white.
    """

    format: Format
    quality: int
    xmp: bytes
    full_colour: bool = False

    def encoded(self, pixels: Image.Image, quality: int | None = None) -> bytes:
        """The file. JPEGs are progressive; profiles, EXIF and dates aren't written."""
        file = io.BytesIO()
        quality = self.quality if quality is None else quality
        how: dict[str, Any] = {"xmp": self.xmp} if self.xmp else {}
        match self.format:
            case "jpeg":
                how["subsampling"] = "4:4:4" if self.full_colour else "4:2:0"
                with _room_for_noise(pixels):
                    pixels.save(file, "JPEG", quality=quality, progressive=True, optimize=True, **how)
            case "webp":
                pixels.save(file, "WEBP", quality=quality, method=4, **how)
            case "png":
                info = PngImagePlugin.PngInfo()
                if self.xmp:
                    info.add_itxt("XML:com.adobe.xmp", self.xmp.decode())
                pixels.save(file, "PNG", pnginfo=info)
        return file.getvalue()


@contextmanager
def _room_for_noise(pixels: Image.Image) -> Iterator[None]:
    """Pillow holds a progressive JPEG whole, in a byte a pixel, and refuses what comes to more: noise comes to 3.3."""
    usual = ImageFile.MAXBLOCK
    ImageFile.MAXBLOCK = max(usual, 6 * pixels.width * pixels.height)
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = usual


def encode_within(compose_at: Callable[[float], Composed], encoder: Encoder, *, max_bytes: int | None) -> Encoded:
    """The file at the highest quality, else the largest size, that `max_bytes` holds; `compose_at` takes a scale.

    Raises:
        CannotFinish: it doesn't fit, however small.
    """
    composed = compose_at(1.0)
    data = encoder.encoded(composed.pixels)
    if max_bytes is None or len(data) <= max_bytes:
        return Encoded(data, composed.placing, composed.notes)
    quality, format = encoder.quality, encoder.format
    wanted = f"for at most {max_bytes:,} bytes"
    lowest = quality if format == "png" else min(LOWEST_QUALITY, quality)
    if lowest < quality:
        data = encoder.encoded(composed.pixels, lowest)
        if len(data) <= max_bytes:
            data, reached = _by_quality(composed.pixels, encoder, range(lowest, quality), data, max_bytes)
            said = f"quality lowered from {quality} to {reached}, {wanted}"
            return Encoded(data, composed.placing, (*composed.notes, said))
    scale, size = 1.0, composed.pixels.size
    while len(data) > max_bytes:
        # Bytes go with the pixels, roughly; a little less than that, so that a second try is rare.
        scale *= min(0.95, 0.98 * math.sqrt(max_bytes / len(data)))
        if max(size) * scale < _SMALLEST_SIDE:
            lowered = f" and quality {lowest}" if format != "png" else ""
            raise CannotFinish(f"does not fit into {max_bytes:,} bytes, not even at {_SMALLEST_SIDE} pixels{lowered}")
        composed = compose_at(scale)
        data = encoder.encoded(composed.pixels, lowest)
    notes = [f"quality lowered from {quality} to {lowest}, {wanted}"] if lowest < quality else []
    made = "{}x{}".format(*composed.pixels.size)
    notes.append("size lowered from {}x{} to {}, {}".format(*size, made, wanted))
    return Encoded(data, composed.placing, (*composed.notes, *notes))


def _by_quality(
    pixels: Image.Image, encoder: Encoder, qualities: range, at_lowest: bytes, max_bytes: int
) -> tuple[bytes, int]:
    """The file at the highest of these qualities that fits, and which that is; at the lowest it does."""
    best = at_lowest, qualities[0]
    low, high = 1, len(qualities) - 1
    while low <= high:
        middle = (low + high) // 2
        data = encoder.encoded(pixels, qualities[middle])
        if len(data) <= max_bytes:
            best, low = (data, qualities[middle]), middle + 1
        else:
            high = middle - 1
    return best
