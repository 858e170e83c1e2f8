"""A YAML manifest: entries of one job, or of one for each row and combination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, count, product
from pathlib import Path
from typing import TypeAlias

from batch_editor.endpoints import Endpoint
from batch_editor.errors import EndpointError, did_you_mean
from batch_editor.files import expect_regular
from batch_editor.manifest.carry import Carrier
from batch_editor.manifest.entry import Entry, Expansion, Manifest
from batch_editor.manifest.expand import Expander
from batch_editor.manifest.faults import Faults, Problem, Refused, shown
from batch_editor.manifest.finish_key import KEY as FINISH
from batch_editor.manifest.move import Move
from batch_editor.manifest.redo_prompt import KEY as REDO_PROMPT
from batch_editor.manifest.rows import Columns, Row
from batch_editor.manifest.shop_table import TakenTable, shop_defaults, take_table
from batch_editor.manifest.table_files import open_table
from batch_editor.manifest.values import Source
from batch_editor.manifest.yaml_entry import EntryKeys, Rows, label_of
from batch_editor.manifest.yaml_values import cell_of, kind_of, line_of, text_of
from batch_editor.records import FaultyRow, Job
from batch_editor.strict_yaml import Block, Text, Value, YamlFault, read_yaml

_TOP = ("endpoint", "defaults", "jobs")
_KEYS = ("id", "output", "rows", "format", "when", "carry", "matrix", "variants", "identity", REDO_PROMPT, FINISH)
# Where it is, its columns, its cells, what is wrong with it as a row, and what its job is called by default.
_BaseRow: TypeAlias = "tuple[str, tuple[str, ...], Sequence[str], Problem | None, str | None]"


def read_yaml_manifest(path: Path, expansion: Expansion, faults: Faults) -> Iterator[Job | FaultyRow]:
    """The jobs of a YAML file in the order of its entries, each entry's rows lazily."""
    document = _document(path, faults)
    if document is None:
        return
    endpoint, move = _endpoint(path, document, expansion, faults)
    jobs = document.get("jobs")
    if jobs is not None and not isinstance(jobs, list):
        faults.add(
            f"{path}:{line_of(jobs, document)}",
            f"jobs is {kind_of(jobs)}; expected a list of jobs, each beginning with -",
        )
        return
    if endpoint is None or not jobs:
        return
    manifest = Manifest(path, endpoint, expansion, faults, move)
    reader = _Reader(manifest, document)
    for job in jobs:
        yield from reader.jobs(job)


def _document(path: Path, faults: Faults) -> Block | None:
    try:
        expect_regular(path)
        document = read_yaml(path)
    except YamlFault as fault:
        for each in (fault, *fault.more):
            faults.add(f"{path}:{each.place}", str(each))
        return None
    except OSError as error:
        faults.add(str(path), f"can't be read: {error.strerror or error}")
        return None
    if document is None:
        return None
    if not isinstance(document, Block):
        line = document[0] if isinstance(document, list) and document else document
        where = f"{path}:{getattr(line, 'line', 1)}"
        above = "; write jobs: in a line above it" if isinstance(document, list) else ""
        faults.add(where, f"the manifest is {kind_of(document)}; expected the keys endpoint, defaults and jobs{above}")
        return None
    for key, value in document.items():
        if key not in _TOP and not key.startswith("x-"):
            wanted = did_you_mean(key, _TOP) or "; expected endpoint, defaults or jobs"
            if key[:1].isspace():
                wanted = "; it begins with white space that is no indentation to YAML: indent by plain spaces"
            faults.add(f"{path}:{line_of(value, document)}", f"{shown(key)} is no key of a manifest{wanted}")
    return document


def _endpoint(path: Path, document: Block, expansion: Expansion, faults: Faults) -> tuple[Endpoint | None, Move | None]:
    """The endpoint of a manifest's jobs, and what becomes of its parameters where it was written for another one."""
    value = document.get("endpoint")
    if value is None:
        return expansion.endpoint, expansion.move
    if expansion.is_given:
        move = expansion.move_from(str(value), path.parent) if isinstance(value, Text) else None
        return expansion.endpoint, move
    where = f"{path}:{line_of(value, document)}"
    try:
        return expansion.load_endpoint(text_of(value), path.parent), None
    except Refused as error:
        faults.add(where, str(error.with_subject("endpoint")))
    except EndpointError as error:
        for line in str(error).splitlines():
            faults.add(where, line)
    return None, None


class _Reader:
    """Reads a manifest's entries; numbers its jobs."""

    def __init__(self, manifest: Manifest, document: Block) -> None:
        self._manifest = manifest
        self._path = manifest.path
        self._faults = manifest.faults
        self._numbers = count(1)
        self._bases = count(1)
        before = self._faults.total
        self._defaults = self._read_defaults(document)
        self._is_sound = self._faults.total == before

    def jobs(self, block: Value) -> Iterator[Job | FaultyRow]:
        """The jobs of an entry."""
        if not isinstance(block, Block):
            self._faults.add(f"{self._path}:{line_of(block)}", f"a job is {kind_of(block)}; expected keys and values")
            return
        keys = EntryKeys(self._manifest, block, label_of(block))
        own = keys.sources((*self._manifest.converters, *self._manifest.spellings), _KEYS)
        variants, rows = keys.variants(), keys.rows()
        with ExitStack() as stack:
            before = self._faults.total
            taken = self._taken(stack, rows, own)
            is_readable = self._faults.total == before
            defaults = self._defaults
            if taken is not None and taken.is_export:
                defaults = {**defaults, **shop_defaults(self._manifest, (self._manifest.overrides, own, defaults))}
            entry = Entry(
                f"{self._path}:{block.line}",
                keys.label,
                own,
                defaults,
                variants,
                is_sound=self._is_sound,
                has_rows=block.get("rows") is not None,
                is_one_job=block.get("rows") is None and block.get("matrix") is None,
                problems=keys.problems,
            )
            expander = Expander(self._manifest, entry)
            if rows is not None:
                self._faults.refuse(keys.lost_ends(rows, expander.input_names))
                for row in self._rows(rows, taken, entry) if is_readable else ():
                    yield from expander.jobs(row)

    def _taken(self, stack: ExitStack, rows: Rows | None, own: Mapping[str, Source | None]) -> TakenTable | None:
        """The table that an entry is expanded by; None where there is none, or it can't be read, which is told."""
        if rows is None or rows.table is None:
            return None
        table = stack.enter_context(open_table(rows.table, self._manifest.folder, self._faults))
        layers = (self._manifest.overrides, own, self._defaults)
        return take_table(table, rows.format, self._manifest, layers, others=rows.matrix)

    def _read_defaults(self, document: Block) -> dict[str, Source | None]:
        block = document.get("defaults")
        if block is None:
            return {}
        if not isinstance(block, Block):
            where = f"{self._path}:{line_of(block, document)}"
            self._faults.add(where, f"defaults is {kind_of(block)}; expected parameters and their values")
            return {}
        keys = EntryKeys(self._manifest, block, "defaults: ")
        defaults = keys.sources((*self._manifest.endpoint.parameters, *self._manifest.spellings, REDO_PROMPT, FINISH))
        self._faults.refuse(keys.problems)
        return defaults

    def _rows(self, rows: Rows, taken: TakenTable | None, entry: Entry) -> Iterator[Row]:
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
            where = f"{self._path}:{block.line}"
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
