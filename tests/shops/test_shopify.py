from __future__ import annotations

import pytest

from batch_editor.shops import Format, ShopError, Without
from tests.shops.reading import read, read_rows

HEADER = (
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Variant SKU,Image Src,Image Position,Image Alt Text,Variant Image,Status"
)
CDN = "https://cdn.shopify.com/s/files/1/0001"


def test_a_product_s_rows_are_its_pictures_with_its_texts() -> None:
    reading = read(
        f"""{HEADER}
ring,Gold ring,<p>18&nbsp;ct</p>,Aurum,Ring,"gold, gift",R-50,{CDN}/ring.jpg?v=1,1,Ring on velvet,,active
ring,,,,,,,{CDN}/ring-side.jpg?v=1,2,,,
chain,Chain,,Aurum,Necklace,,C-1,{CDN}/chain.jpg,1,,,draft"""
    )
    assert reading["handle title image position alt body"] == [
        ("ring", "Gold ring", f"{CDN}/ring.jpg?v=1", "1", "Ring on velvet", "18 ct"),
        ("ring", "Gold ring", f"{CDN}/ring-side.jpg?v=1", "2", "", "18 ct"),
        ("chain", "Chain", f"{CDN}/chain.jpg", "1", "", ""),
    ]
    assert reading["sku Vendor Type Tags Status"] == [
        ("R-50", "Aurum", "Ring", "gold, gift", "active"),
        ("R-50", "Aurum", "Ring", "gold, gift", "active"),
        ("C-1", "Aurum", "Necklace", "", "draft"),
    ]
    assert reading.ids == ["ring-1", "ring-2", "chain-1"]
    assert [picture.line for picture in reading.pictures] == [2, 3, 4]
    assert reading.export.in_words() == "Shopify export, 3 rows: 2 products, 3 pictures"


def test_the_new_columns_mean_the_same() -> None:
    reading = read(
        f"""Title,URL handle,Description,SKU,Product image URL,Image position,Image alt text,Variant image URL
Tee,tee,<b>Cotton</b>,T-S,{CDN}/tee.jpg,1,Tee,{CDN}/tee-red.jpg
,tee,,T-M,{CDN}/tee-back.jpg,2,Back,"""
    )
    assert reading["handle sku title image position alt body"] == [
        ("tee", "T-S", "Tee", f"{CDN}/tee.jpg", "1", "Tee", "Cotton"),
        ("tee", "T-M", "Tee", f"{CDN}/tee-back.jpg", "2", "Back", "Cotton"),
        ("tee", "T-S", "Tee", f"{CDN}/tee-red.jpg", "3", "", "Cotton"),
    ]


def test_a_variant_s_picture_that_is_in_the_gallery_is_taken_once_wherever_its_row_stands() -> None:
    reading = read(
        f"""{HEADER}
tee,Tee,,,,,T-RED,{CDN}/front.jpg,1,,{CDN}/red.jpg,
tee,,,,,,T-BLUE,{CDN}/back.jpg,2,,{CDN}/blue.jpg,
tee,,,,,,T-GREEN,,,,{CDN}/green.jpg,
tee,,,,,,T-XL,,,,{CDN}/red.jpg,
tee,,,,,,T-XXL,,,,,
tee,,,,,,,{CDN}/blue.jpg,3,In blue,,
tee,,,,,,,{CDN}/red.jpg,4,In red,,"""
    )
    assert reading["image position sku alt"] == [
        (f"{CDN}/front.jpg", "1", "T-RED", ""),
        (f"{CDN}/back.jpg", "2", "T-BLUE", ""),
        (f"{CDN}/blue.jpg", "3", "T-BLUE", "In blue"),
        (f"{CDN}/red.jpg", "4", "T-RED", "In red"),
        (f"{CDN}/green.jpg", "5", "T-GREEN", ""),
    ]
    assert reading.tally.without == {Without.REPEATED: 1, Without.VARIANT: 1}
    assert reading.tally.repeated == 3


def test_rows_without_a_picture_are_counted_by_reason() -> None:
    reading = read(
        f"""{HEADER}
mug,Mug,,,,,M-S,{CDN}/mug.jpg,1,,,
mug,,,,,,M-L,,,,,
mug,,,,,,,{CDN}/mug.jpg,2,,,
voucher,Voucher,,,,,V,,,,,"""
    )
    assert len(reading.pictures) == 1
    assert reading.export.in_words() == (
        "Shopify export, 4 rows: 2 products, 1 picture, 3 rows without one (variant without a picture of its own: 1,"
        " only pictures that its product has already: 1, no image link: 1), 1 repeated link taken once"
    )


