"""Pixels at the size that the rules ask: fitted, cut or padded, on the background that they ask."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageColor

from batch_editor.finishing.finished_file import CannotFinish
from batch_editor.finishing.rules import TRANSPARENT, WHITE, FinishRules, Format

Box = tuple[int, int, int, int]

_MOST_SIDE = {"jpeg": 65_500, "webp": 16_383, "png": 2**31 - 1}
_CLEAR = (255, 255, 255, 0)


@dataclass(frozen=True, slots=True)
class Placing:
    """Where in the finished file the picture itself lies, and how many times it was enlarged, 1 for not at all."""

    box: Box
    enlarged: float


@dataclass(frozen=True, slots=True)
class Composed:
    """The finished pixels, where in them the picture is, and what is to be said of it."""

    pixels: Image.Image
    placing: Placing
    notes: tuple[str, ...]


def on_background(pixels: Image.Image, rules: FinishRules, format: Format) -> tuple[Image.Image, list[str]]:
    """The pixels without what can be seen through, where the rules or the format want none; and what is to be said."""
    padding = rules.pad if rules.pad != TRANSPARENT else None
    if pixels.mode != "RGBA" or (rules.background == "keep" and padding is None and format != "jpeg"):
        return pixels, []
    if rules.background == "white":
        return _flat(pixels, WHITE), []
    if padding is not None:  # or a window would be seen through in a wall of that colour
        return _flat(pixels, padding), [f"what was transparent became {padding}, as the padding is"]
    return _flat(pixels, WHITE), [f"what was transparent became {WHITE}, for JPEG has no transparency"]


def compose(pixels: Image.Image, rules: FinishRules, format: Format, scale: float = 1.0) -> Composed:
    """The pixels as the rules ask; `scale`, below 1, makes all of it smaller.

    Raises:
        CannotFinish: the format can't hold so many.
    """
    notes: list[str] = []
    width, height = pixels.size
    size = rules.size or pixels.size
    ratio = _ratio(pixels.size, size, rules)
    if ratio > 1 and not rules.enlarge:
        if rules.pad or rules.fit == "cover":
            notes.append(f"smaller than {size[0]}x{size[1]}, and not enlarged")
        size = _times(size, 1 / ratio)
        ratio = 1.0
    size = _times(size, scale)
    ratio *= scale
    if rules.size and rules.fit == "cover":
        made, cut = _covering(pixels, size, ratio)
        notes += cut
        box = (0, 0, *made.size)
    else:
        inner = min(size[0], max(1, round(width * ratio))), min(size[1], max(1, round(height * ratio)))
        made, box = _padded(_resized(pixels, inner), size, rules, format, notes)
    if max(made.size) > _MOST_SIDE[format]:
        raise CannotFinish(
            f"{made.width}x{made.height} pixels; a {format} holds at most {_MOST_SIDE[format]:,} a side: give a size"
        )
    if ratio > 1:
        notes.append(f"enlarged {ratio:.2f} times, from {width}x{height}")
    return Composed(made, Placing(box, max(ratio, 1.0)), tuple(notes))


def _ratio(picture: tuple[int, int], size: tuple[int, int], rules: FinishRules) -> float:
    ratios = size[0] / picture[0], size[1] / picture[1]
    return max(ratios) if rules.fit == "cover" else min(ratios)


def _times(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _resized(pixels: Image.Image, size: tuple[int, int]) -> Image.Image:
    if pixels.size == size:
        return pixels
    return pixels.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _covering(pixels: Image.Image, size: tuple[int, int], ratio: float) -> tuple[Image.Image, list[str]]:
    """The middle of the picture that has the shape of `size`, at that size."""
    width, height = min(pixels.width, size[0] / ratio), min(pixels.height, size[1] / ratio)
    left, top = (pixels.width - width) / 2, (pixels.height - height) / 2
    made = pixels
    if (left, top) != (0, 0) or pixels.size != size:
        box = (left, top, left + width, top + height)
        made = pixels.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    lost = [(1 - width / pixels.width, "width"), (1 - height / pixels.height, "height")]
    return made, [f"cut: {share:.0%} of the {side}" for share, side in lost if share >= 0.005]


def _padded(
    made: Image.Image, size: tuple[int, int], rules: FinishRules, format: Format, notes: list[str]
) -> tuple[Image.Image, Box]:
    if rules.pad is None or not rules.size or made.size == size:
        return made, (0, 0, *made.size)
    colour: str | tuple[int, int, int, int] = rules.pad
    mode = made.mode
    if rules.pad == TRANSPARENT and format != "jpeg":
        colour, mode = _CLEAR, "RGBA"
    elif rules.pad == TRANSPARENT:
        colour = WHITE
        notes.append(f"the padding is {WHITE}, for JPEG has no transparency")
    canvas = Image.new(mode, size, colour)
    at = (size[0] - made.width) // 2, (size[1] - made.height) // 2
    canvas.paste(made, at)
    return canvas, (*at, at[0] + made.width, at[1] + made.height)


def _flat(pixels: Image.Image, colour: str) -> Image.Image:
    flat = Image.new("RGB", pixels.size, ImageColor.getrgb(colour))
    flat.paste(pixels, mask=pixels.getchannel("A"))
    return flat
