"""Settings of who is notified of a run: people, by `notify`, and Prometheus, by `metrics`."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from batch_editor.config.part import Part
from batch_editor.links.loopback import is_loopback_url


def notify_address(text: str) -> str:
    """An address that is notified how runs end: a webhook, one of apprise's, or `env:NAME`.

    Raises:
        ValueError: it is none of them; the message doesn't have it, for it may be a secret.
    """
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    if scheme == "env" and re.fullmatch(r"[A-Za-z_]\w*", rest, re.ASCII):
        return text
    if not colon or not rest.startswith("//") or not rest.strip("/") or re.search(r"\s", text):
        raise ValueError("expected a webhook (https://…), an address of apprise's (scheme://…), or env:NAME")
    if scheme.lower() in ("http", "https") and not _host(text):
        raise ValueError("expected a host, as in https://hooks.example.com/…")
    if scheme.lower() == "http" and not is_loopback_url(text):
        raise ValueError("expected https: what is told over http, others can read")
    return text


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.port != 0 else None
    except ValueError:  # https://[::1, or a port that is none
        return None


def _ping_address(text: str) -> str:
    if not notify_address(text).lower().startswith(("https://", "http://", "env:")):
        raise ValueError("expected an address of https://…, or env:NAME")
    if "?" in text or "#" in text:
        raise ValueError("expected an address without ? and #, for /start is put behind it")
    return text.strip().rstrip("/")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _port(text: str) -> str:
    host, colon, number = text.strip().rpartition(":")
    try:
        is_host = not colon or bool(ip_address(host.strip("[]")))
    except ValueError:
        is_host = False
    if not is_host or not re.fullmatch(r"[0-9]{1,5}", number) or not 0 < int(number) < 2**16:
        raise ValueError("expected a port, such as 9464, or an address and a port, such as 0.0.0.0:9464")
    return text.strip()


class NotifySettings(Part):
    """Who is notified how a run ended, and when."""

    to: Annotated[
        tuple[Annotated[str, AfterValidator(notify_address)], ...],
        BeforeValidator(_listed),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = ()
    when: Literal["always", "trouble", "never"] = "trouble"
    ping: Annotated[str, AfterValidator(_ping_address)] | None = None


class MetricsSettings(Part):
    """Where a run's figures are for Prometheus."""

    textfile: Path | None = None
    port: Annotated[str, AfterValidator(_port)] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The host and the number of the port; this machine's own unless the setting names another host."""
        assert self.port is not None, "of a port that is set"
        host, _, number = self.port.rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(number)
