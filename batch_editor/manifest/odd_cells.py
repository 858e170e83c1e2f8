"""Cells that were hardly meant to be sent: blank ones, a spreadsheet's errors, what programs write for nothing.

In templates they are texts, numbers and lists that remember their cells through whatever is done with them, so that
one that comes out is seen (`{{ title|upper }}`, `{{ "Show " ~ title }}`), and one that is only asked about isn't
(`{% if title %}`, `{{ title or "it" }}`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, SupportsIndex, TypeAlias

from batch_editor.manifest.faults import Problem, Refused, shown

Oddity: TypeAlias = Literal["blank", "error", "placeholder"]

# Excel, Google Sheets and LibreOffice, in English; then Excel's in German, French, Spanish, Italian, Portuguese, Dutch,
# Polish, Swedish, Danish, Finnish, Czech, Russian and Turkish, where they differ from all before.
_ERROR_WORDS = """
    #NULL! #DIV/0! #VALUE! #REF! #NAME? #NUM! #N/A #N/A! #GETTING_DATA #SPILL! #CALC! #FIELD! #BLOCKED! #UNKNOWN!
    #BUSY! #CONNECT! #EXTERNAL! #PYTHON! #TIMEOUT! #ERROR! #ERROR #MACRO? #FMT #NV #BEZUG! #WERT! #ZAHL! #ÜBERLAUF!
    #VALEUR! #NOM? #NOMBRE! #NUL! #PROPAGATION! #N/D #¡REF! #¡VALOR! #¿NOMBRE? #¡NUM! #¡NULO! #¡DIV/0!
    #¡DESBORDAMIENTO! #RIF! #VALORE! #NOME? #NULLO! #VALOR! #NÚM! #NULO! #N/B #VERW! #WAARDE! #NAAM? #GETAL! #LEEG!
    #DEEL/0! #N/D! #ADR! #ARG! #NAZWA? #LICZBA! #ZERO! #DZIEL/0! #SAKNAS! #REFERENS! #VÄRDEFEL! #NAMN? #OGILTIGT!
    #SKÄRNING! #DIVISION/0! #I/T #REFERENCE! #VÆRDI! #NAVN? #PUUTTUU! #VIITTAUS! #ARVO! #NIMI? #LUKU! #TYHJÄ!
    #JAKO/0! #ODKAZ! #HODNOTA! #NÁZEV? #ČÍSLO! #Н/Д #ССЫЛКА! #ЗНАЧ! #ИМЯ? #ЧИСЛО! #ПУСТО! #ДЕЛ/0! #YOK #BAŞV!
    #DEĞER! #AD? #SAYI! #BOŞ! #SAYI/0!
"""
_ERRORS = _ERROR_WORDS.split()
_ERRORS += [f"ERR:{number}" for number in range(500, 600)]  # LibreOffice's
_ERRORS += ["#" * width for width in range(3, 25)]  # a column too narrow for its number
_PLACEHOLDERS = (
    *("NAN", "NULL", "NONE", "NIL", "UNDEFINED", "N/A", "<NA>", "NAT", "[OBJECT OBJECT]", "(NULL)"),
    *("N.A.", "TBD", "TBC", "TODO", r"\N"),  # people's own, and MySQL's
)
_ODDITIES: dict[str, Oddity] = {"": "blank"}
_ODDITIES |= dict.fromkeys(_ERRORS, "error")
_ODDITIES |= dict.fromkeys(_PLACEHOLDERS, "placeholder")
_LONGEST = max(map(len, _ODDITIES))
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"  # no white space to Python, but nothing to see either
# What an odd text begins with; most others are known by that alone. White space is nowhere beyond U+3000.
_BEGINNINGS = {*_INVISIBLE, *filter(str.isspace, map(chr, range(0x3001)))}
_BEGINNINGS |= {case for word in _ODDITIES if word for case in (word[0], word[0].lower())}
# Ends of messages that are counted by rows.
MEND_IT = "a spreadsheet's error: mend it there"
IS_IT_MEANT = "some programs write that for an empty cell: is it meant?"


def oddity_of(text: str) -> Oddity | None:
    """What is odd about a whole cell or value; for most of them nothing.

    >>> oddity_of(" "), oddity_of("#N/A "), oddity_of("nan"), oddity_of("Mug")
    ('blank', 'error', 'placeholder', None)
    """
    if text and text[0] not in _BEGINNINGS:
        return None
    word = text.strip()
    if len(word) > _LONGEST:
        return None
    if word and word[0] in _INVISIBLE:
        word = "".join(character for character in word if character not in _INVISIBLE).strip()
    return _ODDITIES.get(word.upper())


class SpreadsheetError(Refused):
    """A whole value is what a spreadsheet shows where a formula fails."""


def check_is_no_error(text: str) -> None:
    """Let pass what may be meant.

    Raises:
        SpreadsheetError: it is a spreadsheet's error.
    """
    if oddity_of(text) == "error":
        raise SpreadsheetError(f"is {shown(text.strip())}")


class OddCell(NamedTuple):
    """A cell that a template met: the name by which it did, and the cell's text."""

    name: str
    text: str

    @property
    def oddity(self) -> Oddity:
        """What is odd about it."""
        return oddity_of(self.text) or "blank"

    @property
    def said(self) -> str:
        """The same as a message has it."""
        return f"{self.name} is empty" if self.oddity == "blank" else f"{self.name} is {shown(self.text.strip())}"


