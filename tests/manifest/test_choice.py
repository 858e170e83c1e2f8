from __future__ import annotations

import pytest

from batch_editor.ledger import Choice


@pytest.mark.parametrize(
    ("patterns", "ids", "chosen"),
    [
        ([], [], True),
        (["mug*"], ["cup", "mug-1"], True),
        (["mug*", "cup"], ["cup"], True),
        (["mug*"], ["MUG-1"], False),
        (["*"], ["two\nlines"], True),
        (["mug"], [], False),
        (["[!a-c]up"], ["cup", "pup"], True),
        (["[^a-c]up"], ["cup"], False),
        (["[a-c"], ["b"], False),
    ],
)
def test_one_job_and_one_pattern_are_enough(patterns: list[str], ids: list[str], chosen: bool) -> None:
    assert Choice(patterns).has_any(ids) is chosen
