"""Which shop a table comes from, by its columns, and which column is what."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from batch_editor.errors import UsageError
from batch_editor.strict_yaml import Block, parse_yaml

# What every picture has, before the shop's own columns.
ADDED = ("handle", "sku", "title", "image", "position", "alt", "body")

# The names of what a column means, by format, in the spelling of `_loosely`. The first one that a table has counts;
# of those in `_SEVERAL` all do, in this order.
_SHOPIFY = {
    "handle": ("handle", "url handle"),
    "sku": ("variant sku", "sku"),
    "title": ("title",),
    "body": ("body (html)", "body html", "description"),
    "image": ("image src", "product image url"),
    "position": ("image position",),
    "alt": ("image alt text",),
    "variant_image": ("variant image", "variant image url"),
    # What belongs to the product stands in its first row alone. Options and prices belong to a variant.
    "carried": (
        "title", "body (html)", "body html", "description", "vendor", "product category", "standardized product type",
        "custom product type", "type", "tags", "published", "published on online store", "status", "gift card",
        "seo title", "seo description",
    ),
}  # fmt: skip
_GOOGLE = {
    "id": ("id",),
    "sku": ("sku", "id"),
    "title": ("title",),
    "body": ("description",),
    "image": ("image link",),
    "group": ("item group id",),
}
_SHOPIFY_PRODUCT_FIELD = "(product.metafields."
_SEVERAL = ("body", "image", "carried")
# Google's own are `additional_image_link`; others number theirs.
_GOOGLE_MORE = re.compile(r"additional image link(?: ?\d+)?")
# A table with one of these is somebody's manifest, whatever else it has.
_MANIFEST = ("prompt", "image_urls")
_SHOPIFY_INVENTORY = ("on hand", "on hand (current)", "available", "location")


class Format(StrEnum):
    """A shop whose export is known; the word that `format` takes."""

    SHOPIFY = "shopify"
    WOOCOMMERCE = "woocommerce"
    GOOGLE = "google"

    @property
    def label(self) -> str:
        """What such a table is called."""
        return {"shopify": "Shopify export", "woocommerce": "WooCommerce export"}.get(self, "Google Merchant feed")


class ShopError(UsageError):
    """A table isn't the export that it should be. `line` is where it shows, if not in the header; None: nowhere."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a table was taken for, and why. No format: it is read as it stands; `reason` says what it resembles, if
    anything.
    """

    format: Format | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """The numbers of the columns that mean something; None, or none, where a table lacks them.

    `carried` are those that belong to a product as a whole.
    """

    id: int | None
    handle: int | None
    sku: int | None
    title: int | None
    position: int | None
    alt: int | None
    variant_image: int | None
    type: int | None
    parent: int | None
    group: int | None
    bodies: tuple[int, ...]
    images: tuple[int, ...]
    carried: tuple[int, ...]


def recognize(columns: Sequence[str]) -> Recognition:
    """Which shop's export has this header. A table that merely resembles one is none; the reason says what it lacks.

    >>> recognize(["Handle", "Title", "Image Src", "Image Position"])
    Recognition(format=<Format.SHOPIFY: 'shopify'>, reason='it has the columns Handle and Image Src')
    >>> recognize(["id", "prompt", "image_urls"])
    Recognition(format=None, reason='')
    """
    likely = _likely(columns)
    if likely.format is None:
        return likely
    own = [name for name in columns if name in _MANIFEST]
    if own:
        return Recognition(None, f"it is a {likely.format.label} but for its column{'s' * (len(own) > 1)} {_and(own)}")
    return likely


def check(format: Format, columns: Sequence[str]) -> None:
    """See that a table can be read as this shop's export.

    Raises:
        ShopError: columns are missing; it says which.
    """
    layout = layout_of(format, columns)
    if format is Format.SHOPIFY:
        has_image = bool(layout.images) or layout.variant_image is not None
        missing = [] if layout.handle is not None else ["Handle (or URL handle)"]
        missing += [] if has_image else ["Image Src (or Product image URL, Variant Image, Variant image URL)"]
    elif format is Format.WOOCOMMERCE:
        missing = [] if layout.images else ["Images (or its name in another language)"]
        if layout.sku is layout.id is layout.title is None:
            missing.append("SKU, ID or Name")
    else:
        missing = [] if _has(columns, "image link") else ["image_link"]
        missing += [] if layout.sku is not None else ["id"]
    if not missing:
        return
    if format is Format.SHOPIFY and _is_shopify_inventory(columns):
        raise ShopError(_INVENTORY)
    has = ", ".join(columns[:8]) + (f", … ({len(columns)} columns)" if len(columns) > 8 else "")
    raise ShopError(f"is no {format.label}: there is no column {_and(missing)}; it has {has}")


def layout_of(format: Format, columns: Sequence[str]) -> Layout:
    """Which column is what. Upper and lower case, blanks, underscores and Google's `g:` make no difference."""
    names = {Format.SHOPIFY: _SHOPIFY, Format.GOOGLE: _GOOGLE}.get(format) or _woocommerce_names()
    places: dict[str, int] = {}
    for index, column in enumerate(columns):
        places.setdefault(_loosely(column), index)
    one = {
        role: next((places[name] for name in known if name in places), None)
        for role, known in names.items()
        if role not in _SEVERAL
    }
    several = {role: tuple(places[name] for name in names.get(role, ()) if name in places) for role in _SEVERAL}
    if format is Format.SHOPIFY:
        several["carried"] += tuple(index for name, index in places.items() if _SHOPIFY_PRODUCT_FIELD in name)
    if format is Format.GOOGLE:
        several["image"] += tuple(index for name, index in places.items() if _GOOGLE_MORE.fullmatch(name))
    return Layout(
        id=one.get("id"),
        handle=one.get("handle"),
        sku=one.get("sku"),
        title=one.get("title"),
        position=one.get("position"),
        alt=one.get("alt"),
        variant_image=one.get("variant_image"),
        type=one.get("type"),
        parent=one.get("parent"),
        group=one.get("group"),
        bodies=several["body"],
        images=several["image"],
        carried=several["carried"],
    )


