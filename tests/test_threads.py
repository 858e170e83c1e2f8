"""What works on a thread is waited for, also by whoever is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from batch_editor.threads import closed_on_a_thread, finished, to_the_end


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Lets the thread end, at the latest when the test does."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_cancellation_waits_for_the_thread_however_often_it_comes(
    released: threading.Event, caplog: pytest.LogCaptureFixture, times: int, fails: bool
) -> None:
    order: list[str] = []

    def work() -> None:
        released.wait()
        order.append("done")
        if fails:
            raise ZeroDivisionError

    async def close_after() -> None:
        async with closed_on_a_thread() as stack:
            stack.callback(order.append, "closed")
            await to_the_end(work)

    task = asyncio.create_task(close_after())
    for _ in range(times):
        await asyncio.sleep(0.02)
        task.cancel()
    await asyncio.sleep(0.05)
    assert order == []
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["done", "closed"]
    del task
    assert caplog.records == []  # of an exception that nobody has asked for


@pytest.mark.slow
def test_a_loop_that_is_left_by_an_interrupt_waits_for_the_thread_as_well(released: threading.Event) -> None:
    order: list[str] = []

    def work() -> None:
        released.wait(1)
        order.append("done")

    async def close_after() -> None:
        asyncio.get_running_loop().call_later(0.05, interrupt)
        async with closed_on_a_thread() as stack:
            stack.callback(order.append, "closed")
            await to_the_end(work)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), asyncio.Runner() as runner:
        runner.run(close_after())
    assert order == ["done", "closed"]


async def test_whoever_is_cancelled_may_let_the_thread_end_sooner(released: threading.Event) -> None:
    task = asyncio.create_task(finished(released.wait, on_cancel=released.set))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_results_and_errors_come_as_they_are() -> None:
    assert await to_the_end(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await to_the_end(divmod, 7, 0)
