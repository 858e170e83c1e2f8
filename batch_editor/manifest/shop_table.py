"""A table as it is taken: as it stands, or as a shop's export, one row a picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

from batch_editor.manifest.entry import Manifest
from batch_editor.manifest.faults import Faults
from batch_editor.manifest.rows import Row, snake_case
from batch_editor.manifest.table import Table
from batch_editor.manifest.table_files import TableFormat
from batch_editor.manifest.table_read import TableRead
from batch_editor.manifest.values import Rendered, Source
from batch_editor.shops import ADDED, Export, Format, Recognition, ShopError, Tally, recognize

# The line where a row starts; its cells; what is wrong with it as a row; and what its job is called by default.
TakenRow: TypeAlias = "tuple[int, list[str], str | None, str | None]"
# What a manifest says of jobs, the layer that wins first.
Layers: TypeAlias = "Sequence[Mapping[str, Source | None]]"

_IMAGE = ADDED.index("image")


class TakenTable:
    """Columns, then once the rows. Of a shop's export both are as `Export` gives them; what it read is noted."""

    def __init__(self, table: Table, export: Export | None, faults: Faults, advice: str = "") -> None:
        self.name = table.name
        self.is_export = export is not None
        self.columns = table.columns if export is None else export.columns
        self._table = table
        self._export = export
        self._faults = faults
        self._advice = advice

    def __iter__(self) -> Iterator[TakenRow]:
        """Rows in order. A faulty one of a shop's export stands alone, without its cells."""
        if self._export is None:
            for line, cells, problem in self._table:
                yield line, cells, problem, None
        else:
            yield from self._pictures(self._export)

    def _pictures(self, export: Export) -> Iterator[TakenRow]:
        faulty: deque[TakenRow] = deque()

        def sound_rows() -> Iterator[tuple[int, list[str]]]:
            """The rows that can be read; faulty ones are put aside."""
            for line, cells, problem in self._table:
                if problem is None:
                    yield line, cells
                else:
                    faulty.append((line, [], problem, None))

        try:
            for picture in export.pictures(sound_rows()):
                if faulty:
                    yield from faulty
                    faulty.clear()
                yield picture.line, picture.cells, None, picture.id
        except ShopError as error:
            self._faults.add(self.name if error.line is None else f"{self.name}:{error.line}", str(error))
        yield from faulty
        self._note(export.tally)

    def _note(self, tally: Tally) -> None:
        assert self._table.file is not None
        self._faults.skipped.update({str(reason): count for reason, count in tally.without.items()})
        self._faults.note_table(TableRead(self.name, self._table.file, self._export, advice=self._advice))


def take_table(
    table: Table, format: TableFormat, manifest: Manifest, layers: Layers, *, others: Collection[str] = ()
) -> TakenTable | None:
    """The table as a job with these layers wants it read; None where it has no columns, or the fault was added.

    `others` are names that its templates know besides the table's: those of a matrix.

    By `auto` an export is taken as one where the job's pictures are the rows' `image`, or where it doesn't say which
    they are. A job that finds them in the shop's own columns was written for the table as it stands: its rows, and what
    is done of them, stay what they were.
    """
    faults = manifest.faults
    if not table.is_usable:
        return None
    if format == "plain":
        return TakenTable(table, None, faults)
    found = recognize(table.columns)
    is_chosen = format in tuple(Format)
    if is_chosen:
        found = Recognition(Format(format))
    if found.format is None:
        _note_resemblance(table, found.reason, "", faults)
        return TakenTable(table, None, faults)
    if not is_chosen and not _wants_pictures(manifest, layers, (*table.columns, *others)):
        parameter = manifest.endpoint.images
        reason = f"it is a {found.format.label}, but {parameter} doesn't use {{{{ image }}}}"
        if parameter is None:
            reason = f"it is a {found.format.label}, but {manifest.endpoint.name} takes no pictures"
        _note_resemblance(table, reason, f"; {_advice(manifest, found.format)} makes it one row a picture", faults)
        return TakenTable(table, None, faults)
    try:
        export = Export(found.format, table.columns)
    except ShopError as error:
        faults.add(f"{table.name}:{table.header_line}", str(error))
        return None
    return TakenTable(table, export, faults, f"; {_advice(manifest, 'plain')} takes it as it stands")


def shop_defaults(manifest: Manifest, layers: Layers) -> dict[str, Source | None]:
    """What a job has of a shop's row where it doesn't say otherwise: its id, and the picture if no layer names one."""
    defaults: dict[str, Source | None] = {"id": lambda row: row.default_id}
    images = manifest.endpoint.images
    if images is not None and not _said(manifest, layers):
        defaults[images] = _image
    return defaults


def _image(row: Row) -> list[str]:
    return [row.cells[_IMAGE]]  # a list, for the cell is one link, whatever stands in it


def _said(manifest: Manifest, layers: Layers) -> list[Source]:
    """What is said of a job's pictures."""
    if manifest.endpoint.images is None:
        return []
    names = manifest.names_of(manifest.endpoint.images)
    sources = [layer[name] for layer in layers for name in names if name in layer]
    return [source for source in sources if source is not None]


def _wants_pictures(manifest: Manifest, layers: Layers, names: Sequence[str]) -> bool:
    """Whether a job's pictures are the rows' `image`, which isn't one of these names, or are nowhere said."""
    images = manifest.endpoint.images
    if images is None:
        return False
    said = _said(manifest, layers)
    if not said:
        return manifest.endpoint.parameters[images].must_be_said
    uses = any(isinstance(source, Rendered) and "image" in source.names for source in said)
    return uses and "image" not in map(snake_case, names)


def _note_resemblance(table: Table, reason: str, advice: str, faults: Faults) -> None:
    if reason and table.file is not None:
        faults.note_table(TableRead(table.name, table.file, reason=reason, advice=advice))


def _advice(manifest: Manifest, word: str) -> str:
    return f"--format {word}" if manifest.is_table else f"format: {word}"
