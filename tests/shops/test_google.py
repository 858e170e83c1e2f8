from __future__ import annotations

import io

import pytest

from batch_editor.shops import Export, Format, ShopError, Without, feed_columns, feed_rows
from tests.shops.reading import Reading, read

SITE = "https://shop.example/i"


def test_an_item_s_main_picture_comes_first() -> None:
    reading = read(
        f"""id,title,description,link,image_link,additional_image_link,price
A1,Mug,Stoneware &amp; glaze,https://shop.example/a1,{SITE}/a.jpg,"{SITE}/b.jpg,{SITE}/w_1,h_2/c.jpg",9 EUR
A2,Cup,,https://shop.example/a2,,,7 EUR
A3,Jug,,https://shop.example/a3,,{SITE}/jug.jpg,8 EUR"""
    )
    assert reading["sku id title image position body"] == [
        ("A1", "A1", "Mug", f"{SITE}/a.jpg", "1", "Stoneware & glaze"),
        ("A1", "A1", "Mug", f"{SITE}/b.jpg", "2", "Stoneware & glaze"),
        ("A1", "A1", "Mug", f"{SITE}/w_1,h_2/c.jpg", "3", "Stoneware & glaze"),
        ("A3", "A3", "Jug", f"{SITE}/jug.jpg", "1", ""),
    ]
    assert reading.ids == ["A1-1", "A1-2", "A1-3", "A3-1"]
    assert reading.export.in_words() == (
        "Google Merchant feed, 3 rows: 3 products, 4 pictures, 1 row without one (no image link: 1)"
    )


def test_tabs_other_spellings_and_numbered_columns_are_read_alike() -> None:
    reading = read(
        f"ID\tTitle\tImage Link\tAdditional image link 1\tadditional_image_link_2\tSale price\n"
        f"A1\tMug\t{SITE}/a.jpg\t{SITE}/b.jpg\t{SITE}/c.jpg\t7 EUR",
        delimiter="\t",
    )
    assert reading.column("image") == [f"{SITE}/a.jpg", f"{SITE}/b.jpg", f"{SITE}/c.jpg"]


def test_a_picture_of_a_group_is_taken_once_and_across_products_twice() -> None:
    reading = read(
        f"""id,title,image_link,additional_image_link,item_group_id
T-S,Tee S,{SITE}/tee.jpg,{SITE}/back.jpg,TEE
T-M,Tee M,{SITE}/tee.jpg,{SITE}/m.jpg,TEE
T-L,Tee L,{SITE}/tee.jpg,,TEE
CAP,Cap,{SITE}/tee.jpg,,
HAT,Hat,{SITE}/tee.jpg,,"""
    )
    assert reading.ids == ["T-S-1", "T-S-2", "T-M-2", "CAP-1", "HAT-1"]
    assert (reading.tally.products, reading.tally.repeated) == (3, 2)
    assert reading.tally.without == {Without.REPEATED: 1}


@pytest.mark.parametrize("word", ["placeholder", "N/A", "none", "-", "#N/A", "no image", "a | b"])
def test_a_word_where_a_link_should_be_is_no_picture(word: str) -> None:
    reading = read(
        f"""id,title,image_link,additional_image_link
MUG,Mug,{SITE}/mug.jpg,{word}
CUP,Cup,{word},{SITE}/cup.jpg|{word}
POT,Pot,{word},{word}"""
    )
    assert reading["sku image position"] == [("MUG", f"{SITE}/mug.jpg", "1"), ("CUP", f"{SITE}/cup.jpg", "1")]
    assert reading.tally.without == {Without.NO_LINK: 1}


RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">
<channel><title>Shop</title><link>https://shop.example</link>
<item>
  <g:id>A1</g:id><title>Plain</title><g:title><![CDATA[Mug & saucer]]></g:title>
  <description>&lt;p&gt;Stoneware&lt;/p&gt;</description>
  <g:image_link>https://shop.example/i/a.jpg?a=1&amp;b=2</g:image_link>
  <g:additional_image_link>https://shop.example/i/b,1.jpg</g:additional_image_link>
  <g:additional_image_link>https://shop.example/i/c.jpg</g:additional_image_link>
  <g:shipping><g:country>US</g:country><g:price>5 USD</g:price></g:shipping>
</item>
<item><g:id>A2</g:id><title>Cup</title></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:x="http://base.google.com/ns/1.0"><title>Shop</title>
<entry><x:id>A1</x:id><title>Mug</title><link href="https://shop.example/a1"/>
<x:image_link>https://shop.example/i/a.jpg</x:image_link></entry></feed>"""


