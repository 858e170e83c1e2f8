from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.scheduling.pool import Pool, Requeue
from tests.support.virtual_time import now, run


async def items(count: int, drawn: list[int] | None = None) -> AsyncIterator[int]:
    for item in range(count):
        if drawn is not None:
            drawn.append(item)
        yield item


@given(
    jobs=st.lists(st.tuples(st.floats(0, 5), st.lists(st.floats(0, 5), max_size=3)), max_size=30),
    concurrency=st.integers(1, 8),
)
@settings(max_examples=150)
@pytest.mark.slow
def test_every_item_is_done_as_often_as_it_asks_for_and_never_more_than_n_at_once(
    jobs: list[tuple[float, list[float]]], concurrency: int
) -> None:
    async def main() -> tuple[Counter[int], int, int]:
        done: Counter[int] = Counter()
        busiest = most_waiting = 0

        async def work(item: int) -> Requeue[int] | None:
            nonlocal busiest, most_waiting
            busiest, most_waiting = max(busiest, pool.busy), max(most_waiting, pool.waiting)
            lasts_s, delays = jobs[item]
            await asyncio.sleep(lasts_s)
            done[item] += 1
            return Requeue(item, delays[done[item] - 1]) if done[item] <= len(delays) else None

        pool = Pool(items(len(jobs)), work, concurrency=concurrency)
        await pool.run()
        assert (pool.busy, pool.waiting) == (0, 0)
        return done, busiest, most_waiting

    done, busiest, most_waiting = run(main())
    assert done == {item: 1 + len(delays) for item, (_, delays) in enumerate(jobs)}
    assert busiest <= concurrency
    # While as many wait nothing fresh is drawn; those at work just then may still come to wait.
    assert most_waiting < 2 * concurrency + Pool.SPARE


def test_with_one_worker_an_item_that_waits_does_not_hold_up_the_others() -> None:
    async def main() -> list[int]:
        done: list[int] = []

        async def work(item: int) -> Requeue[int] | None:
            if item == 0 and 1 not in done:
                return Requeue(item, 60.0)
            done.append(item)
            return None

        await Pool(items(4), work, concurrency=1).run()
        return done

    assert run(main()) == [1, 2, 3, 0]


def test_an_item_is_drawn_only_when_a_worker_is_free_for_it() -> None:
    async def main() -> None:
        drawn: list[int] = []
        most_ahead = done = 0

        async def work(item: int) -> None:
            nonlocal done, most_ahead
            most_ahead = max(most_ahead, len(drawn) - done)
            await asyncio.sleep(1)
            done += 1

        await Pool(items(50, drawn), work, concurrency=4).run()
        assert (done, most_ahead) == (50, 4)

    run(main())


def test_all_workers_are_busy_when_there_is_work_for_them() -> None:
    async def main() -> float:
        await Pool(items(100), lambda _: asyncio.sleep(1), concurrency=10).run()
        return now()

    assert run(main()) == pytest.approx(10, abs=1e-3)


def test_what_comes_later_comes_when_it_is_due_before_fresh_items_and_holds_up_none() -> None:
    async def main() -> list[tuple[int, int]]:
        started: list[tuple[int, int]] = []

        async def work(item: int) -> Requeue[int] | None:
            first = item not in [each for each, _ in started]
            started.append((item, round(now())))
            await asyncio.sleep(1)
            return Requeue(item, 3.0) if item == 0 and first else None

        await Pool(items(10), work, concurrency=2).run()
        return started

    started = run(main())
    assert started == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3), (0, 4), (8, 4), (9, 5)]


def test_what_is_due_together_comes_back_in_the_order_in_which_it_left() -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def work(item: int) -> Requeue[int] | None:
            order.append(item)
            return Requeue(item, 5.0) if len(order) <= 4 else None

        await Pool(items(4), work, concurrency=4).run()
        return order

    assert run(main()) == [0, 1, 2, 3, 0, 1, 2, 3]


def test_in_an_outage_nothing_fresh_is_drawn_beyond_the_size_of_the_pool() -> None:
    async def main() -> tuple[int, int]:
        drawn: list[int] = []

        async def work(item: int) -> Requeue[int] | None:
            return Requeue(item, 60.0) if now() < 3600 else None

        pool = Pool(items(1000, drawn), work, concurrency=5)
        async with asyncio.TaskGroup() as group:
            group.create_task(pool.run())
            await asyncio.sleep(3000)
            during = len(drawn)
        return during, len(drawn)

    during, after = run(main())
    # Those that the last free workers took while the last one was on its way to wait.
    assert during <= 2 * 5 + Pool.SPARE
    assert after == 1000


