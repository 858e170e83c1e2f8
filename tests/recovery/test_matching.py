"""Which row of the history is which attempt."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.client import HistoryRow
from batch_editor.recovery.matching import CLOCKS_S, Bodies, Matches, Sent, match

BODIES = Bodies({})
MUG: dict[str, Any] = {"prompt": "a mug", "image_urls": ["https://a/mug.png"], "mask": None, "output_compression": 95}


def sent(attempt_id: int, *, at: float = 0.0, sure: bool = False, id: str | None = None, **changes: Any) -> Sent:
    return Sent(attempt_id, {**MUG, **changes}, id, at, at + 300, sure)


def row(id: str, *, usd: float = 0.2, state: str = "COMPLETED", at: float | None = None, body: Any = MUG) -> HistoryRow:
    return HistoryRow(id, state, usd, body, None, at, None)


def matched(attempts: list[Sent], rows: list[HistoryRow], *taken: str) -> Matches:
    return match(attempts, rows, BODIES, taken=frozenset(taken))


def ids(matches: Matches) -> dict[int, str]:
    return {attempt_id: row.request_id for attempt_id, row in matches.rows.items()}


def test_an_id_says_it_whatever_the_body() -> None:
    assert ids(matched([sent(1, id="b")], [row("a"), row("b", body=None)])) == {1: "b"}


def test_the_same_body_in_other_words_is_the_same() -> None:
    """The provider may drop nulls, write numbers as fractions, and add what it likes."""
    other = {"output_compression": 95.0, "image_urls": ["https://a/mug.png"], "prompt": "a mug", "seed": 7}
    assert ids(matched([sent(1)], [row("a", body=other)])) == {1: "a"}


@pytest.mark.parametrize(
    "prompt",
    ["data:image/png;base64,\u00e4", "http://[?sig=1", orjson.loads("[" * 300 + "]" * 300), 10.0**29],
    ids=["no base64", "no link", "nested", "huge"],
)
def test_a_body_that_cannot_be_ours_is_another(prompt: Any) -> None:
    assert ids(matched([sent(1)], [row("odd", body={**MUG, "prompt": prompt}), row("a")])) == {1: "a"}


@pytest.mark.parametrize("changes", [{"prompt": "a mug "}, {"mask": "https://a/m.png"}, {"output_compression": 94}])
def test_another_body_is_another(changes: dict[str, Any]) -> None:
    assert ids(matched([sent(1, **changes)], [row("a")])) == {}


def test_a_new_signature_of_a_link_is_no_other_body() -> None:
    first, second = (
        f"https://b.s3.amazonaws.com/m.png?X-Amz-Date={day}&X-Amz-Signature={day}" for day in ("20261121", "20261122")
    )
    assert ids(matched([sent(1, image_urls=[first])], [row("a", body={**MUG, "image_urls": [second]})])) == {1: "a"}


def test_a_local_file_is_known_uploaded_and_inline() -> None:
    content = b"picture"
    sha256 = hashlib.sha256(content).hexdigest()
    bodies = Bodies({sha256: "https://up/1.png"})
    inline = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    ours = bodies.name({"image": f"sha256:{sha256}"}, ["image"])
    assert bodies.name({"image": "https://up/1.png"}, ["image"]) == ours
    assert bodies.name({"image": inline}, ["image"]) == ours
    assert bodies.name({"image": "https://up/2.png"}, ["image"]) != ours


def test_who_surely_was_charged_comes_first() -> None:
    assert ids(matched([sent(1), sent(2, at=50, sure=True)], [row("a")])) == {2: "a"}


def test_rows_of_other_attempts_are_not_given_away() -> None:
    assert ids(matched([sent(1)], [row("a")], "a")) == {}


def test_a_row_of_another_time_is_another_request() -> None:
    late = 300 + CLOCKS_S
    assert ids(matched([sent(1)], [row("a", at=late + 1)])) == {}
    assert ids(matched([sent(1)], [row("a", at=late)])) == {1: "a"}


def test_each_attempt_gets_the_row_of_its_time() -> None:
    attempts = [sent(1, at=0), sent(2, at=5000)]
    assert ids(matched(attempts, [row("b", at=5010), row("a", at=10)])) == {1: "a", 2: "b"}


def test_a_failed_job_charges_nobody_and_one_under_way_may_yet() -> None:
    failed = matched([sent(1)], [row("a", usd=0.0, state="FAILED")])
    assert (ids(failed), failed.under_way) == ({}, frozenset())
    assert matched([sent(1)], [row("a", usd=0.0, state="PENDING")]).under_way == {1}


def test_a_charge_without_a_body_leaves_it_open() -> None:
    assert matched([sent(1)], [row("a", body=None)]).unread == {1}


@given(
    attempts=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 900), st.booleans()), max_size=8),
    rows=st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(0, 1800), st.booleans()), max_size=8),
)
def test_no_row_is_given_twice_and_none_is_left_that_would_fit(
    attempts: list[tuple[str, int, bool]], rows: list[tuple[str, int | None, bool]]
) -> None:
    ours = [sent(n, at=float(at), sure=sure, prompt=prompt) for n, (prompt, at, sure) in enumerate(attempts)]
    theirs = [
        row(f"{n}", usd=0.2 * made, state="COMPLETED" if made else "FAILED", at=at, body={**MUG, "prompt": prompt})
        for n, (prompt, at, made) in enumerate(rows)
    ]
    found = matched(ours, theirs).rows
    given_away = [each.request_id for each in found.values()]
    assert len(given_away) == len(set(given_away))
    for each in ours:
        if each.attempt_id not in found:
            left = [r for r in theirs if r.made and r.request_id not in given_away and r.body]
            fits = [
                r
                for r in left
                if r.body is not None
                and r.body["prompt"] == each.params["prompt"]
                and (r.at is None or each.sent_at - CLOCKS_S <= r.at <= each.until_at + CLOCKS_S)
            ]
            assert fits == []
