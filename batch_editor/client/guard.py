"""Guards against SSRF: links that others chose must not lead to this machine and its networks."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from batch_editor.links.loopback import parsed_address

# Addresses that embed an IPv4 address (RFC 6052, RFC 3056); Python 3.11 calls some of them global.
_TUNNELS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"), ipaddress.ip_network("::/96"))


def socket_factory(allowed: Callable[[str], bool]) -> Callable[[Any], socket.socket]:
    """Makes sockets to the IP addresses that `allowed` takes, such as `is_public`.

    At the socket, where the name has been resolved: a check of the link before would be a check of another answer.
    So each hop of a redirect is checked as well. The factory raises PermissionError.
    """

    def guarded(address: Any) -> socket.socket:
        """A socket to a public address; PermissionError for any other."""
        family, kind, protocol, _, where = address
        if not allowed(where[0]):
            raise PermissionError(errno.EACCES, f"{where[0]} is not a public address")
        return socket.socket(family, kind, protocol)

    return guarded


def check_named_address(url: str, allowed: Callable[[str], bool]) -> None:
    """Let pass a URL whose host is a name, or an address that `allowed` takes, however it is written (127.1).

    For URLs that a proxy is asked for: it resolves the names.

    Raises:
        PermissionError: it is another address.
    """
    host = urlsplit(url).hostname or ""
    try:
        address = host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return
    if not allowed(address):
        raise PermissionError(errno.EACCES, f"{address} is not a public address")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    >>> is_public("8.8.8.8"), is_public("169.254.169.254"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    host = parsed_address(address)
    if isinstance(host, ipaddress.IPv6Address) and any(host in tunnel for tunnel in _TUNNELS):
        return False
    return host.is_global and not host.is_multicast


def is_public_or_loopback(address: str) -> bool:
    """The same, or an address of this machine alone: 127.0.0.0/8 and ::1, not those that other machines know it by.

    >>> is_public_or_loopback("127.0.0.1"), is_public_or_loopback("192.168.1.2"), is_public_or_loopback("0.0.0.0")
    (True, False, False)
    """
    return parsed_address(address).is_loopback or is_public(address)
