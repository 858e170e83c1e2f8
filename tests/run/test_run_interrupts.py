"""Signals while a process plans."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from run_bench import KEY, Bench


@asynccontextmanager
async def started(
    bench: Bench, *arguments: str | Path, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "batch_editor", *map(str, arguments)),
        cwd=bench.folder,
        env={**os.environ, "SEGMIND_API_KEY": KEY, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def run_of(bench: Bench, rows: int = 1) -> Sequence[str | Path]:
    manifest = bench.folder / "jobs.csv"
    lines = (f"job-{number},edit {number},http://127.0.0.1:9/mug.png\n" for number in range(rows))
    manifest.write_text("id,prompt,image_urls\n" + "".join(lines), encoding="utf-8")
    return ["run", manifest, "-o", bench.out, "--base-url", "http://127.0.0.1:9/v1"]


@pytest.mark.parametrize("command", ["plan", "run"])
async def test_a_signal_while_a_manifest_is_read_ends_the_process_and_leaves_nothing_behind(
    bench: Bench, command: str
) -> None:
    temporary = bench.folder / "temporary"
    temporary.mkdir()
    _, *arguments = run_of(bench, rows=200_000)
    async with started(bench, command, *arguments, TMPDIR=str(temporary)) as process:
        while not list(temporary.iterdir()):  # noqa: ASYNC110  # the kernel has an event for it, Python hasn't
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err.decode().strip()) == (
        130,
        "Interrupted; nothing is lost, running again goes on.",
    )
    assert list(temporary.iterdir()) == []
    assert not bench.out.exists()
