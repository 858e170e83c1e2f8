"""What an image's pixels say of it. To be called in a process of its own, for decoders crash and hang: see `processes`.

A JPEG whose data end early but properly passes: libjpeg fills the rest with grey, and tells only by a warning that
Pillow drops. To call grey a fault would reject studio backgrounds.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageOps, ImageStat, PngImagePlugin

# Of an image or an input: 200 MB decoded. The endpoints make 1.6 million; no model makes a tenth of it.
MAX_PIXELS = 50_000_000
# Alpha from 0 to 255: below this a pixel is seen through, whatever lies under it.
SEEN_THROUGH = 16
# Two pictures are the same if at this length of the longer side no channel of any pixel differs by more than MOST,
# nor by more than MEAN on average. Photographs of 450 to 3,000 pixels, scaled, cropped and encoded anew as PNG, JPEG
# of quality 75 or WebP of 80, come to 16 and 1.4 at most; 5 % more light comes to 4.1 on average, and at a longer
# length edges differ more than small edits do. What stays below is called unchanged though a retoucher may know better.
COMPARED_LENGTH = 128
MOST, MEAN = 20, 2.0
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

# Pillow refuses a PNG of which a compressed text or colour profile comes to more than a mebibyte, however good its
# pixels are; profiles with tables for printers have 3. It still takes 64 of texts in one file at most.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20

# What Pillow raises on bytes that are no whole image, as met by fuzzing; its documentation promises OSError alone.
PILLOW_ERRORS = (
    *(EOFError, IndexError, KeyError, OSError, OverflowError, SyntaxError, TypeError, ValueError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


def load_decoders() -> None:
    """Have Pillow load its decoders, which shows that this Python has them."""
    Image.preinit()


def fault_of(path: Path, *, format: str, transparent: bool, inputs: Sequence[Path]) -> str | None:
    """What is wrong with the image of that file, None if nothing is.

    `transparent`: whether its background was to be; `inputs` are local pictures, one of which it may be unchanged.

    Raises:
        OSError: the file can't be read; of its content nothing is said.
    """
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return f"{image.width}x{image.height} pixels, more than the {MAX_PIXELS:,} that are decoded"
            image.load()
            picture = _plain(image)
            blank = _blank(image, picture)
    except PILLOW_ERRORS as error:
        return f"a {format} that does not decode: {error}"
    if blank is not None:
        return blank
    if transparent and (opaque := _opaque(picture)) is not None:
        return f"asked for a transparent background, got {opaque}"
    if any(_same(picture, each) for each in inputs):
        return "the input came back unchanged"
    return None


def _plain(image: Image.Image) -> Image.Image:
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _blank(image: Image.Image, picture: Image.Image) -> str | None:
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema()[1] == 0:
        return "blank: every pixel is transparent"
    # Of the image as it is: 16 bits of grey are cut to 8 in the picture. One band gives a pair, more a pair each.
    extremes: Any = image.getextrema()
    if any(low != high for low, high in (extremes if isinstance(extremes[0], tuple) else [extremes])):
        return None
    colour: Any = picture.getpixel((0, 0))
    return f"blank: every pixel is #{bytes(colour).hex()}"


def _opaque(picture: Image.Image) -> str | None:
    if picture.mode != "RGBA":
        return "no alpha channel"
    lowest = picture.getchannel("A").getextrema()[0]
    assert isinstance(lowest, int), "alpha is of 8 bits"
    return None if lowest < SEEN_THROUGH else "an alpha channel without a transparent pixel"


def _same(picture: Image.Image, source: Path) -> bool:
    """Whether this is the picture of that file, perhaps scaled, cropped to shape or encoded anew.

    A file that is gone or too large to decode is not compared.
    """
    scale = COMPARED_LENGTH / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    try:
        with Image.open(source, formats=(*FORMATS, "MPO")) as opened:
            opened.draft("RGB", (4 * COMPARED_LENGTH, 4 * COMPARED_LENGTH))
            if opened.width * opened.height > MAX_PIXELS:
                return False
            other = _plain(ImageOps.exif_transpose(opened))
    except PILLOW_ERRORS:
        return False
    # Both the same way: half a pixel of cropping shows at every edge.
    one, two = (ImageOps.fit(each, size, Image.Resampling.BILINEAR) for each in (picture, other))
    return _alike(one, two)


def _alike(one: Image.Image, other: Image.Image) -> bool:
    # Premultiplied: what lies under full transparency is not seen, and encoders change it.
    bands = zip(*(picture.convert("RGBA").convert("RGBa").split() for picture in (one, other)), strict=True)
    differences = [ImageChops.difference(*pair) for pair in bands]
    most = max(int(difference.getextrema()[1]) for difference in differences)  # type: ignore[arg-type]
    return most <= MOST and max(ImageStat.Stat(difference).mean[0] for difference in differences) <= MEAN
