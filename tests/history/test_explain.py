"""`explain`: what became of one job, to the cent and to the file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from batch_editor.cli.main import main
from batch_editor.history import story_of
from tests.history.test_history import reject
from tests.support.bench import LOW_USD, UTC_TIME, Bench, job, jobs, sandbox, with_options


async def test_a_job_s_requests_attempts_files_verdicts_and_money_are_told(bench: Bench) -> None:
    """A 502 and its retry, a rejected picture made again, then another prompt."""
    async with sandbox(faults=["502@1:billed=1"]) as provider:
        await bench.run([job("mug", "white")], provider)
        await asyncio.to_thread(reject, bench, "mug")
        await bench.run([job("mug", "white")], provider, options=with_options(redo=["rejected"]))
        await bench.run([job("mug", "black"), job("cup", "black")], provider)
        billed_usd = provider.books.billed_usd
    story = await asyncio.to_thread(story_of, bench.out, "mug")
    told = story.as_json()
    present, former = told["requests"]
    assert (told["status"], told["in_manifest"], told["redo"]) == ("succeeded", True, None)
    assert [each["parameters"]["prompt"] for each in (present, former)] == ["black", "white\n\ntoo dark"]
    fates = [(each["number"], each["redo"], each["http_status"], each["state"]) for each in former["attempts"]]
    assert fates == [(1, False, 502, "unknown"), (2, False, 200, "succeeded"), (3, True, 200, "succeeded")]
    failed, retried, _ = former["attempts"]
    most_usd = failed["cost_usd"]["possibly_billed"]
    assert (failed["cost_usd"]["confirmed"], most_usd >= LOW_USD) == (0.0, True)
    assert retried["cost_usd"] == {"confirmed": LOW_USD, "possibly_billed": 0.0}
    assert failed["waited_s"] is None
    assert 0 <= retried["waited_s"] < 10
    assert UTC_TIME.fullmatch(failed["sent_at"])
    assert told["cost_usd"] == {"confirmed": pytest.approx(3 * LOW_USD), "possibly_billed": most_usd}
    assert billed_usd == pytest.approx(4 * LOW_USD)
    assert [file["kind"] for file in told["files"]] == ["picture", "former picture", "former picture"]
    assert all((bench.out / file["path"]).is_file() for file in told["files"])
    assert [(said["verdict"], said["note"], said["by"]) for said in told["verdicts"]] == [
        ("rejected", "too dark", "Ann")
    ]
    cup = (await asyncio.to_thread(story_of, bench.out, "cup")).as_json()
    assert cup["requests"][0]["reused_from"] == "mug"
    assert cup["cost_usd"] == {"confirmed": 0.0, "possibly_billed": 0.0}
    lines = "\n".join(story.lines())
    for said in (
        "mug: succeeded\n",
        "  prompt: black\n",
        "attempt 1: HTTP 502, server_error in ",
        " s, possibly billed, up to $0.0511\n",
        "s of waiting: HTTP 200, an image in ",
        "$0.0108 by the provider\n",
        ": too dark\n",
        "Money: $0.0324 confirmed, up to $0.0511 more possibly billed; times in ",
    ):
        assert said in lines


async def test_an_answer_that_is_no_result_and_a_job_that_left_are_told(bench: Bench) -> None:
    async with sandbox(faults=["truncate@1"]) as provider:
        await bench.run([job("a/mug*", output="a/mug"), job("cup")], provider, concurrency=1, retry__max_attempts=1)
        await bench.run([job("cup")], provider)
    story = await asyncio.to_thread(story_of, bench.out, "a/mug*")
    told = story.as_json()
    assert not told["in_manifest"]
    (file,) = told["files"]
    assert file["kind"] == "rejected answer"
    assert (bench.out / file["path"]).is_file()
    assert next(iter(story.lines())).endswith("; it has left the manifest")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("job-O", "did you mean 'job-1', 'job-0'?"),
        ("JOB-1", "did you mean 'job-1'?"),
        ("zebra", "out/manifest.csv lists its jobs"),
    ],
)
async def test_a_job_that_is_not_there_names_the_nearest_ids(
    bench: Bench, capsys: pytest.CaptureFixture[str], asked: str, told: str
) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(2), provider)
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["explain", "out", asked]) == 2
    assert capsys.readouterr().err == f"error: out: no job {asked!r}; {told}\n"


async def test_the_command_line_shows_a_story(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider)
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["explain", str(Path("out")), "job-0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["job_id"] == "job-0"
    assert await asyncio.to_thread(main, ["explain", "nowhere", "job-0"]) == 2
