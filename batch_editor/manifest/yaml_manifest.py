"""A YAML manifest: entries of one job, or of one for each row and combination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, product
from pathlib import Path

from batch_editor.endpoints import Endpoint, Parameter
from batch_editor.errors import EndpointError, did_you_mean
from batch_editor.manifest.csv_table import Table
from batch_editor.manifest.expand import Entry, Expander, Expansion, Manifest
from batch_editor.manifest.faults import Faults, Refused, shown
from batch_editor.manifest.rows import Columns, Row, snake_case
from batch_editor.manifest.templates import is_template
from batch_editor.manifest.values import Fixed, Source, Written
from batch_editor.manifest.yaml_values import (
    RefusedAt,
    cell_of,
    check_is_whole,
    kind_of,
    line_of,
    mappings_of,
    matrix_of,
    table_of,
    text_of,
)
from batch_editor.records import Job
from batch_editor.regular_files import expect_regular
from batch_editor.strict_yaml import Block, Text, Value, YamlFault, read_yaml

_TOP = ("endpoint", "defaults", "jobs")
_EXPANDING = ("rows", "matrix", "variants")
_VARIANTS = Parameter(type="integer", minimum=1, maximum=100)


def read_yaml_manifest(path: Path, expansion: Expansion, faults: Faults) -> Iterator[Job]:
    """The jobs of a YAML file in the order of its entries, each entry's rows lazily."""
    document = _document(path, faults)
    if document is None:
        return
    endpoint = _endpoint(path, document, expansion, faults)
    jobs = document.get("jobs")
    if jobs is not None and not isinstance(jobs, list):
        faults.add(f"{path}:{line_of(jobs, document)}", f"jobs is {kind_of(jobs)}; expected a list of jobs")
        return
    if endpoint is None or not jobs:
        return
    manifest = Manifest(path, endpoint, expansion.overrides, faults)
    reader = _Reader(manifest, document)
    for job in jobs:
        yield from reader.jobs(job)


def _document(path: Path, faults: Faults) -> Block | None:
    try:
        expect_regular(path)
        document = read_yaml(path)
    except YamlFault as fault:
        faults.add(f"{path}:{fault.line}", str(fault))
        return None
    except OSError as error:
        faults.add(str(path), f"can't be read: {error.strerror or error}")
        return None
    if document is None:
        return None
    if not isinstance(document, Block):
        line = document[0] if isinstance(document, list) and document else document
        where = f"{path}:{getattr(line, 'line', 1)}"
        faults.add(where, f"the manifest is {kind_of(document)}; expected the keys endpoint, defaults and jobs")
        return None
    for key, value in document.items():
        if key not in _TOP:
            wanted = did_you_mean(key, _TOP) or "; expected endpoint, defaults or jobs"
            faults.add(f"{path}:{line_of(value, document)}", f"{shown(key)} is no key of a manifest{wanted}")
    return document


def _endpoint(path: Path, document: Block, expansion: Expansion, faults: Faults) -> Endpoint | None:
    value = document.get("endpoint")
    if value is None:
        return expansion.endpoint
    where = f"{path}:{line_of(value, document)}"
    try:
        return expansion.load_endpoint(text_of(value), path.parent)
    except Refused as error:
        faults.add(where, str(error.of("endpoint")))
    except EndpointError as error:
        for line in str(error).splitlines():
            faults.add(where, line)
    return None


@dataclass(frozen=True, slots=True)
class _Rows:
    """What an entry is expanded by: a table beside the manifest, mappings in it, and a matrix."""

    table: Path | None = None
    inline: Sequence[Block] | None = None
    matrix: Mapping[str, Sequence[str]] = field(default_factory=dict)


