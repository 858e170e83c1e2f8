"""What a first manifest sets for all jobs: cheap values, and what others cost."""

from __future__ import annotations

from batch_editor.endpoints import Endpoint, Parameter, Prices
from batch_editor.errors import UsageError
from batch_editor.money import price_of
from batch_editor.records import ParamValue

_QUALITY, _CHEAP = "quality", "low"
_SQUARE = "1024x1024"
_CHOICES_SHOWN = 6


def first_defaults(endpoint: Endpoint, prices: Prices, *, filled: frozenset[str]) -> dict[str, tuple[str, str]]:
    """Values for all jobs, each with a comment that says what it is about.

    Of those that are `filled` from the rows, where a row may say nothing, only what would be expensive.

    Raises:
        UsageError: a value is needed that can't be guessed.
    """
    values: dict[str, tuple[str, str]] = {}
    named = endpoint.parameters
    size = endpoint.parameter_of("size")
    if size in named and named[size].offers(_SQUARE):
        choices = [each for each in named[size].choices if each != _SQUARE]
        pattern = named[size].sizes
        values[size] = (_SQUARE, f"or {', '.join(choices or [str(pattern)])}")
    if _QUALITY in named and named[_QUALITY].offers(_CHEAP):
        sizes: dict[str, ParamValue] = {} if size not in values or size is None else {size: _SQUARE}
        costs = {
            choice: price_of(prices, {**sizes, _QUALITY: choice}).expected_usd
            for choice in named[_QUALITY].choices
            if choice != "auto"
        }
        said = ", ".join(f"{choice} {dollars(cost)}" for choice, cost in costs.items())
        values = {_QUALITY: (_CHEAP, f"costs about: {said} a picture"), **values}
    for name, parameter in named.items():
        is_said = parameter.default is not None or parameter.nullable or name in values or name in filled
        if parameter.must_be_said and not is_said:
            values[name] = (_some_value(endpoint, name, parameter), parameter.about or "needed; look at the value")
    return values


def dollars(usd: float) -> str:
    """A price of one picture.

    >>> dollars(0.0108), dollars(0.15960), dollars(2)
    ('$0.011', '$0.16', '$2.00')
    """
    return f"${usd:.2f}" if usd >= 0.1 else f"${usd:.2g}"


def _some_value(endpoint: Endpoint, name: str, parameter: Parameter) -> str:
    if parameter.choices:
        return parameter.choices[0]
    match parameter.type:
        case "integer" | "number":
            return f"{parameter.minimum if parameter.minimum is not None else parameter.maximum or 1:g}"
        case "boolean":
            return "false"
    raise UsageError(f"{endpoint.name} needs a value of {name} for each job, which init can't guess: write a manifest")