_INVENTORY = "is Shopify's export of the inventory, which has no pictures: export the products instead"


def _likely(columns: Sequence[str]) -> Recognition:
    """As `recognize`, whatever other columns there are."""
    spelled = {" ".join(column.split()).casefold(): column for column in columns}

    def first(names: Iterable[str]) -> str | None:
        """The table's own spelling of the first of these columns that it has."""
        return next((spelled[name] for name in names if name in spelled), None)

    handle = first(_SHOPIFY["handle"])
    image = first((*_SHOPIFY["image"], *_SHOPIFY["variant_image"]))
    if handle and image:
        return Recognition(Format.SHOPIFY, f"it has the columns {handle} and {image}")
    if handle and _is_shopify_inventory(columns):
        return Recognition(None, f"it {_INVENTORY}")

    woo = {role: first(names) for role, names in _woocommerce_names().items()}
    images, title, kind = woo["image"], woo["title"], woo["type"]
    mark = woo["visibility"] or (kind and (woo["parent"] or woo["sku"]))
    if images and title and mark:
        return Recognition(Format.WOOCOMMERCE, f"it has the columns {title}, {images} and {mark}")

    main = next((column for column in columns if _loosely(column) == "image link"), None)
    if main and _has(columns, "id") and _has(columns, "title"):
        return Recognition(Format.GOOGLE, f"it has the columns id, title and {main}")

    if main:
        lacking = [name for name in ("id", "title") if not _has(columns, name)]
        return Recognition(None, f"it resembles a Google Merchant feed, but has no column {_and(lacking)}")
    if images and title and (kind or woo["sku"]):
        return Recognition(None, f"it resembles a WooCommerce export, but has no column Type, SKU or {_VISIBILITY}")
    if _has(columns, "handle") and any(_has(columns, name) for name in _SHOPIFY["image"]):
        return Recognition(None, "it resembles a Shopify export, whose columns are called Handle and Image Src")
    return Recognition(None)


_VISIBILITY = "Visibility in catalog"


@cache
def _woocommerce_names() -> Mapping[str, tuple[str, ...]]:
    """What a column means, and its names in every language that a source is known for. No name means two things."""
    entries = parse_yaml((Path(__file__).parent / "woocommerce.yaml").read_bytes())
    assert isinstance(entries, list)
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        assert isinstance(entry, Block)
        for role, names in entry.items():
            if isinstance(names, list):
                found.setdefault(str(role), {}).update(dict.fromkeys(_loosely(str(name)) for name in names))
    known = {role: tuple(names) for role, names in found.items()}
    product = [*known["title"], *known["description"], *known["short_description"]]
    known["carried"] = (*product, *known["categories"], *known["tags"], *known["brands"])
    known["body"] = (*known["description"], *known["short_description"])
    known["image"] = known["images"]
    return known


def _is_shopify_inventory(columns: Sequence[str]) -> bool:
    return _has(columns, "handle") and any(_has(columns, name) for name in _SHOPIFY_INVENTORY)


def _has(columns: Collection[str], name: str) -> bool:
    return any(_loosely(column) == name for column in columns)


def _loosely(name: str) -> str:
    """A column's name as it is looked up.

    >>> _loosely("g:Image_Link"), _loosely(" Body  (HTML)")
    ('image link', 'body (html)')
    """
    return " ".join(re.split(r"[\s_-]+", name.strip().casefold().removeprefix("g:")))


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
