"""Cells that take the value above them, where a table names it once for several rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from batch_editor.manifest.faults import Refused, shown
from batch_editor.manifest.odd_cells import oddity_of
from batch_editor.manifest.rows import Columns
from batch_editor.strict_yaml import Block, Text, Value, YamlFault, parse_yaml

# Columns that are carried, by the column that must stay the same for it; always under an empty name.
Carry: TypeAlias = Mapping[str, Sequence[str]]

_ALWAYS = ""
_WANTED = "expected names of columns, such as [title, vendor], or {handle: [title]}: only while handle stays the same"


def carry_of(value: Value) -> Carry:
    """What a manifest says is carried; nothing if that is null.

    Raises:
        Refused: it is neither a list of names nor a mapping of such lists.
    """
    if value is None:
        return {}
    if not isinstance(value, Block):
        return {_ALWAYS: _names(value)}
    if not value:
        raise Refused(f"is an empty mapping; {_WANTED}")
    return {key: _names(names) for key, names in value.items()}


def carry_in(text: str) -> Carry:
    """The same from a command line: `title,vendor`, `[title, vendor]` or `{handle: [title]}`.

    >>> carry_in("title, vendor"), carry_in("{handle: [title]}")
    ({'': ['title', 'vendor']}, {'handle': ['title']})

    Raises:
        Refused: it is none of these.
    """
    if not text.strip().startswith(("[", "{")):
        return {_ALWAYS: _names(Text.at(text, 1, plain=False))}
    try:
        return carry_of(parse_yaml(text.encode(errors="replace")))
    except YamlFault as fault:
        raise Refused(f"is {shown(text)}; {_WANTED}") from fault


def _names(value: Value) -> list[str]:
    items = value.split(",") if isinstance(value, Text) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise Refused(f"is no list of names; {_WANTED}")
    names = [str(item).strip() for item in items]
    if not all(names) or not names:
        raise Refused(f"is {shown(', '.join(names))}; {_WANTED}")
    return names


class Carrier:
    """Fills the rows of one table, from the first to the last. `columns` are the exact names of those it fills.

    Raises:
        Refused: the table has no such column.
    """

    def __init__(self, carry: Carry, names: Sequence[str]) -> None:
        known = Columns(names)
        self._groups = [
            _Group("" if key == _ALWAYS else known.exact(key), [known.exact(name) for name in carried])
            for key, carried in carry.items()
        ]
        self.columns = list(dict.fromkeys(column for group in self._groups for column in group.columns))
        self._names: Sequence[str] = ()
        self._places: dict[str, int] = {}

    def fill(self, names: Sequence[str], cells: list[str]) -> None:
        """Give blank cells the value above them. The row has these columns, among them all that are carried."""
        if not self._groups:
            return
        if names is not self._names:
            self._names = names
            self._places = {name: place for place, name in enumerate(names)}
        for group in self._groups:
            group.fill(self._places, cells)


class _Group:
    """Columns that are carried together, while the key's cell stays the same."""

    def __init__(self, key: str, columns: Sequence[str]) -> None:
        self.columns = columns
        self._key = key
        self._key_cell: str | None = None
        self._above: dict[str, str] = {}

    def fill(self, places: Mapping[str, int], cells: list[str]) -> None:
        """Fill blank cells with the value above, and remember the others."""
        if self._key:
            key_cell = cells[places[self._key]].strip() if self._key in places else ""
            if key_cell != self._key_cell:
                self._key_cell = key_cell
                self._above.clear()
        for column in self.columns:
            place = places[column]
            if oddity_of(cells[place]) == "blank":
                cells[place] = self._above.get(column, cells[place])
            else:
                self._above[column] = cells[place]
