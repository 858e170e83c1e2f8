"""What is read: the wishes of who asks, a manifest, and an entry of it before its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batch_editor.endpoints import Endpoint, Parameter
from batch_editor.errors import did_you_mean
from batch_editor.files import YAML
from batch_editor.finishing import FinishFaults
from batch_editor.ledger import Choice
from batch_editor.manifest.carry import Carry, carry_in
from batch_editor.manifest.default_ids import DefaultIds
from batch_editor.manifest.faults import Faults, Problem, Refused, shown
from batch_editor.manifest.finish_key import KEY as FINISH
from batch_editor.manifest.finish_key import finish_in
from batch_editor.manifest.move import Move, plain_move
from batch_editor.manifest.odd_cells import MEND_IT, SpreadsheetError, check_is_no_error
from batch_editor.manifest.redo_prompt import KEY as REDO_PROMPT
from batch_editor.manifest.redo_prompt import redo_prompt_source
from batch_editor.manifest.standard_input import NAME
from batch_editor.manifest.table_files import TableFormat, format_of, is_of_pictures, is_standard_input, stem_of
from batch_editor.manifest.values import (
    Fixed,
    Source,
    Written,
    convert_id,
    convert_identity,
    convert_output,
    convert_when,
    converter_of,
    is_free_text,
    source_of,
)


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """What reading needs besides the manifests.

    endpoint: for manifests that name none; for all of them where it `is_given`.
    load_endpoint: finds the one that a manifest names, by name and the manifest's folder; raises EndpointError.
    overrides: values or templates for every job, by parameter, `id`, `output`, `when`, `endpoint`, `identity` or
        `redo_prompt`; `carry`, `finish` and `format` as well.
    skip_faulty: rows with a fault of their own come as `FaultyRow` and are no fault of the manifest.
    only: patterns of job ids, any if empty; a faulty row whose job none of them matches comes as `FaultyRow` as well.
    move: what becomes of the parameters of manifests that name no endpoint, where `endpoint` stands for a retired one.
    move_from: the same for manifests that name the given endpoint, by name and folder.
    move_between: the same for jobs of one manifest that go to several endpoints, by these two and the folder.
    format: how tables that are manifests are read.
    """

    endpoint: Endpoint
    load_endpoint: Callable[[str, Path], Endpoint]
    overrides: Mapping[str, str] = field(default_factory=dict)
    skip_faulty: bool = False
    only: Sequence[str] = ()
    is_given: bool = False
    move: Move | None = None
    move_from: Callable[[str, Path], Move | None] = lambda name, folder: None
    move_between: Callable[[Endpoint, Endpoint, Path], Move] = lambda old, new, folder: plain_move(old, new)
    format: TableFormat = "auto"


ENDPOINT = "endpoint"  # the key of a job that says where it goes


class Manifest:
    """A manifest that is being read for an endpoint: what all its entries share. Paths in it are relative to `folder`.

    `moves` are from the endpoints that it may have been written for as well; where several know a name, the first
    counts that gives it a place. `reported` are problems of what is set for every job that were found for another
    endpoint before.
    """

    def __init__(
        self,
        path: Path,
        endpoint: Endpoint,
        expansion: Expansion,
        faults: Faults,
        *,
        moves: Sequence[Move] = (),
        reported: Sequence[Problem] = (),
    ) -> None:
        written = str(path)
        self.path = Path(NAME) if is_standard_input(written) else path
        self.stem = self.path.stem if is_standard_input(written) else stem_of(path)
        self.is_table = path.suffix.lower() not in YAML
        self.has_pictures = self.is_table and is_of_pictures(written, Path())
        # What stands for pictures is written from the working directory, and so are their paths.
        self.folder = Path() if self.has_pictures else self.path.parent
        self.endpoint = endpoint
        self.faults = faults
        self.choice = Choice(expansion.only)
        self.skip_faulty = expansion.skip_faulty
        parameters = endpoint.parameters.items()
        self.converters = {name: converter_of(parameter, self.folder) for name, parameter in parameters}
        self.moves = moves
        # Names that the endpoint doesn't have itself, with what it calls them; None: they have no place.
        self.spellings: dict[str, str | None] = {}
        for move in reversed(moves):
            self.spellings |= {name: there or self.spellings.get(name) for name, there in move.spellings.items()}
            self.converters |= move.converters(self.converters, lambda message: faults.warn(str(path), message))
        self.converters |= {"id": convert_id, "output": convert_output}
        # A column of one of these names is the value itself; any other is carried along.
        self.own_columns = frozenset(self.converters) | self.spellings.keys()
        self.converters |= {"when": convert_when, "identity": convert_identity, REDO_PROMPT: convert_when}
        self.converters[ENDPOINT] = convert_when
        self.default_ids = DefaultIds()  # one for all endpoints of a manifest
        self.format: TableFormat | None = None  # where it is set for all jobs
        self.carry: Carry = {}
        self.overrides: dict[str, Source | None] = {}
        self.set_problems = self._set_for_all(expansion.overrides)
        faults.refuse([problem for problem in self.set_problems if problem not in reported])
        self.is_sound = not self.set_problems

    def parameter(self, name: str) -> Parameter | None:
        """The parameter that a manifest means by that name; None where it means none, or one that has no place."""
        return self.endpoint.parameters.get(self.spellings.get(name, name) or "")

    def names_of(self, name: str) -> list[str]:
        """What a manifest may call that parameter, or key of a job."""
        return [name, *(old for old, there in self.spellings.items() if there == name)]

    def has_place(self, name: str) -> bool:
        """Whether a parameter of that name is sent; one that isn't is warned of."""
        if self.spellings.get(name, name) is not None:
            return True
        old = next(move.old for move in self.moves if name in move.spellings)
        message = f"{name} of {old.name} has no place in {self.endpoint.name} and is left out"
        self.faults.warn(str(self.path), message)
        return False

    def is_input(self, name: str) -> bool:
        """Whether it is a parameter of free text or of links: what a paid edit is made of, in the user's own words."""
        parameter = self.parameter(name)
        return parameter is not None and (parameter.type in ("link", "links") or is_free_text(parameter))

    def is_text(self, name: str) -> bool:
        """Whether any text can be its value: that of a parameter, or a name."""
        parameter = self.parameter(name)
        return name in ("id", "output", "identity") if parameter is None else is_free_text(parameter)

    def source(
        self, where: str, name: str, written: Written, problems: list[Problem], *, label: str = ""
    ) -> Source | None:
        """The source of a written value; what is wrong with it is added to the problems, once for all rows."""
        if written is None and self.spellings.get(name, name) is None:
            return None
        if not self.has_place(name):
            return None
        if name == REDO_PROMPT:
            return self._redo_prompt(where, written, problems, label)
        parameter = self.parameter(name)
        nullable = parameter is not None and (parameter.nullable or parameter.only_when_set)
        try:
            is_prompt = self.spellings.get(name, name) == self.endpoint.prompt and self.is_input(name)
            source = source_of(written, self.converters[name], nullable=nullable, is_prompt=is_prompt)
            if isinstance(source, Fixed) and isinstance(source.value, str) and self.is_text(name):
                check_is_no_error(source.value)
            return source
        except Refused as error:
            end = f"; {MEND_IT}" if isinstance(error, SpreadsheetError) else ""
            problems.append(Problem(where, f"{error.with_subject(name)}{end}", label, about=name))
            return Fixed(None)  # so that it isn't missing as well

    def _set_for_all(self, overrides: Mapping[str, str]) -> list[Problem]:
        """Take over what is set for every job; what is wrong with it."""
        problems: list[Problem] = []
        for name, value in overrides.items():
            if name in self.converters or name in self.spellings:
                parameter = self.parameter(name)
                is_null = value == "null" and parameter is not None and parameter.nullable
                self.overrides[name] = self.source("--set", name, None if is_null else value, problems)
            elif name == "carry":
                try:
                    self.carry = carry_in(value)
                except Refused as error:
                    problems.append(Problem("--set", str(error.with_subject("carry"))))
            elif name == "format":
                try:
                    self.format = format_of(value)
                except Refused as error:
                    problems.append(Problem("--set", str(error.with_subject("format"))))
            elif name == FINISH:
                try:
                    self.overrides[name] = finish_in(value, self.folder)
                except FinishFaults as error:
                    problems += [Problem("--set", fault) for fault in error.faults]
            else:
                hint = did_you_mean(name, [*self.converters, "carry", FINISH, "format"])
                problems.append(Problem("--set", f"{shown(name)} is no parameter of {self.endpoint.name}{hint}"))
        return problems

    def _redo_prompt(self, where: str, written: Written, problems: list[Problem], label: str) -> Source | None:
        try:
            return redo_prompt_source(written)
        except Refused as error:
            problems.append(Problem(where, str(error.with_subject(REDO_PROMPT)), label, about=REDO_PROMPT))
            return None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a manifest says of one or many jobs, before their rows.

    `hints` end the message that a parameter is missing; an entry that isn't sound gives faults but no jobs. What is
    wrong with an entry that `is_one_job` is wrong with this job alone: its `problems` are those of a row. One that
    `has_rows` is expanded by a table; any other may have a matrix. `on` is how messages name the endpoint where it is
    another one than the manifest's.
    """

    where: str
    label: str = ""
    on: str = ""
    own: Mapping[str, Source | None] = field(default_factory=dict)
    defaults: Mapping[str, Source | None] = field(default_factory=dict)
    variants: int = 1
    hints: Mapping[str, str] = field(default_factory=dict)
    is_sound: bool = True
    has_rows: bool = True
    is_one_job: bool = False
    problems: Sequence[Problem] = ()
