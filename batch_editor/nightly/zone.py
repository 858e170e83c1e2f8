"""Which time zone a machine keeps, by its name in the tz database."""

from __future__ import annotations

import os
from pathlib import Path
from zoneinfo import ZoneInfo

UTC = "UTC"
_LOCALTIME = Path("/etc/localtime")


def local_zone() -> str:
    """The name of this machine's time zone, such as `Europe/Berlin`; `UTC` where it isn't known."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if named and is_zone(named):
        return named
    try:
        name = str(_LOCALTIME.readlink()).partition("zoneinfo/")[2]
    except OSError:  # a copy, which has no name
        return UTC
    return name if name and is_zone(name) else UTC


def is_zone(name: str) -> bool:
    """Whether the tz database has it.

    >>> is_zone("UTC"), is_zone("Europe/Berlni"), is_zone("../etc")
    (True, False, False)
    """
    if name == UTC:
        return True
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, a path, and ZoneInfoNotFoundError
        return False
    return True
