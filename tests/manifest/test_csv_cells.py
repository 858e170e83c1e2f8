"""A row taken apart with places: the same cells as the csv module reads, and nothing else changes where one does."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from batch_editor.manifest.csv_cells import bare, with_value, written_cells

DELIMITERS = st.sampled_from([",", ";", "\t", "|", "^", "]"])
TEXTS = st.text(alphabet='ab ü,;|\t^]"=\r\n', max_size=8)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def reader(text: str, delimiter: str) -> list[list[str]]:
    lines = io.StringIO(text, newline="")
    return list(csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=delimiter == "|"))


@st.composite
def rows(draw: st.DrawFn) -> tuple[str, str, list[str]]:
    """A row as some program writes it: its text, what stands between its cells, and the cells."""
    delimiter, end = draw(DELIMITERS), draw(LINE_ENDS)
    cells, written = [], []
    for cell in draw(st.lists(TEXTS, min_size=1, max_size=6)):
        plain = cell.lstrip(" ") if delimiter == "|" else cell
        needs = plain.startswith('"') or any(each in cell for each in (delimiter, "\r", "\n"))
        in_quotes = needs or draw(st.booleans())
        doubled = cell.replace('"', '""')
        cells.append(cell if in_quotes else plain)
        written.append(f'"{doubled}"' if in_quotes else cell)
    text = delimiter.join(written)
    assume(text)
    return text + draw(st.sampled_from(["", end])), delimiter, cells


@given(rows())
def test_the_cells_are_those_of_the_csv_module(row: tuple[str, str, list[str]]) -> None:
    text, delimiter, cells = row
    assert reader(text, delimiter) == [cells]
    found = written_cells(text, delimiter)
    assert found is not None
    values = [cell.value.lstrip(" ") if delimiter == "|" else cell.value for cell in found[0]]
    assert values == [cell.lstrip(" ") if delimiter == "|" else cell for cell in cells]
    assert found[1] == len(text)


@given(st.text(alphabet='a ,"\r\n', min_size=1, max_size=20))
@example('a,"b\n\n"\n\nc')
def test_whatever_the_csv_module_reads_is_read_alike(text: str) -> None:
    try:
        read = reader(text, ",")
    except csv.Error:
        return
    assume(read[0])
    found = written_cells(text, ",")
    assert found is not None
    assert [cell.value for cell in found[0]] == read[0]


@given(rows(), TEXTS, st.data())
def test_a_cell_is_written_over_and_the_others_stay_byte_by_byte(
    row: tuple[str, str, list[str]], new: str, data: st.DataObject
) -> None:
    text, delimiter, cells = row
    number = data.draw(st.integers(0, len(cells) - 1))
    found = written_cells(text, delimiter)
    assert found is not None
    cell = found[0][number]
    if delimiter == "|":
        new = new.strip()
    written = with_value(text[cell.start : cell.end], cell.value, new, delimiter)
    changed = text[: cell.start] + written + text[cell.end :]
    assume(changed.strip("\r\n"))
    read = reader(changed, delimiter)[0]
    assert bare(read[number], delimiter) == bare(new, delimiter) or bare(read[number], delimiter) == new
    others = [bare(each, delimiter) for each in read]
    assert others[:number] + others[number + 1 :] == [
        bare(each, delimiter) for each in cells[:number] + cells[number + 1 :]
    ]
    assert (
        with_value(text[cell.start : cell.end], cell.value, bare(cell.value, delimiter), delimiter)
        == (text[cell.start : cell.end])
    )


@pytest.mark.parametrize(
    ("row", "delimiter", "number", "new", "changed"),
    [
        ("a.jpg,1\n", ",", 0, "b.jpg", "b.jpg,1\n"),
        ('"a.jpg",1\n', ",", 0, "b.jpg", '"b.jpg",1\n'),
        ('x,"a, ""b"".jpg"\r\n', ",", 1, 'c, "d"', 'x,"c, ""d"""\r\n'),
        ("a.jpg;1", ";", 0, "b;c.jpg", '"b;c.jpg";1'),
        ('="a.jpg",1\n', ",", 0, "b.jpg", '="b.jpg",1\n'),
        ('"=""a.jpg""",1\n', ",", 0, "b.jpg", '"=""b.jpg""",1\n'),
        ("| a.jpg | 1 |\n", "|", 1, "b.jpg", "| b.jpg | 1 |\n"),
        ('| "a.jpg"  | 1 |\n', "|", 1, "b.jpg", '| "b.jpg"  | 1 |\n'),
        ('"a.jpg"   ,1\n', ",", 0, "b.jpg", '"b.jpg"   ,1\n'),
    ],
)
def test_a_cell_is_quoted_as_it_was_or_where_it_needs_it(
    row: str, delimiter: str, number: int, new: str, changed: str
) -> None:
    found = written_cells(row, delimiter)
    assert found is not None
    start, end, value = found[0][number]
    assert row[:start] + with_value(row[start:end], value, new, delimiter) + row[end:] == changed
