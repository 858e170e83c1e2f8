"""What `--on` and `run.on` say: this machine, or which cluster."""

from __future__ import annotations

import os
import re

from batch_editor.errors import UsageError

LOCAL = "local"
_RAY = "ray"
# What Ray itself calls the cluster of which a node runs on this machine.
_OF_THIS_MACHINE = "auto"
_HOST_AND_PORT = re.compile(r"(?:[^\s:/@]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_PORTS = range(1, 65_536)
# The word that people miss: addresses of the dashboard and of Ray's client lead elsewhere.
WITHIN = "a command with --on ray runs in the cluster: ray job submit -- batch-editor …"


def read_on(text: str) -> str:
    """The text, if it is `local`, `ray` or `ray=HOST:PORT`.

    Raises:
        ValueError: it is something else.

    >>> read_on("ray=10.0.0.4:6379")
    'ray=10.0.0.4:6379'
    """
    name, equals, address = text.partition("=")
    if text not in (LOCAL, _RAY) and not (name == _RAY and equals and _is_host_and_port(address)):
        raise ValueError(f"expected local, ray, or ray=HOST:PORT; {WITHIN}")
    return text


def host_and_port(address: str) -> tuple[str, int] | None:
    """Where the cluster's head listens; None for the cluster of this machine.

    >>> host_and_port("[fd00::4]:6379")
    ('fd00::4', 6379)
    """
    if address == _OF_THIS_MACHINE:
        return None
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def cluster_address(on: str) -> str:
    """The address of the cluster's head, or the word for the cluster of this machine.

    Raises:
        UsageError: the environment gives another kind of address.
    """
    address = on.partition("=")[2]
    if address:
        return address
    address = os.environ.get("RAY_ADDRESS") or _OF_THIS_MACHINE
    if address != _OF_THIS_MACHINE and not _is_host_and_port(address):
        raise UsageError(f"RAY_ADDRESS is {address!r}; expected HOST:PORT of the cluster's head; {WITHIN}")
    return address


def _is_host_and_port(text: str) -> bool:
    found = _HOST_AND_PORT.fullmatch(text)
    return found is not None and int(found[1]) in _PORTS
