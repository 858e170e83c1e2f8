"""What the tokens of an answer cost, where a provider says how many it used instead of what it charged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_MILLION = 1_000_000
# No image takes a hundredth of so many. A larger figure is a mistake, which would use up any budget.
_MAX_TOKENS = 10 * _MILLION


class TokenPrices(BaseModel):
    """USD a million tokens: of the input images, of the text that goes in, and of the image that comes out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_image: float = Field(ge=0, allow_inf_nan=False)
    input_text: float = Field(ge=0, allow_inf_nan=False)
    output_image: float = Field(ge=0, allow_inf_nan=False)

    def cost_usd(self, usage: object) -> float | None:
        """What an answer's `usage` object comes to; None where it is none, or says too little to tell.

        >>> prices = TokenPrices(input_image=8, input_text=5, output_image=30)
        >>> prices.cost_usd({"input_tokens_details": {"image_tokens": 1000, "text_tokens": 100}, "output_tokens": 200})
        0.0145
        """
        if not isinstance(usage, Mapping) or not isinstance(inputs := usage.get("input_tokens_details"), Mapping):
            return None
        counts = [_count(inputs.get("image_tokens")), _count(inputs.get("text_tokens"))]
        counts.append(_count(usage.get("output_tokens")))
        prices = (self.input_image, self.input_text, self.output_image)
        known = [(count, usd) for count, usd in zip(counts, prices, strict=True) if count is not None]
        return round(sum(count * usd for count, usd in known) / _MILLION, 9) if len(known) == len(prices) else None


def _count(value: Any) -> int | None:
    # type(…) and not isinstance: JSON's true is no number of tokens.
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None