Cells: TypeAlias = "tuple[OddCell, ...]"


def problems_of(cells: Cells, where: str, about: str, *, is_table: bool) -> list[Problem]:
    """What is wrong with a row whose prompt (or what else it is about) puts blank cells or errors out; the ways out.

    is_table: the ways out are options of the command line, for the manifest is a table.
    """
    return [
        Problem(where, cell.said, advice=_ways_out(cell, is_table=is_table), about=about)
        for cell in cells
        if cell.oddity != "placeholder"
    ]


def placeholder_warnings(cells: Cells, where: str) -> list[Problem]:
    """What may be wrong with a row whose prompt puts placeholders out."""
    return [Problem(where, cell.said, advice=IS_IT_MEANT) for cell in cells if cell.oddity == "placeholder"]


def _ways_out(cell: OddCell, *, is_table: bool) -> str:
    name = cell.name
    used = _used(name)
    default = f'{{{{ {used}|default("…", true) }}}}'
    if cell.oddity == "error":
        return f"{MEND_IT}, or write {default}"
    carry = f"--set 'carry={name}'" if is_table else f"carry: [{name}]"
    return (
        f"{carry} takes the value above, {_when(name, is_table)} skips such rows, {default} puts something in its place"
    )


def way_to_skip(names: Mapping[str, object], name: str, *, is_table: bool) -> str:
    """How rows are skipped whose cell of that name is blank, as this one is; nothing if it isn't. Names are a row's."""
    row = names.get("row")
    cell = names.get(name, row.get(name) if isinstance(row, dict) else None)
    is_blank = isinstance(cell, str) and oddity_of(str(cell)) == "blank"
    return f"{_when(name, is_table)} skips such rows" if is_blank else ""


def _when(name: str, is_table: bool) -> str:
    return f"--set 'when={{{{ {_used(name)} }}}}'" if is_table else f"when: '{{{{ {_used(name)} }}}}'"


def _used(name: str) -> str:
    """A column as templates name it."""
    return name if name.isidentifier() else f'row["{name}"]'


class OddText(str):
    """A text that an odd cell went into. As a condition it is false if it is blank, or a spreadsheet's error."""

    __slots__ = ("cells",)
    cells: Cells

    @classmethod
    def with_cells(cls, text: str, cells: Cells) -> OddText:
        """The text with its cells."""
        made = cls(text)
        made.cells = cells
        return made

    def __bool__(self) -> bool:
        return oddity_of(str(self)) not in ("blank", "error")

    def __getitem__(self, key: SupportsIndex | slice) -> OddText:
        return OddText.with_cells(super().__getitem__(key), self.cells)

    def __iter__(self) -> Iterator[str]:
        return (OddText.with_cells(character, self.cells) for character in super().__iter__())


class OddInt(int):
    """A whole number that came from an odd cell."""

    cells: Cells


class OddFloat(float):
    """A number that came from an odd cell."""

    cells: Cells


class OddList(list[object]):
    """A list that was made of an odd cell, as by `split`; its items are odd as well."""

    cells: Cells


_ODD = (OddText, OddInt, OddFloat, OddList)


def cells_of(value: object) -> Cells:
    """The odd cells that went into a value."""
    return value.cells if isinstance(value, _ODD) else ()


def cells_among(values: Iterable[object]) -> Cells:
    """The odd cells that went into any of them."""
    cells: dict[OddCell, None] = {}
    for value in values:
        if isinstance(value, _ODD):
            cells.update(dict.fromkeys(value.cells))
    return tuple(cells)


def marked(value: object, cells: Cells) -> object:
    """The value, remembering that it was made of these cells; one that does already stays as it is."""
    made: OddInt | OddFloat | OddList
    match value:
        case OddText() | OddInt() | OddFloat() | OddList() | bool():
            return value
        case str():
            return OddText.with_cells(value, cells)
        case int():
            made = OddInt(value)
        case float():
            made = OddFloat(value)
        case list() | tuple():
            made = OddList(marked(item, cells) for item in value)
        case _:
            return value
    made.cells = cells
    return made
