"""No picture is lost or doubled, and no text crosses to another product, whatever a table looks like."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.shops import Format
from tests.shops.reading import Reading, read_rows

LINKS = st.sampled_from(["", "", *(f"https://s.example/{letter}.jpg" for letter in "abcde")])
HANDLES = st.sampled_from(["mug", "cup", "jug", ""])
POSITIONS = st.sampled_from(["", "1", "2", "3", "1.0", "x"])


def counts_add_up(reading: Reading) -> None:
    tally = reading.tally
    with_pictures = {picture.line for picture in reading.pictures}
    assert tally.pictures == len(reading.pictures)
    assert tally.rows == len(with_pictures) + sum(tally.without.values())


@given(st.lists(st.tuples(HANDLES, st.booleans(), LINKS, POSITIONS, LINKS), max_size=30))
@pytest.mark.slow
def test_shopify(rows: list[tuple[str, bool, str, str, str]]) -> None:
    table = [
        [h, f"The {h}" if h and titled else "", image, place, variant] for h, titled, image, place, variant in rows
    ]
    header = ["Handle", "Title", "Image Src", "Image Position", "Variant Image"]
    reading = read_rows(Format.SHOPIFY, header, table)
    counts_add_up(reading)

    expected: defaultdict[str, set[str]] = defaultdict(set)
    for number, (handle, _, image, _, variant) in enumerate(table):
        expected[handle or f"alone {number + 2}"] |= {image, variant} - {""}
    found = defaultdict(list)
    for picture in reading.pictures:
        handle, _, title, link, *_ = picture.cells
        found[handle or f"alone {picture.line}"].append(link)
        assert title in ("", f"The {handle}")
    assert {handle: set(links) for handle, links in found.items()} == {
        h: links for h, links in expected.items() if links
    }
    assert all(len(links) == len(set(links)) for links in found.values())
    assert len(set(reading.ids)) == len(reading.ids)
    assert reading.tally.products == len(expected)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["simple", "variable", "variation"]),
            st.lists(LINKS, max_size=4),
            st.sampled_from(["S0", "S1", "id:2", "gone", ""]),
        ),
        max_size=20,
    )
)
@pytest.mark.slow
def test_woocommerce(rows: list[tuple[str, list[str], str]]) -> None:
    table = [
        [str(number), kind, f"S{number}", ", ".join(filter(None, links)), parent if kind == "variation" else ""]
        for number, (kind, links, parent) in enumerate(rows)
    ]
    reading = read_rows(Format.WOOCOMMERCE, ["ID", "Type", "SKU", "Images", "Parent"], table)
    counts_add_up(reading)

    product = {}
    for number, (kind, _, parent) in enumerate(rows):
        product[number] = parent.replace("id:", "S") if kind == "variation" and parent else f"S{number}"
    simple = {f"S{number}" for number, (kind, _, _) in enumerate(rows) if kind == "simple"}
    expected: defaultdict[str, set[str]] = defaultdict(set)
    for number, (_, links, _) in enumerate(rows):
        expected[product[number]] |= set(filter(None, links))
    found = defaultdict(list)
    for picture in reading.pictures:
        found[product[picture.line - 2]].append(picture.cells[3])
    assert {name: set(links) for name, links in found.items()} == {n: links for n, links in expected.items() if links}
    assert len(set(reading.ids)) == len(reading.ids)
    for name, links in found.items():
        if name not in simple and not any(kind == "variation" and p == "id:2" for kind, _, p in rows):
            assert len(links) == len(set(links))


@given(st.lists(st.tuples(LINKS, st.lists(LINKS, max_size=3), st.sampled_from(["", "G", "H"])), max_size=20))
@pytest.mark.slow
def test_google(rows: list[tuple[str, list[str], str]]) -> None:
    table = [
        [f"A{number}", main, ",".join(filter(None, more)), group] for number, (main, more, group) in enumerate(rows)
    ]
    reading = read_rows(Format.GOOGLE, ["id", "image_link", "additional_image_link", "item_group_id"], table)
    counts_add_up(reading)

    expected = {
        (group or f"A{number}", link)
        for number, (main, more, group) in enumerate(rows)
        for link in (main, *more)
        if link
    }
    found = [(rows[picture.line - 2][2] or f"A{picture.line - 2}", picture.cells[3]) for picture in reading.pictures]
    assert set(found) == expected
    assert len(found) == len(expected)
    assert len(set(reading.ids)) == len(reading.ids)
