"""Jobs of one manifest that go to several endpoints: what it says to each of them, and which row goes where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from batch_editor.endpoints import Endpoint
from batch_editor.errors import EndpointError
from batch_editor.manifest.default_ids import DefaultIds
from batch_editor.manifest.entry import ENDPOINT, Expansion, Manifest
from batch_editor.manifest.expand import Expander
from batch_editor.manifest.faults import Faults, Problem, Refused
from batch_editor.manifest.move import Move
from batch_editor.manifest.rows import Row
from batch_editor.manifest.table import columns_said
from batch_editor.manifest.templates import UnknownColumn, is_template
from batch_editor.manifest.values import Reader, Source
from batch_editor.records import FaultyRow, Job


class Readings:
    """A manifest as it is read for each endpoint that its jobs go to.

    `main` is for jobs that name none. `is_set`: all of them go there, whatever they name. `move` is from the endpoint
    that they were written for to theirs, where that is another one; `names` are endpoints that jobs name.
    """

    def __init__(
        self,
        path: Path,
        endpoint: Endpoint,
        expansion: Expansion,
        faults: Faults,
        *,
        move: Move | None = None,
        names: Iterable[str] = (),
    ) -> None:
        self._path = path
        self._expansion = expansion
        self._faults = faults
        self._moves = [move] if move is not None else []
        self._endpoint = endpoint
        self._written_for = [*(move.old for move in self._moves), endpoint]
        self._loaded: dict[str, Endpoint] = {}
        self._tolerant: dict[str, Manifest] = {}
        self._strict: dict[str, Manifest] = {}
        self._default_ids = DefaultIds()
        self._reported: list[Problem] = []
        self._note(names)
        named = expansion.overrides.get(ENDPOINT, "").strip()
        self.is_set = bool(named) and not is_template(named)
        if self.is_set:
            self.main = self.tolerant(self._set_for_all(named))
        else:
            self.main = self.strict(endpoint)

    @property
    def is_for_several(self) -> bool:
        """Whether what is said for all jobs may be meant for one endpoint alone."""
        return len(self._written_for) > 1 + len(self._moves)

    def load(self, name: str) -> Endpoint:
        """The endpoint that a manifest means by that name, or by the path of a file.

        Raises:
            Refused: there is none, or its file has faults; the message is a whole one.
        """
        try:
            if name not in self._loaded:
                self._loaded[name] = self._expansion.load_endpoint(name, self._path.parent)
        except EndpointError as error:
            raise Refused(str(error)) from error
        return self._loaded[name]

    def tolerant(self, endpoint: Endpoint) -> Manifest:
        """As it is read for one of several endpoints: what this one lacks is left out or replaced, and said once."""
        if endpoint.name not in self._tolerant:
            others = [each for each in self._written_for if each.name != endpoint.name]
            moves = [self._expansion.move_between(each, endpoint, self._path.parent) for each in others]
            self._tolerant[endpoint.name] = self._made(endpoint, moves)
        return self._tolerant[endpoint.name]

    def strict(self, endpoint: Endpoint) -> Manifest:
        """As it is read for jobs that name this endpoint themselves: what it lacks is a fault."""
        moves = self._moves if endpoint.name == self._endpoint.name else []
        if endpoint.name not in self._strict:
            if not self.is_for_several and endpoint.name == self._endpoint.name:
                self._strict[endpoint.name] = self._made(endpoint, moves)
            else:
                tolerant = self.tolerant(endpoint)
                made = self._made(endpoint, moves, overrides={})
                made.overrides = renamed(tolerant, tolerant.overrides)
                made.format, made.carry, made.is_sound = tolerant.format, tolerant.carry, tolerant.is_sound
                self._strict[endpoint.name] = made
        return self._strict[endpoint.name]

    def _made(
        self, endpoint: Endpoint, moves: Sequence[Move], *, overrides: Mapping[str, str] | None = None
    ) -> Manifest:
        expansion = self._expansion if overrides is None else replace(self._expansion, overrides=overrides)
        made = Manifest(self._path, endpoint, expansion, self._faults, moves=moves, reported=self._reported)
        made.default_ids = self._default_ids
        self._reported += made.set_problems
        return made

    def _note(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                endpoint = self.load(name)
            except Refused:  # reported where the job is read
                continue
            if endpoint not in self._written_for:
                self._written_for.append(endpoint)

    def _set_for_all(self, name: str) -> Endpoint:
        try:
            return self.load(name)
        except Refused as error:
            for line in str(error).splitlines():
                self._faults.add("--set", line)
            return self._endpoint


def renamed(manifest: Manifest, sources: Mapping[str, Source | None]) -> dict[str, Source | None]:
    """Sources by what the endpoint calls them; one that stands there by that name comes before one of another name."""
    found: dict[str, Source | None] = {}
    for name, source in sources.items():
        there = manifest.spellings.get(name, name)
        if there is not None and (there == name or there not in sources):
            found[there] = source
    return found


class ByEndpoint:
    """Expands each row for the endpoint that it names; one that names none for the manifest's.

    read: the name, from a row. main: says whether a row is wanted, and what a faulty one is called. expander_of: makes
    an endpoint's expander, once.
    """

    def __init__(
        self, readings: Readings, read: Reader, main: Expander, expander_of: Callable[[Endpoint], Expander]
    ) -> None:
        self._readings = readings
        self._read = read
        self._main = main
        self._expander_of = expander_of
        self._known: dict[str, Expander | Refused] = {}
        self._by_endpoint: dict[str, Expander] = {}

    def jobs(self, row: Row) -> Sequence[Job | FaultyRow]:
        """The row's job, or its variants; see `Expander.jobs`."""
        if row.problem is not None:
            return self._main.jobs(row)
        if not self._main.wants(row):
            return []
        try:
            name = self._read(row)
        except Refused as error:
            has_columns = isinstance(error, UnknownColumn) and row.columns.names
            advice = columns_said(row.columns.names) if has_columns else ""
            row.problem = Problem(row.where, str(error.with_subject(ENDPOINT)), advice=advice)
            return self._main.jobs(row)
        found = self._named(str(name or "").strip())
        if isinstance(found, Refused):
            message, _, wanted = str(found).partition("; ")
            row.problem = Problem(row.where, message, advice=wanted)
            return self._main.jobs(row)
        return found.jobs(row)

    def _named(self, name: str) -> Expander | Refused:
        if name not in self._known:
            try:
                endpoint = self._readings.load(name) if name else self._readings.main.endpoint
            except Refused as error:
                self._known[name] = error
            else:
                if endpoint.name not in self._by_endpoint:
                    self._by_endpoint[endpoint.name] = self._expander_of(endpoint)
                self._known[name] = self._by_endpoint[endpoint.name]
        return self._known[name]
