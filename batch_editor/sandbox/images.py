"""The edited picture: from a decoded input to encoded bytes. Pure, slow, for a thread; knows no HTTP."""

from __future__ import annotations

import colorsys
import hashlib
import io
import struct
import textwrap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

ImageFormat: TypeAlias = Literal["png", "jpeg", "webp"]
Size: TypeAlias = tuple[int, int]

_EXIF_DESCRIPTION = 0x010E
# Below this height no prompt can be read, and drawing it is most of the time that a small picture takes.
_CAPTION_MIN_HEIGHT = 200


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What to make of an input. `quality` is from 0 to 100; `stamp` goes into the picture's metadata."""

    prompt: str
    size: Size
    format: ImageFormat
    quality: int
    transparent: bool
    stamp: str


def edited(source: Image.Image, edit: Edit, *, mask: Image.Image | None = None, flaw: str | None = None) -> bytes:
    """The edited picture, encoded; always the same bytes for the same input and edit.

    The source covers the size asked for, its middle kept. Only where the mask's alpha is 0 is it changed. `flaw` is
    blank, unchanged, opaque or cut-inside; another word is none.
    """
    if flaw == "blank":
        return _encoded(Image.new("RGB", edit.size, "white"), edit)
    if flaw == "unchanged":
        return _encoded(ImageOps.fit(source, edit.size, Image.Resampling.LANCZOS), edit)
    # Coarse steps first: a small picture of a large input takes a tenth of the time, and looks the same.
    coarse = min(source.width // edit.size[0], source.height // edit.size[1]) // 2
    base = on_white(source.reduce(coarse) if coarse > 1 else source)
    base = ImageOps.fit(base, edit.size, Image.Resampling.LANCZOS)
    hue = _hue(edit.prompt)
    picture = _toned(base, hue).convert("RGBA")
    if edit.transparent:
        picture.putalpha(_subject(base))
    else:
        _frame(picture, hue)
    if edit.size[1] >= _CAPTION_MIN_HEIGHT:
        picture = _captioned(picture, edit)
    if mask is not None:
        kept = ImageOps.fit(mask.getchannel("A"), edit.size, Image.Resampling.NEAREST)
        picture = Image.composite(base.convert("RGBA"), picture, kept.point(_KEEP_WHERE_NOT_0))
    if flaw == "opaque":
        picture = _on_checkerboard(picture)
    data = _encoded(picture if edit.transparent else picture.convert("RGB"), edit)
    return cut_inside(data, edit.format) if flaw == "cut-inside" else data


def cut_inside(data: bytes, format: ImageFormat) -> bytes:
    """An encoded picture without the second half of its pixels, but with an end, lengths and checksums that are right.

    Chunks as in https://www.w3.org/TR/png-3/#5Chunk-layout and
    https://developers.google.com/speed/webp/docs/riff_container
    """
    if format == "jpeg":
        return data[: len(data) // 2] + b"\xff\xd9"
    if format == "png":
        chunks = _halved(_chunks(data[8:], ">", name_first=False), (b"IDAT",))
        return data[:8] + b"".join(
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
            for name, content in chunks
        )
    chunks = _halved(_chunks(data[12:], "<", name_first=True), (b"VP8 ", b"VP8L"))
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def placeholder(words: str, *, seed: str) -> Image.Image:
    """A neutral picture with words on it, to stand in for an input; its colour depends on the seed."""
    hue = _hue(seed)
    slope = Image.linear_gradient("L").resize((768, 768))
    picture = ImageOps.colorize(slope, black=_colour(hue, 0.12, 0.95), white=_colour(hue, 0.35, 0.55))
    ImageDraw.Draw(picture).text((384, 384), words, fill="white", font=_font(34), anchor="mm", align="center")
    return picture


def read_stamp(image: str | Path | IO[bytes]) -> str:
    """The SHA-256 of the request body that a picture was made for.

    Raises:
        ValueError: no sandbox has made the picture.
    """
    with Image.open(image) as picture:
        stamp = picture.info.get("request") or picture.info.get("comment")
        stamp = stamp or picture.getexif().get(_EXIF_DESCRIPTION)
    if not stamp:
        raise ValueError(f"{image}: has no stamp of a sandbox")
    return stamp.decode("ascii") if isinstance(stamp, bytes) else str(stamp)


def on_white(image: Image.Image) -> Image.Image:
    """The image without transparency, as RGB."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    return ground.convert("RGB")


def _chunks(data: bytes, order: str, *, name_first: bool) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents; a PNG's length comes before the name, and a checksum after the content."""
    at = 0
    while at < len(data):
        name_at, length_at = (at, at + 4) if name_first else (at + 4, at)
        (length,) = struct.unpack_from(f"{order}I", data, length_at)
        yield data[name_at : name_at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + (length % 2 if name_first else 4)


def _halved(chunks: Iterator[tuple[bytes, bytes]], names: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """The chunks, those of these names cut to an even half."""
    for name, content in chunks:
        yield name, content[: len(content) // 4 * 2] if name in names else content


def _on_checkerboard(picture: Image.Image) -> Image.Image:
    """The picture without transparency, on squares as editors show it; an opaque one as it is, as RGB."""
    board = Image.new("RGBA", picture.size, "white")
    side = max(1, min(picture.size) // 32)
    draw = ImageDraw.Draw(board)
    for top in range(0, picture.height, side):
        for left in range(top % (2 * side), picture.width, 2 * side):
            draw.rectangle((left, top, left + side - 1, top + side - 1), fill="lightgrey")
    board.alpha_composite(picture)
    return board.convert("RGB")


_KEEP_WHERE_NOT_0 = [0] + [255] * 255


def _hue(text: str) -> float:
    """A hue for the text, from cyan over blue and red to amber: a green wash makes most pictures ugly.

    >>> 0.5 <= _hue("a mug") <= 1.12
    True
    """
    return 0.5 + hashlib.sha256(text.encode()).digest()[0] / 255 * 0.62


def _toned(base: Image.Image, hue: float) -> Image.Image:
    """A wash from a deep to a light shade of the hue, through which the colours still show."""
    wash = ImageOps.colorize(
        ImageOps.autocontrast(base.convert("L"), cutoff=1),
        black=_colour(hue, 0.75, 0.18),
        mid=_colour(hue + 0.06, 0.60, 0.70),
        white=_colour(hue + 0.14, 0.10, 1.0),
    )
    return Image.blend(base, wash, 0.62)


def _subject(base: Image.Image) -> Image.Image:
    """An alpha channel that keys out the corners' colour, or else rounds the picture off."""
    width, height = base.size
    corners = [_rgb(base, (x, y)) for x in (0, width - 1) for y in (0, height - 1)]
    spread = max(max(channel) - min(channel) for channel in zip(*corners, strict=True))
    if spread <= 24:
        ground = Image.new("RGB", base.size, corners[0])
        red, green, blue = ImageChops.difference(base, ground).split()
        distance = ImageChops.lighter(ImageChops.lighter(red, green), blue)
        # Soft between 12 and 44: a hard step leaves a fringe of the background around the subject.
        return distance.point([min(255, max(0, (step - 12) * 8)) for step in range(256)])
    alpha = Image.new("L", base.size, 0)
    margin = min(width, height) * 0.04
    radius = min(width, height) * 0.25
    ImageDraw.Draw(alpha).rounded_rectangle((margin, margin, width - margin, height - margin), radius, fill=255)
    return alpha.filter(ImageFilter.GaussianBlur(margin / 4))


def _frame(picture: Image.Image, hue: float) -> None:
    short = min(picture.size)
    inset, line = short // 40, max(1, short // 300)
    box = (inset, inset, picture.width - 1 - inset, picture.height - 1 - inset)
    ImageDraw.Draw(picture).rectangle(box, outline=(*_colour(hue + 0.14, 0.25, 1.0), 255), width=line)


def _captioned(picture: Image.Image, edit: Edit) -> Image.Image:
    """The picture with the prompt, three lines of it at most, on a translucent strip."""
    width, height = picture.size
    letter = min(width, height) // 34
    margin = min(width, height) // 20
    # An average letter is about half as wide as the type is high.
    lines = textwrap.wrap(edit.prompt, int((width - 4 * margin) / (letter * 0.5)), max_lines=3, placeholder=" …")
    strip_height = int(letter * 1.4 * (len(lines) + 1)) + margin
    top = height - margin - strip_height
    strip = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(strip)
    draw.rounded_rectangle((margin, top, width - margin, height - margin), radius=margin // 3, fill=(12, 14, 20, 165))
    left, y = margin * 1.6, top + margin / 2
    for line in lines:
        draw.text((left, y), line, font=_font(letter), fill=(255, 255, 255, 240))
        y += letter * 1.4
    note = f"sandbox · {width}x{height} {edit.format} · {edit.stamp[:8]}"
    draw.text((left, y + letter * 0.25), note, font=_font(letter * 0.7), fill=(255, 255, 255, 150))
    return Image.alpha_composite(picture, strip)


def _encoded(picture: Image.Image, edit: Edit) -> bytes:
    buffer = io.BytesIO()
    match edit.format:
        case "png":
            info = PngInfo()
            info.add_text("request", edit.stamp)
            # Level 1 takes a quarter of the default's time, for files a fifth larger.
            picture.save(buffer, "PNG", pnginfo=info, compress_level=1)
        case "jpeg":
            picture.convert("RGB").save(buffer, "JPEG", quality=max(1, edit.quality), comment=edit.stamp)
        case "webp":
            exif = Image.Exif()
            exif[_EXIF_DESCRIPTION] = edit.stamp
            picture.save(buffer, "WEBP", quality=edit.quality, method=2, exif=exif)
    return buffer.getvalue()


def _rgb(image: Image.Image, at: tuple[int, int]) -> tuple[int, ...]:
    pixel = image.getpixel(at)
    assert isinstance(pixel, tuple), "the image is RGB"
    return tuple(int(channel) for channel in pixel)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
    return red, green, blue


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8, size))
