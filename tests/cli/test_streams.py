"""Standard streams and logs that are closed, or whose disk is full: they change neither what is done nor its end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter

import pytest

from tests.support.bench import KEY, Bench, jobs, sandbox


async def shell(bench: Bench, redirections: str, *arguments: object) -> tuple[int | None, str, str]:
    """What a command comes to whose streams a shell has prepared; and what is heard of it all the same."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "batch_editor", *map(str, arguments)),
        cwd=bench.folder,
        env={**os.environ, "SEGMIND_API_KEY": KEY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.slow
async def test_a_run_is_the_same_whichever_streams_are_closed_or_full(bench: Bench, redirections: str) -> None:
    manifest = bench.write(jobs(3))
    async with sandbox(faults=("502@2",)) as provider:
        arguments = [*bench.run_arguments(manifest, provider)[:-1], "auto", "-v"]
        code, _, err = await shell(bench, redirections, *arguments)
    assert code == 0, err
    assert "Traceback" not in err
    assert Counter(bench.statuses().values()) == {"succeeded": 3}
    # No file that was opened first has what was printed.
    assert (bench.out / ".lock").read_bytes() == b""


@pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("plan", "none.yaml"), 2), (("plan", "--none"), 2), (("status", "none"), 2), (("plan", "jobs.yaml"), 0)],
    ids=str,
)
@pytest.mark.slow
async def test_an_exit_code_does_not_depend_on_who_hears_why(
    bench: Bench, arguments: tuple[str, ...], code: int, redirections: str
) -> None:
    bench.write(jobs(1))
    assert (await shell(bench, redirections, *arguments))[0] == code


@pytest.mark.parametrize("command", ["plan", "status", "export", "export --format jsonl"])
@pytest.mark.slow
async def test_results_for_a_closed_standard_output_are_no_bug(bench: Bench, command: str) -> None:
    manifest = bench.write(jobs(1))
    async with sandbox() as provider:
        await bench.run(manifest, provider)
    name, *options = command.split()
    arguments = ["plan", manifest, "-o", bench.out] if name == "plan" else [name, bench.out, *options]
    assert await shell(bench, ">&-", *arguments) == (0, "", "")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_whoever_reads_no_further_ends_an_export_without_a_word(bench: Bench, form: str) -> None:
    async with sandbox() as provider:
        await bench.run(bench.write(jobs(1)), provider)
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "batch_editor", "export", str(bench.out), "--to", "-", "--format", form),
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")


@pytest.mark.slow
async def test_a_log_whose_disk_is_full_says_so_once(bench: Bench) -> None:
    manifest = bench.write(jobs(20))
    async with sandbox() as provider:
        arguments = bench.run_arguments(manifest, provider, "--log-file", "/dev/full")
        finished = await bench.command(*arguments)
    assert finished.code == 0
    assert [line for line in finished.err.splitlines() if "other than asked" not in line] == [
        "warning: --log-file /dev/full: can't be written (No space left on device); the log has gaps"
    ]
