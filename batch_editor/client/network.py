"""How hosts are reached: through which proxy of the environment, and whose certificates are trusted.

aiohttp's own `trust_env` isn't used: it would send the passwords of ~/.netrc to any host that is named there.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic import SecretStr

from batch_editor.errors import ConfigError
from batch_editor.links.loopback import is_loopback_url
from batch_editor.records import Failure
from batch_editor.text import guard, printable, quoted, redact

# The connection to the proxy, the proxy's own to the host, and the handshake through both.
CONNECTIONS = 3
_CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_TRANSIENT = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: `url` with its password, `shown` without, `variable` where it is named."""

    url: str
    shown: str
    variable: str


@dataclass(frozen=True, slots=True)
class Network:
    """The environment's proxies, by the scheme of what is asked for; and whose certificates are trusted."""

    proxies: Mapping[str, Proxy]
    trusted: ssl.SSLContext | bool = True

    @classmethod
    def from_environment(cls) -> Self:
        """As HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE and REQUESTS_CA_BUNDLE say. Reads files.

        Raises:
            ConfigError: one of them names what is none; the message has no password.
        """
        named = getproxies()
        proxies = {}
        for scheme in ("http", "https"):
            kind = scheme if named.get(scheme) else "all"
            if url := named.get(kind):
                proxies[scheme] = _proxy(url, _variable(kind))
        return cls(proxies, _trusted())

    def proxy_for(self, url: str) -> Proxy | None:
        """The proxy that a URL is asked through; none for this machine and what NO_PROXY excepts."""
        proxy = self.proxies.get(urlsplit(url).scheme)
        return None if proxy is None or is_loopback_url(url) or proxy_bypass(_where(url)) else proxy

    def options_for(self, url: str) -> dict[str, Any]:
        """The arguments by which aiohttp uses the URL's proxy."""
        proxy = self.proxy_for(url)
        return {} if proxy is None else {"proxy": proxy.url}

    def named_for(self, *urls: str) -> str | None:
        """The proxies that these URLs are asked through, and where they are named; None if there are none."""
        used: dict[str, dict[str, None]] = {}
        for proxy in filter(None, map(self.proxy_for, urls)):
            used.setdefault(proxy.shown, {})[proxy.variable] = None
        return " and ".join(f"{shown} ({', '.join(variables)})" for shown, variables in used.items()) or None


def with_key(key: SecretStr, *, is_bearer: bool = False) -> aiohttp.ClientMiddlewareType:
    """Adds the API key to requests of a session: as `x-api-key`, or as `Authorization: Bearer`.

    Not by the session's headers: aiohttp sends those to the proxy as well, outside of the tunnel.
    """

    async def add(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send the request with the key."""
        secret = key.get_secret_value()
        if is_bearer:
            request.headers["Authorization"] = f"Bearer {secret}"
        else:
            request.headers["x-api-key"] = secret
        return await handler(request)

    return add


def proxy_failure(error: BaseException, url: str, proxy: Proxy | None) -> Failure | None:
    """What the proxy's refusal of a connection, or its absence, means; None of any other error. Nothing was sent."""
    if proxy is None:
        return None
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return refused_by_proxy(error.status, url, proxy)
    # Names are resolved by the proxy; all but its own.
    if isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientConnectorDNSError)):
        why = error.os_error.strerror or str(error.os_error)
        return Failure(
            "connection", f"the proxy {proxy.shown} is not reached: {printable(why, limit=200)}", transient=True
        )
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Failure("connection", f"no connection through the proxy {proxy.shown} in time", transient=True)
    return None


def refused_by_proxy(status: int, url: str, proxy: Proxy) -> Failure:
    """What a proxy's status in place of a connection means. Nothing was sent."""
    where = _where(url)
    if status == 407:
        return Failure(
            "connection",
            f"the proxy {proxy.shown} wants a user name and password, and not those that it was given (HTTP 407);"
            f" write them in {proxy.variable}, as http://user:password@host:port",
            scope="run",
        )
    if status < 500 and status not in _TRANSIENT:
        return Failure(
            "connection",
            f"the proxy {proxy.shown} refuses a connection to {where} (HTTP {status});"
            " have it allowed there, or name the host in NO_PROXY if it is reached without the proxy",
            scope="run",
        )
    return Failure(
        "connection", f"the proxy {proxy.shown} has no connection to {where} (HTTP {status})", transient=True
    )


def _where(url: str) -> str:
    """A URL's host and port."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _variable(kind: str) -> str:
    """Where a proxy is named; lower case counts first, as in urllib."""
    names = (f"{kind}_proxy", f"{kind.upper()}_PROXY")
    return next((name for name in names if os.environ.get(name)), "the system's settings")


def _proxy(url: str, variable: str) -> Proxy:
    url = url.strip() if "://" in url else f"http://{url.strip()}"
    try:
        parts = urlsplit(url)
        is_proxy = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_proxy = False
    if not is_proxy:
        shown = printable(url.rpartition("@")[2] if "@" in url else url, limit=100)
        raise ConfigError(
            f"{variable} is {shown!r}; expected an HTTP proxy, such as http://proxy.example.com:3128"
            " (others, such as SOCKS, aren't supported)"
        )
    password = unquote(parts.password or "")
    if redact(password) == password:  # not guarded yet
        guard(password)
    return Proxy(url, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", variable)


def _trusted() -> ssl.SSLContext | bool:
    """The authorities of the first of _CA_FILES that is set; True: the system's."""
    variable = next((name for name in _CA_FILES if os.environ.get(name)), None)
    if variable is None:
        return True
    path = Path(os.environ[variable])
    if not path.exists():
        raise ConfigError(f"{variable} is {quoted(str(path))}; there is no such file of certificates")
    if path.is_dir() and variable != "SSL_CERT_FILE":
        context = ssl.create_default_context(capath=str(path))
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(str(path))
        except OSError as error:  # SSLError is one
            raise ConfigError(
                f"{variable} is {quoted(str(path))}, which holds no certificate that can be read"
            ) from error
    if variable == "SSL_CERT_FILE":  # OpenSSL reads it itself, and SSL_CERT_DIR besides
        context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
