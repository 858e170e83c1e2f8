"""Sizes by pattern, and what one costs that the price table lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.endpoints import Parameter, load_endpoint
from batch_editor.endpoints.sizes import SizePattern, price_by_pixels, size_of

NAMES = ("gpt-image-2.5-sunburst", "gpt-image-2.5-flare")
SIZE = load_endpoint(NAMES[0]).parameters["size"]
RULE = (
    "expected auto or WIDTHxHEIGHT with sides divisible by 16, at most 3:1, at most 3840 a side,"
    " 65,536 to 8,294,400 pixels in all"
)
HIGH = {"1024x1024": 0.0527, "1536x1024": 0.0412, "2048x2048": 0.1071, "2048x1152": 0.0424, "3840x2160": 0.1001}


@pytest.mark.parametrize(
    "text",
    ["auto", "1024x1024", "1008x1008", "3840x2160", "2160x3840", "3840x1280", "1280x3840", "2880x2880", "256x256"],
)
def test_a_size_that_fits_the_pattern_is_sent_as_it_stands(text: str) -> None:
    assert SIZE.parse(text) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1000x1000", ", such as 1008x1008"),
        ("1024x1000", ", such as 1024x1008"),
        ("4000x1000", ", such as 3024x1008"),
        ("3840x3840", ", such as 2880x2880"),
        ("3856x2160", ", such as 3840x2160"),
        ("3840x1264", ", such as 3824x1280"),
        ("16x16", ", such as 256x256"),
        ("1024 x 1024", ", such as 1024x1024"),
        ("1024X1024", ", such as 1024x1024"),
        ("1024*1024", ", such as 1024x1024"),
        ("1024", ", such as 1024x1024"),
        ("01024x1024", ", such as 1024x1024"),
        ("1024x1024 ", ", such as 1024x1024"),
        ("١٠٢٤x1024", ", such as 1024x1024"),
        ("large", ", such as 1024x1024"),
        ("autoo", " (did you mean auto?)"),
    ],
)
def test_a_size_that_does_not_fit_is_told_with_the_nearest_that_does(text: str, hint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the whole message is compared below
        SIZE.parse(text)
    assert str(caught.value) == RULE + hint


@given(st.integers(1, 999_999), st.integers(1, 999_999))
def test_the_nearest_size_always_fits(width: int, height: int) -> None:
    assert SIZE.sizes is not None
    hint = SIZE.sizes.hint(f"{width}x{height}")
    assert hint is not None
    assert SIZE.parse(hint) == hint


@pytest.mark.parametrize(
    ("pattern", "said", "fits"),
    [
        (SizePattern(), "WIDTHxHEIGHT", "7x900000"),
        (
            SizePattern(multiple_of=8, min_pixels=640),
            "WIDTHxHEIGHT with sides divisible by 8, at least 640 pixels in all",
            "32x24",
        ),
        (
            SizePattern(max_pixels=2000, max_ratio=1.5),
            "WIDTHxHEIGHT with at most 1.5:1, at most 2,000 pixels in all",
            "45x30",
        ),
        (SizePattern(max_side=64), "WIDTHxHEIGHT with at most 64 a side", "64x1"),
    ],
)
def test_a_pattern_says_only_what_it_asks(pattern: SizePattern, said: str, fits: str) -> None:
    assert str(pattern) == said
    parameter = Parameter(type="string", sizes=pattern)
    assert parameter.parse(fits) == fits
    with pytest.raises(ValueError, match=f"^expected {said}"):
        parameter.parse("auto")


def test_a_pattern_that_no_size_fits_gives_no_example() -> None:
    assert SizePattern(multiple_of=4096, max_side=64).hint("10x10") is None


@pytest.mark.parametrize(
    ("size", "expected", "high"),
    [
        ("1536x1536", 0.0754, 0.1071),  # between the two squares, not between a square and a wide picture
        ("1792x1008", 0.0416, 0.1071),  # between 1536x1024 and 2048x1152
        ("3072x2048", 0.0825, 0.1607),  # between 1536x1024 and 3840x2160
        ("512x512", 0.0527, 0.0527),  # below the table: the price of its nearest shape
        ("1280x720", 0.0424, 0.0527),
        ("2880x2880", 0.1001, 0.2118),  # dearest as the square's price grows with the pixels
        ("4096x4096", 0.4284, 0.4284),  # beyond the table: expected as well
    ],
)
def test_a_size_between_those_of_the_table_is_priced_by_pixels_and_shape(
    size: str, expected: float, high: float
) -> None:
    asked = size_of(size)
    assert asked is not None
    price = price_by_pixels(HIGH, asked)
    assert (round(price.expected, 4), round(price.high, 4)) == (expected, high)


@given(
    st.dictionaries(
        st.tuples(st.integers(1, 99), st.integers(1, 99)).map(lambda size: f"{size[0]}x{size[1]}"),
        st.floats(0, 10),
        min_size=1,
    ),
    st.tuples(st.integers(1, 120), st.integers(1, 120)),
)
def test_of_any_table_low_is_never_above_expected_nor_expected_above_high(
    table: dict[str, float], size: tuple[int, int]
) -> None:
    price = price_by_pixels(table, size)
    assert 0 <= price.low <= price.expected <= price.high


@given(st.integers(16, 180), st.sampled_from([1.0, 1.5, 16 / 9, 3.0]))
def test_more_pixels_of_one_shape_never_lower_the_dearest_price(side: int, shape: float) -> None:
    def high(short: int) -> float:
        return price_by_pixels(HIGH, (round(short * shape) * 16, short * 16)).high

    assert high(side + 1) >= high(side)
