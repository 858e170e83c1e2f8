"""A picture's file as upright sRGB pixels, with what its metadata say of where it comes from."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageChops, UnidentifiedImageError

from batch_editor.finishing.colours import UNREADABLE, in_srgb
from batch_editor.finishing.finished_file import CannotFinish
from batch_editor.finishing.manifests import manifest_of
from batch_editor.finishing.packets import XMP_TEXTS, Packets, packets_of
from batch_editor.finishing.parts import parts_of
from batch_editor.images import ImageFormat, has_end, kind_of, sniff
from batch_editor.images.pixels import MAX_PIXELS, PILLOW_ERRORS

# Larger than any answer of the endpoints by far; all of it is held while it is worked on.
MOST_BYTES = 256 * 2**20
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_ORIENTATION = 0x0112
# Where files keep their colour profile, and how a JPEG's begins there.
_PROFILES = ((b"iCCP", b""), (b"ICCP", b""), (b"\xe2", b"ICC_PROFILE\0"))
# A PNG without a profile may give its colours in figures: what they are for sRGB, as far as each was rounded.
_SRGB_GAMMA = 0.45455
_SRGB_CHROMATICITY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_SRGB_CODES = (1, 13)  # of primaries and curve, by ITU-T H.273
# What is to be done to the pixels, by EXIF's number for where their first row and column lie.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Upright sRGB pixels, in mode RGB or RGBA; the file's format; its XMP and its C2PA manifest, empty for none."""

    pixels: Image.Image
    format: str
    xmp: Packets
    manifest: bytes
    notes: tuple[str, ...]


def decode(data: bytes) -> Decoded:
    """The picture of a file.

    Raises:
        CannotFinish: it is no picture, not the whole of one, an animated one, or of too many pixels.
    """
    format = sniff(data[:12])
    if format is None:
        what = kind_of(data[:4096]) or (f"a file that begins with {data[:8]!r}" if data else "an empty file")
        raise CannotFinish(f"{what}; expected a PNG, JPEG, WebP or GIF picture")
    if not has_end(io.BytesIO(data), format):
        raise CannotFinish(f"a {format} that was cut short")
    notes: list[str] = []
    depth = data[24] if format == "png" else 8
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _look_at(image, notes)
            image.load()
            xmp = packets_of(data, format, image.info)
            notes += _unread_colours(image, data, format)
            pixels = _turned(_srgb(image, notes, depth=depth), image, notes)
    except Image.DecompressionBombError as error:
        raise CannotFinish(f"more pixels than the {MAX_PIXELS:,} that are decoded") from error
    except PILLOW_ERRORS as error:
        if isinstance(error, CannotFinish):
            raise
        said = "its header can't be read" if isinstance(error, UnidentifiedImageError) else error
        raise CannotFinish(f"a {format} that does not decode: {said}") from error
    if depth == 16:
        notes.append("16 bits a channel became 8")
    pixels.info.clear()  # or Pillow writes comments and profiles of it into the file
    return Decoded(pixels, format, xmp, manifest_of(data, format), tuple(notes))


def _look_at(image: Image.Image, notes: list[str]) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise CannotFinish(f"{width}x{height} pixels, more than the {MAX_PIXELS:,} that are decoded")
    if not getattr(image, "is_animated", False):
        return
    if image.format != "MPO":
        raise CannotFinish("an animated picture; expected a still one")
    # A phone's, of which everybody shows the first: the others are its light, its depth or a smaller copy.
    notes.append("further pictures behind the first, as phones write them, are left out")


def _turned(pixels: Image.Image, image: Image.Image, notes: list[str]) -> Image.Image:
    for name in XMP_TEXTS:  # where Pillow looks for a turn as well; browsers and other viewers turn by EXIF alone
        image.info.pop(name, None)
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except PILLOW_ERRORS:
        notes.append("its EXIF can't be read: the picture isn't turned")
        return pixels
    return pixels if turn is None else pixels.transpose(turn)


def _unread_colours(image: Image.Image, data: bytes, format: ImageFormat) -> list[str]:
    """What is to be said where the file tells of its colours and that isn't taken into account."""
    if image.info.get("icc_profile"):
        return []
    if any(_is_profile(*part) for part in parts_of(data, format)):
        return [UNREADABLE]
    if format == "png" and (said := _png_colours(image, dict(parts_of(data, format)))):
        return [f"colours that the PNG gives by {said} alone: they are taken for sRGB"]
    return []


def _is_profile(name: bytes, content: bytes) -> bool:
    return any(name == kind and content.startswith(begin) for kind, begin in _PROFILES)


def _png_colours(image: Image.Image, chunks: dict[bytes, bytes]) -> str:
    """The chunks, in words, by which a PNG gives other colours than those of sRGB; empty if it doesn't."""
    if codes := chunks.get(b"cICP"):
        return "" if tuple(codes[:2]) == _SRGB_CODES else "cICP"
    if b"sRGB" in chunks:
        return ""
    gamma, points = image.info.get("gamma"), image.info.get("chromaticity")
    others = [
        name
        for name, got, srgb in (("gAMA", (gamma,), (_SRGB_GAMMA,)), ("cHRM", points, _SRGB_CHROMATICITY))
        if got and got[0] and any(abs(one - other) > 0.01 for one, other in zip(got, srgb, strict=True))
    ]
    return " and ".join(others)


def _srgb(image: Image.Image, notes: list[str], *, depth: int) -> Image.Image:
    """The picture in sRGB: RGBA where a pixel of it may be seen through, else RGB. depth: the file's bits a channel."""
    alpha: Image.Image | None = None
    if image.mode.startswith("I"):
        alpha = _seen_through_of_16_bits(image)
        image = _of_16_bits(image)
    elif image.has_transparency_data:
        clear = image.info.get("transparency")
        if isinstance(clear, tuple) and depth == 16:  # of which Pillow has read the upper 8
            image.info["transparency"] = tuple(value >> 8 for value in clear)
        elif isinstance(clear, int) and image.mode == "L":  # of 2 or 4 bits Pillow makes 8, and leaves this as it is
            image.info["transparency"] = clear * 255 // (2**depth - 1)
        if image.mode not in ("LA", "RGBA"):
            image = image.convert("LA" if image.mode == "L" else "RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    converted = in_srgb(image, image.info.get("icc_profile"), notes)
    if alpha is None or alpha.getextrema() == (255, 255):
        return converted
    if alpha.getextrema() == (0, 0):
        raise CannotFinish("every pixel is transparent")
    converted.putalpha(alpha)
    return converted


def _seen_through_of_16_bits(image: Image.Image) -> Image.Image | None:
    """The alpha of a grey picture of 16 bits in which one value is transparent; None where there is none."""
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return None
    wide = image.convert("I")
    above: Any = wide.point(lambda value: value * 1 - clear)
    below: Any = wide.point(lambda value: value * -1 + clear)
    differs = ImageChops.lighter(above.convert("L"), below.convert("L"))  # each is 0 where it is negative
    return differs.point([255 * (value > 0) for value in range(256)])


def _of_16_bits(image: Image.Image) -> Image.Image:
    """16 bits of grey as 8, which Pillow itself would cut off at 255."""
    # A pixel at a time by a function is for tables alone; of such pictures Pillow takes a factor and a summand.
    eighth: Any = image.convert("I").point(lambda value: value * (1 / 257) + 0.5)
    grey: Image.Image = eighth.convert("L")
    grey.info.update(image.info)
    return grey
