"""Sizes in pixels: which of them a model makes, and what one costs that its price table lacks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import product
from typing import NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Size: TypeAlias = tuple[int, int]  # width, height

_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")
_MEANT_AS_SIZE = re.compile(r"([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})")
_USUAL: Size = (1024, 1024)


def size_of(text: object) -> Size | None:
    """Width and height of a size as it is sent; None if it is none.

    >>> size_of("1536x1024"), size_of("auto")
    ((1536, 1024), None)
    """
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


class SizePattern(BaseModel):
    """Sizes by rule rather than by list: `WIDTHxHEIGHT`, in pixels.

    multiple_of: each side is divisible by it. max_ratio: of the longer to the shorter side.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    multiple_of: int = Field(default=1, ge=1)
    max_ratio: float | None = Field(default=None, ge=1)
    max_side: int | None = Field(default=None, ge=1)
    min_pixels: int | None = Field(default=None, ge=1)
    max_pixels: int | None = Field(default=None, ge=1)

    def takes(self, size: Size) -> bool:
        """Whether it is one of the sizes."""
        short, long = sorted(size)
        return (
            short > 0
            and all(side % self.multiple_of == 0 for side in size)
            and (self.max_ratio is None or long <= short * self.max_ratio)
            and (self.max_side is None or long <= self.max_side)
            and (self.min_pixels is None or short * long >= self.min_pixels)
            and (self.max_pixels is None or short * long <= self.max_pixels)
        )

    def hint(self, text: str) -> str | None:
        """The size nearest to what the text seems to mean, as it is sent; some size if it means none.

        >>> SizePattern(multiple_of=16).hint("1000 x 750")
        '1008x752'
        """
        found = _MEANT_AS_SIZE.fullmatch(text.strip())
        nearest = self._nearest((max(1, int(found[1])), max(1, int(found[2]))) if found else _USUAL)
        return f"{nearest[0]}x{nearest[1]}" if nearest else None

    def _nearest(self, size: Size) -> Size | None:
        width, height = size
        if self.max_ratio is not None:
            width, height = min(width, int(height * self.max_ratio)), min(height, int(width * self.max_ratio))
        scale = 1.0
        if self.min_pixels is not None:
            scale = max(scale, math.sqrt(self.min_pixels / (width * height)))
        if self.max_pixels is not None:
            scale = min(scale, math.sqrt(self.max_pixels / (width * height)))
        if self.max_side is not None:
            scale = min(scale, self.max_side / max(width, height))
        wanted = (width * scale, height * scale)
        near = [[(side // self.multiple_of + n) * self.multiple_of for n in (-1, 0, 1, 2)] for side in wanted]
        found = [(round(w), round(h)) for w, h in product(*near) if self.takes((round(w), round(h)))]
        # Of two that are as near, the larger.
        return min(
            found,
            key=lambda each: (abs(each[0] - size[0]) + abs(each[1] - size[1]), -each[0] * each[1]),
            default=None,
        )

    def __str__(self) -> str:
        rules = []
        if self.multiple_of > 1:
            rules.append(f"sides divisible by {self.multiple_of}")
        if self.max_ratio is not None:
            rules.append(f"at most {self.max_ratio:g}:1")
        if self.max_side is not None:
            rules.append(f"at most {self.max_side} a side")
        if self.min_pixels is not None and self.max_pixels is not None:
            rules.append(f"{self.min_pixels:,} to {self.max_pixels:,} pixels in all")
        elif self.min_pixels is not None:
            rules.append(f"at least {self.min_pixels:,} pixels in all")
        elif self.max_pixels is not None:
            rules.append(f"at most {self.max_pixels:,} pixels in all")
        return "WIDTHxHEIGHT" + (f" with {', '.join(rules)}" if rules else "")


class PixelPrice(NamedTuple):
    """USD for a size that a table lacks: not below `low`, `expected`, and not above `high`."""

    low: float
    expected: float
    high: float


def price_by_pixels(table: Mapping[str, float], size: Size) -> PixelPrice:
    """The price of a size, by a table of the prices of others.

    Expected lies between the table's next smaller and next larger size, by pixels. Of the smaller sizes the one
    nearest in shape counts, and of the larger ones as well: a square costs more than a wide picture of as many
    pixels. Below the smallest size expected is the price of the one nearest in shape; beyond the largest it grows with
    the pixels.

    High is the price of the next size with at least as many pixels, but only of those that cost more than every
    smaller one: that holds if the most expensive shape is in the table, and a larger picture of one shape costs no
    less.
    Beyond the last of these it grows with the pixels; real prices grow more slowly.

    >>> price_by_pixels({"1024x1024": 1.0, "1536x1024": 0.8, "2048x2048": 4.0}, (1536, 1536))
    PixelPrice(low=0.8, expected=2.25, high=4.0)
    """
    wanted = size[0] * size[1]
    points = [(each, each[0] * each[1], usd) for name, usd in table.items() if (each := size_of(name))]

    def unlike(each: Size) -> float:
        """How far a size's shape is from the wanted one; 0 is the same shape."""
        # Of logarithms, so that 2:1 is as far from 1:1 as 1:2 is. Rounded: two sizes of one shape are as near.
        return round(abs(math.log(each[0] / each[1] * size[1] / size[0])), 6)

    smaller = [(unlike(each), -pixels, usd) for each, pixels, usd in points if pixels <= wanted]
    larger = [(unlike(each), pixels, usd) for each, pixels, usd in points if pixels >= wanted]
    if not smaller:
        expected = min(larger)[2]
    else:
        _, from_pixels, from_usd = min(smaller)
        from_pixels = -from_pixels
        if not larger:
            expected = from_usd * wanted / from_pixels
        else:
            _, to_pixels, to_usd = min(larger)
            share = (wanted - from_pixels) / (to_pixels - from_pixels) if to_pixels > from_pixels else 0.0
            expected = from_usd + share * (to_usd - from_usd)
    fewest, cheapest = min(pixels for _, pixels, _ in points), min(usd for *_, usd in points)
    low = cheapest * min(1.0, wanted / fewest)
    return PixelPrice(min(low, expected), expected, max(_max_usd(points, wanted), expected))


def _max_usd(points: list[tuple[Size, int, float]], wanted: int) -> float:
    max_usd = 0.0
    pixels = 1
    for _, pixels_here, usd in sorted(points, key=lambda point: (point[1], -point[2])):
        if usd <= max_usd:
            continue
        max_usd, pixels = usd, pixels_here
        if pixels >= wanted:
            return max_usd
    return max_usd * wanted / pixels
