"""What is seen in finished pixels: whether the border is white, and how much of the picture the product takes."""

from __future__ import annotations

from PIL import Image, ImageChops

from batch_editor.finishing.compose import Box

# A pixel with a channel darker than this is the product's, its shadow's or its background's: JPEG of quality 90
# darkens white beside a black edge by up to 12, models' white backgrounds lie between 248 and 255.
NEARLY_WHITE = 240


def ring_not_white(pixels: Image.Image, box: Box) -> tuple[int, int, str]:
    """Of the pixels along the inner edge of a box: how many aren't exactly white and opaque, of how many; and one."""
    left, top, right, bottom = box
    sides = [(left, top, right, top + 1)]
    if bottom - top > 1:
        sides.append((left, bottom - 1, right, bottom))
    if bottom - top > 2:
        sides.append((left, top + 1, left + 1, bottom - 1))
    if bottom - top > 2 and right - left > 1:
        sides.append((right - 1, top + 1, right, bottom - 1))
    wrong, example = 0, ""
    for side in sides:
        strip = pixels.crop(side)
        lowest = _lowest_channel(strip)
        extrema = lowest.getextrema()
        if extrema == (255, 255):
            continue
        counts = lowest.histogram()
        wrong += sum(counts[:255])
        example = example or _first(strip, lowest)
    total = sum((side[2] - side[0]) * (side[3] - side[1]) for side in sides)
    return wrong, total, example


def product_share(pixels: Image.Image) -> float | None:
    """The longer side of what isn't white, as a share of the picture's; None where the background isn't white."""
    seen = pixels
    if pixels.mode == "RGBA":
        seen = Image.new("RGB", pixels.size, "white")
        seen.paste(pixels, mask=pixels.getchannel("A"))
    dark = _lowest_channel(seen).point([255 * (value < NEARLY_WHITE) for value in range(256)])
    if _mean(_ring(dark)) > 127:
        return None
    width, height = dark.size
    across = _span(dark.resize((width, 1), Image.Resampling.BOX))
    down = _span(dark.resize((1, height), Image.Resampling.BOX))
    return max(across, down) / max(width, height)


def _ring(mask: Image.Image) -> list[int]:
    """The values along the edge."""
    width, height = mask.size
    sides = [(0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height)]
    return [value for side in sides for value in mask.crop(side).tobytes()]


def _mean(values: list[int]) -> float:
    return sum(values) / len(values)


def _span(line: Image.Image) -> int:
    """From the first to the last row or column of which a 510th is dark: less is specks, and a mean of 0."""
    found = [at for at, value in enumerate(line.tobytes()) if value]
    return found[-1] - found[0] + 1 if found else 0


def _lowest_channel(pixels: Image.Image) -> Image.Image:
    first, *others = pixels.split()
    for each in others:
        first = ImageChops.darker(first, each)
    return first


def _first(strip: Image.Image, lowest: Image.Image) -> str:
    at = next(place for place, value in enumerate(lowest.tobytes()) if value < 255)
    bands = len(strip.getbands())
    return "#" + strip.tobytes()[at * bands : (at + 1) * bands].hex()
