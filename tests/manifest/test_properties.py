from __future__ import annotations

import contextlib
import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.manifest.faults import Refused, shown
from batch_editor.manifest.rows import Columns
from batch_editor.manifest.templates import compiled
from tests.support.manifest_reading import LINK, Reading, read, write

CSV_PIECES = st.sampled_from(
    [*'",;\t\r\n|[]{}', '""', "\0", "id", "prompt", "image_urls", "quality", "low", LINK, "é", "\ufeff", "E+11"]
)
YAML_PIECES = st.sampled_from(
    [
        *("jobs:", "\n", "  - ", "- ", "    ", "id: ", "prompt: ", "rows: ", "matrix: ", "variants: ", "defaults: "),
        *("image_urls: ", "{", "}", "[", "]", ", ", ": ", '"', "'", "{{ a }}", "{% if %}", "no", "null", "&a ", "*a"),
        *("!!", "|", ">", "#", "\t", "\\ud800", "a", "2", LINK, "\x85", "é", "mask: ", "quality: ", "endpoint: "),
    ]
)
NAME = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=20)


def read_text(name: str, content: bytes, **overrides: Any) -> Reading:
    with tempfile.TemporaryDirectory() as folder:
        return read(write(Path(folder) / name, content), **overrides)


def table(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("id", "prompt", "image_urls", "Note"), *rows])
    return text.getvalue().encode()


def check(reading: Reading) -> None:
    assert reading.faults or reading.jobs
    assert all(len(line) < 1200 and line.isprintable() for line in reading.faults + reading.warnings)


@settings(max_examples=150)
@given(st.lists(CSV_PIECES).map("".join) | st.text(), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
@pytest.mark.slow
def test_no_text_makes_reading_csv_raise(text: str, encoding: str) -> None:
    content = text.encode(encoding, errors="replace")
    check(read_text("m.csv", content))
    check(read_text("m.csv", content, prompt="{{ row|length }}{{ id }}", image_urls=LINK))


@settings(max_examples=100)
@given(st.binary(max_size=200))
@pytest.mark.slow
def test_no_bytes_make_reading_raise(content: bytes) -> None:
    check(read_text("m.csv", content))
    check(read_text("m.yaml", content))


@settings(max_examples=300)
@given(st.lists(YAML_PIECES, max_size=40).map("".join) | st.text())
@pytest.mark.slow
def test_no_text_makes_reading_yaml_raise(text: str) -> None:
    check(read_text("m.yaml", text.encode(errors="replace")))
    check(read_text("m.yaml", f"jobs:\n  - {{prompt: x, image_urls: [{LINK}], {text}}}".encode(errors="replace")))


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*"{}%()[]'\"|.,+*~-/ ab10=\n", "for ", "if ", "in ", "set ", "{{"])).map("".join))
@pytest.mark.slow
def test_a_template_gives_text_or_is_refused(source: str) -> None:
    for text in (source, "{{" + source + "}}", "{%" + source + "%}"):
        with contextlib.suppress(Refused):
            assert isinstance(compiled(text).render({"a": "x", "b": "1", "row": {}}), str)


SOURCES = st.lists(
    st.sampled_from(
        [
            *"{}%()[]'|.,+*~-/ ab10=",
            *("{{ a", " }}", "|upper", "|int", "|join", ".split()", "[0]", "[:1]", " or b", " and b"),
        ]
    )
).map("".join)


@settings(max_examples=300)
@given(SOURCES, st.sampled_from(["", "nan", "None"]))
@pytest.mark.slow
def test_a_cell_that_remembers_being_odd_gives_what_any_other_text_gives(source: str, cell: str) -> None:
    columns = Columns(["a", "b"])
    marked = columns.namespace([cell, "x"])
    plain: dict[str, object] = {"a": cell, "b": "x", "row": {"a": cell, "b": "x"}}
    for text in (source, "{{" + source + "}}"):
        try:
            expected: str | None = compiled(text).render(plain)
        except Refused:
            expected = None
        try:
            assert compiled(text).render(marked) == expected
        except Refused:
            assert expected is None


@settings(max_examples=50)
@given(st.lists(st.tuples(NAME, NAME, st.just(LINK), NAME), min_size=1, unique_by=lambda row: row[0]), st.data())
@pytest.mark.slow
def test_ids_and_requests_do_not_depend_on_the_order_of_rows(
    rows: list[tuple[str, str, str, str]], data: st.DataObject
) -> None:
    before = read_text("m.csv", table(rows))
    after = read_text("m.csv", table(data.draw(st.permutations(rows))))
    assert before.faults == after.faults == []
    assert {job.id: (job.request, job.extras) for job in before.jobs} == {
        job.id: (job.request, job.extras) for job in after.jobs
    }
    assert before.ids == [row[0] for row in rows]
    assert before.values("prompt") == [row[1] for row in rows]


@given(st.text())
def test_what_messages_show_is_short_and_printable(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text[:5])) <= 5 * 10 + 2
