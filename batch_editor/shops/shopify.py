"""Shopify's product export, old and new: a product's rows stand together; each has a variant, a picture or both."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from batch_editor.shops.columns import Layout, ShopError
from batch_editor.shops.links import links_in
from batch_editor.shops.picture import Found, Row, Tally, Without, cell, first_of
from batch_editor.shops.seen import Seen
from batch_editor.shops.text_of_html import text_of_html

# A product is remembered for rows of it that stand apart, as in a table that somebody sorted. Shopify's own exports
# never need it; these bounds are 5 to 10 MB.
_PRODUCTS = 5_000
_CHARACTERS = 2**22
# Shopify allows 2,048 variants and 250 pictures. What has more rows is taken in parts, as if they stood apart.
_ROWS = 5_000
_POSITION = re.compile(r"0*([1-9]\d{0,5})(?:\.0*)?")


@dataclass(slots=True)
class _Product:
    """What further rows of the same product must know."""

    texts: list[str]
    links: set[int] = field(default_factory=set)  # hashes
    positions: set[int] = field(default_factory=set)
    skus: dict[str, None] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The characters that are held."""
        return sum(map(len, self.texts))


@dataclass(slots=True)
class _Link:
    """A link of a product: the number of its row among the product's, and what the row says of it."""

    row: int
    link: str
    position: int  # 0: none is given
    alt: str
    in_gallery: bool


def shopify_pictures(layout: Layout, rows: Iterator[Row], tally: Tally) -> Iterator[Found]:
    """A product's gallery in the order of its rows, then the variants' pictures that aren't in it.

    What belongs to the product is filled in where a row is blank, within one handle. A position that is missing, or
    that another picture of the product has, is the next free one after the picture before.

    Raises:
        ShopError: rows of one handle lie more than 5,000 products apart.
    """
    remembered = _Remembered()
    for handle, group in _by_handle(layout, rows):
        product = remembered.product(handle, line=group[0][0])
        if product is None:
            product = _Product([""] * len(layout.carried))
            tally.products += 1
        yield from _pictures_of(layout, handle, group, product, tally)
        if handle:
            remembered.keep(handle, product)


def _by_handle(layout: Layout, rows: Iterator[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Neighbouring rows of one handle. A row without one stands alone: nothing says whose it is."""
    handle, group = "", list[Row]()
    for line, cells in rows:
        own = cell(cells, layout.handle)
        if group and (own != handle or not own or len(group) >= _ROWS):
            yield handle, group
            group = []
        handle = own
        group.append((line, cells))
    if group:
        yield handle, group


def _pictures_of(layout: Layout, handle: str, group: list[Row], product: _Product, tally: Tally) -> Iterator[Found]:
    _fill(layout, group, product)
    links, sku_of = _links(layout, group)
    with_links = {each.row for each in links}
    new = _new(links, product)
    tally.repeated += len(links) - len(new)
    _number(new, product)
    product.skus.update((sku, None) for _, cells in group if (sku := cell(cells, layout.sku)))
    only_sku = next(iter(product.skus), "") if len(product.skus) == 1 else ""
    for each in new:
        line, cells = group[each.row]
        sku = sku_of.get(each.link) or cell(cells, layout.sku) or only_sku
        key = handle or sku or f"line-{line}"
        title, body = cell(cells, layout.title), text_of_html(first_of(cells, layout.bodies))
        yield Found(line, key, handle, sku, title, each.link, each.position, each.alt, body, cells)
    with_pictures = {each.row for each in new}
    for row in range(len(group)):
        if row not in with_pictures:
            without_link = Without.VARIANT if product.links else Without.NO_LINK
            tally.without[Without.REPEATED if row in with_links else without_link] += 1


def _fill(layout: Layout, group: list[Row], product: _Product) -> None:
    """Put what the product's rows say of it where they are blank: the first that says anything, before or behind."""
    for place, index in enumerate(layout.carried):
        if not product.texts[place]:
            product.texts[place] = next((cells[index] for _, cells in group if cells[index].strip()), "")
        for _, cells in group:
            if not cells[index].strip():
                cells[index] = product.texts[place]


def _links(layout: Layout, group: list[Row]) -> tuple[list[_Link], dict[str, str]]:
    """The gallery's links, then the variants'; and by link the SKU of the first variant that shows it."""
    gallery, of_variants, sku_of = list[_Link](), list[_Link](), dict[str, str]()
    for row, (_, cells) in enumerate(group):
        position, alt = _position(cell(cells, layout.position)), cell(cells, layout.alt)
        for index in layout.images:
            for link in links_in(cells[index]):
                gallery.append(_Link(row, link, position, alt, in_gallery=True))
                position = 0  # it is the first link's
        for link in links_in(cell(cells, layout.variant_image)):
            of_variants.append(_Link(row, link, 0, "", in_gallery=False))
            if sku := cell(cells, layout.sku):
                sku_of.setdefault(link, sku)
    return gallery + of_variants, sku_of


def _new(links: list[_Link], product: _Product) -> list[_Link]:
    """Those that the product hasn't given before."""
    new = []
    for each in links:
        if hash(each.link) not in product.links:
            product.links.add(hash(each.link))
            new.append(each)
    return new


def _number(links: list[_Link], product: _Product) -> None:
    """Give each a position of its own. What the table says comes first, whichever row it stands in."""
    for each in links:
        if each.position in product.positions:
            each.position = 0
        elif each.position:
            product.positions.add(each.position)
    last = 0
    for each in links:
        if not each.in_gallery:
            last = max(product.positions, default=0)
        if not each.position:
            each.position = next(number for number in count(last + 1) if number not in product.positions)
            product.positions.add(each.position)
        last = each.position


def _position(text: str) -> int:
    """A position as it is written, also by a spreadsheet; 0 if it is none.

    >>> _position("2"), _position("3.0"), _position(""), _position("first")
    (2, 3, 0, 0)
    """
    match = _POSITION.fullmatch(text)
    return int(match[1]) if match else 0


class _Remembered:
    """The last products, by handle. Of the others only that they were there."""

    def __init__(self) -> None:
        self._products: OrderedDict[str, _Product] = OrderedDict()
        self._characters = 0
        self._forgotten = Seen()

    def product(self, handle: str, *, line: int) -> _Product | None:
        """The product whose rows these are, if there were rows of it; None: it is new.

        Raises:
            ShopError: it was forgotten.
        """
        product = self._products.pop(handle, None)
        if product is not None:
            self._characters -= product.size
        elif handle and handle in self._forgotten:
            raise ShopError(
                f"the product {handle!r} has rows far above, with thousands of other products between:"
                " sort the table by the column of its handles",
                line=line,
            )
        return product

    def keep(self, handle: str, product: _Product) -> None:
        """Remember a product, and forget the oldest one where they are too many."""
        self._products[handle] = product
        self._characters += product.size
        while len(self._products) > _PRODUCTS or self._characters > _CHARACTERS:
            oldest, forgotten = self._products.popitem(last=False)
            self._characters -= forgotten.size
            self._forgotten.add(oldest)
