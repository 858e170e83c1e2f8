"""Finished files are whole whenever a process that makes them dies, and nothing paid waits for them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.support.bench import Bench, arrived, jobs, sandbox
from tests.support.decoders import children
from tests.support.durability import Desk, RunServer, SandboxServer
from tests.support.system_calls import RENAME, SYNC, UNLINK, WRITE, Death, build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

BEFORE = {"web": {"size": "16x12", "fit": "cover", "format": "jpeg"}, "old": {"size": "4x4"}}
AFTER = {"web": {"size": "8x6", "fit": "cover", "format": "jpeg"}, "new": {"size": "5x5"}}

# Where `finish` dies: what it does to which files, before or after that, and the how manyth time.
DEATHS = [
    (RENAME, "*/finished/*.jpg", False, 1),
    (RENAME, "*/finished/*.jpg", True, 2),
    (SYNC, "*/finished*", False, 3),
    *((WRITE, "*/ledger.sqlite3*", True, nth) for nth in (2, 9, 14)),
    (UNLINK, "*/finished/old/*", False, 1),
    (UNLINK, "*/finished/old/*", True, 2),
    (RENAME, "*/report.csv", True, 1),
]


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[RunServer]:
    async with RunServer.started(build(tmp_path)) as started:
        yield started


def files_of(desk: Desk) -> dict[str, str]:
    """Every finished file and report by what it holds; each picture is whole."""
    found = {}
    for path in sorted((desk.out / "finished").rglob("*")):
        if path.is_file() and ".staged" not in path.parts and not path.name.startswith("."):
            if path.suffix != ".csv":
                with Image.open(path) as image:
                    image.load()
            found[str(path.relative_to(desk.out))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


async def test_killed_anywhere_and_done_again_finish_comes_to_the_same(runs: RunServer, tmp_path: Path) -> None:
    done, desk, never = (Desk(tmp_path / name) for name in ("done", "desk", "never"))
    wanted = jobs(3)
    async with SandboxServer.started() as provider:
        done.write(wanted, finish=BEFORE)
        assert await runs.run(done, done.arguments(provider.base_url)) == 0, done.said()
    for each in (desk, never):
        each.write(wanted, finish=AFTER)
    shutil.copytree(done.disk, never.disk, dirs_exist_ok=True)
    assert await runs.run(never, ["finish", str(never.out)]) == 0, never.said()
    expected = files_of(never)
    assert sorted(expected) == [
        *("finished/new/job-0.png", "finished/new/job-1.png", "finished/new/job-2.png", "finished/new/report.csv"),
        *("finished/web/job-0.jpg", "finished/web/job-1.jpg", "finished/web/job-2.jpg", "finished/web/report.csv"),
    ]
    died = 0
    for kinds, pattern, after, nth in DEATHS:
        shutil.rmtree(desk.disk)
        shutil.copytree(done.disk, desk.disk)
        code = await runs.run(desk, ["finish", str(desk.out)], death=Death(kinds, pattern, after=after, nth=nth))
        died += code == -signal.SIGKILL
        files_of(desk)
        assert await runs.run(desk, ["finish", str(desk.out)]) == 0, desk.said()
        assert files_of(desk) == expected, (kinds, pattern, after, nth)
        assert {row["finished"] for row in desk.rows()} == {row["finished"] for row in never.rows()}
        assert not (desk.out / "finished/.staged").exists()
    assert died == len(DEATHS)


async def test_a_run_that_is_killed_over_a_finished_file_buys_nothing_again(runs: RunServer, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write(jobs(6), finish=BEFORE, concurrency=2)
    async with SandboxServer.started(latency="0.1") as provider:
        death = Death(RENAME, "*/finished/*", after=True, nth=3)
        assert await runs.run(desk, desk.arguments(provider.base_url), death=death) == -signal.SIGKILL
        files_of(desk)
        received = {path.name for path in desk.images.glob("*.png")}
        assert await runs.run(desk, desk.arguments(provider.base_url)) == 0, desk.said()
        books = await provider.books()
    for each in jobs(6):
        if f"{each['id']}.png" in received:
            assert books.billed[each["prompt"]] == 1
    assert [path for path in files_of(desk) if path.endswith((".jpg", ".png"))] == sorted(
        path for row in desk.rows() for path in row["finished"].split("|")
    )
    assert len(desk.rows()[0]["finished"].split("|")) == 2


async def test_a_file_that_got_its_name_just_before_a_death_does_not_outlive_its_rules(
    runs: RunServer, tmp_path: Path
) -> None:
    desk = Desk(tmp_path)
    desk.write(jobs(2))
    async with SandboxServer.started() as provider:
        assert await runs.run(desk, desk.arguments(provider.base_url)) == 0, desk.said()
    death = Death(RENAME, "*/finished/google/*.png", after=True, nth=1)
    google = ["finish", str(desk.out), "--preset", "google"]
    assert await runs.run(desk, google, death=death) == -signal.SIGKILL
    assert len(files_of(desk)) == 1
    assert await runs.run(desk, ["finish", str(desk.out), "--preset", "shopify-square"]) == 0, desk.said()
    assert sorted(files_of(desk)) == [
        f"finished/shopify-square/{name}" for name in ("job-0.png", "job-1.png", "report.csv")
    ]


async def test_no_request_waits_for_a_finished_file(bench: Bench) -> None:
    """The processes that make them are stopped while all requests are sent, answered and saved."""
    wanted = jobs(40)
    async with sandbox(latency="0.05-0.1") as provider:
        running = asyncio.ensure_future(bench.run(bench.write(wanted, finish=BEFORE), provider, concurrency=4))
        stopped = await _stopped()
        try:
            await arrived(provider.books, 40)
            await provider.books.idle()
            await _until(lambda: sum(1 for _ in bench.images.glob("*.png")) == 40)
            assert not running.done()
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        summary = await running
        assert (summary.exit_code, provider.books.requests) == (0, 40)
    assert [count.made for count in summary.finished.counts] == [40, 40]


async def _stopped() -> list[int]:
    """The processes of the run, stopped as soon as they are there; they make files, and do nothing else here."""
    await _until(lambda: bool(children()))
    await asyncio.sleep(0.3)  # until each is there
    found = children()
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    return found


async def _until(holds: Callable[[], bool]) -> None:
    """Nothing tells of it: polled."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_worker_that_is_killed_while_a_run_is_at_work_costs_nothing(bench: Bench) -> None:
    async with sandbox(latency="0.05-0.1") as provider:
        running = asyncio.ensure_future(bench.run(bench.write(jobs(30), finish=BEFORE), provider, concurrency=3))
        killed = 0
        while not running.done():
            for pid in children()[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            await asyncio.sleep(0.4 if killed < 3 else 0.1)
            if killed >= 3:
                break
        summary = await running
        assert (summary.exit_code, provider.books.requests) == (0, 30)
    assert killed
    assert set(bench.statuses().values()) == {"succeeded"}
    again = await bench.command("finish", bench.out, "--json")
    assert (again.code, again.json["finished"]["web"]["made"], again.json["finished"]["old"]["made"]) == (0, 30, 30)


async def test_a_signal_while_files_are_left_ends_the_run_soon_and_finish_makes_the_rest(bench: Bench) -> None:
    manifest = bench.write(jobs(40), finish={"big": {"size": "1500x1500", "format": "jpeg"}})
    (bench.folder / "none.yaml").write_text(
        json.dumps({"jobs": jobs(40), "defaults": {"size": "1024x1024", "quality": "low"}})
    )
    async with sandbox() as provider:
        await bench.run(bench.folder / "none.yaml", provider)
        async with bench.started(*bench.run_arguments(manifest, provider)) as process:
            await _until(lambda: any((bench.out / "finished/big").glob("*.jpg")))
            process.send(signal.SIGINT)
            said = await process.finished()
        assert provider.books.requests == 40
    assert said.code == 130
    assert f"Stopped: by SIGINT; batch-editor finish {bench.out} makes the finished files that are left" in said.out
    finished = await bench.command("finish", bench.out, "--json")
    assert (finished.code, finished.json["finished"]["big"]["made"]) == (0, 40)
    assert 0 < finished.json["made"] < 40
