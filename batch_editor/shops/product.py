"""Which product a row belongs to, and where its pictures stand in it: for the way back into the shop.

By the same rules as the readers of the shops take their pictures: a picture is its product's name and its link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from batch_editor.shops.columns import ADDED, Format, Layout, check, layout_of
from batch_editor.shops.links import LinkPlace, link_places
from batch_editor.shops.picture import cell
from batch_editor.shops.woocommerce import product_of

_IMAGE = ADDED[3]


class PicturePlace(NamedTuple):
    """A picture in a row: the number of its column, and its link with its place in the cell."""

    column: int
    link: LinkPlace


class ProductRows:
    """Reads rows of a shop's table, or of jobs made of them: which product it is, and which pictures are where.

    Raises:
        ShopError: columns are missing.
    """

    def __init__(self, format: Format, columns: Sequence[str]) -> None:
        check(format, columns)
        self.format = format
        self._layout = layout_of(format, columns)
        variant = self._layout.variant_image
        self._images = (*self._layout.images, *(() if variant is None else (variant,)))

    @property
    def id_column(self) -> int | None:
        """The number of the column that holds an item's id."""
        return self._layout.id

    @property
    def main_column(self) -> int | None:
        """The number of the column that holds an item's main picture, if there are others for the further ones."""
        return self._layout.images[0] if self._layout.images else None

    def names(self, cells: Sequence[str]) -> list[str]:
        """What the row's product is known by, the surest first; none where nothing tells."""
        return _names(self.format, self._layout, cells)

    def label(self, cells: Sequence[str]) -> str:
        """What people call the row's product, or its variant: its handle, else its SKU, else its id."""
        layout = self._layout
        return cell(cells, layout.handle) or cell(cells, layout.sku) or cell(cells, layout.id)

    def places(self, cells: Sequence[str]) -> Iterator[PicturePlace]:
        """Every link in the row's cells for pictures, in order."""
        for column in self._images:
            for link in _links(self.format, cells[column]):
                yield PicturePlace(column, link)


def picture_of_job(format: Format, row: Mapping[str, str]) -> tuple[list[str], str | None]:
    """The names of the product of a job's row, and the link of its picture; None where it isn't one picture's.

    The row has the columns of `Export`, or the shop's own where the table was taken as it stands.

    >>> picture_of_job(Format.SHOPIFY, {"handle": "mug", "sku": "M1", "image": "a.jpg", "Image Src": "a.jpg"})
    (['mug'], 'a.jpg')
    >>> picture_of_job(Format.GOOGLE, {"id": "M1", "image_link": "a.jpg"})
    (['alone M1'], 'a.jpg')
    """
    columns = tuple(row)
    layout, cells = _layout(format, columns), list(row.values())
    link = row.get(_IMAGE)
    if link is None:
        links = {place.link for index in layout.images for place in _links(format, cells[index])}
        link = links.pop() if len(links) == 1 else None
    return _names(format, layout, cells), link


_layout = lru_cache(maxsize=16)(layout_of)


def _links(format: Format, cell: str) -> list[LinkPlace]:
    return link_places(cell, commas=format is Format.WOOCOMMERCE)


def _names(format: Format, layout: Layout, cells: Sequence[str]) -> list[str]:
    # What others call their group or their parent is no name of what stands alone.
    if format is Format.WOOCOMMERCE:
        product = product_of(layout, cells)
        return product.names if product.has_variations else _alone(product.names)
    if shared := cell(cells, layout.handle if format is Format.SHOPIFY else layout.group):
        return [shared]
    own = (format is Format.GOOGLE and cell(cells, layout.id)) or cell(cells, layout.sku)
    return _alone([own]) if own else []


def _alone(names: Sequence[str]) -> list[str]:
    return [f"alone {name}" for name in names]
