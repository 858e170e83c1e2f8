"""What comes out: pictures, and what was counted on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from batch_editor.text import many


class Picture(NamedTuple):
    """One picture: the line of the row it comes from, the id its job has by default, its cells in `Export.columns`."""

    line: int
    id: str
    cells: list[str]


class Without(StrEnum):
    """Why a row gives no picture."""

    NO_LINK = "no image link"
    VARIANT = "variant without a picture of its own"
    REPEATED = "only pictures that its product has already"


@dataclass
class Tally:
    """What was read so far. `rows` are those with a picture and those of `without` together.

    `repeated` counts links that the same product had given before: each picture is taken once.
    """

    rows: int = 0
    products: int = 0
    pictures: int = 0
    repeated: int = 0
    without: Counter[Without] = field(default_factory=Counter)

    def in_words(self) -> str:
        """The counts as a sentence's end.

        >>> Tally(rows=4, products=2, pictures=1, without=Counter({Without.NO_LINK: 3})).in_words()
        '4 rows: 2 products, 1 picture, 3 rows without one (no image link: 3)'
        >>> Tally(rows=1, products=1, pictures=1).in_words()
        '1 row: 1 product, 1 picture'
        """
        parts = [many(self.products, "product"), many(self.pictures, "picture")]
        missing = sum(self.without.values())
        if missing:
            reasons = ", ".join(f"{why}: {count:,}" for why, count in self.without.most_common())
            parts.append(f"{many(missing, 'row')} without one ({reasons})")
        if self.repeated:
            parts.append(f"{many(self.repeated, 'repeated link')} taken once")
        return f"{many(self.rows, 'row')}: {', '.join(parts)}"


# A row of a shop's table: its line, and its cells.
Row: TypeAlias = "tuple[int, list[str]]"


class Found(NamedTuple):
    """A picture as a shop's reader finds it. `key` is what its product, or its variant, is known by; `cells` are those
    of its row, with what belongs to the product filled in.
    """

    line: int
    key: str
    handle: str
    sku: str
    title: str
    link: str
    position: int
    alt: str
    body: str
    cells: list[str]


def cell(cells: Sequence[str], index: int | None) -> str:
    """A cell without the white space around it; nothing where there is no such column."""
    return "" if index is None else cells[index].strip()


def first_of(cells: Sequence[str], indices: Sequence[int]) -> str:
    """The first of these cells that isn't blank, or nothing."""
    return next((cells[index] for index in indices if cells[index].strip()), "")
