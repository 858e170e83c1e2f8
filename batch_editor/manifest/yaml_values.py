"""What stands at a place of a YAML manifest, as the type that belongs there; or why it is no such thing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

from batch_editor.manifest.faults import Refused, check_text, shown
from batch_editor.manifest.table_files import WANTED, NoTable, check_is_table
from batch_editor.strict_yaml import Block, Text, Value

# Of a matrix, for each row: a few lists of a hundred values would be expanded until the disk is full.
MAX_COMBINATIONS = 100_000


class RefusedAt(Refused):
    """Refused, with the line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line

    def with_subject(self, name: str) -> RefusedAt:
        """The same with its subject."""
        return RefusedAt(f"{name} {self}", self.line)


def table_of(value: Value, folder: Path) -> str:
    """The name of a table, as it stands.

    Raises:
        RefusedAt: it is no text, or none that names a table beside the manifest.
    """
    try:
        name = text_of(value)
    except Refused as error:
        raise RefusedAt(str(error.with_subject("rows")), line_of(value)) from error
    try:
        check_is_table(name, folder)
    except NoTable as fault:
        found = f", which {fault}" if str(fault) else ""
        raise RefusedAt(
            f"rows is {shown(name)}{found}; expected a {WANTED}, or a list of mappings", line_of(value)
        ) from fault
    return name


def mappings_of(items: Sequence[Value]) -> list[Block]:
    """Rows that stand in the manifest itself.

    Raises:
        RefusedAt: one of them is no mapping.
    """
    blocks = []
    for item in items:
        if not isinstance(item, Block):
            raise RefusedAt(f"rows has {kind_of(item)}; expected mappings of columns and cells", line_of(item))
        blocks.append(item)
    return blocks


def matrix_of(value: Value) -> dict[str, list[str]]:
    """The values of a matrix by their names; none if there is no matrix.

    Raises:
        RefusedAt: it isn't a mapping of lists of texts, or has too many combinations.
    """
    if value is None:
        return {}
    if not isinstance(value, Block) or not value:
        raise RefusedAt(f"matrix is {kind_of(value)}; expected names, each with a list of values", line_of(value))
    matrix = {}
    for name, items in value.items():
        line = line_of(items, value)
        if name == "row":
            raise RefusedAt("matrix has the name row, which stands for the row itself", line)
        if not isinstance(items, list) or not items:
            raise RefusedAt(f"matrix {name} is {kind_of(items)}; expected a list of values", line)
        try:
            matrix[name] = [_scalar(item) for item in items]
        except Refused as error:
            raise RefusedAt(f"matrix {name} {error}", line) from error
    if (combinations := prod(map(len, matrix.values()))) > MAX_COMBINATIONS:
        message = f"matrix has {combinations:,} combinations; expected at most {MAX_COMBINATIONS:,}"
        raise RefusedAt(message, value.line)
    return matrix


def cell_of(name: str, value: Value) -> str:
    """The cell of a row that stands in the manifest itself; null is an empty one.

    Raises:
        Refused: it is no text, or none that can be sent.
    """
    try:
        return "" if value is None else _scalar(value)
    except Refused as error:
        raise error.with_subject(f"rows {name}") from error


def text_of(value: Value, *, may_be_truth: bool = False) -> str:
    """The scalar as text.

    Raises:
        Refused: it is none, or one of YAML 1.1's truth values where a text belongs.
    """
    if not isinstance(value, Text):
        raise Refused(f"is {kind_of(value)}; expected text")
    if value.boolean and not may_be_truth:
        raise Refused(f"is {value}, which YAML reads as a truth value; put it in quotes")
    return str(value)


def check_is_whole(value: Value) -> None:
    """Let pass what is sent as it was meant.

    Raises:
        RefusedAt: YAML takes the end of a plain text for a comment, as of `Make the cup #ff0000 and shiny`.
    """
    if isinstance(value, Text) and value.lost:
        comment, line = value.lost
        raise RefusedAt(f"ends before {shown(comment)}, which YAML takes for a comment; put all of it in quotes", line)


def kind_of(value: Value) -> str:
    """What a value is, in the words of messages."""
    match value:
        case None:
            return "null"
        case Text():
            return shown(value)
        case Block():
            return "a mapping" if value else "an empty mapping"
        case _:
            return "a list" if value else "an empty list"


def line_of(value: Value, around: Block | None = None) -> int:
    """Where a value stands, as near as is known."""
    if isinstance(value, (Text, Block)):
        return value.line
    lines = [line_of(item) for item in value or ()]
    return next((line for line in lines if line), around.line if around else 0)


def _scalar(value: Value) -> str:
    text = text_of(value)
    check_text(text)
    return text
