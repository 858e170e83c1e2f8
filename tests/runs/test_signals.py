"""Signals that come when a run has just ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import cast

import pytest

from batch_editor.runs.monitor import RunMonitor
from batch_editor.runs.signals import ENDING, RunSignals


class Told:
    """What a monitor hears of signals."""

    def __init__(self) -> None:
        self.interrupted = False

    def interrupt(self, number: signal.Signals) -> None:
        self.interrupted = True

    def drop(self) -> None:
        """Nothing is in flight."""


@pytest.fixture
def of_a_host() -> Iterator[None]:
    """A program that does something on one signal, and ignores another one."""
    before = {number: signal.getsignal(number) for number in ENDING}
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("of_a_host")
async def test_whoever_heard_signals_before_a_run_hears_them_after_it() -> None:
    before = {number: signal.getsignal(number) for number in ENDING}
    signals, told = RunSignals(), Told()
    with signals.stopping(cast("RunMonitor", told)):
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.01)
        assert not told.interrupted
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert told.interrupted
    signals.release()
    assert {number: signal.getsignal(number) for number in ENDING} == before


@pytest.mark.parametrize("turns", range(5))
async def test_a_second_signal_on_its_way_when_the_run_ends_does_not_hit_what_comes_after(turns: int) -> None:
    signals = RunSignals()
    with signals.stopping(cast("RunMonitor", Told())):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(turns):
            await asyncio.sleep(0)
    written = False
    for _ in range(10):
        await asyncio.sleep(0)
        written = True
    signals.release()
    assert written
