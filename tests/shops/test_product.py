"""Which product a row belongs to, where its pictures stand, and how a job's own row is known again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.shops import Export, Format, ProductRows, ShopError, picture_of_job
from batch_editor.shops.links import link_places, links_in

WOOCOMMERCE = ["ID", "Type", "SKU", "Name", "Images", "Parent"]


@given(st.text(alphabet="ab.:/,;| \\\n\xa0hps", max_size=30), st.booleans())
def test_a_link_stands_where_it_is_said_to(cell: str, commas: bool) -> None:
    places = link_places(cell, commas=commas)
    assert [place.link for place in places] == links_in(cell, commas=commas)
    assert [cell[place.start : place.end].replace("\\,", ",") for place in places] == [place.link for place in places]
    ends = [0, *(at for place in places for at in (place.start, place.end))]
    assert ends == sorted(ends)


def test_the_places_are_those_of_every_column_with_pictures() -> None:
    rows = ProductRows(Format.SHOPIFY, ["Variant Image", "Handle", "Image Src"])
    found = [(place.column, *place.link) for place in rows.places(["v.jpg", "mug", " a.jpg | b.jpg"])]
    assert found == [(2, "a.jpg", 1, 6), (2, "b.jpg", 9, 14), (0, "v.jpg", 0, 5)]
    rows = ProductRows(Format.GOOGLE, ["id", "image_link", "additional_image_link", "additional_image_link_2"])
    assert [place.column for place in rows.places(["1", "a.jpg", "b.jpg,https://s.example/c.jpg", "d.jpg"])] == [
        1,
        2,
        2,
        3,
    ]


IMAGE = "https://s.example/x.jpg"


@pytest.mark.parametrize(
    ("format", "columns", "cells", "names", "label"),
    [
        (Format.SHOPIFY, ["Handle", "Variant SKU", "Image Src"], [" mug ", "M1", IMAGE], ["mug"], "mug"),
        (Format.SHOPIFY, ["Handle", "Variant SKU", "Image Src"], ["", "M1", IMAGE], ["alone M1"], "M1"),
        (Format.SHOPIFY, ["handle", "Image Src"], ["", IMAGE], [], ""),
        (Format.WOOCOMMERCE, WOOCOMMERCE, ["4", "variable", "MUG", "", IMAGE, ""], ["id:4", "MUG"], "MUG"),
        (Format.WOOCOMMERCE, WOOCOMMERCE, ["5", "variation", "MUG-S", "", IMAGE, "id: 4"], ["id:4"], "MUG-S"),
        (Format.WOOCOMMERCE, WOOCOMMERCE, ["6", "simple", "'-C", "", IMAGE, ""], ["alone id:6", "alone -C"], "'-C"),
        (Format.WOOCOMMERCE, ["title", "sku", "Images", "Name"], ["", "M", IMAGE, "Mug"], ["M"], "M"),
        (Format.GOOGLE, ["id", "image_link", "item_group_id"], ["A1", IMAGE, "mug"], ["mug"], "A1"),
        (Format.GOOGLE, ["id", "sku", "image_link"], ["A1", "M1", IMAGE], ["alone A1"], "M1"),
        (Format.GOOGLE, ["sku", "image_link", "image"], ["M1", IMAGE, "other"], ["alone M1"], "M1"),
    ],
)
def test_a_product_is_known_by_what_its_shop_knows_it_by_and_so_is_a_job_s(
    format: Format, columns: list[str], cells: list[str], names: list[str], label: str
) -> None:
    rows = ProductRows(format, columns)
    assert (rows.names(cells), rows.label(cells)) == (names, label)
    export = Export(format, columns)
    [picture] = export.pictures([(2, cells)])
    assert picture_of_job(format, dict(zip(export.columns, picture.cells, strict=True))) == (names, IMAGE)


def test_a_job_of_a_table_as_it_stands_has_the_picture_that_its_row_names_alone() -> None:
    assert picture_of_job(Format.SHOPIFY, {"Handle": "mug", "Image Src": "a.jpg"}) == (["mug"], "a.jpg")
    assert picture_of_job(Format.WOOCOMMERCE, {"SKU": "M", "Name": "", "Images": "a.jpg, b.jpg"}) == (["M"], None)
    assert picture_of_job(Format.SHOPIFY, {"prompt": "on white"}) == ([], None)


def test_a_table_without_the_shop_s_columns_is_refused() -> None:
    with pytest.raises(ShopError, match="there is no column image_link"):
        ProductRows(Format.GOOGLE, ["id"])
