"""Addresses that are no webhooks, by apprise: mail, Telegram, SMS and a hundred others. The extra `notify`."""

from __future__ import annotations

import logging
from typing import Any

_EXTRA = "needs apprise, which isn't installed: pip install 'batch_editor[notify]'"


def apprise_fault(address: str) -> str | None:
    """Why apprise can't tell that address; None if it can. Sends nothing."""
    try:
        reached = _reached(address)
    except ImportError:
        return _EXTRA
    return None if reached is not None else "isn't an address of apprise's (https://appriseit.com/services/)"


def tell_by_apprise(address: str, title: str, text: str) -> bool:
    """Send it; return whether it arrived, as far as apprise knows. Blocks."""
    try:
        reached = _reached(address)
        # Of a format that isn't said, mail takes it for HTML: no lines, and nothing between < and >.
        return reached is not None and bool(reached.notify(title=title, body=text, body_format="text"))
    except Exception:  # noqa: BLE001  # code of a hundred services: whatever it raises, the run has ended as it has
        return False


def _reached(address: str) -> Any | None:
    import apprise  # here: of an extra, and half a second of its own

    # It would print what went wrong, with the address.
    log = logging.getLogger("apprise")
    log.handlers[:] = [logging.NullHandler()]
    log.propagate = False
    reached = apprise.Apprise()
    return reached if reached.add(address) else None