def test_stopping_finishes_what_is_at_work_and_drops_the_rest() -> None:
    async def main() -> tuple[list[int], list[int]]:
        drawn: list[int] = []
        done: list[int] = []

        async def work(item: int) -> Requeue[int] | None:
            if item == 0:
                return Requeue(item, 5.0)
            await asyncio.sleep(2)
            done.append(item)
            return None

        pool = Pool(items(100, drawn), work, concurrency=3)
        async with asyncio.TaskGroup() as group:
            group.create_task(pool.run())
            await asyncio.sleep(1)
            pool.stop()
        assert now() == pytest.approx(2, abs=1e-3)
        return drawn, done

    drawn, done = run(main())
    assert sorted(done) == [1, 2, 3]
    assert drawn == [0, 1, 2, 3]


def test_stopping_does_not_wait_for_what_is_to_come_back() -> None:
    async def main() -> float:
        async def work(item: int) -> Requeue[int]:
            return Requeue(item, 3600.0)

        pool = Pool(items(1), work, concurrency=2)
        async with asyncio.TaskGroup() as group:
            group.create_task(pool.run())
            await asyncio.sleep(1)
            pool.stop()
        return now()

    assert run(main()) == pytest.approx(1, abs=1e-3)


async def slowly(count: int) -> AsyncIterator[int]:
    for item in range(count):
        await asyncio.sleep(1)
        yield item


def test_a_source_that_takes_its_time_is_asked_for_one_item_at_a_time() -> None:
    async def main() -> list[int]:
        done: list[int] = []

        async def work(item: int) -> None:
            await asyncio.sleep(10)
            done.append(item)

        await Pool(slowly(5), work, concurrency=3).run()
        return done

    assert run(main()) == [0, 1, 2, 3, 4]


def test_an_item_that_the_source_gives_after_stopping_is_not_worked_on() -> None:
    async def main() -> None:
        pool = Pool(slowly(5), never, concurrency=3)
        async with asyncio.TaskGroup() as group:
            group.create_task(pool.run())
            await asyncio.sleep(0.5)
            pool.stop()

    run(main())


def test_a_pool_that_was_stopped_before_it_ran_does_nothing() -> None:
    async def main() -> list[int]:
        drawn: list[int] = []
        pool = Pool(items(5, drawn), never, concurrency=2)
        pool.stop()
        await pool.run()
        return drawn

    assert run(main()) == []


async def never(item: int) -> None:
    raise AssertionError(f"{item} was not to be worked on")


async def boom(item: int) -> None:
    raise LookupError(f"item {item}") from KeyError("cause")


async def broken_source() -> AsyncIterator[int]:
    yield 0
    raise LookupError("item 1") from KeyError("cause")


async def idle(_: int) -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize(
    ("source", "work", "message"),
    [(lambda: items(9), boom, "item 0"), (broken_source, idle, "item 1")],
    ids=["of a worker", "of the source"],
)
def test_the_first_error_comes_out_as_itself_with_its_cause_and_cancels_the_rest(
    source: Callable[[], AsyncIterator[int]], work: Callable[[int], Awaitable[None]], message: str
) -> None:
    async def main() -> None:
        with pytest.raises(LookupError, match=f"^'{message}'$|^{message}$") as caught:
            await Pool(source(), work, concurrency=3).run()
        assert isinstance(caught.value.__cause__, KeyError)
        assert now() < 1
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_cancelling_a_pool_cancels_its_workers() -> None:
    async def main() -> int:
        cancelled = 0

        async def work(_: int) -> None:
            nonlocal cancelled
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled += 1
                raise

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await Pool(items(10), work, concurrency=4).run()
        return cancelled

    assert run(main()) == 4


def test_two_thousand_workers_work() -> None:
    async def main() -> float:
        done = 0

        async def work(_: int) -> None:
            nonlocal done
            await asyncio.sleep(60)
            done += 1

        await Pool(items(6000), work, concurrency=2000).run()
        assert done == 6000
        return now()

    assert run(main()) == pytest.approx(180, abs=0.1)


def test_a_pool_without_workers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^concurrency is 0; expected at least 1$"):
        Pool(items(1), never, concurrency=0)
