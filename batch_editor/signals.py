"""What Ctrl-C and the system's requests to end do to a run: the first one stops it gently, the second at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from batch_editor.watch import Watch

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def hearing(watch: Watch) -> Iterator[None]:
    """While the block runs, the first signal stops the run gently and the second drops what is in flight.

    Signals are heard, and come to nothing, until `release_signals`: one that comes while the output manifest is
    written would leave the old one there.
    """
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None
    dropped = over = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal dropped
        if over:  # it was on its way when the block ended
            return
        if not watch.interrupted:
            watch.interrupt(number)
        elif not dropped:  # once: a third signal must not hit what the second one set off
            dropped = True
            watch.drop()
            main.cancel()

    for number in CAUGHT:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    except asyncio.CancelledError:
        if not dropped:
            raise
        main.uncancel()
    finally:
        over = True
        for number in CAUGHT:
            loop.add_signal_handler(number, lambda: None)


def release_signals() -> None:
    """Leave signals to whoever else hears them; the run is over."""
    for number in CAUGHT:
        asyncio.get_running_loop().remove_signal_handler(number)
