from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batch_editor.shops.seen import Seen


@given(st.lists(st.one_of(st.integers(-5, 5), st.integers(), st.text(max_size=2))))
def test_it_tells_what_is_new(things: list[int | str]) -> None:
    seen, expected = Seen(), set[int]()
    for thing in things:
        known = (hash(thing) or 1) in expected
        assert (thing in seen) == known
        assert seen.add(thing) != known
        expected.add(hash(thing) or 1)


def test_it_grows() -> None:
    seen = Seen()
    assert all(seen.add(("link", number)) for number in range(20_000))
    assert all(("link", number) in seen for number in range(20_000))
    assert not any(seen.add(("link", number)) for number in range(20_000))
    assert ("link", 20_000) not in seen
