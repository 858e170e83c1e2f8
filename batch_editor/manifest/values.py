"""Values of jobs: where each comes from, and how its text becomes what is sent."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from batch_editor.endpoints import Parameter
from batch_editor.manifest.faults import Refused, check_text, shown
from batch_editor.manifest.inputs import read_links
from batch_editor.manifest.odd_cells import OddText
from batch_editor.manifest.rows import Row
from batch_editor.manifest.templates import compiled, is_template
from batch_editor.records import LocalFile, ParamValue

# Both become file names and cells; a longer one is a column that was mixed up.
MAX_ID = 200
MAX_OUTPUT = 400
# Distinct texts of a choice or a number are few; a column of noise must not fill the memory.
_PARSED = 1000
_UNWANTED = ("", "false", "no", "none", "0")
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


@dataclass(frozen=True, slots=True)
class Cell:
    """Reads one column's cell."""

    index: int

    def __call__(self, row: Row) -> str | None:
        """The cell; a blank one doesn't say anything."""
        cell = row.cells[self.index]
        return cell if cell and not cell.isspace() else None


@dataclass(frozen=True, slots=True)
class Rendered:
    """Reads what templates make of a row; `names` has those that they use."""

    read: Reader
    names: frozenset[str]


Source: TypeAlias = "Fixed | Rendered | Reader"


class Slot:
    """A value of a job: sources in order of precedence, of which the first that isn't blank counts.

    `read` is what a row says, None if that is blank, or a blank `OddText` if that comes of blank cells; it adds local
    files to those that it is given. It raises `Refused` where a row says something that can't be. `varies` is whether
    rows have a say, `names` are those that templates use.
    """

    def __init__(
        self, name: str, sources: Sequence[Source | None], convert: Converter, *, fallback: Fixed | None
    ) -> None:
        self.name = name
        readers: list[Reader] = []
        self.end = fallback
        self.end_is_given = False
        self.names: frozenset[str] = frozenset()
        for source in sources:
            if isinstance(source, Fixed):
                self.end = source
                self.end_is_given = True
                break
            if isinstance(source, Rendered):
                self.names |= source.names
                readers.append(source.read)
            elif source is not None:
                readers.append(source)
        self.varies = bool(readers)
        self.read = _first_said(readers, convert)


def _first_said(readers: Sequence[Reader], convert: Converter) -> Callable[[Row, Files], ParamValue]:
    def read(row: Row, files: Files) -> ParamValue:
        """The value of the first reader that has one."""
        blank = None
        for reader in readers:
            text = reader(row)
            if text is not None and (value := convert(text, files)) is not None:
                return value
            # If nothing else is said, a text that is blank because of blank cells is returned: it names them.
            if blank is None and isinstance(text, OddText):
                blank = text
        return blank

    return read


def source_of(
    written: Written, convert: Converter, *, nullable: bool = False, is_prompt: bool = False
) -> Source | None:
    """The source of a written value: a template is read from each row, the rest is decided now.

    None if it says nothing: it is blank, or null where null is no value. Of a prompt it is an `OddText` where odd cells
    come out in it.

    Raises:
        Refused: it is no template, or no such value.
    """
    if written is None:
        return Fixed(None) if nullable else None
    if any(map(is_template, [written] if isinstance(written, str) else written)):
        return _rendered(written, is_prompt=is_prompt)
    files: Files = {}
    value = convert(written, files)
    return None if value is None else Fixed(value, files)


def _rendered(written: str | list[str], *, is_prompt: bool) -> Rendered:
    if isinstance(written, str):
        template = compiled(written)
        return Rendered(template.to_be_sent if is_prompt else template.render_row, template.names)
    parts = [compiled(item) if is_template(item) else item for item in written]
    names = frozenset().union(*(part.names for part in parts if not isinstance(part, str)))
    return Rendered(lambda row: [part if isinstance(part, str) else part.render_row(row) for part in parts], names)


