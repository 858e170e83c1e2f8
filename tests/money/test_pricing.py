from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.endpoints import Prices, PriceTable, load_endpoint
from batch_editor.endpoints.prices import Extra
from batch_editor.money.pricing import Charged, Charges, Kind, Price, is_fixed, price_of
from batch_editor.records import ParamValue

SHIPPED = load_endpoint("gpt-image-1.5-edit").prices


def figures(price: Price) -> tuple[float, float, float]:
    return tuple(round(usd, 4) for usd in (price.min_usd, price.expected_usd, price.max_usd))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("quality", "size", "usd"),
    [
        ("low", "1024x1024", (0.0108, 0.0108, 0.0108)),
        ("medium", "1536x1024", (0.06, 0.06, 0.06)),
        ("high", "1024x1536", (0.24, 0.24, 0.24)),
        ("high", "auto", (0.1596, 0.24, 0.24)),
        ("auto", "1024x1024", (0.0108, 0.1596, 0.1596)),
        ("auto", "auto", (0.0108, 0.24, 0.24)),
    ],
)
def test_the_shipped_price_list_comes_to_the_published_average_where_the_model_chooses(
    quality: str, size: str, usd: tuple[float, float, float]
) -> None:
    assert figures(price_of(SHIPPED, {"quality": quality, "size": size})) == usd


def test_a_parameter_that_is_absent_is_priced_like_auto() -> None:
    assert price_of(SHIPPED, {}) == price_of(SHIPPED, {"quality": "auto", "size": "auto"})


def test_a_value_that_the_table_lacks_is_priced_at_its_dearest_where_nothing_is_expected() -> None:
    prices = Prices(by=("size",), table={"s": 1.0, "l": 3.0})
    assert price_of(prices, {"size": "xl"}) == Price(1.0, 3.0, 3.0)


def test_a_flat_price_needs_no_parameter() -> None:
    assert price_of(Prices(table=0.036), {"prompt": "x"}) == Price(0.036, 0.036, 0.036)


def test_levels_may_hold_different_values() -> None:
    prices = Prices(by=("a", "b"), table={"x": {"1": 1.0}, "y": {"2": 2.0, "3": 5.0}}, expected={"b": "2"})
    assert price_of(prices, {"a": "y"}) == Price(2.0, 2.0, 5.0)
    assert price_of(prices, {"a": "x", "b": "3"}) == Price(1.0, 1.0, 1.0)


def test_inputs_and_prompt_come_on_top_of_the_expected_and_the_dearest_price() -> None:
    prices = Prices(
        factor=2.0,
        table=1.0,
        input_image=Extra(expected=0.1, high=0.5),
        prompt_character=Extra(expected=0.001, high=0.002),
    )
    assert figures(price_of(prices, {}, inputs=3, prompt_length=100)) == (2.0, 2.8, 5.4)


@given(
    quality=st.sampled_from(["low", "medium", "high", "auto", "odd"]),
    size=st.sampled_from(["1024x1024", "1024x1536", "1536x1024", "auto", "odd"]),
    inputs=st.integers(0, 16),
    length=st.integers(0, 32_000),
)
def test_low_is_never_above_expected_nor_expected_above_high(quality: str, size: str, inputs: int, length: int) -> None:
    price = price_of(SHIPPED, {"quality": quality, "size": size}, inputs=inputs, prompt_length=length)
    assert 0 < price.min_usd <= price.expected_usd <= price.max_usd


NEWEST = ("gpt-image-2.5-sunburst", "gpt-image-2.5-flare")
TOKENS_75 = 300  # characters of English


@pytest.mark.parametrize("name", NEWEST)
@pytest.mark.parametrize(
    ("params", "inputs", "length", "usd"),
    [
        ({"quality": "low", "size": "1024x1024"}, 1, TOKENS_75, (0.0074, 0.0181, 0.0246)),
        ({"quality": "low", "size": "1024x1024"}, 0, 0, (0.0074, 0.0074, 0.0074)),
        ({"quality": "low", "size": "1024x1024"}, 3, 0, (0.0074, 0.0381, 0.0535)),
        ({"quality": "max", "size": "2160x3840"}, 0, 0, (0.5004, 0.5004, 0.5004)),
        ({"quality": "high", "size": "1536x1536"}, 0, 0, (0.0515, 0.0942, 0.1339)),
        ({"quality": "high", "size": "auto"}, 0, 0, (0.0515, 0.0659, 0.1339)),
        ({"quality": "auto", "size": "1024x1024"}, 0, 0, (0.0074, 0.0659, 0.2634)),
        ({"quality": "auto", "size": "1536x1536"}, 0, 0, (0.0059, 0.0942, 0.5353)),
        ({}, 0, 0, (0.0059, 0.0659, 0.5353)),
    ],
)
def test_the_newest_models_cost_picture_inputs_and_text(
    name: str, params: dict[str, ParamValue], inputs: int, length: int, usd: tuple[float, float, float]
) -> None:
    prices = load_endpoint(name).prices
    assert figures(price_of(prices, params, inputs=inputs, prompt_length=length)) == usd


