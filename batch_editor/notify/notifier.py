"""Tells all addresses at once, each on a thread of its own, and waits for none of them for long."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from batch_editor.client import NotTold, Webhooks
from batch_editor.errors import ConfigError
from batch_editor.notify.addresses import Addresses, shown
from batch_editor.notify.by_apprise import tell_by_apprise
from batch_editor.notify.message import Message

log = logging.getLogger("batch_editor")
log.addHandler(logging.NullHandler())  # for runs that end before they log; Python would print its warnings bare

# A run ends when it ends: whoever hasn't taken the message by then doesn't get it.
LIMIT_S = 10.0


class _Errand:
    """One message on its way, on a thread that the process doesn't wait for when it ends.

    `fault`: why it didn't arrive, None while that isn't known or it did.
    """

    def __init__(self, to: str, work: Callable[[], None]) -> None:
        self.to = to
        self.fault: str | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Until it is done, or that time is over."""
        self._thread.join(max(0.0, timeout_s))
        if self._thread.is_alive():
            self.fault = f"didn't take it within {LIMIT_S:.0f} s"

    def _run(self) -> None:
        try:
            self._work()
        except (NotTold, ConfigError) as error:  # the latter of the environment's proxies
            self.fault = str(error)


class Notifier:
    """Tells that a run begins, and how it ended."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._start: _Errand | None = None

    def started(self) -> None:
        """Ping `/start`, without waiting for it."""
        if self._addresses.ping is not None:
            self._start = _Errand(shown(self._addresses.ping), partial(_get, f"{self._addresses.ping}/start"))

    def ended(self, exit_code: int, message: Message | None) -> list[str]:
        """Ping `/<exit code>`, and send the message if there is one; return who wasn't told and why, for people.

        Takes `LIMIT_S` seconds at most, and raises nothing.
        """
        ends_at = time.monotonic() + LIMIT_S
        errands = [*self._ping(exit_code, ends_at), *(self._send(message) if message is not None else ())]
        with suppress(KeyboardInterrupt):  # whoever presses Ctrl-C now wants the prompt; the run is over
            for each in errands:
                each.wait(ends_at - time.monotonic())
        faults = [f"{each.to} {each.fault}" for each in errands if each.fault is not None]
        for fault in faults:
            log.warning("not told", extra={"error": fault})
        return faults

    def _ping(self, exit_code: int, ends_at: float) -> Iterator[_Errand]:
        if self._addresses.ping is not None:
            if self._start is not None:  # they must arrive in this order
                with suppress(KeyboardInterrupt):
                    self._start.wait(ends_at - time.monotonic())
            yield _Errand(shown(self._addresses.ping), partial(_get, f"{self._addresses.ping}/{exit_code}"))

    def _send(self, message: Message) -> Iterator[_Errand]:
        for address in self._addresses.webhooks:
            yield _Errand(shown(address), partial(_post, address, message))
        for address in self._addresses.others:
            yield _Errand(shown(address), partial(_by_apprise, address, message))


def _get(url: str) -> None:
    async def get() -> None:
        """Ask for it."""
        async with Webhooks(timeout_s=LIMIT_S) as webhooks:
            await webhooks.get(url)

    asyncio.run(get())


def _post(url: str, message: Message) -> None:
    async def post() -> None:
        """Send it."""
        async with Webhooks(timeout_s=LIMIT_S) as webhooks:
            await webhooks.post(url, message.as_json())

    asyncio.run(post())


def _by_apprise(address: str, message: Message) -> None:
    if not tell_by_apprise(address, message.title, message.body):
        raise NotTold("didn't take it")
