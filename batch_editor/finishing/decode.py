"""A picture's file as upright sRGB pixels, with what its metadata say of where it comes from."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from PIL import Image, ImageChops, ImageCms, UnidentifiedImageError

from batch_editor.finishing.finished_file import CannotFinish
from batch_editor.finishing.manifests import manifest_of
from batch_editor.images import has_end, kind_of, sniff
from batch_editor.images.pixels import MAX_PIXELS, PILLOW_ERRORS

# Larger than any answer of the endpoints by far; all of it is held while it is worked on.
MOST_BYTES = 256 * 2**20
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_ORIENTATION = 0x0112
# What Pillow calls a file's XMP.
_XMP = ("xmp", "XML:com.adobe.xmp")
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
# A profile's colour space: the modes of pictures that it may belong to, and the mode in which it is applied.
_SPACES = {"RGB": (("RGB", "L"), "RGB"), "GRAY": (("L",), "L"), "CMYK": (("CMYK",), "CMYK")}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Upright sRGB pixels, in mode RGB or RGBA; the file's format; its XMP and its C2PA manifest, empty for none."""

    pixels: Image.Image
    format: str
    xmp: bytes
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
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _look_at(image, notes)
            image.load()
            xmp = _xmp(image)
            pixels = _turned(_srgb(image, notes), image, notes)
    except Image.DecompressionBombError as error:
        raise CannotFinish(f"more pixels than the {MAX_PIXELS:,} that are decoded") from error
    except PILLOW_ERRORS as error:
        if isinstance(error, CannotFinish):
            raise
        said = "its header can't be read" if isinstance(error, UnidentifiedImageError) else error
        raise CannotFinish(f"a {format} that does not decode: {said}") from error
    if format == "png" and data[24] == 16:
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
    for name in _XMP:  # where Pillow looks for a turn as well; browsers and other viewers turn by EXIF alone
        image.info.pop(name, None)
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except PILLOW_ERRORS:
        notes.append("its EXIF can't be read: the picture isn't turned")
        return pixels
    return pixels if turn is None else pixels.transpose(turn)


def _xmp(image: Image.Image) -> bytes:
    found = next((image.info[name] for name in _XMP if image.info.get(name)), b"")
    return found.encode("utf-8", "replace") if isinstance(found, str) else bytes(found)


def _srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """The picture in sRGB: RGBA where a pixel of it may be seen through, else RGB."""
    alpha: Image.Image | None = None
    if image.mode.startswith("I"):
        alpha = _seen_through_of_16_bits(image)
        image = _of_16_bits(image)
    elif image.has_transparency_data:
        clear = image.info.get("transparency")
        if isinstance(clear, tuple) and max(clear) > 255:  # of 16 bits, of which Pillow has read the upper 8
            image.info["transparency"] = tuple(value >> 8 for value in clear)
        if image.mode not in ("LA", "RGBA"):
            image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    converted = _by_profile(image, image.info.get("icc_profile"), notes)
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


def _by_profile(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    if not icc:
        if image.mode == "CMYK":
            notes.append("CMYK without a colour profile: converted to sRGB by a plain formula")
        return _rgb(image)
    try:
        name, space, transform = _transform(icc)
    except (ImageCms.PyCMSError, *PILLOW_ERRORS):
        notes.append("a colour profile that can't be read: the colours are taken for sRGB")
        return _rgb(image)
    modes, mode = _SPACES.get(space, ((), ""))
    if image.mode not in modes:
        notes.append(f"a colour profile for {space} in a picture of {image.mode}: it is left out")
    if transform is None or image.mode not in modes:
        return _rgb(image)
    notes.append(f"colours converted from {name} to sRGB")
    converted = ImageCms.applyTransform(image.convert(mode), transform)
    assert converted is not None, "not in place"
    return converted


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")  # which copies, if there is nothing to convert


@lru_cache(maxsize=8)  # most pictures of a run have the same one
def _transform(icc: bytes) -> tuple[str, str, ImageCms.ImageCmsTransform | None]:
    """The profile's name and colour space, and the way from there to sRGB; None where it is sRGB already."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    name = " ".join(ImageCms.getProfileDescription(profile).split()) or "an unnamed profile"
    space = profile.profile.xcolor_space.strip()
    if is_srgb(name) or space not in _SPACES:
        return name, space, None
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        _SPACES[space][1],
        "RGB",
        # White stays exactly white, and dark tones keep their differences.
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return name, space, transform


def is_srgb(name: str) -> bool:
    """Whether a profile of that name is sRGB, and not its linear kin.

    >>> is_srgb("sRGB IEC61966-2.1"), is_srgb("sRGB linear"), is_srgb("Display P3")
    (True, False, False)
    """
    words = name.lower()
    return "srgb" in words and "linear" not in words and "scrgb" not in words
