"""Columns of a table of products that are named as a parameter by chance: a size of M, a background of wood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from batch_editor.manifest.entry import Manifest
from batch_editor.manifest.faults import Refused, shown
from batch_editor.manifest.table import Table
from batch_editor.manifest.values import Converter, Source

# The first rows tell whose the column is; only then all are counted. One wrong cell may still be a slip, and so may two
# among right ones.
_SAMPLE = 1000


def foreign_columns(
    manifest: Manifest, table: Table, own: Mapping[str, Source | None], opened: Callable[[], Table]
) -> Iterator[tuple[str, str]]:
    """Columns taken for a parameter of which most cells are no value, each with what is wrong.

    `own` has the columns that are taken for something; `opened` gives the table once more, whose faults are reported
    already.
    """
    asked = {name: manifest.converters[name] for name in own if name in table.columns and _can_differ(manifest, name)}
    if not asked:
        return
    sample = _counted(asked, opened, most=_SAMPLE)
    foreign = {name: asked[name] for name, count in sample.items() if count.is_foreign}
    if not foreign:
        return
    for name, count in _counted(foreign, opened).items():
        parameter = manifest.parameter(name)
        assert parameter is not None
        default = "null" if parameter.default is None else str(parameter.default)
        message = (
            f"column {name} is no {name} for {manifest.endpoint.name} in {count.wrong:,} of {count.rows:,} rows, such"
            f" as {count.example} at line {count.line} ({count.reason}); if it is the products' own, pass --set"
            f" {name}={default}: that is sent, and the column is carried along"
        )
        yield name, message


def _can_differ(manifest: Manifest, name: str) -> bool:
    """Whether it is a parameter that not any text can be, and that may be left out."""
    parameter = manifest.parameter(name)
    if parameter is None or manifest.is_text(name):
        return False
    if parameter.must_be_said and not parameter.required:
        return False
    return not parameter.required or parameter.nullable or parameter.default is not None


class _Count:
    """How many cells of a column say something, how many of those can't be, and the first of them."""

    def __init__(self) -> None:
        self.rows = 0
        self.wrong = 0
        self.line = 0
        self.example = ""
        self.reason = ""

    @property
    def is_foreign(self) -> bool:
        """Whether more than half of the rows are wrong, and enough of them to judge by."""
        return 2 * self.wrong > self.rows and self.wrong >= (2 if self.wrong == self.rows else 3)


def _counted(
    converters: Mapping[str, Converter], opened: Callable[[], Table], *, most: int | None = None
) -> dict[str, _Count]:
    counts = {name: _Count() for name in converters}
    with opened() as table:
        places = [(table.columns.index(name), convert, counts[name]) for name, convert in converters.items()]
        for line, cells, problem in islice(table, most):
            if problem is not None:
                continue
            for place, convert, count in places:
                cell = cells[place]
                if not cell or cell.isspace():
                    continue
                count.rows += 1
                try:
                    convert(cell, {})
                except Refused as error:
                    if "did you mean" in str(error):  # a slip in a column that is the parameter's
                        continue
                    count.wrong += 1
                    if not count.line:
                        count.line, count.example = line, shown(cell.strip())
                        count.reason = str(error).partition("; ")[2] or str(error)
    return counts
