"""What Ctrl-C and the system's requests to end do to a run: the first one stops it gently, the second at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from batch_editor.runs.monitor import RunMonitor

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class RunSignals:
    """The signals that end a run, but those that its process ignores: `nohup` and a shell's `&` let it start so, in
    order that it continues when the terminal is closed or its Ctrl-C is meant for others.

    On the running loop. `stopping` is for while requests are in flight, `release` for when the run is over. `late` is
    a signal that came in between.
    """

    def __init__(self) -> None:
        handlers = {number: signal.getsignal(number) for number in ENDING}
        self._before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
        self.late: signal.Signals | None = None

    @property
    def gentle(self) -> str | None:
        """The signal by which others may stop the run gently; None where it ignores all."""
        return next((number.name for number in ENDING if number in self._before), None)

    @contextmanager
    def stopping(self, monitor: RunMonitor) -> Iterator[None]:
        """Within the block, the first signal stops the run gently and the second drops what is in flight.

        Signals are heard, and no more than noted, until `release`: one that comes while the output manifest is written
        would leave the old one there.
        """
        loop = asyncio.get_running_loop()
        main = asyncio.current_task()
        assert main is not None
        dropped = over = False

        def on_signal(number: signal.Signals) -> None:
            """The first time gently, the second time at once."""
            nonlocal dropped
            if over:  # it was on its way when the block ended, or came after it
                self.late = number
                return
            if not monitor.interrupted:
                monitor.interrupt(number)
            elif not dropped:  # once: a third signal must not hit what the second one set off
                dropped = True
                monitor.drop()
                main.cancel()

        for number in self._before:
            loop.add_signal_handler(number, on_signal, number)
        try:
            yield
        except asyncio.CancelledError:
            if not dropped:
                raise
            main.uncancel()
        finally:
            over = True

    def release(self) -> None:
        """Leave signals to who heard them before."""
        for number, handler in self._before.items():
            if asyncio.get_running_loop().remove_signal_handler(number):
                # None is one of another language's, which can't be put back.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
