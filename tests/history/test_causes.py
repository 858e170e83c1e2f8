"""`status`: failures by cause, each with the command that sends just its jobs again."""

from __future__ import annotations

import asyncio
import shlex
from itertools import pairwise
from random import Random

import pytest

from batch_editor.ledger.cause_readings import patterns_for
from batch_editor.ledger.choice import Choice
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


async def test_jobs_of_a_cause_that_are_many_are_named_by_what_they_begin_with(bench: Bench) -> None:
    """Of jobs that are done it doesn't matter: they aren't sent."""
    wanted = [f"mug[1]-{number}" for number in range(30)] + [f"mug-{number}" for number in range(3)] + ["mug"]
    jobs = [*map(job, wanted), job("mug[1]", "other"), job("mug-x", "other"), job("cup"), job("mug[1]-y", "fine")]
    async with sandbox(faults=["504:prompt~other", "400:prompt~mug"]) as provider:
        await bench.command(*bench.run_arguments(bench.write(jobs), provider))
        (cause,) = [
            each
            for each in (await bench.command("status", bench.out, "--json")).json["causes"]
            if each["kind"] == "invalid_parameter"
        ]
        assert cause["count"] == len(wanted)
        words = shlex.split(cause["command"])
        patterns = [word for before, word in pairwise(words) if before == "--only"]
        assert patterns == ["mug", "mug-0", "mug-1", "mug-2", "mug[[]1]-*"]
        before = dict(provider.books.arrived_by_body)
        await bench.command(*words[1:], "--yes")
        after = provider.books.arrived_by_body
        assert sum(after[body] > before.get(body, 0) for body in after) == len(wanted)


def test_patterns_fit_the_ids_that_are_meant_and_no_other() -> None:
    draw = Random(3)
    for _ in range(300):
        ids = sorted({"".join(draw.choices("ab*[", k=draw.randint(1, 4))) for _ in range(12)})
        rows = [(each, int(draw.random() < 0.6)) for each in ids]
        if all(is_meant for _, is_meant in rows):
            continue
        patterns = patterns_for(rows, 99) or []
        choice = [Choice([pattern]) for pattern in patterns]
        assert [any(each.has_any([job_id]) for each in choice) for job_id, _ in rows] == [bool(m) for _, m in rows]


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
