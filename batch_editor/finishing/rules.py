"""The rules of one finished file: how it is made, and what is checked of it."""

from __future__ import annotations

import hashlib
from typing import Literal

import PIL
from pydantic import BaseModel, ConfigDict

Format = Literal["jpeg", "png", "webp"]
Fit = Literal["contain", "cover"]
Background = Literal["keep", "white"]
Provenance = Literal["keep", "composite", "generated", "none"]

ENDINGS: dict[str, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
WHITE = "#ffffff"
TRANSPARENT = "transparent"

# Part of every digest: one more wherever the same rules begin to make other bytes, to make what they couldn't, or to be
# checked otherwise.
_MAKER = 2


class Checks(BaseModel):
    """What a finished file is measured against, beside what it was made to be; None: it isn't looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: tuple[Format, ...] | None = None
    longest_side_at_least: int | None = None
    longest_side_at_most: int | None = None
    shortest_side_at_least: int | None = None
    pixels_at_most: int | None = None
    bytes_at_most: int | None = None
    square: bool | None = None
    white_border: bool | None = None
    product_at_least: float | None = None
    product_at_most: float | None = None
    srgb: bool | None = None
    name: str | None = None
    provenance: tuple[str, ...] | None = None


class FinishRules(BaseModel):
    """One finished file's rules, the preset and what overrides it put together.

    `name`: its folder below `finished/`. `size`: width and height in pixels. `pad`: `#rrggbb` or `transparent`.
    `enlarge`: whether a picture smaller than `size` is enlarged to it; if not, the file keeps the shape of `size` and
    becomes smaller. `format`: None keeps the picture's. `quality`: of JPEG and WebP, 1 to 100.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    preset: str | None = None
    size: tuple[int, int] | None = None
    enlarge: bool = True
    fit: Fit = "contain"
    pad: str | None = None
    format: Format | None = None
    quality: int = 90
    max_bytes: int | None = None
    background: Background = "keep"
    provenance: Provenance = "keep"
    checks: Checks = Checks()

    @property
    def digest(self) -> str:
        """A hash of all that changes the file or what is checked of it; not of the names."""
        said = self.model_dump_json(exclude={"name", "preset"})
        return hashlib.sha256(f"{_MAKER}\n{said}".encode()).hexdigest()[:32]

    @property
    def refused(self) -> str:
        """What a file that can't be made by these rules is recorded with: other decoders may make it."""
        return f"{self.digest} Pillow {PIL.__version__}"

    def format_of(self, source_format: str) -> Format:
        """The file's format where the picture's is that one, as `png` or `jpeg`; one that can't be kept becomes PNG.

        >>> FinishRules(name="web").format_of("gif")
        'png'
        """
        if self.format is not None:
            return self.format
        known: dict[str, Format] = {"jpeg": "jpeg", "jpg": "jpeg", "mpo": "jpeg", "webp": "webp"}
        return known.get(source_format.lower(), "png")

    def ending(self, source_format: str) -> str:
        """What the file's name ends in where the picture's format is that one.

        >>> FinishRules(name="web", format="jpeg").ending("png")
        '.jpg'
        """
        return ENDINGS[self.format_of(source_format)]
