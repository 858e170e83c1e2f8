"""What review takes with many jobs: until it answers, for each kind of answer, and of memory with all its processes.

    python benchmarks/review.py [--jobs 10000]

The output directory is made first, by `tests/support/made_output.py`. How soon a browser has painted its first pictures
is measured by `make test-servers`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests.support, from wherever this is started

from tests.support.made_output import make_output  # noqa: E402
from tests.support.memory import memory_mb  # noqa: E402
from tests.support.page import Page  # noqa: E402

AT_ONCE = 6  # what a browser asks one server for at the same time
PICTURES = 300


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = make_output(Path(folder), jobs=options.jobs)
        print(f"{options.jobs:,} jobs")
        asyncio.run(measure(made.path))


async def measure(output: Path) -> None:
    """Start the command, ask it, and look at its processes."""
    began_at = time.perf_counter()
    command = [sys.executable, "-m", "batch_editor", "review", str(output), "--no-open"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().removeprefix("Review: ").strip()
    print(f"{time.perf_counter() - began_at:8.2f} s    until it listens")
    try:
        async with Page(url) as page:
            await ask(page)
        print(f"{memory_mb(process.pid):8.0f} MB   of all its processes, what they share counted once")
    finally:
        process.terminate()
        await process.wait()


async def ask(page: Page) -> None:
    """Everything that a gallery asks for."""
    first_s = await timed(partial(page.get, "/api/overview"))
    print(f"{1000 * first_s:8.0f} ms   the first overview")
    for name, path in (
        ("200 cards", "/api/jobs?limit=200"),
        ("200 cards of a filter", "/api/jobs?limit=200&status=failed&row.scene=studio"),
        ("200 cards of a text", "/api/jobs?limit=200&q=winter"),
        ("100 rows of the grid", "/api/grid?limit=100"),
        ("whether anything has changed", "/api/changes?since=x"),
    ):
        middle_s = statistics.median([await timed(partial(page.get, path)) for _ in range(9)])
        print(f"{1000 * middle_s:8.1f} ms   {name}")
    cards = [card for card in await page.jobs(f"?limit={PICTURES}") if card["before"]]
    for name in ("thumbnails of inputs, made", "thumbnails of inputs, made before"):
        taken_s = await timed(partial(all_of, page, [card["before"] for card in cards]))
        print(f"{len(cards) / taken_s:8.0f} /s   {name}")


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    """Seconds that it takes."""
    began_at = time.perf_counter()
    await work()
    return time.perf_counter() - began_at


async def all_of(page: Page, paths: list[str]) -> None:
    """All of these answers, some at a time."""
    left = iter(paths)

    async def some() -> None:
        for path in left:
            assert (await page.ask(path)).status == 200

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    main()
