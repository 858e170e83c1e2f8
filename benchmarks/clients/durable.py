"""The same work in a few lines: POSTs over aiohttp; checksum, file and row of each answer are durable before the next.

One connection each, as a request that costs money needs it. No limits, no retries, no check of the image, no row before
the request leaves, and nothing that could resume.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import aiohttp
import uvloop
from work import HEADERS, Work, body

THREADS = 8


class Files:
    """A folder of images and a database with a row of each."""

    def __init__(self, work: Work) -> None:
        self._folder = work.folder
        self._lock = Lock()
        self._rows = sqlite3.connect(work.folder / "rows.sqlite3", isolation_level=None, check_same_thread=False)
        self._rows.execute("PRAGMA journal_mode = WAL")
        self._rows.execute("PRAGMA synchronous = FULL")
        self._rows.execute("CREATE TABLE images (number INTEGER PRIMARY KEY, sha256 TEXT, size INTEGER)")

    def keep(self, number: int, image: bytes) -> None:
        """The image under its name, and its row, both durable. Blocks."""
        sha256 = hashlib.sha256(image).hexdigest()
        part = self._folder / f"{number}.part"
        with part.open("wb") as file:
            file.write(image)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._folder / f"{number}.png")
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        with self._lock:
            self._rows.execute("INSERT INTO images VALUES (?, ?, ?)", (number, sha256, len(image)))


async def main(work: Work) -> None:
    """Send everything."""
    numbers = iter(range(work.count))
    files, loop = Files(work), asyncio.get_running_loop()
    with ThreadPoolExecutor(THREADS) as threads:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=aiohttp.ClientTimeout(total=None)
        ) as session:

            async def worker() -> None:
                for number in numbers:
                    async with session.post(work.url, data=body(number), headers=HEADERS) as response:
                        response.raise_for_status()
                        image = await response.read()
                    await loop.run_in_executor(threads, files.keep, number, image)

            await asyncio.gather(*(worker() for _ in range(work.in_flight)))


if __name__ == "__main__":
    uvloop.run(main(Work.given()))
