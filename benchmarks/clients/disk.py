"""The disk's own limit: files of the images' sizes, written and fsynced by eight threads. Nothing is requested."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from work import Work

MIB = 2**20
SIZES = tuple(int((2 + n / 2) * MIB) for n in range(5))  # as the server's
THREADS = 8


def main(work: Work) -> None:
    """Write everything."""
    bodies = [os.urandom(size) for size in SIZES]

    def write(number: int) -> None:
        with (work.folder / f"{number}.png").open("xb", buffering=0) as file:
            file.write(bodies[number % len(bodies)])
            os.fsync(file.fileno())

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(write, range(work.count)))


if __name__ == "__main__":
    main(Work.given())