class _Reader:
    """Reads a manifest's entries; numbers its jobs."""

    def __init__(self, manifest: Manifest, document: Block) -> None:
        self._manifest = manifest
        self._path = manifest.path
        self._faults = manifest.faults
        self._numbers = count(1)
        before = self._faults.total
        self._defaults = self._read_defaults(document)
        self._is_sound = self._faults.total == before

    def jobs(self, block: Value) -> Iterator[Job]:
        """The jobs of an entry."""
        if not isinstance(block, Block):
            self._faults.add(f"{self._path}:{line_of(block)}", f"a job is {kind_of(block)}; expected keys and values")
            return
        before = self._faults.total
        label = _label(block)
        own = self._read_own(block, label)
        variants = self._read_variants(block, label)
        rows = self._read_rows(block, label)
        is_sound = self._is_sound and self._faults.total == before
        where = f"{self._path}:{block.line}"
        entry = Entry(where, label, own, self._defaults, variants, is_sound=is_sound)
        expander = Expander(self._manifest, entry)
        if rows is not None:
            self._check_cells(block, rows, expander.input_names, label)
            for row in self._rows(rows, where, label):
                yield from expander.jobs(row)

    def _read_defaults(self, document: Block) -> dict[str, Source | None]:
        block = document.get("defaults")
        if block is None:
            return {}
        if not isinstance(block, Block):
            where = f"{self._path}:{line_of(block, document)}"
            self._faults.add(where, f"defaults is {kind_of(block)}; expected parameters and their values")
            return {}
        known = tuple(self._manifest.endpoint.parameters)
        return self._sources(block, known, known, "defaults: ")

    def _read_own(self, block: Block, label: str) -> dict[str, Source | None]:
        names = ("id", "output", *self._manifest.endpoint.parameters)
        return self._sources(block, names, ("id", "output", *_EXPANDING, *names[2:]), label)

    def _sources(
        self, block: Block, names: Sequence[str], known: Sequence[str], label: str
    ) -> dict[str, Source | None]:
        """The sources of a mapping's values; `names` are those read here, `known` all that it may have."""
        sources: dict[str, Source | None] = {}
        for name, value in block.items():
            where = f"{self._path}:{line_of(value, block)}"
            if name not in known:
                # Likeness takes 0.1 ms a word.
                wanted = "" if self._faults.full else did_you_mean(name, known) or f"; expected {', '.join(known)}"
                self._faults.add(where, f"{label}{shown(name)} is no key here{wanted}")
            elif name in names:
                try:
                    written = self._written(name, value)
                except Refused as error:
                    at = f"{self._path}:{error.line}" if isinstance(error, RefusedAt) else where
                    self._faults.add(at, f"{label}{error.of(name)}")
                    sources[name] = Fixed(None)  # so that it isn't missing as well
                else:
                    sources[name] = self._manifest.source(where, name, written, label=label)
        return sources

    def _written(self, name: str, value: Value) -> Written:
        parameter = self._manifest.endpoint.parameters.get(name)
        if value is None:
            return None
        if self._manifest.is_input(name):
            for text in value if isinstance(value, list) else [value]:
                check_is_whole(text)
        if isinstance(value, list) and parameter is not None and parameter.type == "links":
            if None in value:
                raise Refused("has a link that is null; expected a link or a path")
            return [text_of(item) for item in value]
        may_be_truth = parameter is not None and parameter.type in ("boolean", "integer", "number")
        return text_of(value, may_be_truth=may_be_truth)

    def _read_variants(self, block: Block, label: str) -> int:
        value = block.get("variants")
        if value is None:
            return 1
        try:
            text = text_of(value, may_be_truth=True)
            return int(str(_VARIANTS.parse(text)))
        except Refused as error:
            self._faults.add(f"{self._path}:{line_of(value, block)}", f"{label}{error.of('variants')}")
        except ValueError as error:
            self._faults.add(f"{self._path}:{line_of(value, block)}", f"{label}variants is {shown(text)}; {error}")
        return 1

    def _read_rows(self, block: Block, label: str) -> _Rows | None:
        """What the entry is expanded by; None if that has faults."""
        rows = block.get("rows")
        try:
            if isinstance(rows, list):
                return _Rows(inline=mappings_of(rows), matrix=matrix_of(block.get("matrix")))
            table = None if rows is None else self._path.parent / table_of(rows)
            return _Rows(table=table, matrix=matrix_of(block.get("matrix")))
        except Refused as error:
            at = error.line if isinstance(error, RefusedAt) and error.line else block.line
            self._faults.add(f"{self._path}:{at}", f"{label}{error}")
            return None

    def _check_cells(self, block: Block, rows: _Rows, names: frozenset[str], label: str) -> None:
        """Look for cells and matrix values that lose their end to a comment, and go into prompts or links."""
        cells: list[tuple[str, str, Value]] = []
        for row in rows.inline or ():
            cells += [("rows", name, value) for name, value in row.items()]
        for name, values in matrix.items() if isinstance(matrix := block.get("matrix"), Block) else ():
            cells += [("matrix", name, value) for value in (values if isinstance(values, list) else ())]
        for key, name, value in cells:
            if name in names or snake_case(name) in names:
                try:
                    check_is_whole(value)
                except RefusedAt as error:
                    self._faults.add(f"{self._path}:{error.line}", f"{label}{key} {error.of(name)}")

    def _rows(self, rows: _Rows, where: str, label: str) -> Iterator[Row]:
        """Each row's combinations, the last name of the matrix varying fastest."""
        known: dict[tuple[str, ...], Columns] = {}
        before = self._faults.total
        for row_where, names, cells in self._base_rows(rows, where, label):
            if names not in known:
                if clash := next((name for name in rows.matrix if name in names), None):
                    self._faults.add(where, f"{label}matrix has {shown(clash)}, which is a column of rows as well")
                    return
                known[names] = Columns((*names, *rows.matrix))
            for combination in product(*rows.matrix.values()):
                yield Row(row_where, next(self._numbers), known[names], [*cells, *combination])
        if not known and self._faults.total == before:
            self._faults.add(where, f"{label}rows has no rows")

    def _base_rows(self, rows: _Rows, where: str, label: str) -> Iterator[tuple[str, tuple[str, ...], Sequence[str]]]:
        """Where each row is, its columns, its cells."""
        if rows.table is not None:
            with Table(rows.table, self._faults) as table:
                for line, cells in table:
                    yield f"{where}, {rows.table}:{line}", table.columns, cells
        elif rows.inline is not None:
            for block in rows.inline:
                try:
                    cells = [cell_of(name, value) for name, value in block.items()]
                except Refused as error:
                    self._faults.add(f"{self._path}:{block.line}", f"{label}{error}")
                else:
                    yield f"{self._path}:{block.line}", tuple(block), cells
        else:
            yield where, (), ()


def _label(block: Block) -> str:
    """How messages name an entry: by its id, if that is the same for all its jobs."""
    name = block.get("id")
    if not isinstance(name, Text) or not name.strip() or is_template(name):
        return ""
    return f"job {name[:60].strip()}: "
