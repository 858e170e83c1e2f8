"""What a request costs: by the price list, and by what was really charged before. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from batch_editor.endpoints import Prices, PriceTable
from batch_editor.records import ParamValue

# Fewer charges than this say too little of a group; the next wider group is asked.
ENOUGH = 3


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one image: the cheapest it can be, what to expect, the dearest it can be."""

    low_usd: float
    expected_usd: float
    high_usd: float


def price_of(prices: Prices, params: Mapping[str, ParamValue], *, inputs: int = 0, prompt_length: int = 0) -> Price:
    """The list price of a request with these parameters, `inputs` images and a prompt of so many characters.

    `(table[...by] + extras) × factor`. Where a parameter's value is not in the table (`auto`, or absent) the model
    chooses: low and high are then the cheapest and the dearest choice, expected the one that the endpoint's file
    names, or else the dearest. Low leaves the extras out, for some requests are charged none.

    >>> prices = Prices(factor=2, by=("size",), table={"s": 1, "l": 3}, expected={"size": "s"})
    >>> price_of(prices, {"size": "l"})
    Price(low_usd=6.0, expected_usd=6.0, high_usd=6.0)
    >>> price_of(prices, {"size": "auto"})
    Price(low_usd=2.0, expected_usd=2.0, high_usd=6.0)
    """
    chosen = [params.get(name) for name in prices.by]
    usual = [value if value in known else prices.expected.get(name) for name, value, known in _levels(prices, chosen)]
    possible = list(_leaves(prices.table, chosen))
    image, character = prices.input_image, prices.prompt_character
    expected_extra = inputs * image.expected + prompt_length * character.expected
    high_extra = inputs * image.high + prompt_length * character.high
    return Price(
        low_usd=min(possible) * prices.factor,
        expected_usd=(max(_leaves(prices.table, usual)) + expected_extra) * prices.factor,
        high_usd=(max(possible) + max(high_extra, expected_extra)) * prices.factor,
    )


def is_fixed(prices: Prices, params: Mapping[str, ParamValue]) -> bool:
    """Whether these parameters leave the model no choice that the price depends on.

    >>> prices = Prices(by=("size",), table={"s": 1, "l": 3})
    >>> is_fixed(prices, {"size": "l"}), is_fixed(prices, {"size": "auto"})
    (True, False)
    """
    return len(set(_leaves(prices.table, [params.get(name) for name in prices.by]))) == 1


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


@dataclass(slots=True)
class Charged:
    """What was charged for requests of a kind, in USD, beside their list price."""

    count: int = 0
    total_usd: float = 0.0
    list_usd: float = 0.0
    low_usd: float = float("inf")
    high_usd: float = 0.0

    def add(self, other: Charged) -> None:
        """Take another's charges in."""
        self.count += other.count
        self.total_usd += other.total_usd
        self.list_usd += other.list_usd
        self.low_usd = min(self.low_usd, other.low_usd)
        self.high_usd = max(self.high_usd, other.high_usd)

    @property
    def mean_usd(self) -> float:
        """An image's average."""
        return self.total_usd / self.count


@dataclass(frozen=True, slots=True)
class Kind:
    """What a price depends on: the endpoint, the values of its priced parameters, the number of input images."""

    endpoint: str
    values: tuple[str | None, ...]
    inputs: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A price and where it is from: `charges` of how many requests, 0 if it is the price list's alone."""

    price: Price
    source: str
    charges: int


@dataclass(slots=True)
class Charges:
    """What the provider really charged, by kind; corrects the price list."""

    exact: dict[Kind, Charged] = field(default_factory=dict)
    any_inputs: dict[tuple[str, tuple[str | None, ...]], Charged] = field(default_factory=dict)
    whole: dict[str, Charged] = field(default_factory=dict)

    def add(self, kind: Kind, charged: Charged) -> None:
        """Take charges for requests of a kind in."""
        self.exact.setdefault(kind, Charged()).add(charged)
        self.any_inputs.setdefault((kind.endpoint, kind.values), Charged()).add(charged)
        self.whole.setdefault(kind.endpoint, Charged()).add(charged)

    def quote(self, kind: Kind, by_list: Price) -> Quote:
        """The price of a request of that kind, by the nearest charges there are enough of.

        The same kind; the same with any number of inputs; the endpoint's charges as a factor on the list; the list.
        The dearest price never falls below the list's: a budget must hold for the charge that hasn't been seen yet.
        """
        for charged, source in (
            (self.exact.get(kind), "charged for the same"),
            (self.any_inputs.get((kind.endpoint, kind.values)), "charged for the same with other inputs"),
        ):
            if charged is not None and charged.count >= ENOUGH:
                high = max(by_list.high_usd, charged.high_usd)
                return Quote(Price(charged.low_usd, charged.mean_usd, high), source, charged.count)
        charged = self.whole.get(kind.endpoint)
        if charged is None or charged.count < ENOUGH or not charged.list_usd:
            return Quote(by_list, "price list", 0)
        factor = charged.total_usd / charged.list_usd
        price = Price(
            min(by_list.low_usd, by_list.low_usd * factor),
            by_list.expected_usd * factor,
            max(by_list.high_usd, by_list.high_usd * factor),
        )
        return Quote(price, f"price list × {factor:.2f}, as charged for others", charged.count)
