"""Ten thousand jobs: what a server and its processes hold of the memory, and that pages get windows of them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.made_output import make_output
from tests.support.memory import memory_mb
from tests.support.page import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOST_MB = 200


async def test_ten_thousand_jobs_take_less_than_200_mb(tmp_path: Path) -> None:
    made = await asyncio.to_thread(make_output, tmp_path, jobs=10_000, kinds=4, side=128)
    command = [sys.executable, "-m", "batch_editor", "review", str(made.path), "--no-open"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().removeprefix("Review: ").strip()
        async with Page(url) as page:
            await page.ask("/")
            assert (await page.get("/api/overview"))["jobs"]["total"] == 10_000
            assert (await page.get("/api/grid?limit=100"))["total"] == 3_333
            for offset in range(0, 10_000, 1_000):
                assert len(await page.jobs(f"?offset={offset}&limit=1000")) == 1_000
            cards = [card for card in await page.jobs("?limit=60") if card["thumb"]]
            paths = [path for card in cards for path in (card["thumb"], card["before"])]
            assert {(await page.ask(path)).status for path in paths} == {200}
            assert len((await page.get("/api/jobs?q=no.+3332"))["jobs"]) == 3
        assert memory_mb(process.pid) < MOST_MB
    finally:
        process.terminate()
        await process.wait()
