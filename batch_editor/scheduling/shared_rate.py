"""One rate limit for all runs of an API key: they take turns."""

from __future__ import annotations

import hashlib
from typing import Protocol
from urllib.parse import urlsplit


class SharedRateLimit(Protocol):
    """Turns to send, over all runs that share them: spaced, and a late one catches up a little, see `send_policy`."""

    async def turn(self) -> float:
        """Take the next turn, and wait for it: seconds from then within which its request must leave.

        Raises:
            LedgerError: what the runs share can't be used.
        """

    def close(self) -> None:
        """Leave the rate limit to the other runs. Blocks."""


def shared_rate_name(key: str, base_url: str) -> str:
    """What the turns of a key at a provider are called: a hash, which tells neither.

    >>> shared_rate_name("SG_0123456789abcdef", "https://api.segmind.com/v1")
    '118adc56e434f9fb6a501ea3316f17b5'
    """
    return hashlib.sha256(f"{key}\n{urlsplit(base_url).netloc}".encode()).hexdigest()[:32]
