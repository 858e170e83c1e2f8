"""Rows, and the names under which templates see their cells."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

from batch_editor.errors import did_you_mean
from batch_editor.manifest.faults import Problem, Refused, shown
from batch_editor.manifest.odd_cells import OddCell, OddText, oddity_of


class Columns:
    """The columns of a table, or of a job's matrix, and what their cells are called.

    `own` are columns that are parameters of the request themselves; the others are carried along. `chosen` are those
    of a matrix: who writes a blank value there means it.
    """

    def __init__(self, names: Sequence[str], *, own: Collection[str] = (), chosen: Collection[str] = ()) -> None:
        self.names = tuple(names)
        self._chosen = chosen
        self._carried = [(index, name) for index, name in enumerate(self.names) if name not in own]
        self._aliases = _aliases(self.names)
        known_as: list[list[str]] = [[] for _ in self.names]
        for alias, index in self._aliases.items():
            known_as[index].append(alias)
        # By column: its name, and the names that templates know it by.
        self._named = [*zip(self.names, known_as, strict=True)]
        # What they see of it where there is nothing in it, as in half the cells of a shop's export: always the same.
        self._blank = [_odd("", name, aliases) for name, aliases in self._named]

    def extras(self, cells: Sequence[str]) -> dict[str, str]:
        """The cells that are carried along to the output manifest, by their column's exact name."""
        return {name: cells[index] for index, name in self._carried}

    def exact(self, name: str) -> str:
        """The own name of the column that a template would know by this name.

        Raises:
            Refused: there is none.
        """
        if name in self.names:
            return name
        if name not in self._aliases:
            hint = did_you_mean(name, [*self.names, *self._aliases])
            raise Refused(f"has {shown(name)}, which is no column{hint}")
        return self.names[self._aliases[name]]

    def namespace(self, cells: Sequence[str]) -> dict[str, object]:
        """What a template may use: `image_src`, and `row["Image Src"]`."""
        names: dict[str, object] = {alias: cells[index] for alias, index in self._aliases.items()}
        row: dict[str, object] = dict(zip(self.names, cells, strict=True))
        for index, cell in enumerate(cells):
            if cell and oddity_of(cell) is None:
                continue
            name, aliases = self._named[index]
            if name not in self._chosen:
                row[name], odd = _odd(cell, name, aliases) if cell else self._blank[index]
                names.update(odd)
        names["row"] = row
        return names


class Row:
    """A row, or a combination of a row and a matrix: one job. `number` counts them in a manifest, from 1.

    `base` is the row's own number where it has combinations, the same for all of them. `problem` is what is wrong with
    it as a row; it may then have no cells. `default_id` is what its job is called where nothing else is said. `axes`
    are its values of the matrix, by name.
    """

    problem: Problem | None = None
    base: int | None = None
    default_id: str | None = None
    axes: Mapping[str, str] = MappingProxyType({})

    def __init__(self, where: str, number: int, columns: Columns, cells: Sequence[str]) -> None:
        self.where = where
        self.number = number
        self.cells = cells
        self.columns = columns

    @property
    def key(self) -> object:
        """Equal for all combinations of one row, and for no other row of the manifests."""
        return self.where, self.number if self.base is None else self.base

    @cached_property
    def names(self) -> dict[str, object]:
        """The namespace of templates; made only for rows that are rendered."""
        return self.columns.namespace(self.cells)


def snake_case(name: str) -> str:
    """The name of a column in templates.

    >>> snake_case("Image Src"), snake_case("Product image URL"), snake_case("Price (USD)")
    ('image_src', 'product_image_url', 'price_usd')
    """
    return re.sub(r"\W+", "_", name).strip("_").lower()


def _odd(cell: str, name: str, aliases: Iterable[str]) -> tuple[OddText, dict[str, OddText]]:
    """An odd cell as templates see it: in the row, and by its other names."""
    named = {alias: OddText.with_cells(cell, (OddCell(alias, cell),)) for alias in aliases}
    return OddText.with_cells(cell, (OddCell(name, cell),)), named


def _aliases(names: Sequence[str]) -> dict[str, int]:
    """Index by name in templates: exact names first, then snake_case where only one column has it."""
    exact = {name: index for index, name in enumerate(names) if name.isidentifier()}
    aliases: dict[str, int] = {}
    ambiguous = set()
    for index, name in enumerate(names):
        alias = snake_case(name)
        if alias in aliases:
            ambiguous.add(alias)
        elif alias.isidentifier():
            aliases[alias] = index
    return {alias: index for alias, index in aliases.items() if alias not in ambiguous} | exact
