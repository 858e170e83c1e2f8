"""What a request costs by the price list. Pure arithmetic on the endpoint's data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from batch_editor.endpoints import Prices, PriceTable
from batch_editor.records import ParamValue


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one image: the cheapest it can be, what to expect, the dearest it can be."""

    low_usd: float
    expected_usd: float
    high_usd: float


def price_of(prices: Prices, params: Mapping[str, ParamValue]) -> Price:
    """The price of a request with these parameters.

    `table[...by] × factor`. Where a parameter's value is not in the table (`auto`, or absent) the model chooses:
    low and high are then the cheapest and the dearest choice, expected the one that the endpoint's file names, or
    else the dearest.

    >>> prices = Prices(factor=2, by=("size",), table={"s": 1, "l": 3}, expected={"size": "s"})
    >>> price_of(prices, {"size": "l"})
    Price(low_usd=6.0, expected_usd=6.0, high_usd=6.0)
    >>> price_of(prices, {"size": "auto"})
    Price(low_usd=2.0, expected_usd=2.0, high_usd=6.0)
    """
    chosen = [params.get(name) for name in prices.by]
    usual = [value if value in level else prices.expected.get(name) for name, value, level in _levels(prices, chosen)]
    possible = [usd * prices.factor for usd in _leaves(prices.table, chosen)]
    expected = [usd * prices.factor for usd in _leaves(prices.table, usual)]
    return Price(low_usd=min(possible), expected_usd=max(expected), high_usd=max(possible))


def _levels(prices: Prices, chosen: list[ParamValue]) -> Iterator[tuple[str, ParamValue, frozenset[str]]]:
    """Each priced parameter with its value and the values that the table knows for it."""
    tables = [prices.table]
    for name, value in zip(prices.by, chosen, strict=True):
        inner = [table for table in tables if isinstance(table, dict)]
        yield name, value, frozenset(key for table in inner for key in table)
        tables = [table for level in inner for table in level.values()]


def _leaves(table: PriceTable, chosen: list[ParamValue] | list[str | None]) -> Iterator[float]:
    """The prices that remain possible when the levels' values are as chosen."""
    if not isinstance(table, dict):
        yield table
        return
    value, *rest = chosen
    for inner in [table[value]] if isinstance(value, str) and value in table else table.values():
        yield from _leaves(inner, rest)