def read_feed(data: bytes) -> Reading:
    columns = feed_columns(io.BytesIO(data))
    export = Export(Format.GOOGLE, columns)
    return Reading(export, list(export.pictures(feed_rows(io.BytesIO(data), columns))))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_an_rss_feed_is_read_in_its_encoding(encoding: str) -> None:
    text = RSS.replace("utf-8", encoding.removesuffix("-sig")).replace("saucer", "café")
    reading = read_feed(text.encode(encoding))
    assert reading.export.columns == (
        "handle", "sku", "title", "image", "position", "alt", "body",
        "id", "description", "image_link", "additional_image_link", "shipping",
    )  # fmt: skip
    assert reading["sku title image position body shipping"] == [
        ("A1", "Mug & café", link, str(position), "Stoneware", "US:5 USD")
        for position, link in enumerate(
            [f"{SITE}/a.jpg?a=1&b=2", f"{SITE}/b,1.jpg", f"{SITE}/c.jpg"],
            1,
        )
    ]
    assert [picture.line for picture in reading.pictures] == [4, 4, 4]
    assert reading.tally.without == {Without.NO_LINK: 1}


def test_an_atom_feed_is_read_too_whatever_google_s_prefix_is() -> None:
    reading = read_feed(ATOM.encode())
    assert reading["id title link image"] == [("A1", "Mug", "https://shop.example/a1", f"{SITE}/a.jpg")]


def test_a_prefix_that_nothing_declares_is_taken_for_google_s() -> None:
    text = RSS.replace(' xmlns:g="http://base.google.com/ns/1.0"', "")
    assert len(read_feed(text.encode()).pictures) == 3


@pytest.mark.parametrize(
    ("data", "columns", "rows"),
    [
        (
            "<products><product><productid>A</productid><price/></product><product><name>Cup</name></product></products>",
            ("productid", "price", "name"),
            [["A", "", ""], ["", "", "Cup"]],
        ),
        (
            "<SHOP><SHOPITEM><ITEM_ID>1</ITEM_ID><PRODUCT>Mug</PRODUCT></SHOPITEM></SHOP>",
            ("ITEM_ID", "PRODUCT"),
            [["1", "Mug"]],
        ),
        (
            f"""<Feed><Category><Name>Men</Name></Category><Products><Product disabled="true">
            <Images><Image>{SITE}/a.jpg</Image><Image>{SITE}/b.jpg</Image></Images></Product></Products></Feed>""",
            ("disabled", "Images"),
            [["true", f"{SITE}/a.jpg|{SITE}/b.jpg"]],
        ),
        (
            f"""<yml_catalog><shop><name>Shop</name><offers><offer id="1" available="true">
            <picture>{SITE}/a.jpg</picture><picture>{SITE}/b.jpg</picture></offer></offers></shop></yml_catalog>""",
            ("id", "available", "picture"),
            [["1", "true", f"{SITE}/a.jpg, {SITE}/b.jpg"]],
        ),
        (
            """<rss><channel><item xml:lang="en" n="1"><id>1</id><product>x</product></item>
            <product><id>2</id></product></channel></rss>""",
            ("id", "product"),
            [["1", "x"]],
        ),
    ],
)
def test_items_are_what_the_first_one_is_called(data: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    found = feed_columns(io.BytesIO(data.encode()))
    assert found == columns
    assert [cells for _, cells in feed_rows(io.BytesIO(data.encode()), found)] == rows


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (RSS.encode()[:420], 8, "the feed ends too early: download it again"),
        (RSS.encode()[:-20], 12, "the feed ends too early: download it again"),
        (b"", 1, "the feed ends too early: download it again"),
        (
            RSS.replace("&amp;", "&").encode(),
            7,
            "the feed isn't well-formed: an & that isn't &amp;, or a character that isn't in the encoding it declares",
        ),
        (
            RSS.replace("saucer", "café").encode("latin-1"),
            5,
            "the feed isn't well-formed: an & that isn't &amp;, or a character that isn't in the encoding it declares",
        ),
        (
            RSS.replace("Plain", "Plain&nbsp;mug").encode(),
            5,
            "the feed has an entity that XML doesn't know, such as &nbsp;: write the character itself",
        ),
        (b"id,title\n1,Mug", 1, "the feed isn't well-formed XML: syntax error"),
        (b"<a>\n<item></b></a>", 2, "the feed isn't well-formed XML: mismatched tag"),
        (
            b"<SHOP><GOODS/></SHOP>",
            None,
            "is no feed: no <item>, <entry>, <product>, <offer> or <SHOPITEM>; its outermost element is <SHOP>",
        ),
        (
            b'<?xml version="1.0"?>\n<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n<r><item>&b;</item></r>',
            2,
            "the feed has a DOCTYPE, which no feed needs and which can make a small file a huge one: remove it",
        ),
        (
            b'<?xml version="1.0" encoding="utf-16"?>\n<a/>',
            1,
            "the feed isn't in the encoding it declares: save it as UTF-8",
        ),
        (
            b'<?xml version="1.0" encoding="shift_jis"?>\n<a/>',
            1,
            "the feed can't be decoded (multi-byte encodings are not supported): save it as UTF-8",
        ),
        (
            b"<r>\n<item><a>" + b"x" * 2**21 + b"</a></item></r>",
            2,
            "an item of more than 1,048,576 characters, or one that never ends",
        ),
    ],
)
def test_a_broken_feed_says_where_and_what_to_do(data: bytes, line: int | None, message: str) -> None:
    with pytest.raises(ShopError) as raised:
        list(feed_rows(io.BytesIO(data), ()))
    assert (str(raised.value), raised.value.line) == (message, line)
