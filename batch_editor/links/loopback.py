"""Whether an address is this machine's own."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback_url(url: str) -> bool:
    """Whether a URL names this machine: localhost, 127.0.0.0/8 or ::1. Other names are not resolved.

    >>> is_loopback_url("http://[::1]:8080/v1"), is_loopback_url("http://10.0.0.1/v1")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return parsed_address(host).is_loopback
    except ValueError:
        return False


def parsed_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone; one of IPv4 that is written as IPv6 is what it stands for.

    Raises:
        ValueError: it is none.
    """
    host = ipaddress.ip_address(address.partition("%")[0])
    mapped = host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None
    return host if mapped is None else mapped
