"""Values of jobs: where each comes from, and how its text becomes what is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from batch_editor.endpoints import Parameter
from batch_editor.manifest.faults import Refused, check_text, shown
from batch_editor.manifest.inputs import read_links
from batch_editor.manifest.rows import Row
from batch_editor.manifest.templates import compiled, is_template
from batch_editor.records import LocalFile, ParamValue

# Both become file names and cells; a longer one is a column that was mixed up.
MAX_ID = 200
MAX_OUTPUT = 400
# Distinct texts of a choice or a number are few; a column of noise must not fill the memory.
_PARSED = 1000
_LISTS = "only links are read as lists"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Written: TypeAlias = "str | list[str] | None"  # as a manifest has it, before templates are rendered; None: null
Files: TypeAlias = dict[str, LocalFile]  # by content
Reader: TypeAlias = Callable[[Row], "str | list[str] | None"]  # None: this row doesn't say
Converter: TypeAlias = Callable[["str | list[str]", Files], ParamValue]  # None: blank


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that is the same in every row."""

    value: ParamValue
    files: Mapping[str, LocalFile] = field(default_factory=dict)


Source: TypeAlias = "Fixed | Reader"


class Slot:
    """A value of a job: sources in order of precedence, of which the first that isn't blank counts."""

    def __init__(
        self, name: str, sources: Sequence[Source | None], convert: Converter, *, fallback: Fixed | None
    ) -> None:
        self.name = name
        self.readers: list[Reader] = []
        self.end = fallback
        self.end_is_given = False
        for source in sources:
            if isinstance(source, Fixed):
                self.end = source
                self.end_is_given = True
                break
            if source is not None:
                self.readers.append(source)
        self._convert = convert

    def read(self, row: Row, files: Files) -> ParamValue:
        """What the row says, None if that is blank; local files are added to `files`.

        Raises:
            Refused: it says something that can't be.
        """
        try:
            for reader in self.readers:
                text = reader(row)
                if text is not None and (value := self._convert(text, files)) is not None:
                    return value
        except Refused as error:
            raise error.of(self.name) from error
        return None


def source_of(written: Written, convert: Converter, *, nullable: bool) -> Source | None:
    """The source of a written value: a template is read from each row, the rest is settled now.

    None if it says nothing: it is blank, or null where null is no value.

    Raises:
        Refused: it is no template, or no such value.
    """
    if written is None:
        return Fixed(None) if nullable else None
    if any(map(is_template, [written] if isinstance(written, str) else written)):
        return _rendered(written)
    files: Files = {}
    value = convert(written, files)
    return None if value is None else Fixed(value, files)


def _rendered(written: str | list[str]) -> Reader:
    if isinstance(written, str):
        return compiled(written).of
    parts = [compiled(item) if is_template(item) else item for item in written]
    return lambda row: [part if isinstance(part, str) else part.of(row) for part in parts]


def fallback_of(parameter: Parameter) -> Fixed | None:
    """What is sent where a manifest says nothing: the default, or null; None if that is nothing at all."""
    if parameter.default is not None:
        return Fixed(parameter.default_value)
    return Fixed(None) if parameter.nullable else None


def converter_of(parameter: Parameter, folder: Path) -> Converter:
    """Text to value for one parameter; paths are relative to the folder."""
    if parameter.type in ("link", "links"):
        return partial(_links, parameter, folder)
    if parameter.type == "string" and not parameter.choices:
        return partial(_free_text, parameter)
    return partial(_parsed, parameter, {})


def convert_id(text: str | list[str], _files: Files) -> str:
    """A job's id, stripped."""
    return _name(text, MAX_ID) or _refuse_empty()


def convert_output(text: str | list[str], _files: Files) -> str | None:
    """An output's path without ending, stripped; None if that leaves nothing."""
    return _name(text, MAX_OUTPUT) or None


def _name(text: str | list[str], limit: int) -> str:
    assert isinstance(text, str), _LISTS
    name = text.strip()
    check_text(name)
    if _CONTROL.search(name):
        raise Refused(f"is {shown(name)}; expected text without control characters")
    if len(name) > limit:
        raise Refused(f"has {len(name):,} characters; expected at most {limit}")
    return name


def _refuse_empty() -> str:
    raise Refused("is empty")


def _free_text(parameter: Parameter, text: str | list[str], _files: Files) -> ParamValue:
    assert isinstance(text, str), _LISTS
    check_text(text)
    return _parse(parameter, text) if text and not text.isspace() else None


def _parsed(parameter: Parameter, known: dict[str, ParamValue], text: str | list[str], _files: Files) -> ParamValue:
    assert isinstance(text, str), _LISTS
    if text in known:
        return known[text]
    check_text(text)
    if not (word := text.strip()):
        return None
    value = _parse(parameter, word)
    if len(known) < _PARSED:
        known[text] = value
    return value


def _links(parameter: Parameter, folder: Path, written: str | list[str], files: Files) -> ParamValue:
    inputs = read_links(written, folder)
    links: dict[str, None] = {}  # a repetition would only be paid for; two paths of the same content are one
    for item in inputs:
        if isinstance(item, LocalFile):
            files[item.sha256] = item
            links[item.link] = None
        else:
            links[item] = None
    most = 1 if parameter.type == "link" else parameter.max_items
    if most is not None and len(links) > most:
        raise Refused(f"has {len(links)} links; expected {'one' if most == 1 else f'at most {most}'}")
    if not links:
        return None
    return next(iter(links)) if parameter.type == "link" else list(links)


def _parse(parameter: Parameter, text: str) -> ParamValue:
    try:
        return parameter.parse(text)
    except ValueError as error:
        reason = str(error)
        raise Refused(reason if reason.startswith("has ") else f"is {shown(text)}; {reason}") from error
