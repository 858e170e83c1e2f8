"""A server from its start to its end: the browser that is opened, the signal that ends it, and what it leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from batch_editor.errors import LockedError
from batch_editor.ledger import readings
from batch_editor.output import locked, picture_store, write_manifest
from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.review.server import Review, ReviewOptions

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def serve(
    options: ReviewOptions, *, began: Callable[[str], None], browse: bool, idle_s: float | None = None
) -> str | None:
    """Serve until a signal comes, or no page has asked for anything for `idle_s`; return what to say at the end.

    began: called with the first address. browse: whether to open a browser where there is one.

    Raises:
        UsageError: as `Review`.
        MachineError: as `Review`; or the output manifest can't be written.
    """
    with _ended_by_signals() as ended:
        async with Review(options) as server:
            url = server.url
            began(url)
            if browse and has_browser(os.environ):
                # Not waited for: what opens it may be a browser that stays until it is closed.
                threading.Thread(target=webbrowser.open, args=(url,), name="browser", daemon=True).start()
            await _ended(server, ended, idle_s)
        return await asyncio.to_thread(record_verdicts, options.output) if server.judge.has_judged else None


def has_browser(environment: Mapping[str, str]) -> bool:
    """Whether somebody sits at this machine, before a screen on which a browser can be opened.

    BROWSER counts wherever it is set: editors that work on another machine set it to something that opens one here.
    """
    if environment.get("BROWSER"):
        return True
    if environment.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def record_verdicts(output: Path) -> str | None:
    """Write the output manifest anew, unless a run is at work, which does so at its end. Blocks.

    Raises:
        MachineError: it can't be written.
    """
    try:
        with locked(output), readings.reading(output) as db:
            write_manifest(db, output / MANIFEST_NAME)
            with closing(picture_store(output)) as pictures:
                pictures.keep_manifest(output / MANIFEST_NAME)
    except LockedError:
        return f"A run is at work here; it writes the verdicts into {MANIFEST_NAME} at its end."
    return f"The verdicts are in {output / MANIFEST_NAME}"


async def _ended(server: Review, ended: asyncio.Event, idle_s: float | None) -> None:
    while idle_s is None or (left_s := server.asked_at + idle_s - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(None if idle_s is None else left_s):
                await ended.wait()
        except TimeoutError:
            continue
        return


@contextmanager
def _ended_by_signals() -> Iterator[asyncio.Event]:
    """An event that the first signal to end the process sets; the second one ends it as it would without this."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    before = {number: signal.getsignal(number) for number in _ENDING}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def end() -> None:
        """End serving; the next signal ends the process."""
        ended.set()
        release()

    def release() -> None:
        """Give signals back to who had them before."""
        for number in heard:
            if loop.remove_signal_handler(number):
                signal.signal(number, before[number])

    for number in heard:
        loop.add_signal_handler(number, end)
    try:
        yield ended
    finally:
        release()
