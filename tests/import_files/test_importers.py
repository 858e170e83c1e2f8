"""What a shop's importer makes of an import file differs from what it makes of the shop's own in its pictures alone."""

from __future__ import annotations

import codecs
import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape
from zlib import crc32

import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from batch_editor.import_files import ImportFile, address, export_for_shop
from batch_editor.ledger import readings
from batch_editor.shops import Format
from tests.import_files.importers import Product, google, rows_of, shopify, woocommerce
from tests.support.done_output import SET, done_output

pytestmark = pytest.mark.slow  # whole tables, many times

AT = "https://cdn.example.com/spring"
LINKS = st.sampled_from([*(f"https://shop.example/{name}.jpg" for name in "abcd"), "https://shop.example/ü,1.jpg?v=2"])
CELLS = st.sampled_from(["", "plain", 'with "quotes"', "a, b; c", "two\nlines", "=1+1", " blanks ", "ünï"])
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def as_files(draw: st.DrawFn, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """A table as one of many programs writes it."""
    delimiter, end = draw(st.sampled_from([",", ";", "\t"])), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    assume(any(cell.startswith("https:") for row in rows for cell in row))
    out = io.StringIO(newline="")
    plain = csv.writer(out, delimiter=delimiter, lineterminator=end)
    in_quotes = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    # The plain one leaves line ends in cells without quotes that it doesn't use itself.
    (in_quotes if end == "\r" or draw(st.booleans()) else plain).writerows([header, *rows])
    text = out.getvalue()
    if delimiter == ";" and draw(st.booleans()) and end != "\r":
        text = f"sep=;{end}{text}"
    if draw(st.booleans()):
        text = text.removesuffix(end)
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


@st.composite
def shopify_tables(draw: st.DrawFn) -> bytes:
    header = ["Handle", "Title", "Note", "Image Src", "Image Position", "Image Alt Text", "Variant Image"]
    rows = []
    for handle in draw(st.lists(st.sampled_from(["mug", "cup", "jug"]), unique=True, min_size=1)):
        for number in range(draw(st.integers(1, 4))):
            link, position = draw(LINKS | st.just("")), draw(st.sampled_from(["", "1", "2", "3"]))
            variant = draw(LINKS | st.just(""))
            title = f"The {handle}" if not number else ""
            rows.append([handle, title, draw(CELLS), link, position if link else "", draw(CELLS), variant])
    return draw(as_files(header, rows))


@st.composite
def woocommerce_tables(draw: st.DrawFn) -> bytes:
    header = ["ID", "Type", "SKU", "Name", "Note", "Images", "Parent"]
    rows = []
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["simple", "variable", "variation"]))
        links = [link.replace(",", "\\,") for link in draw(st.lists(LINKS, max_size=4))]
        parent = draw(st.sampled_from(["S0", "S1", "id:2"])) if kind == "variation" else ""
        name = f"Thing {number}"
        rows.append([str(number), kind, f"S{number}", name, draw(CELLS), ", ".join(links), parent])
    return draw(as_files(header, rows))


@st.composite
def google_tables(draw: st.DrawFn) -> bytes:
    header = ["id", "title", "note", "image_link", "additional_image_link", "item_group_id"]
    plain = LINKS.map(lambda link: link.replace(",", "%2C"))
    rows = []
    for number in range(draw(st.integers(1, 5))):
        more = ",".join(draw(st.lists(plain, max_size=3)))
        group = draw(st.sampled_from(["", "g"]))
        rows.append([f"A{number}", "Thing", draw(CELLS), draw(plain | st.just("")), more, group])
    return draw(as_files(header, rows))


@dataclass
class Exported:
    """An import file, and the old link of every address that may be in it."""

    data: bytes
    known: Mapping[str, str]

    def old(self, shop: Mapping[str, Product]) -> dict[str, Product]:
        """What a shop would have with the old pictures."""
        return {
            name: Product(
                [(self.known.get(link, link), alt) for link, alt in product.images],
                {number: self.known.get(link, link) for number, link in product.of_variants.items()},
                product.rest,
            )
            for name, product in shop.items()
        }

    def old_bytes(self, data: bytes) -> bytes:
        """The import file with the old links in the places of the addresses, in the encoding of these bytes."""
        encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"
        text = self.data.decode(encoding)
        for place, link in self.known.items():
            text = text.replace(place, link)
        return text.encode(encoding)


def exported(data: bytes, format: Format, salt: int, ending: str = ".csv") -> Exported:
    """The import file of a table, after a run in which a third of the jobs has failed."""
    with tempfile.TemporaryDirectory() as folder:
        table, out, target = Path(folder) / f"table{ending}", Path(folder) / "out", Path(folder) / "import"
        table.write_bytes(data)
        overrides = {**SET, "prompt": "Show {{ title }} of {{ handle or sku }}"}
        done_output(
            out,
            [table],
            format=format.value,
            overrides=overrides,
            fates=lambda job_id: None if crc32(job_id.encode()) % 7 % 3 != salt else "failed",
        )
        with readings.reading(out) as db:
            known = {
                address(AT, row.output_path, row.sha256 or ""): orjson.loads(row.extras)["image"]
                for row in readings.rows(db)
                if row.output_path is not None
            }
        export_for_shop([out], ImportFile(format, AT), target)
        return Exported(target.read_bytes(), known)


SALTS = st.integers(0, 3)  # 3: none has failed


@QUICK
@given(shopify_tables(), SALTS)
def test_shopify(data: bytes, salt: int) -> None:
    made = exported(data, Format.SHOPIFY, salt)
    assert made.old(shopify(made.data)) == shopify(data)
    assert made.old_bytes(data) == data


@QUICK
@given(woocommerce_tables(), SALTS)
def test_woocommerce_in_a_shop_that_has_the_old_pictures(data: bytes, salt: int) -> None:
    made = exported(data, Format.WOOCOMMERCE, salt)
    before = woocommerce(data)
    assert made.old(woocommerce(made.data, before)) == before
    if b"\\" not in data:  # a comma within a link, which an address hasn't
        assert made.old_bytes(data) == data


@QUICK
@given(google_tables(), SALTS)
def test_google_s_table(data: bytes, salt: int) -> None:
    made = exported(data, Format.GOOGLE, salt)
    assert made.old(google(made.data)) == google(data)
    assert made.old_bytes(data) == data


@QUICK
@given(google_tables(), SALTS)
def test_google_s_supplemental_feed_over_the_feed_in_xml(data: bytes, salt: int) -> None:
    assume(any(row["image_link"] for row in rows_of(data)))  # or it is no feed
    made = exported(as_feed(rows_of(data)), Format.GOOGLE, salt, ".xml")
    before = google(data)
    assert made.old(google(made.data, before)) == before


def as_feed(rows: Sequence[Mapping[str, str]]) -> bytes:
    """The same items in XML."""
    items = []
    for row in rows:
        links = [("image_link", row["image_link"])]
        links += [("additional_image_link", link) for link in row["additional_image_link"].split(",")]
        fields = [("id", row["id"]), ("title", row["title"]), ("item_group_id", row["item_group_id"]), *links]
        items.append("".join(f"<g:{name}>{escape(text)}</g:{name}>" for name, text in fields if text))
    body = "".join(f"<item>{item}</item>" for item in items)
    return f'<rss xmlns:g="http://base.google.com/ns/1.0"><channel>{body}</channel></rss>'.encode()
