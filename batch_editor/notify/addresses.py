"""Whom the config names, with what stands in the environment; and what is wrong with that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from batch_editor.config import NotifySettings, notify_address
from batch_editor.notify.by_apprise import apprise_fault
from batch_editor.text import guard


@dataclass(frozen=True, slots=True)
class Addresses:
    """Who is notified: webhooks, addresses of apprise's, and one that is pinged. They are secrets.

    faults: why others of the config can't be notified, for people.
    """

    webhooks: tuple[str, ...] = field(default=(), repr=False)
    others: tuple[str, ...] = field(default=(), repr=False)
    ping: str | None = field(default=None, repr=False)
    faults: tuple[str, ...] = ()


def addresses_of(settings: NotifySettings) -> Addresses:
    """Who is notified. From now on no text that is printed, logged or stored has these addresses."""
    faults: list[str] = []
    to = [address for each in settings.to if (address := _read(each, "notify.to", faults)) is not None]
    ping = None if settings.ping is None else _read(settings.ping, "notify.ping", faults)
    if ping is not None and (not is_webhook(ping) or "?" in ping or "#" in ping):
        faults.append("notify.ping: expected an address of https://… without ? and #")
        ping = None
    others = []
    for address in (each for each in to if not is_webhook(each)):
        fault = apprise_fault(address)
        if fault is None:
            others.append(address)
        else:
            faults.append(f"notify.to: {shown(address)} {fault}")
    webhooks = tuple(filter(is_webhook, to))
    return Addresses(webhooks, tuple(others), None if ping is None else ping.rstrip("/"), tuple(faults))


def is_webhook(address: str) -> bool:
    """Whether it is notified by HTTP itself, not by way of apprise."""
    return address.lower().startswith(("https://", "http://"))


def shown(address: str) -> str:
    """What of an address is no secret.

    >>> shown("https://hooks.example.com/services/T0/B0/x"), shown("tgram://123:abc/chat")
    ('https://hooks.example.com', 'tgram://…')
    """
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}" if is_webhook(address) else f"{address.partition('://')[0]}://…"


def _read(address: str, where: str, faults: list[str]) -> str | None:
    if address.startswith("env:"):
        name = address.removeprefix("env:")
        text = os.environ.get(name, "").strip()
        if not text:
            faults.append(f"{where}: {address}: there is no {name} in the environment")
            return None
        try:
            address = notify_address(text)
        except ValueError as error:
            faults.append(f"{where}: {address}: {error}")
            return None
        if address.startswith("env:"):
            faults.append(f"{where}: env:{name}: expected an address in it")
            return None
    for secret in _secrets(address):
        guard(secret)
    return address


def _secrets(address: str) -> Iterator[str]:
    """The address, and what of it is secret on its own, as errors of other libraries may show it."""
    yield address
    behind = address.partition("://")[2]
    _, slash, path = behind.partition("/")
    if is_webhook(address):
        if slash:
            yield slash + path
    else:
        yield behind
