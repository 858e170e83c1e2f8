"""A table as a manifest: one row, one job; columns are parameters or are carried along."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from batch_editor.endpoints import Endpoint
from batch_editor.manifest.by_endpoint import ByEndpoint, Readings
from batch_editor.manifest.carry import Carrier
from batch_editor.manifest.entry import ENDPOINT, Entry, Expansion, Manifest
from batch_editor.manifest.expand import Expander
from batch_editor.manifest.faults import Faults, Problem, Refused, shown
from batch_editor.manifest.foreign_columns import foreign_columns
from batch_editor.manifest.picture_rows import base_of
from batch_editor.manifest.rows import Columns, Row, snake_case
from batch_editor.manifest.shop_table import TakenTable, shop_defaults, take_table
from batch_editor.manifest.table import Table, columns_said
from batch_editor.manifest.table_files import is_standard_input, open_table
from batch_editor.manifest.templates import is_template
from batch_editor.manifest.values import Cell, Fixed, Reader, Rendered, Source, is_free_text
from batch_editor.records import FaultyRow, Job
from batch_editor.text import escape_bytes, shell_word


def read_table_manifest(path: Path, expansion: Expansion, faults: Faults) -> Iterator[Job | FaultyRow]:
    """The jobs of a table in the order of its rows, lazily."""
    readings = Readings(path, expansion.endpoint, expansion, faults, move=expansion.move)
    manifest = readings.main

    def opened(faults: Faults) -> Table:
        """The table, opened anew; its faults go to `faults`."""
        return open_table(str(path), Path(), faults, format=expansion.format)

    with opened(faults) as table:
        own = _own_columns(manifest, table)
        taken = take_table(table, manifest.format or expansion.format, manifest, (manifest.overrides, own))
        if taken is None:
            return
        where = f"{table.name}:{table.header_line}"
        if not taken.is_export:
            for name in manifest.own_columns.intersection(table.repeated):
                faults.add(where, f"column {shown(name)} stands twice in the header; rename the one that isn't meant")
            for name, message in foreign_columns(manifest, table, own, lambda: opened(Faults())):
                faults.add(where, message)
                del own[name]
            _warn_of_near_names(manifest, table)

        def expander_for(endpoint: Endpoint) -> Expander:
            """Expands the rows as they are read for one of the endpoints that they name."""
            made = _expander(readings.tolerant(endpoint), table, taken, on=f" on {endpoint.name}")
            faults.refuse(made.problems)
            return made

        main = _expander(manifest, table, taken, own=own)
        source = manifest.overrides.get(ENDPOINT)
        if isinstance(source, Rendered):
            expander: Expander | ByEndpoint = ByEndpoint(readings, source.read, main, expander_for)
        else:
            expander = main
            faults.refuse(main.problems)
        try:
            carrier = Carrier(manifest.carry, taken.columns)
        except Refused as error:
            faults.add(where, str(error.with_subject("carry")))
            return
        columns = Columns(taken.columns, own=() if taken.is_export else own)
        yield from _jobs(manifest, taken, columns, carrier, expander)


def _expander(
    manifest: Manifest, table: Table, taken: TakenTable, *, own: dict[str, Source | None] | None = None, on: str = ""
) -> Expander:
    """Expands a table's rows as they are read for an endpoint."""
    if taken.is_export:
        own = shop_defaults(manifest, (manifest.overrides,))
    else:
        own = _own_columns(manifest, table) if own is None else own
        if manifest.has_pictures:
            own = _of_pictures(manifest, str(manifest.path)) | own
    label = f"{on.strip()}: " if on else ""
    where = f"{table.name}:{table.header_line}"
    return Expander(manifest, Entry(where, label, on, own=own, hints=_hints(manifest, taken)))


def _jobs(
    manifest: Manifest, table: TakenTable, columns: Columns, carrier: Carrier, expander: Expander | ByEndpoint
) -> Iterator[Job | FaultyRow]:
    place = f"{table.name}:"
    is_carried = bool(carrier.columns)
    for number, (line, cells, problem, name) in enumerate(table, 1):
        if is_carried and cells:
            carrier.fill(table.columns, cells)
        row = Row(f"{place}{line}", number, columns, cells)
        if problem is not None:
            row.problem = Problem(row.where, problem)
        if name is not None:
            row.default_id = manifest.default_ids.unique(name)
        yield from expander.jobs(row)


