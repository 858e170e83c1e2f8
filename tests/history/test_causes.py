"""`status`: failures by cause, each with the command that sends just its jobs again."""

from __future__ import annotations

import asyncio
import shlex

import pytest

from batch_editor.runs.summary import last_summary
from tests.support.bench import Bench, job, sandbox

JOBS = [job("mug[1]*"), job("mug1x"), job("cup"), job("pot"), job("jar")]


async def test_the_command_of_a_cause_redoes_just_its_jobs(bench: Bench) -> None:
    faults = ["400:prompt~mug[1]", "504:prompt~cup", "400:prompt~pot"]
    async with sandbox(faults=faults) as provider:
        manifest = bench.write(JOBS)
        await bench.command(
            *bench.run_arguments(manifest, provider, "--max-failures", "9", "--limit", "5", "--only", "*")
        )
        told = (await bench.command("status", bench.out, "--json")).json["causes"]
        shown = (await bench.command("status", bench.out)).out
        assert {cause["kind"]: cause["count"] for cause in told} == {"invalid_parameter": 2, "timeout": 1}
        for cause in told:
            assert f"    to redo just these: {cause['command']}\n" in shown
            before, wanted = dict(provider.books.arrived_by_body), cause["count"]
            words = shlex.split(cause["command"])
            assert words[0] == "batch-editor"
            await bench.command(*words[1:], "--yes")
            after = provider.books.arrived_by_body
            assert sum(after[body] > before.get(body, 0) for body in after) == wanted


async def test_from_another_folder_the_command_goes_where_the_run_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sandbox(faults=["400:prompt~cup"]) as provider:
        await bench.command(*bench.run_arguments(bench.write(JOBS), provider))
    (bench.folder / "elsewhere").mkdir()
    monkeypatch.chdir(bench.folder / "elsewhere")
    (command,) = (await asyncio.to_thread(last_summary, bench.out)).redo_commands.values()
    assert command.startswith(f"cd {bench.folder} && batch-editor run ")
    assert command.endswith(" --redo failed --only cup")


async def test_a_run_without_a_command_line_names_none(bench: Bench) -> None:
    async with sandbox(faults=["400:prompt~cup"]) as provider:
        await bench.run(JOBS, provider)
    summary = await asyncio.to_thread(last_summary, bench.out)
    assert summary.redo_commands == {}
    assert [cause["command"] for cause in summary.as_json()["causes"]] == [None]
