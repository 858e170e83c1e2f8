"""A clock on the wall that is ahead, for processes whose nights come one after the other. Linux, with a C compiler."""

from __future__ import annotations

import math
import time
from datetime import datetime
from pathlib import Path

from tests.support import system_calls

_SOURCE = Path(__file__).with_name("clock.c")


def build(folder: Path) -> Path:
    """The library, made in that folder; to be loaded by LD_PRELOAD."""
    return system_calls.build(folder, source=_SOURCE)


def clock_at(now: datetime) -> dict[str, str]:
    """What to put into a process's environment, so that it begins then, or within the second after it."""
    return {"CLOCK_AHEAD_S": str(math.ceil(now.timestamp() - time.time()))}
