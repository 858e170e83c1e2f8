"""What an endpoint's file says: its parameters and rules, its prices, and what its errors mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from batch_editor.endpoints.lifetime import Successor
from batch_editor.endpoints.prices import Prices
from batch_editor.endpoints.providers import SEGMIND
from batch_editor.endpoints.sizes import SizePattern, size_of
from batch_editor.endpoints.usage import TokenPrices
from batch_editor.endpoints.wording import ErrorMeaning, ErrorWords, shared_error_words
from batch_editor.errors import did_you_mean
from batch_editor.records import ParamValue, Shape
from batch_editor.strict_yaml import Text

# What a job of a manifest may say besides the endpoint's parameters, now or later. A parameter can't be named so: the
# manifests that use it would come to mean something else.
JOB_KEYS = (
    *("id", "output", "rows", "format", "when", "carry", "endpoint", "matrix", "variants", "identity"),
    *("redo_prompt", "finish"),
)


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameter(_Data):
    """One parameter of an endpoint: its type, whether it must be there, what it may be, and what it is about.

    Roles that say what the image is to be: `size` takes WIDTHxHEIGHT, `format` png, jpeg (or jpg), webp or gif,
    `background` transparent. Any other value of theirs, such as auto or 2K, leaves it to the model. `width` and
    `height` may say the size instead.

    One that is sent `only_when_set` is in a request only where a manifest gives it a value; null means no value. Its
    default is what the provider takes then, which prices and rules go by.
    """

    type: Literal["string", "integer", "number", "boolean", "link", "links"]
    required: bool = False
    nullable: bool = False
    only_when_set: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    sizes: SizePattern | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    max_items: int | None = None
    role: Literal["prompt", "images", "mask", "size", "width", "height", "format", "background"] | None = None
    about: str = ""

    @model_validator(mode="after")
    def _makes_sense(self) -> Parameter:
        if self.only_when_set and (self.required or self.nullable):
            other = "required" if self.required else "nullable"
            raise ValueError(f"is only_when_set and {other}; expected one of them")
        if self.sizes is not None and self.type != "string":
            raise ValueError(f"has sizes and the type {self.type}; expected type string")
        return self

    @property
    def must_be_said(self) -> bool:
        """Whether a job has to name it. Null for the picture to edit is no default: it would hide a misnamed column."""
        return self.required or (self.role == "images" and self.nullable)

    @property
    def default_value(self) -> ParamValue:
        """The default in its type, as it is sent unless `only_when_set`; None where there is none."""
        if self.default is None:
            return None
        return self.parse(str(self.default))

    def parse(self, text: str) -> ParamValue:
        """The value that a manifest's text stands for: a choice in other capitals is that choice.

        Links come as a list of one; splitting a cell is the manifest's affair.

        Raises:
            ValueError: with what was wanted, as `expected …`, if the text is no such value.
        """
        if text not in self.choices:
            alike = [choice for choice in self.choices if choice.lower() == text.lower()]
            text = alike[0] if len(alike) == 1 else text
        if (self.choices or self.sizes is not None) and not self.offers(text):
            raise ValueError(self._offer(text))
        match self.type:
            case "integer" | "number":
                return self._number(text)
            case "boolean":
                if text.lower() not in ("true", "false"):
                    raise ValueError("expected true or false")
                return text.lower() == "true"
            case "links":
                return [text]
        if self.max_length is not None and len(text) > self.max_length:
            raise ValueError(f"has {len(text):,} characters; expected at most {self.max_length:,}")
        return text

    def offers(self, text: str) -> bool:
        """Whether it is one of the choices, or a size that fits the pattern."""
        size = size_of(text) if self.sizes is not None else None
        return text in self.choices or (size is not None and self.sizes is not None and self.sizes.takes(size))

    def _offer(self, text: str) -> str:
        hint = did_you_mean(text, self.choices)
        if self.sizes is None:
            return f"expected {either(self.choices)}{hint}"
        if not hint and (nearest := self.sizes.hint(text)):
            hint = f", such as {nearest}"
        return f"expected {either((*self.choices, str(self.sizes)))}{hint}"

    def _number(self, text: str) -> int | float:
        wanted = "a whole number" if self.type == "integer" else "a number"
        if self.minimum is not None and self.maximum is not None:
            wanted += f" from {self.minimum:g} to {self.maximum:g}"
        try:
            # int() takes '1_0' and '١٢', float() takes 'inf': text of a manifest means neither.
            if not text.isascii() or "_" in text:
                raise ValueError
            number = int(text) if self.type == "integer" else float(text)
        except ValueError:
            raise ValueError(f"expected {wanted}") from None
        low = self.minimum if self.minimum is not None else float("-inf")
        high = self.maximum if self.maximum is not None else float("inf")
        if not low <= number <= high or number in (float("inf"), float("-inf")):
            raise ValueError(f"expected {wanted}")
        return number


class Rule(_Data):
    """A combination that the provider refuses: `when` these values, `need` one of those."""

    when: dict[str, str]
    need: dict[str, tuple[str, ...]]
    why: str


class Unused(_Data):
    """A parameter that has no effect `when` others have these values."""

    when: dict[str, str]
    parameter: str
    why: str


def _as_json(value: object) -> object:
    """What a YAML value is as JSON: without quotes numbers, true, false and null are these, all else is text."""
    if isinstance(value, Mapping):
        return {str(name): _as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    if not isinstance(value, Text):
        return value
    try:
        return orjson.loads(str(value)) if value.plain else str(value)
    except orjson.JSONDecodeError:
        return str(value)


class Endpoint(_Data):
    """A model of a provider. `path` is appended to the base URL of its `provider`.

    `wire` is how requests and answers are written: as Segmind's API has them, or as OpenAI's. `constants` are sent
    beside the parameters, in every request, as they stand. `usage` are the prices of tokens, where answers say how many
    were used. On the day that it `retires`, by UTC, the provider stops serving it; `successor` takes its place.
    """

    name: str
    title: str = ""
    provider: str = SEGMIND
    wire: Literal["segmind", "openai"] = "segmind"
    path: str
    constants: Annotated[dict[str, Any], BeforeValidator(_as_json)] = Field(default_factory=dict)
    latency_s: float = Field(default=60.0, gt=0)
    retires: date | None = None
    successor: Successor | None = None
    parameters: dict[str, Parameter]
    rules: tuple[Rule, ...] = ()
    unused: tuple[Unused, ...] = ()
    errors: dict[int, ErrorMeaning] = Field(default_factory=dict)
    error_words: tuple[ErrorWords, ...] = ()
    prices: Prices
    usage: TokenPrices | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> Endpoint:
        named = [
            *(n for r in self.rules for n in (*r.when, *r.need)),
            *(n for u in self.unused for n in (*u.when, u.parameter)),
            *self.prices.by,
            *self.prices.expected,
        ]
        named += self.successor.map if self.successor else ()
        for name in named:
            if name not in self.parameters:
                raise ValueError(f"{name!r} is used but is no parameter")
        for name in self.constants:
            if name in self.parameters:
                raise ValueError(f"{name!r} is a constant and a parameter; expected one of them")
        for name, parameter in self.parameters.items():
            if name in JOB_KEYS:
                raise ValueError(f"parameter {name!r} is named like a key of a manifest's jobs; it needs another name")
            if parameter.default is not None:
                try:
                    parameter.parse(str(parameter.default))
                except ValueError as error:
                    raise ValueError(f"default of {name} is {parameter.default!r}; {error}") from error
        return self

    @cached_property
    def images(self) -> str | None:
        """The parameter that takes the reference images."""
        return self.parameter_of("images")

    @cached_property
    def prompt(self) -> str | None:
        """The parameter that takes the prompt."""
        return self.parameter_of("prompt")

    @cached_property
    def mask(self) -> str | None:
        """The parameter that takes the mask."""
        return self.parameter_of("mask")

    @cached_property
    def shape(self) -> Shape:
        """What its requests are made of."""
        named = self.parameters.items()
        has_default = {
            name: each.default_value
            for name, each in named
            if (each.default is not None or each.nullable) and not each.only_when_set
        }
        links = tuple(name for name, each in named if each.role in ("images", "mask"))
        roles = {role: name for role, name in self._roles.items() if role is not None}
        if "quality" in self.parameters:
            roles["quality"] = "quality"
        return Shape(tuple(self.parameters), roles, has_default, links)

    def meaning_of(self, status: int, text: str) -> ErrorMeaning | None:
        """What an error of that status with that text means: by its words, else by its status; None if unknown.

        The first of the endpoint's own `error_words` that fits counts, then the first of those of every endpoint. Where
        a successor is known, a 404 that names the model says what a 410 does.
        """
        if status == 404 and self.successor is not None and any(name in text for name in (self.name, self.path)):
            status = 410
        words = (*self.error_words, *shared_error_words())
        return next((each for each in words if each.fits(status, text)), self.errors.get(status))

    def inputs_of(self, params: Mapping[str, ParamValue]) -> int:
        """How many reference images a request names; its parameter takes a list of links, or one."""
        images = params.get(self.images or "")
        return len(images) if isinstance(images, list) else int(bool(images))

    @cached_property
    def unsent_defaults(self) -> dict[str, ParamValue]:
        """What the provider takes for parameters that are sent only when set, where that is known."""
        named = self.parameters.items()
        return {name: each.default_value for name, each in named if each.only_when_set and each.default is not None}

    def cost_of_usage(self, usage: object) -> float | None:
        """USD for the tokens that an answer says it used; None where that doesn't tell."""
        by_list = None if self.usage is None else self.usage.cost_usd(usage)
        return None if by_list is None else by_list * self.prices.factor

    def is_retired(self, on: date) -> bool:
        """Whether it is served no longer on that day."""
        return self.retires is not None and self.retires <= on

    def parameter_of(self, role: str) -> str | None:
        """The name of the parameter with that role; None where the endpoint has none."""
        return self._roles.get(role)

    @cached_property
    def _roles(self) -> dict[str | None, str]:
        # Of two with one role the first counts.
        return {parameter.role: name for name, parameter in reversed(self.parameters.items())}


def either(words: tuple[str, ...] | list[str]) -> str:
    """`a, b or c`.

    >>> either(["low", "medium", "high"])
    'low, medium or high'
    """
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
