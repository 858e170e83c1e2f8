"""A shop's table as one row a picture: the columns first, then once the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from batch_editor.shops.columns import ADDED, Format, Layout, check, layout_of
from batch_editor.shops.google import google_pictures
from batch_editor.shops.picture import Found, Picture, Row, Tally
from batch_editor.shops.shopify import shopify_pictures
from batch_editor.shops.woocommerce import woocommerce_pictures

_READERS = {
    Format.SHOPIFY: shopify_pictures,
    Format.WOOCOMMERCE: woocommerce_pictures,
    Format.GOOGLE: google_pictures,
}


class Export:
    """A shop's export. `columns` are those of its pictures: `ADDED`, then the shop's own.

    An own column that is called exactly like an added one is the same (`title` of a feed), or is called `shop_…` if it
    means something else; so no name stands twice, and `title` and `Title` are two. `tally` counts while it is read.

    Raises:
        ShopError: columns are missing.
    """

    def __init__(self, format: Format, columns: Sequence[str]) -> None:
        check(format, columns)
        self.format = format
        self.tally = Tally()
        self._layout = layout_of(format, columns)
        self._kept, own = _own_columns(columns, self._layout)
        self._keeps_all = len(self._kept) == len(columns)
        self.columns: tuple[str, ...] = (*ADDED, *own)

    def pictures(self, rows: Iterable[tuple[int, Sequence[str]]]) -> Iterator[Picture]:
        """One for each picture. Rows are lines and cells; each has as many cells as there are columns.

        Lazy; memory doesn't grow with the rows, but by a number for each product or link that must not come twice.

        Raises:
            ShopError: the rows of a Shopify product lie too far apart to be known as one.
        """
        tally = self.tally
        for found in _READERS[self.format](self._layout, _counted(rows, tally), tally):
            tally.pictures += 1
            yield Picture(found.line, f"{found.key}-{found.position}", self._cells(found))

    def in_words(self) -> str:
        """What was read: `Shopify export, 182 rows: 41 products, 136 pictures, 5 rows without one (…)`."""
        return f"{self.format.label}, {self.tally.in_words()}"

    def _cells(self, found: Found) -> list[str]:
        own = found.cells if self._keeps_all else [found.cells[index] for index in self._kept]
        return [found.handle, found.sku, found.title, found.link, str(found.position), found.alt, found.body, *own]


def _counted(rows: Iterable[tuple[int, Sequence[str]]], tally: Tally) -> Iterator[Row]:
    for line, cells in rows:
        tally.rows += 1
        yield line, list(cells)


def _own_columns(columns: Sequence[str], layout: Layout) -> tuple[list[int], list[str]]:
    """The numbers of the columns that are kept beside the added ones, and what they are called."""
    same = {"handle": layout.handle, "sku": layout.sku, "title": layout.title}
    kept = [index for index, name in enumerate(columns) if same.get(name) != index]
    taken = {*ADDED, *columns}
    names = []
    for index in kept:
        name = columns[index]
        if name in ADDED:
            name = f"shop_{name}"
            while name in taken:
                name += "_"
            taken.add(name)
        names.append(name)
    return kept, names
