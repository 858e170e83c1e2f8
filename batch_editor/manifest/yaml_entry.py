"""The keys of one entry of a YAML manifest, or of its defaults: what they say, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from batch_editor.endpoints import Parameter
from batch_editor.errors import did_you_mean
from batch_editor.files import NotThere
from batch_editor.finishing import FinishFaults
from batch_editor.manifest.carry import Carry, carry_of
from batch_editor.manifest.entry import ENDPOINT, Manifest
from batch_editor.manifest.faults import KEPT, Problem, Refused, shown
from batch_editor.manifest.finish_key import KEY as FINISH
from batch_editor.manifest.finish_key import finish_source
from batch_editor.manifest.redo_prompt import KEY as REDO_PROMPT
from batch_editor.manifest.rows import snake_case
from batch_editor.manifest.table_files import TableFormat, find_table, format_of
from batch_editor.manifest.templates import is_template
from batch_editor.manifest.values import Fixed, Source, Written
from batch_editor.manifest.yaml_values import (
    RefusedAt,
    check_is_whole,
    line_of,
    mappings_of,
    matrix_of,
    table_of,
    text_of,
)
from batch_editor.strict_yaml import Block, Text, Value

_TYPOGRAPHIC = re.compile("[“„«][^“„«»”]*[”“»]")
_VARIANTS = Parameter(type="integer", minimum=1, maximum=100)


@dataclass(frozen=True, slots=True)
class Rows:
    """What an entry is expanded by: a table, by its name, and how it is read, or mappings in the manifest; what is
    carried; a matrix.
    """

    table: str | None = None
    format: TableFormat = "auto"
    inline: Sequence[Block] | None = None
    carry: Carry = field(default_factory=dict)
    matrix: Mapping[str, Sequence[str]] = field(default_factory=dict)


class EntryKeys:
    """Reads a mapping's keys. What is wrong with them gathers in `problems`, each beginning with the label."""

    def __init__(self, manifest: Manifest, block: Block, label: str) -> None:
        self.label = label
        self.problems: list[Problem] = []
        self._manifest = manifest
        self._block = block

    def sources(self, names: Sequence[str], others: Sequence[str] = ()) -> dict[str, Source | None]:
        """The sources of the values of `names`; `others` are keys that the mapping may have besides."""
        known = tuple(dict.fromkeys((*others, *names)))
        sources: dict[str, Source | None] = {}
        for name, value in self._block.items():
            if name not in known:
                # Likeness takes 0.1 ms a word.
                is_full = self._manifest.faults.full or len(self.problems) >= KEPT
                wanted = "" if is_full else did_you_mean(name, known) or f"; expected {', '.join(known)}"
                if name == ENDPOINT:
                    wanted = "; expected at the top of the manifest, or in a job"
                self._add(value, f"{shown(name)} is no key here{wanted}")
            elif name == FINISH:
                sources[name] = self._finish(value)
            elif name in names:
                try:
                    written = self._written(name, value)
                except Refused as error:
                    self._add(value, error.with_subject(name), about=name)
                    sources[name] = Fixed(None)  # so that it isn't missing as well
                else:
                    where = self._where(value)
                    sources[name] = self._manifest.source(where, name, written, self.problems, label=self.label)
        return sources

    def variants(self) -> int:
        """How many jobs each row gives."""
        value = self._block.get("variants")
        if value is None:
            return 1
        try:
            text = text_of(value, may_be_truth=True)
            return int(str(_VARIANTS.parse(text)))
        except Refused as error:
            self._add(value, error.with_subject("variants"))
        except ValueError as error:
            self._add(value, f"variants is {shown(text)}; {error}")
        return 1

    def rows(self) -> Rows | None:
        """What the entry is expanded by; None if that has faults."""
        rows = self._block.get("rows")
        try:
            inline = mappings_of(rows) if isinstance(rows, list) else None
            table = self._table(rows) if rows is not None and inline is None else None
            matrix = matrix_of(self._block.get("matrix"))
        except Refused as error:
            self._add(self._block, error)
            return None
        carry = self._carry()
        if carry and rows is None:
            self._add(self._block.get("carry"), "carry needs rows, whose blank cells it fills")
        format = self._format(has_table=table is not None)
        return Rows(table, format, inline, self._manifest.carry or carry, matrix)

    def _format(self, *, has_table: bool) -> TableFormat:
        value = self._block.get("format")
        if value is None:
            return self._manifest.format or "auto"
        if not has_table:
            self._add(value, "format needs rows that are a table, which it says how to read")
        try:
            format = format_of(text_of(value))
        except Refused as error:
            self._add(value, error.with_subject("format"))
            return "auto"
        return self._manifest.format or format

    def _table(self, rows: Value) -> str:
        folder = self._manifest.folder
        name = table_of(rows, folder)
        try:
            return find_table(name, folder)
        except NotThere as error:
            raise RefusedAt(f"rows is {shown(name)}; there is no such file{error.hint}", line_of(rows)) from error

    def lost_ends(self, rows: Rows, names: frozenset[str]) -> list[Problem]:
        """Cells and matrix values that lose their end to a comment, of those that go into templates by these names."""
        cells: list[tuple[str, str, Value]] = []
        for row in rows.inline or ():
            cells += [("rows", name, value) for name, value in row.items()]
        for name, values in matrix.items() if isinstance(matrix := self._block.get("matrix"), Block) else ():
            cells += [("matrix", name, value) for value in (values if isinstance(values, list) else ())]
        problems = []
        for key, name, value in cells:
            if name in names or snake_case(name) in names:
                try:
                    check_is_whole(value)
                except RefusedAt as error:
                    problems.append(Problem(self._at(error.line), f"{key} {error.with_subject(name)}", self.label))
        return problems

    def _carry(self) -> Carry:
        value = self._block.get("carry")
        try:
            return carry_of(value)
        except Refused as error:
            self._add(value, error.with_subject("carry"))
            return {}

    def _written(self, name: str, value: Value) -> Written:
        parameter = self._manifest.parameter(name)
        if value is None:
            return None
        if self._manifest.is_input(name) or name == REDO_PROMPT:
            for text in value if isinstance(value, list) else [value]:
                check_is_whole(text)
        takes_list = parameter is not None and (parameter.type == "links" or parameter.role == "images")
        if isinstance(value, list) and takes_list:
            if None in value:
                raise Refused("has a link that is null; expected a link or a path")
            return [text_of(item) for item in value]
        if isinstance(value, Text) and self._manifest.is_text(name) and _TYPOGRAPHIC.fullmatch(value.strip()):
            message = f"{name} is in typographic quotes, which are part of it; write straight ones or none"
            self._manifest.faults.warn(self._where(value), message)
        is_typed = parameter is not None and parameter.type in ("boolean", "integer", "number")
        may_be_truth = is_typed or name == "when"
        return text_of(value, may_be_truth=may_be_truth)

    def _finish(self, value: Value) -> Source | None:
        try:
            return finish_source(value, self._manifest.folder)
        except FinishFaults as error:
            for fault in error.faults:
                self._add(value, fault, about=FINISH)
            return None

    def _add(self, value: Value, message: str | Refused, *, about: str = "") -> None:
        at = message.line if isinstance(message, RefusedAt) else 0
        where = self._at(at) if at else self._where(value)
        self.problems.append(Problem(where, str(message), self.label, about=about))

    def _where(self, value: Value) -> str:
        return self._at(line_of(value, self._block))

    def _at(self, line: int) -> str:
        return f"{self._manifest.path}:{line}"


def label_of(block: Block, on: str = "") -> str:
    """How messages name an entry: by its id, if that is the same for all its jobs, and where they go by `on`."""
    name = block.get("id")
    if not isinstance(name, Text) or not name.strip() or is_template(name):
        return f"{on.strip()}: " if on else ""
    return f"job {name[:60].strip()}{on}: "
