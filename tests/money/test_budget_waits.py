from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.money.budget import TOLERANCE_USD, Budget
from tests.support.virtual_time import Deadlock, run

cents = st.integers(1, 200).map(lambda n: n / 100)


@given(
    limit=cents,
    requests=st.lists(st.tuples(cents, st.floats(0, 1), st.floats(0, 10)), max_size=30),
    spent=st.floats(0, 0.5),
)
@settings(max_examples=150)
@pytest.mark.slow
def test_no_schedule_of_charges_passes_the_limit(
    limit: float, requests: list[tuple[float, float, float]], spent: float
) -> None:
    """Each request is charged some share of its max price, in any order of releases."""

    async def main() -> None:
        budget = Budget(limit, spent_usd=min(spent, limit))

        async def request(max_usd: float, share: float, lasts_s: float) -> None:
            reserved = await budget.reserve(max_usd)
            if reserved is None:
                return
            assert budget.spent_usd + budget.reserved_usd <= limit + 30 * TOLERANCE_USD
            await asyncio.sleep(lasts_s)
            budget.release(reserved, max_usd * share)

        async with asyncio.TaskGroup() as group:
            for each in requests:
                group.create_task(request(*each))
        assert budget.spent_usd <= limit + 30 * TOLERANCE_USD
        assert budget.reserved_usd == pytest.approx(0, abs=1e-9)

    run(main())


async def test_a_limit_of_five_prices_takes_five_requests() -> None:
    budget = Budget(1.20)
    assert [await budget.reserve(0.24) for _ in range(5)] == [0.24] * 5
    for _ in range(5):
        budget.release(0.24, 0.24)
    assert await budget.reserve(0.24) is None


async def test_no_limit_takes_everything() -> None:
    budget = Budget(None)
    assert await budget.reserve(1e9) == 1e9
    assert not budget.exhausted(1e9)


async def test_what_was_spent_before_counts() -> None:
    assert await Budget(1.0, spent_usd=0.9).reserve(0.2) is None


async def test_what_does_not_fit_now_waits_for_a_release_that_may_make_room() -> None:
    budget = Budget(1.0)
    await budget.reserve(0.8)
    waiting = asyncio.create_task(budget.reserve(0.5))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.release(0.8, 0.1)
    assert await waiting == 0.5


async def test_a_release_that_makes_no_room_lets_the_waiting_go() -> None:
    budget = Budget(1.0)
    await budget.reserve(0.8)
    waiting = asyncio.create_task(budget.reserve(0.5))
    await asyncio.sleep(0)
    budget.release(0.8, 0.8)
    assert await waiting is None


async def test_closing_lets_everybody_go() -> None:
    budget = Budget(1.0)
    await budget.reserve(0.8)
    waiting = [asyncio.create_task(budget.reserve(0.5)) for _ in range(3)]
    await asyncio.sleep(0)
    budget.close()
    assert await asyncio.gather(*waiting) == [None] * 3


async def test_what_will_never_fit_is_known_while_requests_are_in_flight() -> None:
    budget = Budget(1.0, spent_usd=0.6)
    await budget.reserve(0.3)
    assert not budget.exhausted(0.4)
    assert budget.exhausted(0.5)
    assert budget.left_usd == pytest.approx(0.1)


async def test_at_the_end_a_steady_price_may_use_up_what_is_left_one_at_a_time() -> None:
    budget = Budget(1.0, spent_usd=0.85)
    assert await budget.reserve(0.24, steady_usd=0.1) == pytest.approx(0.15)
    assert budget.left_usd == pytest.approx(0.0)
    waiting = asyncio.create_task(budget.reserve(0.24, steady_usd=0.1))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.release(0.15, 0.1)
    assert await waiting is None


def test_someone_who_waits_for_a_release_that_never_comes_is_a_deadlock_here_and_not_a_hang() -> None:
    async def main() -> None:
        budget = Budget(1.0)
        await budget.reserve(1.0)
        await budget.reserve(1.0)

    with pytest.raises(Deadlock, match=r"^everything waits, and no timer is set$"):
        run(main())


async def test_whoever_waited_asks_for_the_prices_anew() -> None:
    budget = Budget(1.0)
    await budget.reserve(0.8)
    waiting = asyncio.create_task(budget.reserve(0.5, again=lambda: (0.3, None)))
    await asyncio.sleep(0)
    budget.release(0.8, 0.7)
    assert await waiting == 0.3
    assert budget.left_usd == pytest.approx(0.0)


async def test_it_is_known_whether_others_hold_a_reservation_and_whether_anyone_may_wait() -> None:
    budget = Budget(1.0)
    await budget.reserve(0.1)
    assert budget.exhausted(1.1)
    assert not budget.closed
    budget.close()
    assert budget.closed
    assert await budget.reserve(0.1) == 0.1
