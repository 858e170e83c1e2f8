"""Pixels as a file of so many bytes at most. The same pixels and rules give the same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, PngImagePlugin

from batch_editor.finishing.compose import Composed
from batch_editor.finishing.finished_file import CannotFinish
from batch_editor.finishing.rules import Format

# Below it blocks and false colours show at arm's length: then a smaller picture is better than a worse one.
LOWEST_QUALITY = 40
_SMALLEST_SIDE = 32


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file's bytes, the pixels in it, and what was lowered to make it small enough."""

    data: bytes
    composed: Composed
    notes: tuple[str, ...]


def encoded(pixels: Image.Image, format: Format, *, quality: int, xmp: bytes) -> bytes:
    """The file. JPEGs are progressive; profiles, EXIF and dates aren't written."""
    file = io.BytesIO()
    match format:
        case "jpeg":
            said = {"xmp": xmp} if xmp else {}
            pixels.save(file, "JPEG", quality=quality, progressive=True, optimize=True, **said)
        case "webp":
            pixels.save(file, "WEBP", quality=quality, method=4, exact=False, xmp=xmp)
        case "png":
            info = PngImagePlugin.PngInfo()
            if xmp:
                info.add_itxt("XML:com.adobe.xmp", xmp.decode())
            pixels.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def encode_within(
    compose_at: Callable[[float], Composed], format: Format, *, quality: int, max_bytes: int | None, xmp: bytes
) -> Encoded:
    """The file at the highest quality, else the largest size, that `max_bytes` holds; `compose_at` takes a scale.

    Raises:
        CannotFinish: it doesn't fit, however small.
    """
    composed = compose_at(1.0)
    data = encoded(composed.pixels, format, quality=quality, xmp=xmp)
    if max_bytes is None or len(data) <= max_bytes:
        return Encoded(data, composed, ())
    wanted = f"for at most {max_bytes:,} bytes"
    lowest = quality if format == "png" else min(LOWEST_QUALITY, quality)
    if lowest < quality:
        data = encoded(composed.pixels, format, quality=lowest, xmp=xmp)
        if len(data) <= max_bytes:
            data, reached = _by_quality(composed, format, range(lowest, quality), data, max_bytes, xmp)
            return Encoded(data, composed, (f"quality lowered from {quality} to {reached}, {wanted}",))
    scale, size = 1.0, composed.pixels.size
    while len(data) > max_bytes:
        # Bytes go with the pixels, roughly; a little less than that, so that a second try is rare.
        scale *= min(0.95, 0.98 * math.sqrt(max_bytes / len(data)))
        if max(size) * scale < _SMALLEST_SIDE:
            lowered = f" and quality {lowest}" if format != "png" else ""
            raise CannotFinish(f"does not fit into {max_bytes:,} bytes, not even at {_SMALLEST_SIDE} pixels{lowered}")
        composed = compose_at(scale)
        data = encoded(composed.pixels, format, quality=lowest, xmp=xmp)
    notes = [f"quality lowered from {quality} to {lowest}, {wanted}"] if lowest < quality else []
    made = "{}x{}".format(*composed.pixels.size)
    notes.append("size lowered from {}x{} to {}, {}".format(*size, made, wanted))
    return Encoded(data, composed, tuple(notes))


def _by_quality(
    composed: Composed, format: Format, qualities: range, at_lowest: bytes, max_bytes: int, xmp: bytes
) -> tuple[bytes, int]:
    """The file at the highest of these qualities that fits, and which that is; at the lowest it does."""
    best = at_lowest, qualities[0]
    low, high = 1, len(qualities) - 1
    while low <= high:
        middle = (low + high) // 2
        data = encoded(composed.pixels, format, quality=qualities[middle], xmp=xmp)
        if len(data) <= max_bytes:
            best, low = (data, qualities[middle]), middle + 1
        else:
            high = middle - 1
    return best
