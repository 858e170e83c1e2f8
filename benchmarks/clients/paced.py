"""What a pace alone costs: POSTs over bare aiohttp, a connection each, so many seconds apart, until interrupted.

Arguments: URL, seconds between two requests.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from itertools import count

import aiohttp
import uvloop
from work import HEADERS, body


async def main(url: str, spacing_s: float) -> None:
    """Send until cancelled."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session,
        asyncio.TaskGroup() as group,
    ):

        async def send(number: int) -> None:
            async with session.post(url, data=body(number), headers=HEADERS) as response:
                async for _ in response.content.iter_any():
                    pass

        for number in count():
            group.create_task(send(number))
            await asyncio.sleep(began_at + (number + 1) * spacing_s - loop.time())


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(main(sys.argv[1], float(sys.argv[2])))
