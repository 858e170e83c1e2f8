"""WooCommerce's product export: a row is a product or a variation, with all its links in one cell."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from batch_editor.shops.columns import Layout
from batch_editor.shops.links import links_in
from batch_editor.shops.picture import Found, Row, Tally, Without, cell, first_of
from batch_editor.shops.seen import Seen
from batch_editor.shops.text_of_html import text_of_html

# Variable products whose texts are kept for the variations behind them, which an export puts at most a batch later.
_PARENTS = 2_000
# Types of products that have no variations; of plugins' types nobody knows.
_ALONE = frozenset({"simple", "grouped", "external"})
_LINE_END = re.compile(r"(?<!\\)\\n")
_ESCAPED = ("'=", "'+", "'-", "'@")


def woocommerce_pictures(layout: Layout, rows: Iterator[Row], tally: Tally) -> Iterator[Found]:
    """A product's pictures, then of its variations those that no row of the product had before.

    A variation's blank cells take what its product has, if that stands before it. A position is the picture's place
    among its row's own, whether the ones before it are taken or not.
    """
    seen = Seen()  # of products with variations: a product's name and a link
    products = _Products(layout)
    for line, cells in rows:
        own = product_of(layout, cells)
        parent, variation, has_variations, names = own.parent, own.is_variation, own.has_variations, own.names
        sku, own_id = _unescaped(cell(cells, layout.sku)), cell(cells, layout.id)
        if variation:
            tally.products += products.is_orphan(parent)
            products.fill(parent, cells)
        else:
            tally.products += products.is_new(names) if has_variations else 1
            if has_variations:
                products.keep(names, cells)

        given = [link for index in layout.images for link in links_in(cells[index], commas=True)]
        if not given:
            tally.without[Without.VARIANT if variation else Without.NO_LINK] += 1
            continue
        links = list(dict.fromkeys(given))
        tally.repeated += len(given) - len(links)
        taken = list(enumerate(links, 1))
        if has_variations:
            taken = [(position, link) for position, link in taken if not any((name, link) in seen for name in names)]
            for _, link in taken:
                for name in names:
                    seen.add((name, link))
        tally.repeated += len(links) - len(taken)
        if not taken:
            tally.without[Without.REPEATED] += 1
            continue
        key = (sku if sku != parent else "") or own_id or f"line-{line}"
        title = _unescaped(cell(cells, layout.title))
        body = text_of_html(_LINE_END.sub("\n", first_of(cells, layout.bodies)))
        for position, link in taken:
            yield Found(line, key, "", sku, title, link, position, "", body, cells)


class Product(NamedTuple):
    """What a row says of its product: the parent that it names, and what rows of the product are known by."""

    parent: str
    is_variation: bool
    has_variations: bool
    names: list[str]


def product_of(layout: Layout, cells: Sequence[str]) -> Product:
    """The product that a row is, or is a variation of. It is known by its id, and by its SKU."""
    kinds = [kind.strip() for kind in cell(cells, layout.type).casefold().split(",")]
    parent = _reference(cell(cells, layout.parent))
    is_variation = bool(parent) and (layout.type is None or any(kind.endswith("variation") for kind in kinds))
    sku, own_id = _unescaped(cell(cells, layout.sku)), cell(cells, layout.id)
    names = [parent] if is_variation else [name for name in (own_id and f"id:{own_id}", sku) if name]
    return Product(parent, is_variation, not _ALONE.intersection(kinds), names)


class _Products:
    """The products with variations: which there were, and the texts of the last ones."""

    def __init__(self, layout: Layout) -> None:
        self._carried = layout.carried
        self._known = Seen()
        self._texts: OrderedDict[str, list[str]] = OrderedDict()

    def is_new(self, names: list[str]) -> bool:
        """Whether no variation has stood for this product yet. It has from now on."""
        new = [self._known.add(name) for name in names]
        return all(new)

    def is_orphan(self, parent: str) -> bool:
        """Whether this is the first row of a product whose own row hasn't come."""
        return self.is_new([parent])

    def keep(self, names: list[str], cells: list[str]) -> None:
        """Keep a parent's cells for its variations; the oldest go first."""
        texts = [cells[index] for index in self._carried]
        for name in names:
            self._texts[name] = texts
        while len(self._texts) > 2 * _PARENTS:
            self._texts.popitem(last=False)

    def fill(self, parent: str, cells: list[str]) -> None:
        """Put the product's texts where a variation's cells are blank."""
        texts = self._texts.get(parent)
        if texts:
            for index, text in zip(self._carried, texts, strict=True):
                if not cells[index].strip():
                    cells[index] = text


def _reference(parent: str) -> str:
    """A product by its SKU, or `id:44`."""
    prefix, colon, number = parent.partition(":")
    return f"id:{number.strip()}" if colon and prefix.strip().casefold() == "id" else _unescaped(parent)


def _unescaped(text: str) -> str:
    """Without the apostrophe that WooCommerce puts before what a spreadsheet would take for a formula.

    >>> _unescaped("'-20 % tee"), _unescaped("'s-Hertogenbosch")
    ('-20 % tee', "'s-Hertogenbosch")
    """
    return text[1:] if text.startswith(_ESCAPED) else text
