"""Signals that come when a run has just ended."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import cast

import pytest

from batch_editor.signals import hearing, release_signals
from batch_editor.watch import Watch


class Told:
    """What a watch hears of signals."""

    def __init__(self) -> None:
        self.interrupted = False

    def interrupt(self, number: signal.Signals) -> None:
        self.interrupted = True

    def drop(self) -> None:
        """Nothing is in flight."""


@pytest.mark.parametrize("turns", range(5))
async def test_a_second_signal_on_its_way_when_the_run_ends_does_not_hit_what_comes_after(turns: int) -> None:
    with hearing(cast("Watch", Told())):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(turns):
            await asyncio.sleep(0)
    written = False
    for _ in range(10):
        await asyncio.sleep(0)
        written = True
    release_signals()
    assert written
