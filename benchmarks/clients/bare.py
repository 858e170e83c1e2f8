"""The ceiling: POSTs over bare aiohttp, answers read and dropped. Nothing is kept, checked, limited or tried again.

After the usual arguments: `uvloop` or `asyncio`, and `kept` connections or a `new` one for each request, as a request
that costs money needs it.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import uvloop
from work import HEADERS, Work, body


async def main(work: Work, *, new: bool) -> None:
    """Send everything."""
    numbers = iter(range(work.count))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=new), timeout=aiohttp.ClientTimeout(total=None)
    ) as session:

        async def worker() -> None:
            for number in numbers:
                async with session.post(work.url, data=body(number), headers=HEADERS) as response:
                    async for _ in response.content.iter_any():
                        pass

        await asyncio.gather(*(worker() for _ in range(work.in_flight)))


if __name__ == "__main__":
    loop, connections = sys.argv[5:]
    run = uvloop.run if loop == "uvloop" else asyncio.run
    run(main(Work.given(), new=connections == "new"))
