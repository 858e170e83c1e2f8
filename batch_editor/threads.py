"""Blocking work on threads, waited for to its end, whatever is cancelled: what it works with is closed after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import ExitStack, asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_the_end(work: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
    """`asyncio.to_thread`, but a cancellation waits for the thread, however often it comes."""
    return await finished(partial(work, *values, **named))


async def finished(
    work: Callable[[], T], *, on_cancel: Callable[[], None] | None = None, executor: Executor | None = None
) -> T:
    """As `to_the_end`; `on_cancel` may let the thread end sooner. `executor`: the threads; None: the loop's own."""
    # No task, for those are cancelled one and all when a loop is closed, whatever their threads are at work on.
    future = asyncio.get_running_loop().run_in_executor(executor, copy_context().run, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel()
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        future.exception()  # which nobody waits for any more
        raise


@asynccontextmanager
async def closed_on_a_thread() -> AsyncIterator[ExitStack]:
    """For what blocks when it is closed: folders are cleared, files are synced."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        await to_the_end(stack.close)
