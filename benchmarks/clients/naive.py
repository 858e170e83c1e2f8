"""What is written first: a task for each request, a semaphore, the image written where it is read."""

from __future__ import annotations

import asyncio

import aiohttp
from work import HEADERS, Work, body


async def main(work: Work) -> None:
    """Send everything."""
    slots = asyncio.Semaphore(work.in_flight)
    async with aiohttp.ClientSession() as session:

        async def one(number: int) -> None:
            async with slots, session.post(work.url, data=body(number), headers=HEADERS) as response:
                response.raise_for_status()
                (work.folder / f"{number}.png").write_bytes(await response.read())

        await asyncio.gather(*(one(number) for number in range(work.count)))


if __name__ == "__main__":
    asyncio.run(main(Work.given()))
