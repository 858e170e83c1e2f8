"""The budget by itself: what it sets aside, what it gives back, whom it lets wait."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batch_editor.money.budget import TOLERANCE_USD, Budget

prices = st.floats(0.001, 2.0)


class BudgetMachine(RuleBasedStateMachine):
    """Reservations and releases in any order; what a reservation is charged never exceeds it."""

    @initialize(limit=st.floats(0.01, 5.0), spent=st.floats(0.0, 2.0))
    def open(self, limit: float, spent: float) -> None:
        self.limit, self.spent = limit, min(spent, limit)
        self.budget = Budget(limit, spent_usd=self.spent)
        self.loop = asyncio.new_event_loop()
        self.held: list[float] = []

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    def reserve(self, usd: float, steady_usd: float | None) -> float | None:
        """What is set aside, None as well for one that would wait."""

        async def at_once() -> float | None:
            task = asyncio.create_task(self.budget.reserve(usd, steady_usd=steady_usd))
            await asyncio.sleep(0)
            if not task.done():
                task.cancel()
                return None
            return task.result()

        return self.loop.run_until_complete(at_once())

    @rule(usd=prices)
    def set_aside(self, usd: float) -> None:
        room = self.budget.left_usd
        reserved = self.reserve(usd, None)
        assert (reserved is not None) == (usd <= room + TOLERANCE_USD)
        if reserved is not None:
            assert reserved == usd
            self.held.append(reserved)

    @rule(usd=prices, share=st.floats(0.1, 1.0))
    def set_aside_for_a_steady_price(self, usd: float, share: float) -> None:
        room, steady_usd = self.budget.left_usd, usd * share
        reserved = self.reserve(usd, steady_usd)
        if reserved is not None and reserved != usd:
            assert not self.held
            assert steady_usd <= reserved + TOLERANCE_USD
            assert reserved == room
        if reserved is not None:
            self.held.append(reserved)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), share=st.floats(0.0, 1.0))
    def release(self, data: st.DataObject, share: float) -> None:
        reserved = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.budget.release(reserved, reserved * share)
        self.spent += reserved * share

    @invariant()
    def never_more_than_the_limit_is_spent_or_set_aside(self) -> None:
        if hasattr(self, "budget"):
            assert self.budget.spent_usd + self.budget.reserved_usd <= self.limit + 1e-6

    @invariant()
    def nothing_leaks(self) -> None:
        if hasattr(self, "budget"):
            assert self.budget.reserved_usd == pytest.approx(sum(self.held), abs=1e-9)
            assert self.budget.spent_usd == pytest.approx(self.spent, abs=1e-9)


TestBudget = pytest.mark.slow(BudgetMachine.TestCase)


@given(
    st.lists(st.tuples(prices, st.floats(0.0, 1.0)), min_size=1, max_size=60), st.floats(0.01, 20.0), st.integers(1, 20)
)
@pytest.mark.slow
def test_many_at_once_never_pass_the_limit_and_nobody_waits_for_ever(
    attempts: list[tuple[float, float]], limit: float, workers: int
) -> None:
    async def attempt(budget: Budget, usd: float, share: float) -> bool:
        reserved = await budget.reserve(usd)
        assert budget.spent_usd + budget.reserved_usd <= limit + 1e-6
        if reserved is None:
            return False
        await asyncio.sleep(0)
        budget.release(reserved, reserved * share)
        return True

    async def worker(budget: Budget, left: list[tuple[float, float]]) -> int:
        sent = 0
        while left:
            sent += await attempt(budget, *left.pop())
        return sent

    async def main() -> None:
        budget, left = Budget(limit), list(attempts)
        async with asyncio.timeout(5):
            await asyncio.gather(*(worker(budget, left) for _ in range(workers)))
        assert budget.reserved_usd == pytest.approx(0.0, abs=1e-9)

    asyncio.run(main())


async def waiting(budget: Budget, usd: float, steady_usd: float | None = None) -> asyncio.Task[float | None]:
    task = asyncio.create_task(budget.reserve(usd, steady_usd=steady_usd))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_one_that_does_not_fit_waits_and_is_woken_by_the_release_that_makes_room() -> None:
    budget = Budget(1.0)
    assert await budget.reserve(0.6) == 0.6
    second = await waiting(budget, 0.6)
    budget.release(0.6, 0.1)
    assert await second == 0.6
    assert (budget.spent_usd, budget.reserved_usd) == (0.1, 0.6)


async def test_one_that_will_never_fit_is_turned_away_once_nothing_is_in_flight() -> None:
    budget = Budget(1.0)
    await budget.reserve(0.6)
    second = await waiting(budget, 0.6)
    budget.release(0.6, 0.6)
    assert await second is None
    assert budget.exhausted(0.6)
    assert not budget.exhausted(0.4)


async def test_closing_turns_away_those_who_wait() -> None:
    budget = Budget(1.0)
    await budget.reserve(1.0)
    second = await waiting(budget, 0.5)
    budget.close()
    assert await second is None


async def test_a_steady_price_lets_the_rest_be_used_up_one_request_at_a_time() -> None:
    budget = Budget(1.0)
    sent = 0
    while (reserved := await budget.reserve(0.5, steady_usd=0.1)) is not None:
        budget.release(reserved, 0.1)
        sent += 1
    assert sent == 10
    assert budget.spent_usd == pytest.approx(1.0)


async def test_a_steady_price_waits_while_others_are_in_flight() -> None:
    budget = Budget(1.0)
    await budget.reserve(0.8)
    second = await waiting(budget, 0.5, steady_usd=0.1)
    budget.release(0.8, 0.8)
    assert await second == pytest.approx(0.2)


async def test_one_that_waits_asks_for_its_price_again_for_answers_teach_it() -> None:
    budget = Budget(1.0)
    await budget.reserve(0.9)
    known: list[tuple[float, float | None]] = [(0.5, None)]
    task = asyncio.create_task(budget.reserve(0.5, again=lambda: known[-1]))
    await asyncio.sleep(0)
    known.append((0.5, 0.2))
    budget.release(0.9, 0.7)
    assert await task == pytest.approx(0.3)


async def test_a_limit_of_120_cents_takes_five_of_24() -> None:
    budget = Budget(1.2)
    for _ in range(5):
        assert await budget.reserve(0.24) == 0.24
        budget.release(0.24, 0.24)
    assert await budget.reserve(0.24) is None


async def test_no_limit_is_never_exhausted() -> None:
    budget = Budget(None)
    assert await budget.reserve(1e9) == 1e9
    assert not budget.exhausted(1e12)
