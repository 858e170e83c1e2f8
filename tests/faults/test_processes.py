"""Processes that hang up, lose their reader, crash again and again, or have too few files."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress

import pytest

from batch_editor.output import DiskRetry, Store
from tests.support.bench import KEY, Bench, arrived, job, jobs, sandbox
from tests.support.recorder import png

pytestmark = pytest.mark.slow


@pytest.mark.fault(77)
async def test_a_terminal_that_closes_ends_the_run_as_sigterm_does(bench: Bench) -> None:
    async with sandbox(latency="1") as provider:
        manifest = bench.write(jobs(20))
        async with bench.started(*bench.run_arguments(manifest, provider, "--concurrency", "4")) as process:
            await arrived(provider.books, 4)
            await asyncio.sleep(0.2)
            process.send(signal.SIGHUP)
            finished = await process.finished()
    assert finished.code == 143
    assert Counter(bench.statuses().values()) == {"succeeded": 4, "pending": 16}
    assert {row["possibly_billed"] for row in bench.rows()} == {"0"}


@pytest.mark.parametrize("progress", ["plain", "bar"])
@pytest.mark.fault(77)
async def test_a_run_whose_words_nobody_reads_goes_on_to_its_end(bench: Bench, progress: str) -> None:
    async with sandbox(latency="0.05", faults=("422:prompt~refused",)) as provider:
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "batch_editor", "run", bench.write([*jobs(11), job("refused")]), "-o", bench.out),
            *("--base-url", provider.base_url, "--rate", "1000/s", "--concurrency", "2", "-v"),
            *("--progress", progress),
            cwd=bench.folder,
            env={**os.environ, "SEGMIND_API_KEY": KEY},
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        )
        os.close(writing)
        os.close(reading)
        await process.wait()
        assert provider.books.requests == 12
        assert Counter(bench.statuses().values()) == {"succeeded": 11, "failed": 1}
    assert process.returncode == 1


@pytest.mark.fault(83)
async def test_in_a_crash_loop_the_rate_limit_holds_from_run_to_run(bench: Bench) -> None:
    """Each run ends while it waits for its turn; a limiter without memory would send one at each beginning."""
    async with sandbox() as provider:
        for number in range(6):
            run = asyncio.ensure_future(bench.run(jobs(20), provider, rate_limit="3/min"))
            if not number:
                await arrived(provider.books, 1)
            await asyncio.wait([run], timeout=0.7)
            run.cancel()
            await asyncio.wait([run])
        assert 1 <= provider.books.most_in_window(60.0) <= 3


@pytest.mark.fault(87)
def test_too_few_files_for_the_concurrency_are_told_before_anything_is_sent(bench: Bench) -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300));"
        "from batch_editor.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, "run", bench.write(jobs(1)), "-o", bench.out, "--concurrency", "64"],
        env={**os.environ, "SEGMIND_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert finished.stderr == (
        "error: concurrency 64 needs 320 open files, and the system allows 300;"
        " use --concurrency 44 or less, or raise the limit (ulimit -Hn 320)\n"
    )


@pytest.mark.fault(87)
async def test_files_that_run_out_while_saving_lose_nothing(bench: Bench) -> None:
    """Other programs, or a library's leak, may have them all by then."""
    store = Store(bench.out)
    store.prepare()
    heard: list[str] = []
    taken: list[int] = []

    def give_back(error: Exception) -> None:
        heard.append(str(error))
        while taken:
            os.close(taken.pop())

    disk_retry = DiskRetry(10, make_room=store.make_room, on_trouble=give_back)
    staged = store.staged_file(1, disk_retry)
    await staged.write(png())
    with suppress(OSError):
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    await staged.commit()
    await staged.discard()
    store.close()
    assert heard == [f"{bench.out}/images/.landing/1.part: can't be written (Too many open files)"]
