"""Signals at any instant of a process: while it is being loaded, while it plans, and when it has done all."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.bench import KEY, Bench, jobs

pytestmark = pytest.mark.slow

STARTS = {"module": ("-m", "batch_editor"), "script": (str(Path(sys.executable).with_name("batch-editor")),)}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
# Modules that are loaded one after the other, from the first to those that only some commands need.
LOADED = (
    *("signal", "click.core", "batch_editor.cli.run", "pydantic", "batch_editor.config", "batch_editor.manifest"),
    *("asyncio", "PIL.Image", "aiohttp"),
)


@asynccontextmanager
async def started(
    bench: Bench, *arguments: str | Path, start: str = "module", **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *STARTS[start], *map(str, arguments)),
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


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("module", LOADED)
async def test_a_signal_while_the_program_is_being_loaded_ends_it_without_a_word(
    bench: Bench, module: str, start: str
) -> None:
    number = list(CODES)[LOADED.index(module) % 3] if start == "script" else signal.SIGINT
    async with started(bench, *run_of(bench), start=start, PYTHONPROFILEIMPORTTIME="1") as process:
        assert process.stderr is not None
        said = [b""]
        # Python says of each module that it has been loaded.
        while not said[-1].rstrip().endswith(b" " + module.encode()):
            said.append(await process.stderr.readline())
            assert said[-1], "it ended before that"
        process.send_signal(number)
        said += (await process.stderr.read()).splitlines(keepends=True)
        assert await process.wait() == CODES[number]
    assert [line for line in said if line and not line.startswith(b"import time:")] == []
    assert not bench.out.exists()


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("command", ["plan", "run"])
async def test_a_signal_while_a_manifest_is_read_ends_the_process_and_leaves_nothing_behind(
    bench: Bench, command: str, number: signal.Signals
) -> None:
    temporary = bench.folder / "temporary"
    temporary.mkdir()
    _, *arguments = run_of(bench, rows=200_000)
    async with started(bench, command, *arguments, TMPDIR=str(temporary)) as process:
        while not list(temporary.iterdir()):  # noqa: ASYNC110  # the kernel has an event for it, Python hasn't
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        process.send_signal(number)
        _, err = await process.communicate()
    assert (process.returncode, err.decode().strip()) == (
        CODES[number],
        "Interrupted; nothing is lost, running again resumes.",
    )
    assert list(temporary.iterdir()) == []
    assert not bench.out.exists()


async def test_no_instant_of_a_process_shows_where_ctrl_c_met_it(bench: Bench) -> None:
    """Before the program's first line, Python itself dies of the signal, or says where it was."""
    manifest = bench.write(jobs(1))

    async def end(after_s: float) -> tuple[int | None, str]:
        async with started(bench, "plan", manifest, start="script") as process:
            await asyncio.sleep(after_s)
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
            return process.returncode, err.decode()

    for batch in range(15):
        ends = await asyncio.gather(*(end(0.04 * (2 * batch + turn)) for turn in range(2)))
        for code, err in ends:
            # The first lines of the package stand before the one that takes the signals.
            ours = re.search(r"/batch_editor/(?!__init__\.py|__main__\.py)", err)
            assert code in (0, 130) or (code in (1, -signal.SIGINT) and not ours), err
            assert code in (1, -signal.SIGINT) or "Traceback" not in err
