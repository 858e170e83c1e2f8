"""Tables as a shop writes them, read as pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from batch_editor.shops import Export, Format, Picture, Tally, recognize


@dataclass(frozen=True)
class Reading:
    """What came of a table."""

    export: Export
    pictures: list[Picture]

    @property
    def tally(self) -> Tally:
        return self.export.tally

    def __getitem__(self, names: str) -> list[tuple[str, ...]]:
        """The cells of these columns, a tuple for each picture: `reading["image position"]`."""
        places = [self.export.columns.index(name) for name in names.split()]
        return [tuple(picture.cells[place] for place in places) for picture in self.pictures]

    def column(self, name: str) -> list[str]:
        place = self.export.columns.index(name)
        return [picture.cells[place] for picture in self.pictures]

    @property
    def ids(self) -> list[str]:
        return [picture.id for picture in self.pictures]


def read(text: str, *, delimiter: str = ",") -> Reading:
    """A table as text; its format is recognized."""
    header, *rows = list(csv.reader(io.StringIO(text.strip()), delimiter=delimiter, strict=True))
    found = recognize(header)
    assert found.format is not None, found
    return read_rows(found.format, header, rows)


def read_rows(format: Format, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Reading:
    """Rows under a header; a row may lack its last cells."""
    export = Export(format, header)
    full = ([*cells, *[""] * (len(header) - len(cells))] for cells in rows)
    return Reading(export, list(export.pictures(enumerate(full, 2))))
