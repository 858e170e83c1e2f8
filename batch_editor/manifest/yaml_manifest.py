"""A YAML manifest: entries of one job, or of one for each row and combination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from batch_editor.endpoints import Endpoint
from batch_editor.errors import EndpointError, did_you_mean
from batch_editor.files import expect_regular
from batch_editor.manifest.by_endpoint import ByEndpoint, Readings, renamed
from batch_editor.manifest.entry import ENDPOINT, Entry, Expansion, Manifest
from batch_editor.manifest.expand import Expander
from batch_editor.manifest.faults import Faults, Problem, Refused, shown
from batch_editor.manifest.finish_key import KEY as FINISH
from batch_editor.manifest.move import Move
from batch_editor.manifest.redo_prompt import KEY as REDO_PROMPT
from batch_editor.manifest.shop_table import TakenTable, shop_defaults, take_table
from batch_editor.manifest.table_files import open_table
from batch_editor.manifest.values import Reader, Source
from batch_editor.manifest.yaml_destination import Destination, destination_of, named_by, on_endpoint
from batch_editor.manifest.yaml_entry import EntryKeys, Rows, label_of
from batch_editor.manifest.yaml_rows import RowReader
from batch_editor.manifest.yaml_values import RefusedAt, kind_of, line_of, text_of
from batch_editor.records import FaultyRow, Job
from batch_editor.strict_yaml import Block, Text, Value, YamlFault, read_yaml

_TOP = ("endpoint", "defaults", "jobs")
_KEYS = (
    *("id", "output", "rows", "format", "when", "carry", ENDPOINT, "matrix", "variants", "identity"),
    *(REDO_PROMPT, FINISH),
)


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
    readings = Readings(path, endpoint, expansion, faults, move=move, names=named_by(jobs))
    reader = _Reader(readings, document, faults)
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


@dataclass(frozen=True, slots=True)
class _Reading:
    """A manifest as it is read for an endpoint, with its defaults."""

    manifest: Manifest
    defaults: Mapping[str, Source | None]
    is_sound: bool


class _Reader:
    """Reads a manifest's entries."""

    def __init__(self, readings: Readings, document: Block, faults: Faults) -> None:
        self._readings = readings
        self._path = readings.main.path
        self._faults = faults
        self._document = document
        self._rows = RowReader(readings.main, faults)
        self._defaults: dict[str, tuple[dict[str, Source | None], bool]] = {}
        self._reading(readings.main)  # what is wrong with the defaults is reported once

    def jobs(self, block: Value) -> Iterator[Job | FaultyRow]:
        """The jobs of an entry."""
        if not isinstance(block, Block):
            self._faults.add(f"{self._path}:{line_of(block)}", f"a job is {kind_of(block)}; expected keys and values")
            return
        try:
            goes_to = destination_of(block, self._readings)
        except RefusedAt as error:
            for line in str(error).splitlines():
                self._faults.add(f"{self._path}:{error.line or block.line}", f"{label_of(block)}{line}")
            return
        reading = self._reading(goes_to.manifest)
        keys = EntryKeys(reading.manifest, block, label_of(block, goes_to.on))
        own = _own(keys, reading.manifest)
        of_values = list(keys.problems)
        variants, rows = keys.variants(), keys.rows()
        with ExitStack() as stack:
            before = self._faults.total
            taken = self._taken(stack, rows, own, reading)
            is_readable = self._faults.total == before
            entry = Entry(
                f"{self._path}:{block.line}",
                keys.label,
                goes_to.on,
                own,
                _defaults(reading, own, taken),
                variants,
                is_sound=reading.is_sound,
                has_rows=block.get("rows") is not None,
                is_one_job=block.get("rows") is None and block.get("matrix") is None and goes_to.read is None,
                problems=keys.problems if goes_to.read is None else of_values,
            )
            main = Expander(reading.manifest, entry)
            if goes_to.read is None:
                expander: Expander | ByEndpoint = main
                self._faults.refuse(main.problems)
            else:
                self._faults.refuse(keys.problems[len(of_values) :])
                expander = self._by_endpoint(block, goes_to, goes_to.read, entry, main, taken)
            if rows is not None:
                self._faults.refuse(keys.lost_ends(rows, main.input_names))
                for row in self._rows.rows(rows, taken, entry) if is_readable else ():
                    yield from expander.jobs(row)

    def _by_endpoint(
        self, block: Block, goes_to: Destination, read: Reader, entry: Entry, main: Expander, taken: TakenTable | None
    ) -> ByEndpoint:
        """What expands an entry whose rows name their endpoints; what is wrong for all of a matrix is reported once."""

        def expander(endpoint: Endpoint) -> Expander:
            """Expands the entry as it is read for one of them."""
            reading = self._reading(self._readings.tolerant(endpoint))
            keys = EntryKeys(reading.manifest, block, label_of(block, on_endpoint(endpoint)))
            own = _own(keys, reading.manifest)
            read_so = replace(
                entry,
                label=keys.label,
                on=on_endpoint(endpoint),
                own=own,
                defaults=_defaults(reading, own, taken),
                is_sound=reading.is_sound,
                problems=keys.problems,
            )
            return Expander(reading.manifest, read_so)

        def reported(endpoint: Endpoint) -> Expander:
            """The same; what is wrong with it is reported."""
            made = expander(endpoint)
            self._faults.refuse(made.problems)
            return made

        if not goes_to.axis:
            return ByEndpoint(self._readings, read, main, reported)
        known = {endpoint.name: expander(endpoint) for endpoint in goes_to.axis}
        is_for_all = set.intersection(*({_wrong(each) for each in made.problems} for made in known.values()))
        self._faults.refuse([each for each in main.problems if _wrong(each) in is_for_all])
        for made in known.values():
            self._faults.refuse([each for each in made.problems if _wrong(each) not in is_for_all])
        return ByEndpoint(self._readings, read, main, lambda endpoint: known[endpoint.name])

    def _taken(
        self, stack: ExitStack, rows: Rows | None, own: Mapping[str, Source | None], reading: _Reading
    ) -> TakenTable | None:
        """The table that an entry is expanded by; None where there is none, or it can't be read, which is reported."""
        if rows is None or rows.table is None:
            return None
        manifest = reading.manifest
        table = stack.enter_context(open_table(rows.table, manifest.folder, self._faults))
        layers = (manifest.overrides, own, reading.defaults)
        return take_table(table, rows.format, manifest, layers, others=rows.matrix)

    def _reading(self, manifest: Manifest) -> _Reading:
        """The manifest with its defaults, which hold for all endpoints: each takes what it has of them."""
        endpoint = manifest.endpoint
        if endpoint.name not in self._defaults:
            # What is meant for one endpoint of several is no fault for the others.
            is_for_one = manifest is self._readings.main and not self._readings.is_for_several
            reads = manifest if is_for_one else self._readings.tolerant(endpoint)
            on = on_endpoint(endpoint) if self._defaults else ""
            found, problems = self._read_defaults(reads, f"defaults{on}: ")
            if self._defaults:  # what is no endpoint's has been reported
                problems = [problem for problem in problems if problem.about]
            self._faults.refuse(problems)
            self._defaults[endpoint.name] = renamed(reads, found), not problems
        return _Reading(manifest, *self._defaults[endpoint.name])

    def _read_defaults(self, manifest: Manifest, label: str) -> tuple[dict[str, Source | None], list[Problem]]:
        block = self._document.get("defaults")
        if block is None:
            return {}, []
        if not isinstance(block, Block):
            where = f"{self._path}:{line_of(block, self._document)}"
            message = f"defaults is {kind_of(block)}; expected parameters and their values"
            return {}, [Problem(where, message)]
        keys = EntryKeys(manifest, block, label)
        found = keys.sources((*manifest.endpoint.parameters, *manifest.spellings, REDO_PROMPT, FINISH))
        return found, keys.problems


def _wrong(problem: Problem) -> tuple[str, str]:
    """What is wrong, without what was expected, which is another thing for each endpoint."""
    return problem.where, problem.message.partition(";")[0]


def _own(keys: EntryKeys, manifest: Manifest) -> dict[str, Source | None]:
    return keys.sources((*manifest.converters, *manifest.spellings), _KEYS)


def _defaults(
    reading: _Reading, own: Mapping[str, Source | None], taken: TakenTable | None
) -> Mapping[str, Source | None]:
    if taken is None or not taken.is_export:
        return reading.defaults
    layers = (reading.manifest.overrides, own, reading.defaults)
    return {**reading.defaults, **shop_defaults(reading.manifest, layers)}
