"""A checked request body read as an order: which picture to make, and what it costs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from batch_editor.endpoints import Endpoint, PriceTable, price_by_pixels, size_of
from batch_editor.sandbox.checks import body_sha256
from batch_editor.sandbox.images import Edit, ImageFormat, Size

CHARACTERS_PER_TOKEN = 4
# What models that are asked for a shape rather than a size make: about a megapixel.
_SIDE = 1024
_RESOLUTION = re.compile(r"([1-9])K|([1-9][0-9]{2,3})px")  # the side of a square of as many pixels


class Order:
    """What one request body asks of an endpoint.

    What the body leaves to the model is chosen here: a size by the input's shape, anything else by the
    body's hash, so that the same order is always made and priced alike.
    """

    def __init__(self, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        self._endpoint = endpoint
        self._values = {name: body.get(name, p.default) for name, p in endpoint.parameters.items()}
        assert endpoint.images is not None, "an edit has an image to edit"
        self._images = endpoint.images
        self.body_sha256 = body_sha256(body)
        self.prompt = str(self._value("prompt", "prompt"))

    @property
    def image_link(self) -> str | None:
        """The first reference image; None where the picture is to be made of the prompt alone."""
        links = self._values[self._images]
        first = links[0] if isinstance(links, list) and links else links
        return str(first) if first else None

    @property
    def image_parameter(self) -> str:
        """Where that link stands in the body."""
        return f"{self._images}[0]" if isinstance(self._values[self._images], list) else self._images

    @property
    def mask_link(self) -> str | None:
        """The mask, if there is one."""
        return self._values[self._endpoint.mask] if self._endpoint.mask else None

    @cached_property
    def format(self) -> ImageFormat:
        """The format asked for; png where the endpoint offers no choice."""
        name = self._value("format", "output_format")
        return "jpeg" if name in ("jpeg", "jpg") else "webp" if name == "webp" else "png"

    def edit(self, input_size: Size, *, scale: float) -> Edit:
        """The picture to make of an input of that size, at `scale` times the size asked for."""
        width, height = self._size(input_size)
        compression = self._values.get("output_compression")
        return Edit(
            prompt=self.prompt,
            size=(max(1, round(width * scale)), max(1, round(height * scale))),
            format=self.format,
            quality=95 if compression is None else int(compression),
            transparent=self._value("background", "background") == "transparent",
            stamp=self.body_sha256,
        )

    def _size(self, input_size: Size) -> Size:
        """The size asked for: in pixels, as width and height, or as a shape of some resolution."""
        sides = [self._values.get(self._endpoint.parameter_of(role) or "") for role in ("width", "height")]
        size = self._endpoint.parameter_of("size")
        is_custom = size is None or self._values[size] == "custom" or "custom" not in self._offered(size)
        if is_custom and all(sides):
            return int(sides[0] or 0), int(sides[1] or 0)
        shape = self._shape(input_size)
        if shape and "x" in shape:
            return _sides(shape)
        width, height = _sides(shape) if shape else input_size
        return _of_area(width, height, side=self._resolution)

    @property
    def _resolution(self) -> int:
        """The side of a square of as many pixels as are asked for, by 2K or 512px."""
        found = _RESOLUTION.fullmatch(str(self._value("size", "output_resolution")))
        return _SIDE if found is None else int(found[1]) * _SIDE if found[1] else int(found[2])

    def _offered(self, name: str) -> tuple[str, ...]:
        return self._endpoint.parameters[name].choices

    def price_usd(self, input_size: Size) -> float:
        """What the picture of an input of that size costs: by its tokens where these are charged, else by the list."""
        if (usage := self.usage(input_size)) is not None:
            return round(self._endpoint.cost_of_usage(usage) or 0.0, 9)
        prices = self._endpoint.prices
        extra, _ = prices.extras(inputs=self._inputs, prompt_length=len(self.prompt))
        return round((self._listed_usd(input_size) + extra) * prices.factor, 6)

    def usage(self, input_size: Size) -> dict[str, Any] | None:
        """How many tokens the picture takes, none of them dearer than by the list; None where they aren't charged."""
        tokens, prices = self._endpoint.usage, self._endpoint.prices
        if tokens is None:
            return None
        image = self._inputs * _tokens(prices.input_image.expected, tokens.input_image)
        text = len(self.prompt) // CHARACTERS_PER_TOKEN
        output = _tokens(self._listed_usd(input_size), tokens.output_image)
        return {
            "input_tokens": image + text,
            "input_tokens_details": {"image_tokens": image, "text_tokens": text},
            "output_tokens": output,
            "output_tokens_details": {"image_tokens": output, "text_tokens": 0},
            "total_tokens": image + text + output,
        }

    def chosen(self, input_size: Size) -> dict[str, str]:
        """What the picture comes to be, where a request may leave it to the model."""
        return {
            "size": "{}x{}".format(*self._size(input_size)),
            "quality": self._priced_as("quality", self._qualities, input_size),
            "background": "transparent" if self._value("background", "background") == "transparent" else "opaque",
            "output_format": self.format,
        }

    @property
    def _qualities(self) -> tuple[str, ...]:
        quality = self._endpoint.parameters.get("quality")
        return tuple(choice for choice in (quality.choices if quality else ()) if choice != "auto")

    @property
    def _inputs(self) -> int:
        return self._endpoint.inputs_of(self._values)

    def _listed_usd(self, input_size: Size) -> float:
        """The price table's part."""
        prices = self._endpoint.prices
        level: PriceTable = prices.table
        for name in prices.by:
            assert isinstance(level, dict), "the endpoint's table is as deep as `by`"
            size = size_of(self._values[name]) if name == prices.by_pixels else None
            if size is not None and self._values[name] not in level:
                listed = {each: usd for each, usd in level.items() if not isinstance(usd, dict)}
                level = price_by_pixels(listed, size).expected
            else:
                level = level[self._priced_as(name, tuple(level), input_size)]
        assert isinstance(level, int | float)
        return float(level)

    def _value(self, role: str, name: str) -> Any:
        """Of the parameter with that role, else of the one that is usually named so; None if there is none."""
        return self._values.get(self._endpoint.parameter_of(role) or name)

    def _priced_as(self, name: str, offered: tuple[str, ...], input_size: Size) -> str:
        value = str(self._values[name])
        if value in offered:
            return value
        if name == self._shape_name:
            return _nearest(offered, input_size)
        return sorted(offered)[int(self.body_sha256, 16) % len(offered)]

    @cached_property
    def _shape_name(self) -> str | None:
        """The parameter that takes sizes (1024x1536) or aspect ratios (2:3)."""
        parameters = self._endpoint.parameters.items()
        return next((name for name, p in parameters if p.sizes is not None or _shapes(p.choices)), None)

    def _shape(self, input_size: Size) -> str | None:
        if self._shape_name is None or self._values[self._shape_name] == "match_input_image":
            return None
        value = str(self._values[self._shape_name])
        parameter = self._endpoint.parameters[self._shape_name]
        offered = _shapes(parameter.choices) or self._priced_sizes()
        if value in offered or (parameter.sizes is not None and size_of(value)):
            return value
        return _nearest(offered, input_size) if offered else None

    def _priced_sizes(self) -> tuple[str, ...]:
        """What a model that takes any size is known to make: the sizes of its price table."""
        level = self._endpoint.prices.table
        while isinstance(level, dict) and isinstance(next(iter(level.values())), dict):
            level = next(iter(level.values()))
        return _shapes(tuple(level)) if isinstance(level, dict) else ()


def _tokens(usd: float, usd_per_million: float) -> int:
    return int(usd * 1_000_000 / usd_per_million + 1e-6) if usd_per_million else 0


def _shapes(choices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(choice for choice in choices if re.fullmatch(r"[1-9][0-9]*[x:][1-9][0-9]*", choice))


def _nearest(shapes: tuple[str, ...], size: Size) -> str:
    """The shape whose aspect ratio is nearest to the size's.

    >>> _nearest(("1024x1024", "1536x1024", "1024x1536"), (640, 480))
    '1536x1024'
    """
    return min(shapes, key=lambda shape: abs(_log_aspect(_sides(shape)) - _log_aspect(size)))


def _sides(shape: str) -> Size:
    width, height = re.split("[x:]", shape)
    return int(width), int(height)


def _of_area(width: int, height: int, *, side: int) -> Size:
    """A size of that shape with as many pixels as a square of that side.

    >>> _of_area(16, 9, side=1024), _of_area(1, 1, side=2048)
    ((1365, 768), (2048, 2048))
    """
    factor = side / math.sqrt(width * height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _log_aspect(size: Size) -> float:
    # Of logarithms, so that 2:1 is as far from 1:1 as 1:2 is.
    return math.log(size[0] / size[1])
