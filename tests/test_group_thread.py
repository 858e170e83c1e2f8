from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from batch_editor.threads import GroupThread


class Slow:
    """Doubles numbers, a group at a time; the first group waits for `go`."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun = threading.Event()
        self.go = threading.Event()

    def work(self, items: Sequence[int]) -> list[int | BaseException]:
        self.groups.append(list(items))
        self.begun.set()
        assert self.go.wait(10)
        return [ValueError("odd") if item % 2 else 2 * item for item in items]


@asynccontextmanager
async def serving(
    work: Callable[[Sequence[int]], Sequence[int | BaseException]],
) -> AsyncIterator[GroupThread[int, int]]:
    thread = GroupThread(work, name="test")
    try:
        yield thread
    finally:
        await asyncio.to_thread(thread.close)


async def test_what_queues_up_behind_a_group_is_the_next_one_in_its_order() -> None:
    slow = Slow()
    async with serving(slow.work) as thread:
        first = asyncio.create_task(thread.do(0))
        await asyncio.to_thread(slow.begun.wait)
        others = [asyncio.create_task(thread.do(item)) for item in (2, 4, 6)]
        await asyncio.sleep(0)
        slow.go.set()
        assert await asyncio.gather(first, *others) == [0, 4, 8, 12]
    assert slow.groups == [[0], [2, 4, 6]]


async def test_an_exception_among_the_results_is_its_items_alone() -> None:
    slow = Slow()
    slow.go.set()
    async with serving(slow.work) as thread:
        outcomes = await asyncio.gather(*map(thread.do, (2, 3, 4)), return_exceptions=True)
    assert outcomes[::2] == [4, 8]
    assert isinstance(outcomes[1], ValueError)


async def test_an_exception_that_is_raised_is_everybodys_and_the_thread_goes_on() -> None:
    answers = iter([OSError("full"), None])

    def work(items: Sequence[int]) -> Sequence[int]:
        if (error := next(answers)) is not None:
            raise error
        return items

    async with serving(work) as thread:
        with pytest.raises(OSError, match="full"):
            await thread.do(1)
        assert await thread.do(2) == 2


async def test_a_cancelled_caller_takes_nothing_back_and_close_waits_for_it() -> None:
    slow = Slow()
    async with serving(slow.work) as thread:
        caller = asyncio.create_task(thread.do(2))
        await asyncio.to_thread(slow.begun.wait)
        caller.cancel()
        late = asyncio.create_task(thread.do(4))
        await asyncio.sleep(0)
        late.cancel()
        slow.go.set()
    assert slow.groups == [[2], [4]]