def _own_columns(manifest: Manifest, table: Table) -> dict[str, Source | None]:
    """The columns that are parameters, `id` or `output`; not one whose parameter is set to a value for all rows."""
    return {
        name: _cell(manifest, name, index)
        for index, name in enumerate(table.columns)
        if name in manifest.own_columns and manifest.has_place(name) and not _is_set(manifest, name)
    }


def _is_set(manifest: Manifest, name: str) -> bool:
    return manifest.parameter(name) is not None and isinstance(manifest.overrides.get(name), Fixed)


def _of_pictures(manifest: Manifest, written: str) -> dict[str, Source | None]:
    """What pictures are taken for: the input of a job each, which is called by its path without the ending."""
    base = escape_bytes(base_of(written))  # as the paths in the rows are

    def name(row: Row) -> str:
        """The picture's path below the folder, without its ending."""
        return os.path.splitext(os.path.relpath(row.cells[0], base))[0]  # noqa: PTH122

    own: dict[str, Source | None] = {"id": name, "output": name}
    if manifest.endpoint.images is not None:
        own[manifest.endpoint.images] = Cell(0)
    return own


def _cell(manifest: Manifest, name: str, index: int) -> Reader:
    """Reads a column's cell; a blank one doesn't say anything."""
    parameter = manifest.parameter(name)
    is_free = parameter is not None and is_free_text(parameter)

    def read_free(row: Row) -> str | None:
        """The cell as it stands; warns where it looks like a template."""
        cell = row.cells[index]
        if is_template(cell):
            # Data, not a template: who writes the table may be anybody. But it looks meant otherwise.
            example = "--set 'prompt=Show {{ title }}'".replace("prompt", name)
            message = f"{name} cells with {{{{ or {{% are sent as they stand; templates come from {example}"
            manifest.faults.warn(str(manifest.path), message)
        return cell if cell and not cell.isspace() else None

    return read_free if is_free else Cell(index)


def _hints(manifest: Manifest, table: TakenTable) -> dict[str, str]:
    """For each parameter that has no column, the column that looks like it, or else what the columns are.

    A table without a column for the pictures is no manifest yet: `init` writes one.
    """
    columns, path = table.columns, str(manifest.path)
    others = {snake_case(name): name for name in columns if name not in manifest.own_columns}
    hints = {}
    for name in manifest.endpoint.parameters:
        if name in columns:
            if table.is_export:
                hints[name] = f"; no column of an export is one by itself: pass --set '{name}={{{{ {name} }}}}'"
            continue
        hints[name] = f"; {columns_said(columns)}; a value for all comes from --set '{name}=…'"
        if name == manifest.endpoint.images and not is_standard_input(path):
            hints[name] += f". To begin with a manifest that names these columns: batch-editor init {shell_word(path)}"
        for near in get_close_matches(name, others, n=1, cutoff=0.7):
            hints[name] = (
                f"; column {shown(others[near])} is named almost so: rename it, or pass --set '{name}={{{{ {near} }}}}'"
            )
    return hints


def _warn_of_near_names(manifest: Manifest, table: Table) -> None:
    """Say that a column `Quality` isn't the quality, nor `endpoint` the endpoint: the default may be the dearest."""
    if ENDPOINT in table.columns and ENDPOINT not in manifest.overrides:
        message = "column 'endpoint' is carried along; --set 'endpoint={{ endpoint }}' sends the jobs there"
        manifest.faults.warn(str(manifest.path), message)
    required = {name for name, parameter in manifest.endpoint.parameters.items() if parameter.must_be_said}
    for column in table.columns:
        name = snake_case(column)
        is_near = name != column and name in manifest.own_columns and name not in table.columns
        if is_near and name not in manifest.overrides and name not in required:
            message = f"column {shown(column)} is carried along; the {name} of a job comes from a column {name}"
            manifest.faults.warn(str(manifest.path), message)
