from __future__ import annotations

import sqlite3

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_editor.manifest.choice import Choice

PIECES = st.text("ab-]^[!*?cz\\.Aé", max_size=8)


def by_sqlite(pattern: str, job_id: str) -> bool:
    with sqlite3.connect(":memory:") as db:
        ((found,),) = db.execute("SELECT ? GLOB ?", (job_id, pattern.replace("[!", "[^")))
    db.close()
    return bool(found)


@settings(max_examples=2000, deadline=None)
@given(PIECES, PIECES)
@example("[]a]", "]")
@example("[^]a]", "]")
@example("[a-]", "-")
@example("[c-a]", "b")
@example("[a-c-z]", "k")
@example("[--z]", "a")
@example("[a-c", "b")
@example("[^", "^")
@example("[]", "]")
@example("*[!a]?", "bb")
@example("[c-a]*", "c")
@example("[!c-a]", "b")
def test_a_pattern_chooses_what_sqlite_would(pattern: str, job_id: str) -> None:
    assert Choice([pattern]).has_any([job_id]) is by_sqlite(pattern, job_id)


@pytest.mark.parametrize(
    ("patterns", "ids", "chosen"),
    [
        ([], [], True),
        (["mug*"], ["cup", "mug-1"], True),
        (["mug*", "cup"], ["cup"], True),
        (["mug*"], ["MUG-1"], False),
        (["*"], ["two\nlines"], True),
        (["mug"], [], False),
    ],
)
def test_one_job_and_one_pattern_are_enough(patterns: list[str], ids: list[str], chosen: bool) -> None:
    assert Choice(patterns).has_any(ids) is chosen
