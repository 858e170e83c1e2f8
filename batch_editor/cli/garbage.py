"""When Python's garbage collector looks over what is in flight: rarely, for each time stops the event loop."""

from __future__ import annotations

import gc
from typing import Self

# What a request leaves is 2 KB (the transports of asyncio's own loop), or some 20 KB if it failed (an error and its
# traceback hold one another).
LEAST = 2000
NEVER = 2**31 - 1


class Garbage:
    """Holds full collections back until they are worth their time. A context manager, for a process that runs a batch.

    One takes 50 µs for each request in flight, 0.5 s for 10,000, and Python would make one for every 2,500 of those;
    reference counts free nearly all that requests used. So everything is looked over when twice as many have ended as
    were in flight, which costs each the same, however many there are. Young objects are looked over as ever, and what
    was there before, 100,000 objects of the libraries, isn't at all.

    The command line's alone: the collector belongs to the whole process, and `run_batch` may share that with others.
    """

    def __init__(self) -> None:
        self._ended = self._most = 0
        self._thresholds = gc.get_threshold()

    def __enter__(self) -> Self:
        self._thresholds = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(*self._thresholds[:2], NEVER)
        return self

    def __exit__(self, *_: object) -> None:
        gc.set_threshold(*self._thresholds)

    def attempt_ended(self, in_flight: int) -> None:
        """An attempt ended, while so many others were in flight."""
        self._ended += 1
        self._most = max(self._most, in_flight)
        if self._ended >= max(LEAST, 2 * self._most):
            self._ended = self._most = 0
            gc.collect()