def test_titles_stay_within_their_handle() -> None:
    reading = read(
        f"""{HEADER}
mug,Mug,,Acme,,,,{CDN}/a.jpg,1,,,
cup,,,,,,,{CDN}/b.jpg,1,,,
,,,,,,,{CDN}/c.jpg,1,,,"""
    )
    assert reading["handle title Vendor"] == [("mug", "Mug", "Acme"), ("cup", "", ""), ("", "", "")]
    assert reading.ids == ["mug-1", "cup-1", "line-4-1"]


def test_rows_of_a_product_may_stand_apart_and_its_texts_behind_its_pictures() -> None:
    reading = read(
        f"""{HEADER}
mug,,,,,,,{CDN}/m2.jpg,2,,,
mug,Mug,,,,,,{CDN}/m1.jpg,1,,,
cup,Cup,,,,,,{CDN}/c.jpg,1,,,
mug,,,,,,,{CDN}/m3.jpg,2,,,
mug,,,,,,,{CDN}/m1.jpg,9,,,"""
    )
    assert reading["handle title image position"] == [
        ("mug", "Mug", f"{CDN}/m2.jpg", "2"),
        ("mug", "Mug", f"{CDN}/m1.jpg", "1"),
        ("cup", "Cup", f"{CDN}/c.jpg", "1"),
        ("mug", "Mug", f"{CDN}/m3.jpg", "3"),
    ]
    assert reading.tally.products == 2


def test_a_product_whose_rows_lie_too_far_apart_is_no_second_product() -> None:
    between = [[f"p{number}", f"{CDN}/{number}.jpg"] for number in range(5001)]
    with pytest.raises(ShopError) as raised:
        read_rows(Format.SHOPIFY, ["Handle", "Image Src"], [["mug", "a"], *between, ["mug", "b"]])
    assert raised.value.line == 5004
    assert str(raised.value) == (
        "the product 'mug' has rows far above, with thousands of other products between: sort the table by the column"
        " of its handles"
    )


@pytest.mark.parametrize(
    ("written", "numbered"),
    [
        (["1", "2", "3"], ["1", "2", "3"]),
        (["3", "1", "2"], ["3", "1", "2"]),
        (["", "", ""], ["1", "2", "3"]),
        (["1", "", "2"], ["1", "3", "2"]),
        (["", "1", ""], ["2", "1", "3"]),
        (["1", "1", "1"], ["1", "2", "3"]),
        (["1.0", "2.0", "x"], ["1", "2", "3"]),
        (["0", "-1", "5"], ["1", "2", "5"]),
    ],
)
def test_a_position_that_is_missing_is_the_next_free_one(written: list[str], numbered: list[str]) -> None:
    rows = [["mug", f"{number}.jpg", position] for number, position in enumerate(written)]
    reading = read_rows(Format.SHOPIFY, ["Handle", "Image Src", "Image Position"], rows)
    assert reading.column("position") == numbered


def test_several_links_in_a_cell_are_pictures_in_order() -> None:
    cell = f"{CDN}/a.jpg, {CDN}/w_1,h_2/b.jpg;{CDN}/c.jpg | photos/d, e.jpg"
    reading = read_rows(Format.SHOPIFY, ["Handle", "Image Src", "Image Position"], [["mug", cell, "4"]])
    assert reading["image position"] == [
        (f"{CDN}/a.jpg", "4"),
        (f"{CDN}/w_1,h_2/b.jpg", "5"),
        (f"{CDN}/c.jpg", "6"),
        ("photos/d, e.jpg", "7"),
    ]


@pytest.mark.parametrize("blanks", [" ", "\n", " \t", "\r\n ", " ,", ", "])
def test_a_cell_of_very_many_blanks_is_read_at_once(blanks: str) -> None:
    cell = f"{CDN}/a.jpg{blanks * 50_000}{CDN}/b.jpg"
    reading = read_rows(Format.SHOPIFY, ["Handle", "Image Src"], [["mug", cell]])
    assert reading.column("image") == [f"{CDN}/a.jpg", f"{CDN}/b.jpg"]


def test_a_product_s_own_fields_are_filled_in_and_a_variant_s_are_not() -> None:
    fields = ["Fabric (product.metafields.custom.fabric)", "Fit (variant.metafields.custom.fit)", "Option1 Value"]
    rows = [["tee", "a.jpg", "cotton", "slim", "S"], ["tee", "b.jpg"]]
    reading = read_rows(Format.SHOPIFY, ["Handle", "Image Src", *fields], rows)
    assert [reading.column(field) for field in fields] == [["cotton", "cotton"], ["slim", ""], ["S", ""]]


def test_a_product_of_very_many_rows_is_one_product() -> None:
    rows = [["tee", "Tee" if number == 0 else "", f"{number}.jpg"] for number in range(12_000)]
    reading = read_rows(Format.SHOPIFY, ["Handle", "Title", "Image Src"], rows)
    assert reading.tally.products == 1
    assert reading["title position"] == [("Tee", str(number + 1)) for number in range(12_000)]
