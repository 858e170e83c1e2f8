"""A command line that is forked from the server of command lines is one that a shell starts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.bench import Bench, arrived, jobs, sandbox


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["plan", "jobs.yaml", "--json"],
        ["plan", "gone.yaml"],
        ["run", "jobs.yaml", "-o", "out", "--base-url", "nowhere"],
        ["plan", "jobs.yaml", "--rate", os.fsdecode(b"\xe9")],
        ["frobnicate"],
    ],
)
@pytest.mark.slow
async def test_it_says_the_same_and_ends_with_the_same_code(bench: Bench, arguments: list[str]) -> None:
    bench.write(jobs(1))
    forked = await bench.command(*arguments)
    assert forked == await bench.command(*arguments, anew=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_it_ends_by_a_signal_as_any_process(bench: Bench, number: signal.Signals) -> None:
    async with sandbox(latency="1") as provider:
        arguments = bench.run_arguments(bench.write(jobs(1)), provider)
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 1)
            process.send(number)
            assert (await process.finished()).code == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -9)


async def test_it_has_the_folder_the_variables_and_no_descriptor_of_anybody_else(bench: Bench) -> None:
    async with sandbox(latency="30") as provider:
        arguments = bench.run_arguments(bench.write(jobs(1)), provider)
        async with bench.started(*arguments, environment={"BATCH_EDITOR_CONCURRENCY": "1"}) as process:
            await arrived(provider.books, 1)
            folder, *standard = links(f"/proc/{process.pid}", "cwd", "fd/0", "fd/1", "fd/2")
    assert (folder, standard[0]) == (str(bench.folder), "/dev/null")
    assert all(each.startswith("pipe:") for each in standard[1:])


def links(folder: str, *names: str) -> list[str]:
    return [str((Path(folder) / name).readlink()) for name in names]
