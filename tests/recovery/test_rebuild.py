"""Output manifests are read again as they were written, by a reader of the project's own."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.recovery.rebuild import read_rows

CELLS = st.text(st.characters(blacklist_categories=["Cs"]) | st.sampled_from(",\"\n\r' ="), max_size=20)


def lines(text: str) -> io.StringIO:
    return io.StringIO(text, newline="")


@given(st.lists(st.lists(CELLS, min_size=1, max_size=6), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_rows_come_back_as_the_csv_module_wrote_them(rows: list[list[str]], ending: str) -> None:
    file = lines("")
    # A bare carriage return would end a row for whoever reads it: none is written.
    rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    csv.writer(file, lineterminator=ending).writerows(rows)
    assert [row for _, row in read_rows(lines(file.getvalue()))] == rows


def test_lines_are_counted_as_a_text_editor_does_and_blank_ones_are_no_rows() -> None:
    assert list(read_rows(lines('a,b\n\n"1\n\n2",x\r\n\r\n3,"""y"""\n,'))) == [
        (1, ["a", "b"]),
        (3, ["1\n\n2", "x"]),
        (7, ["3", '"y"']),
        (8, ["", ""]),
    ]


def test_a_cell_may_be_longer_than_the_csv_module_takes() -> None:
    long = "x" * 1_000_000
    assert list(read_rows(lines(f'{long},"{long},"\n'))) == [(1, [long, f"{long},"])]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('a\n"b\nc', "line 2 opens a quote that is never closed"),
        ('a\nb"c"', "line 2 has a quote within a cell that does not begin with one"),
        ('"a"b,c', "line 1 has a quote within a cell that does not begin with one"),
    ],
)
def test_what_no_writer_writes_is_a_fault_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{fault}$"):
        list(read_rows(lines(text)))
