"""The naive script with httpx."""

from __future__ import annotations

import asyncio

import httpx
from work import HEADERS, Work, body


async def main(work: Work) -> None:
    """Send everything."""
    slots = asyncio.Semaphore(work.in_flight)
    limits = httpx.Limits(max_connections=work.in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=None) as client:  # noqa: S113  # a local server

        async def one(number: int) -> None:
            async with slots:
                response = await client.post(work.url, content=body(number), headers=HEADERS)
            (work.folder / f"{number}.png").write_bytes(response.raise_for_status().content)

        await asyncio.gather(*(one(number) for number in range(work.count)))


if __name__ == "__main__":
    asyncio.run(main(Work.given()))
