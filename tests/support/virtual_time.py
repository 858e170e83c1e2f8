"""An event loop whose clock jumps to the next timer when nothing is ready: an hour of waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Who waits again when rounding leaves a timer 1e-17 s short would hang on a clock that stood still.
TURN_S = 1e-9


class Deadlock(AssertionError):
    """Everything waits and no timer is set: nothing would ever happen again."""


class _Clock(selectors.DefaultSelector):
    """Where a loop sleeps; here sleeping moves the clock instead."""

    def __init__(self, lateness: Callable[[], float]) -> None:
        super().__init__()
        self.now = 0.0
        self._lateness = lateness

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # What threads of the loop's executor report comes through its own pipe, hence the look at the real thing.
        ready = super().select(0)
        if timeout is None and not ready:
            raise Deadlock("everything waits, and no timer is set")
        self.now += TURN_S + (timeout + self._lateness() if timeout else 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time; `lateness` says by how many seconds each timer fires late."""

    def __init__(self, lateness: Callable[[], float] = lambda: 0.0) -> None:
        self._virtual = _Clock(lateness)
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, T], *, lateness: Callable[[], float] = lambda: 0.0) -> T:
    """The result of `main`, run to its end on a fresh loop whose clock starts at 0."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(lateness)) as runner:
        return runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()