def fallback_of(parameter: Parameter) -> Fixed | None:
    """What is sent where a manifest says nothing: the default, or null; None if that is nothing at all."""
    if parameter.only_when_set or (parameter.must_be_said and not parameter.required):
        return None
    if parameter.default is not None:
        return Fixed(parameter.default_value)
    return Fixed(None) if parameter.nullable else None


def converter_of(parameter: Parameter, folder: Path) -> Converter:
    """Text to value for one parameter; paths are relative to the folder."""
    if parameter.type in ("link", "links"):
        return _links(parameter, folder)
    if is_free_text(parameter):
        return _free_text(parameter)
    return _parsed(parameter)


def is_free_text(parameter: Parameter) -> bool:
    """Whether any text is a value of the parameter, as of a prompt."""
    return parameter.type == "string" and not parameter.choices and parameter.sizes is None


def convert_id(text: str | list[str], _files: Files) -> str:
    """A job's id, stripped."""
    return _name(text, MAX_ID) or _refuse_empty()


def convert_identity(text: str | list[str], _files: Files) -> str:
    """What stands for a job's links, stripped."""
    return _name(text, MAX_OUTPUT) or _refuse_empty()


def convert_when(text: str | list[str], _files: Files) -> str:
    """Whether a row is wanted, as text: see `is_wanted`."""
    assert isinstance(text, str), _LISTS
    return text


def is_wanted(text: str) -> bool:
    r"""Whether what `when` says lets a row pass.

    >>> is_wanted("https://example.com/mug.jpg"), is_wanted(" No\n")
    (True, False)
    """
    return text.strip().lower() not in _UNWANTED


def convert_output(text: str | list[str], _files: Files) -> str | None:
    """An output's path without ending, stripped; None if that leaves nothing."""
    return _name(text, MAX_OUTPUT) or None


def _name(text: str | list[str], limit: int) -> str:
    assert isinstance(text, str), _LISTS
    name = text.strip()
    check_text(name)
    if not name.isprintable() and _CONTROL.search(name):
        raise Refused(f"is {shown(name)}; expected text without control characters")
    if len(name) > limit:
        raise Refused(f"has {len(name):,} characters; expected at most {limit}")
    return name


def _refuse_empty() -> str:
    raise Refused("is empty")


def _free_text(parameter: Parameter) -> Converter:
    most = sys.maxsize if parameter.max_length is None else parameter.max_length

    def convert(text: str | list[str], _files: Files) -> ParamValue:
        """The text; blank is nothing."""
        assert isinstance(text, str), _LISTS
        check_text(text)
        if text == "" or text.isspace():  # an OddText is false for more than that
            return None
        return text if len(text) <= most else _parse(parameter, text)

    return convert


def _parsed(parameter: Parameter) -> Converter:
    known: dict[str, ParamValue] = {}

    def convert(text: str | list[str], _files: Files) -> ParamValue:
        """One of the choices, whatever its capitals."""
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

    return convert


def _links(parameter: Parameter, folder: Path) -> Converter:
    is_list = parameter.type == "links"
    most = parameter.max_items if is_list else 1

    def convert(written: str | list[str], files: Files) -> ParamValue:
        """The links, each once; local files are noted."""
        links: dict[str, None] = {}  # a repetition would only be paid for; two paths of the same content are one
        for item in read_links(written, folder):
            if isinstance(item, LocalFile):
                files[item.sha256] = item
                links[item.link] = None
            else:
                links[item] = None
        if most is not None and len(links) > most:
            raise Refused(f"has {len(links)} links; expected {'one' if most == 1 else f'at most {most}'}")
        if not links:
            return None
        return list(links) if is_list else next(iter(links))

    return convert


def _parse(parameter: Parameter, text: str) -> ParamValue:
    try:
        return parameter.parse(text)
    except ValueError as error:
        reason = str(error)
        raise Refused(reason if reason.startswith("has ") else f"is {shown(text)}; {reason}") from error
