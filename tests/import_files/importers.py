"""What shops' importers make of a file, by their documented rules; knows nothing of how a file is written.

- Shopify (help.shopify.com, "Using CSV files to import and export products"): rows of one handle are one product. Each
  row may have a variant, an image with its position and alternative text, or both; a variant's image is one of the
  product's, and is added where it isn't. The order is that of the positions.
- WooCommerce (its wiki's "Product CSV Import Schema", and class-wc-product-csv-importer.php): commas separate the items
  of a list, and one within an item is written `\\,`. The first image is the product's own, the others its gallery. A
  product that is there already keeps the gallery's images behind those of the cell (its issue 34839): so no list may
  get shorter.
- Google (support.google.com/merchants, "Additional image link"): commas separate links. A supplemental feed replaces,
  by id, the attributes that it has.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_DELIMITERS = {"sep=;": ";", "sep=,": ","}


def rows_of(data: bytes, *, delimiter: str | None = None) -> list[dict[str, str]]:
    """A file of text as any program reads it."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = data.decode(encoding)
    first, _, rest = text.partition("\n")
    if (said := _DELIMITERS.get(first.strip())) is not None:
        text, delimiter = rest, said
    lines = io.StringIO(text, newline="")
    found = csv.reader(lines, delimiter=delimiter or max(",;\t|", key=text.partition("\n")[0].count), strict=True)
    header, *rows = [row for row in found if any(map(str.strip, row))]
    return [dict(zip(header, [*row, *[""] * len(header)], strict=False)) for row in rows]


@dataclass
class Product:
    """What a shop has of a product afterwards: images in the gallery's order, and all else that the file says."""

    images: list[tuple[str, str]] = field(default_factory=list)  # with the alternative text
    of_variants: dict[int, str] = field(default_factory=dict)  # by the number of the variant
    rest: list[Mapping[str, str]] = field(default_factory=list)


_PICTURE_COLUMNS = {
    *("Image Src", "Variant Image", "Product image URL", "Variant image URL"),
    *("Images", "image_link", "additional_image_link"),
}


def _without_pictures(row: Mapping[str, str]) -> dict[str, str]:
    return {name: cell for name, cell in row.items() if name not in _PICTURE_COLUMNS}


def shopify(data: bytes) -> dict[str, Product]:
    """The products of a CSV file by their handles."""
    shop: dict[str, Product] = {}
    places: dict[str, list[tuple[float, int, str, str]]] = {}
    for number, row in enumerate(rows_of(data)):
        product = shop.setdefault(row["Handle"], Product())
        gallery = places.setdefault(row["Handle"], [])
        if row["Image Src"]:
            position = row.get("Image Position", "")
            place = float(position) if re.fullmatch(r"\d+", position) else float("inf")
            gallery.append((place, number, row["Image Src"], row.get("Image Alt Text", "")))
        if row.get("Variant Image"):
            product.of_variants[len(product.rest)] = row["Variant Image"]
        product.rest.append(_without_pictures(row))
    for handle, product in shop.items():
        product.images = [(link, alt) for _, _, link, alt in sorted(places[handle])]
        known = [link for link, _ in product.images]
        product.images += [(link, "") for link in dict.fromkeys(product.of_variants.values()) if link not in known]
    return shop


def woocommerce(data: bytes, before: Mapping[str, Product] | None = None) -> dict[str, Product]:
    """The products of a CSV file by their ids, in a shop that has the products of `before`."""
    shop: dict[str, Product] = dict(before or {})
    for row in rows_of(data):
        links = [link.strip().replace("\\,", ",") for link in re.split(r"(?<!\\),", row["Images"]) if link.strip()]
        old = shop[row["ID"]].images if row["ID"] in shop else []
        images = [(link, "") for link in links] + old[len(links) :]
        shop[row["ID"]] = Product(images, {}, [_without_pictures(row)])
    return shop


def google(data: bytes, before: Mapping[str, Product] | None = None) -> dict[str, Product]:
    """The items of a table by their ids; those of a supplemental feed over what they were."""
    shop: dict[str, Product] = dict(before or {})
    for row in rows_of(data):
        links = [row["image_link"], *row["additional_image_link"].split(",")]
        images = [(link.strip(), "") for link in links if link.strip()]
        rest: list[Any] = [_without_pictures(row)] if before is None else shop[row["id"]].rest
        shop[row["id"]] = Product(images, {}, rest)
    return shop
