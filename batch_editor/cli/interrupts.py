"""How a process that is this program's alone ends by a signal, from its first instant to its last."""

from __future__ import annotations

import os
import signal
from types import FrameType

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came, as `KeyboardInterrupt` is raised for SIGINT."""


def leave_at_once() -> None:
    """From now on, a signal ends the process without a word; but one that is ignored stays so.

    For while the program is being loaded, or has done all. An exception would come up in whatever is being imported,
    which prints it, or takes it for an error of its own.
    """
    for number in CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def raise_interrupts() -> None:
    """From now on, what ended the process at once raises `KeyboardInterrupt` or `Terminated`: there is work to end.

    In a process of somebody else's, whose signals `leave_at_once` never took, nothing changes.
    """
    for number in CODES:
        if signal.getsignal(number) is _leave:
            # asyncio lets Ctrl-C cancel its main task where it finds Python's own handler.
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else _terminate)


def _leave(number: int, _: FrameType | None) -> None:
    os._exit(CODES[signal.Signals(number)])


def _terminate(number: int, _: FrameType | None) -> None:
    raise Terminated(signal.Signals(number).name)
