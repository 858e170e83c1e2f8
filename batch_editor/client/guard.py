"""Keeps links that others chose away from this machine and its networks."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

# Tunnels: the address inside is the one that counts (RFC 6052, RFC 3056), and Python 3.11 calls some of them global.
_TUNNELS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"), ipaddress.ip_network("::/96"))


def socket_factory(*, allow_private: bool) -> Callable[[Any], socket.socket]:
    """Makes sockets to public addresses only, unless private ones are allowed.

    At the socket, where the name has been resolved: a check of the link before would be a check of another answer.
    The factory raises PermissionError.
    """

    def guarded(address: Any) -> socket.socket:
        family, kind, protocol, _, where = address
        if not allow_private and not is_public(where[0]):
            raise PermissionError(errno.EACCES, f"{where[0]} is not a public address")
        return socket.socket(family, kind, protocol)

    return guarded


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    >>> is_public("8.8.8.8"), is_public("169.254.169.254"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    host = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(host, ipaddress.IPv6Address):
        if host.ipv4_mapped is not None:
            return is_public(str(host.ipv4_mapped))
        if any(host in tunnel for tunnel in _TUNNELS):
            return False
    return host.is_global and not host.is_multicast


def is_local_url(url: str) -> bool:
    """Whether a URL names this machine or an address that is not public. Names are not resolved."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(host)
    except ValueError:
        return False
