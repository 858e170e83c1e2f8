"""The rows of an entry of a YAML manifest: of a table, of the manifest itself, or of a matrix alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count, product
from typing import TypeAlias

from batch_editor.manifest.carry import Carrier
from batch_editor.manifest.entry import Entry, Manifest
from batch_editor.manifest.faults import Faults, Problem, Refused, shown
from batch_editor.manifest.rows import Columns, Row
from batch_editor.manifest.shop_table import TakenTable
from batch_editor.manifest.yaml_entry import Rows
from batch_editor.manifest.yaml_values import cell_of
from batch_editor.strict_yaml import Block

# Where it is, its columns, its cells, what is wrong with it as a row, and what its job is called by default.
_BaseRow: TypeAlias = "tuple[str, tuple[str, ...], Sequence[str], Problem | None, str | None]"


class RowReader:
    """Makes the rows of a manifest's entries; numbers its jobs."""

    def __init__(self, manifest: Manifest, faults: Faults) -> None:
        self._manifest = manifest
        self._faults = faults
        self._numbers = count(1)
        self._bases = count(1)

    def rows(self, rows: Rows, taken: TakenTable | None, entry: Entry) -> Iterator[Row]:
        """Each row's combinations, the last name of the matrix varying fastest."""
        known: dict[tuple[str, ...], Columns] = {}
        before = self._faults.total
        for where, names, cells, problem, name in self._base_rows(rows, taken, entry):
            if names not in known:
                if clash := next((name for name in rows.matrix if name in names), None):
                    message = f"{entry.label}matrix has {shown(clash)}, which is a column of rows as well"
                    self._faults.add(entry.where, message)
                    return
                known[names] = Columns((*names, *rows.matrix), chosen=rows.matrix)
            base = next(self._bases)
            for combination in product(*rows.matrix.values()):
                all_cells = [*cells, *combination] if problem is None or cells else []
                row = Row(where, next(self._numbers), known[names], all_cells)
                row.problem, row.base = problem, base
                if combination:
                    row.axes = dict(zip(rows.matrix, combination, strict=True))
                if name is not None:
                    row.default_id = self._manifest.default_ids.unique("-".join((name, *combination)))
                yield row
        if not known and self._faults.total == before:
            has_none = "no row with a picture" if taken is not None and taken.is_export else "no rows"
            self._faults.add(entry.where, f"{entry.label}rows has {has_none}")

    def _carrier(self, rows: Rows, columns: Sequence[str], entry: Entry) -> Carrier | None:
        try:
            return Carrier(rows.carry, columns)
        except Refused as error:
            self._faults.add(entry.where, f"{entry.label}{error.with_subject('carry')}")
            return None

    def _base_rows(self, rows: Rows, taken: TakenTable | None, entry: Entry) -> Iterator[_BaseRow]:
        if rows.table is not None:
            if taken is not None and (carrier := self._carrier(rows, taken.columns, entry)) is not None:
                yield from self._of_table(taken, carrier, entry)
        elif rows.inline is not None:
            names = tuple(dict.fromkeys(chain.from_iterable(rows.inline)))
            if (carrier := self._carrier(rows, names, entry)) is not None:
                yield from self._of_blocks(rows.inline, carrier, entry)
        else:
            yield entry.where, (), (), None, None

    def _of_table(self, table: TakenTable, carrier: Carrier, entry: Entry) -> Iterator[_BaseRow]:
        for line, cells, problem, name in table:
            if cells:
                carrier.fill(table.columns, cells)
            place = f"{table.name}:{line}"
            found = None if problem is None else Problem(place, problem)
            yield f"{entry.where}, {place}", table.columns, cells, found, name

    def _of_blocks(self, blocks: Sequence[Block], carrier: Carrier, entry: Entry) -> Iterator[_BaseRow]:
        for block in blocks:
            where = f"{self._manifest.path}:{block.line}"
            try:
                cells = [cell_of(name, value) for name, value in block.items()]
            except Refused as error:
                self._faults.add(where, f"{entry.label}{error}")
                continue
            absent = [name for name in carrier.columns if name not in block]
            cells += [""] * len(absent)
            names = (*block, *absent)
            carrier.fill(names, cells)
            yield where, names, cells, None, None
