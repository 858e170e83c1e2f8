"""What a request costs: by the price list, and by what was really charged before. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from batch_editor.endpoints import PixelPrice, Prices, PriceTable, Size, price_by_pixels, size_of
from batch_editor.records import ParamValue

# Fewer charges than this say too little of a group; the next wider group is asked.
ENOUGH = 3


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one image: the min price, what to expect, the max price."""

    min_usd: float
    expected_usd: float
    max_usd: float


def price_of(prices: Prices, params: Mapping[str, ParamValue], *, inputs: int = 0, prompt_length: int = 0) -> Price:
    """The list price of a request with these parameters, `inputs` images and a prompt of so many characters.

    `(table[...by] + extras) × factor`. Where a parameter's value is not in the table (`auto`, or absent) the model
    chooses: min and max are then the cheapest and the most expensive choice, expected the one that the endpoint's file
    names, or else the most expensive. A size that the table lacks is priced by its pixels where the file says so. The
    min price leaves the extras out, for some requests are charged none.

    >>> prices = Prices(factor=2, by=("size",), table={"s": 1, "l": 3}, expected={"size": "s"})
    >>> price_of(prices, {"size": "l"})
    Price(min_usd=6.0, expected_usd=6.0, max_usd=6.0)
    >>> price_of(prices, {"size": "auto"})
    Price(min_usd=2.0, expected_usd=2.0, max_usd=6.0)
    """
    chosen = [params.get(name) for name in prices.by]
    size = _size_between(prices, params)
    usual = [
        value if value in known or (size and name == prices.by_pixels) else prices.expected.get(name)
        for name, value, known in _levels(prices, chosen)
    ]
    expected_extra, max_extra = prices.extras(inputs=inputs, prompt_length=prompt_length)
    return Price(
        min_usd=min(price.low for price in _leaves(prices.table, chosen, size)) * prices.factor,
        expected_usd=(max(price.expected for price in _leaves(prices.table, usual, size)) + expected_extra)
        * prices.factor,
        max_usd=(max(price.high for price in _leaves(prices.table, chosen, size)) + max_extra) * prices.factor,
    )


def is_fixed(prices: Prices, params: Mapping[str, ParamValue]) -> bool:
    """Whether these parameters have one price: the model has no choice, and the list has what they ask for.

    >>> prices = Prices(by=("size",), table={"s": 1, "l": 3})
    >>> is_fixed(prices, {"size": "l"}), is_fixed(prices, {"size": "auto"})
    (True, False)
    """
    chosen = [params.get(name) for name in prices.by]
    possible = set(_leaves(prices.table, chosen, _size_between(prices, params)))
    return len(possible) == 1 and all(price.low == price.high for price in possible)


def _size_between(prices: Prices, params: Mapping[str, ParamValue]) -> Size | None:
    """The size that is asked for, where prices go by pixels."""
    return size_of(params.get(prices.by_pixels)) if prices.by_pixels else None


def _levels(prices: Prices, chosen: list[ParamValue]) -> Iterator[tuple[str, ParamValue, frozenset[str]]]:
    """Each priced parameter with its value and the values that the table knows for it."""
    tables = [prices.table]
    for name, value in zip(prices.by, chosen, strict=True):
        inner = [table for table in tables if isinstance(table, dict)]
        yield name, value, frozenset(key for table in inner for key in table)
        tables = [table for level in inner for table in level.values()]


def _leaves(
    table: PriceTable, chosen: Sequence[ParamValue] | Sequence[str | None], size: Size | None
) -> Iterator[PixelPrice]:
    """The prices that remain possible when the levels' values are as chosen; `size` is one that may not be there."""
    if not isinstance(table, dict):
        yield PixelPrice(table, table, table)
        return
    value, *rest = chosen
    if isinstance(value, str) and value in table:
        yield from _leaves(table[value], rest, size)
    elif size is not None and not rest:
        yield price_by_pixels({name: usd for name, usd in table.items() if not isinstance(usd, dict)}, size)
    else:
        for inner in table.values():
            yield from _leaves(inner, rest, size)


@dataclass(slots=True)
class Charged:
    """What was charged for requests of a kind, in USD, beside their list price."""

    count: int = 0
    total_usd: float = 0.0
    list_usd: float = 0.0
    min_usd: float = float("inf")
    max_usd: float = 0.0

    def add(self, other: Charged) -> None:
        """Take another's charges in."""
        self.count += other.count
        self.total_usd += other.total_usd
        self.list_usd += other.list_usd
        self.min_usd = min(self.min_usd, other.min_usd)
        self.max_usd = max(self.max_usd, other.max_usd)

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
        The max price never falls below the list's: a budget must hold for the charge that hasn't been seen yet.
        """
        for charged, source in (
            (self.exact.get(kind), "charged for the same"),
            (self.any_inputs.get((kind.endpoint, kind.values)), "charged for the same with other inputs"),
        ):
            if charged is not None and charged.count >= ENOUGH:
                high = max(by_list.max_usd, charged.max_usd)
                return Quote(Price(charged.min_usd, charged.mean_usd, high), source, charged.count)
        charged = self.whole.get(kind.endpoint)
        if charged is None or charged.count < ENOUGH or not charged.list_usd:
            return Quote(by_list, "price list", 0)
        factor = charged.total_usd / charged.list_usd
        price = Price(
            min(by_list.min_usd, by_list.min_usd * factor),
            by_list.expected_usd * factor,
            max(by_list.max_usd, by_list.max_usd * factor),
        )
        return Quote(price, f"price list × {factor:.2f}, as charged for others", charged.count)
