"""What an endpoint's images cost: a table, what comes on top of it, and a factor on all."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypeAliasType

from batch_editor.endpoints.sizes import size_of

# A prompt's tokens can't be counted without the model's own tokenizer. "1 token ~= 4 chars in English"
# (https://help.openai.com/en/articles/4936856); at most there is one for each character, as in Chinese.
CHARACTERS_PER_TOKEN = 4

# A named alias: pydantic needs one to see that the type recurs.
PriceTable = TypeAliasType("PriceTable", "float | dict[str, PriceTable]")


class Extra(BaseModel):
    """USD that come on top for each of something: what to expect, and at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expected: float = Field(default=0.0, ge=0)
    high: float = Field(default=0.0, ge=0)


class Prices(BaseModel):
    """USD an image is `(table[...by] + extras) × factor`; `expected` says which value an `auto` is priced as.

    The extras are for each input image, and for each character and each token of the prompt. `by_pixels` names the
    last of `by` where the table's keys are sizes: one that it lacks is then priced by those that it has.

    `as_of` is the day on which they were looked up, `source` says where. `maker` is whose own prices the table has:
    the factor is then what the provider adds. Without it they are the provider's, and what it adds isn't known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: float = Field(default=1.0, ge=0)
    by: tuple[str, ...] = ()
    table: PriceTable
    expected: dict[str, str] = Field(default_factory=dict)
    input_image: Extra = Extra()
    prompt_character: Extra = Extra()
    text_token: float = Field(default=0.0, ge=0)
    by_pixels: str | None = None
    as_of: date | None = None
    source: str = ""
    maker: str | None = None

    @model_validator(mode="after")
    def _table_has_the_depth_of_by(self) -> Prices:
        _check_depth(self.table, len(self.by), "table")
        if self.by_pixels is not None:
            if self.by[-1:] != (self.by_pixels,):
                raise ValueError(f"by_pixels is {self.by_pixels!r}; expected the last of `by`")
            _check_sizes(self.table, "table")
        return self

    @property
    def margin(self) -> float | None:
        """What the provider adds to the maker's own price, as a share of that; None where that isn't known."""
        return None if self.maker is None else self.factor - 1

    def extras(self, *, inputs: int, prompt_length: int) -> tuple[float, float]:
        """USD that so many input images, and a prompt of so many characters, add: to expect, and at most."""
        image, character = self.input_image, self.prompt_character
        expected = inputs * image.expected + prompt_length * character.expected
        expected += prompt_length / CHARACTERS_PER_TOKEN * self.text_token
        high = inputs * image.high + prompt_length * (character.high + self.text_token)
        return expected, max(high, expected)


def _check_depth(table: PriceTable, depth: int, where: str) -> None:
    if depth == 0:
        if isinstance(table, dict):
            raise ValueError(f"{where} has more levels than `by`")
        if not 0 <= table < float("inf"):  # NaN is neither
            raise ValueError(f"{where} is {table:g}; expected USD, zero or more")
        return
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{where} has fewer levels than `by`")
    for key, inner in table.items():
        _check_depth(inner, depth - 1, f"{where}.{key}")


def _check_sizes(table: PriceTable, where: str) -> None:
    if not isinstance(table, dict):
        return
    for key, inner in table.items():
        if not isinstance(inner, dict) and size_of(key) is None:
            raise ValueError(f"{where} has the key {key!r}; with by_pixels expected sizes such as 1024x1024")
        _check_sizes(inner, f"{where}.{key}")