@pytest.mark.parametrize("name", NEWEST)
def test_what_was_really_charged_is_within_two_percent_of_the_list(name: str) -> None:
    price = price_of(
        load_endpoint(name).prices, {"quality": "low", "size": "1024x1024"}, inputs=1, prompt_length=TOKENS_75
    )
    for charged_usd in (0.01804625, 0.018165):
        assert abs(price.expected_usd / charged_usd - 1) < 0.02


def test_a_token_of_the_prompt_has_about_four_characters_and_at_least_one() -> None:
    price = price_of(Prices(table=0.0, text_token=0.001), {}, prompt_length=400)
    assert figures(price) == (0.0, 0.1, 0.4)


def test_a_size_that_the_table_lacks_has_one_price_only_where_the_file_says_that_prices_go_by_pixels() -> None:
    table: PriceTable = {"10x10": 1.0, "20x20": 4.0}
    assert price_of(Prices(by=("size",), table=table), {"size": "15x20"}) == Price(1.0, 4.0, 4.0)
    by_pixels = Prices(by=("size",), table=table, by_pixels="size")
    assert price_of(by_pixels, {"size": "15x20"}) == Price(1.0, 3.0, 4.0)
    assert price_of(by_pixels, {"size": "20x20"}) == Price(4.0, 4.0, 4.0)
    assert price_of(by_pixels, {"size": "auto"}) == Price(1.0, 4.0, 4.0)


def test_only_a_price_of_the_list_is_fixed() -> None:
    prices = load_endpoint("gpt-image-2.5-sunburst").prices
    assert is_fixed(prices, {"quality": "low", "size": "2048x1152"})
    assert not is_fixed(prices, {"quality": "low", "size": "1536x1536"})  # in between is a guess
    assert not is_fixed(prices, {"quality": "low", "size": "auto"})
    assert not is_fixed(prices, {"quality": "auto", "size": "1024x1024"})


@given(
    quality=st.sampled_from(["low", "medium", "high", "xhigh", "max", "auto"]),
    width=st.integers(16, 240),
    height=st.integers(16, 240),
    inputs=st.integers(0, 16),
    length=st.integers(0, 32_000),
)
@pytest.mark.slow
def test_of_any_size_low_is_never_above_expected_nor_expected_above_high(
    quality: str, width: int, height: int, inputs: int, length: int
) -> None:
    params: dict[str, ParamValue] = {"quality": quality, "size": f"{16 * width}x{16 * height}"}
    prices = load_endpoint("gpt-image-2.5-sunburst").prices
    price = price_of(prices, params, inputs=inputs, prompt_length=length)
    assert 0 < price.min_usd <= price.expected_usd <= price.max_usd


LIST = Price(0.1, 0.2, 0.3)
KIND = Kind("gpt", ("high",), 1)


def charged(*usd: float, list_usd: float = 0.2) -> Charged:
    total = Charged()
    for each in usd:
        total.add(Charged(1, each, list_usd, each, each))
    return total


def test_without_charges_the_list_is_the_price() -> None:
    quote = Charges().quote(KIND, LIST)
    assert (quote.price, quote.source, quote.charges) == (LIST, "price list", 0)


def test_two_charges_are_too_few_to_go_by() -> None:
    charges = Charges()
    charges.add(KIND, charged(0.15, 0.17))
    assert charges.quote(KIND, LIST).source == "price list"


def test_charges_for_the_same_are_the_price_and_the_dearest_never_falls_below_the_list() -> None:
    charges = Charges()
    charges.add(KIND, charged(0.15, 0.16, 0.17))
    quote = charges.quote(KIND, LIST)
    assert quote.source == "charged for the same"
    assert (quote.price.min_usd, round(quote.price.expected_usd, 6), quote.price.max_usd) == (0.15, 0.16, 0.3)


def test_then_charges_with_other_inputs_count_then_the_endpoint_s_as_a_factor() -> None:
    charges = Charges()
    charges.add(Kind("gpt", ("high",), 2), charged(0.4, 0.4, 0.4))
    assert charges.quote(KIND, LIST).source == "charged for the same with other inputs"
    other = charges.quote(Kind("gpt", ("low",), 1), LIST)
    assert other.source == "price list × 2.00, as charged for others"
    assert figures(other.price) == (0.1, 0.4, 0.6)
    assert charges.quote(Kind("banana", (), 1), LIST).source == "price list"
