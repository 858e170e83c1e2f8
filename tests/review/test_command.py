"""`batch-editor review`, and `run --open`: processes that print an address, open a browser, and end in good order."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from batch_editor.review.beside import ReviewBeside
from batch_editor.review.serving import has_browser
from tests.support.bench import KEY, Bench, jobs, sandbox
from tests.support.command import Process
from tests.support.page import Page

pytestmark = pytest.mark.slow

ADDRESS = re.compile(r"Review: (http://127\.0\.0\.1:\d+/\?token=[\w-]{43})\n")


@pytest.fixture
async def done(bench: Bench) -> Bench:
    """A bench with three jobs done."""
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
    return bench


@asynccontextmanager
async def review(bench: Bench, *options: str, **environment: str) -> AsyncIterator[tuple[Process, str]]:
    """The command at work on the bench, and its address."""
    quiet = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": "", **environment}
    async with bench.started("review", bench.out, *options, environment=quiet) as process:
        found = ADDRESS.fullmatch(await process.line())
        assert found is not None
        yield process, found[1]


async def reject(page: Page) -> str:
    card = (await page.jobs())[0]
    picture = {"fingerprint": card["fingerprint"], "sha256": card["sha256"]}
    await page.post("/api/verdicts", {"pictures": [picture], "verdict": "rejected", "note": "too dark"})
    job_id: str = card["job_id"]
    return job_id


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_well_with_the_verdicts_in_the_output_manifest(
    done: Bench, number: signal.Signals
) -> None:
    async with review(done) as (process, url):
        async with Page(url) as page:
            job_id = await reject(page)
        process.send(number)
        ended = await process.finished()
    assert ended.code == 0
    assert ended.err.splitlines()[-1] == f"The verdicts are in {done.out / 'manifest.csv'}"
    assert (done.row(job_id)["verdict"], done.row(job_id)["verdict_note"]) == ("rejected", "too dark")


async def test_where_nothing_was_said_nothing_is_written(done: Bench) -> None:
    before = (done.out / "manifest.csv").stat()
    async with review(done) as (process, url):
        async with Page(url) as page:
            await page.jobs()
        process.send(signal.SIGINT)
        ended = await process.finished()
    assert (ended.code, ended.err.splitlines()[1:]) == (0, [])
    assert (done.out / "manifest.csv").stat() == before
    assert not (done.out / "verdicts.sqlite3").exists()


async def test_the_next_address_is_said_when_one_was_used(done: Bench) -> None:
    async with review(done) as (process, url):
        async with Page(url):
            said = await process.error_line()
        found = re.fullmatch(r"For another browser: (http://127\.0\.0\.1:\d+/\?token=[\w-]{43})\n", said)
        assert found is not None
        async with Page(found[1]) as page:
            assert len(await page.jobs()) == 3


async def test_a_page_that_is_open_does_not_keep_it_from_ending(done: Bench) -> None:
    async with review(done) as (process, url), Page(url) as page:
        await page.jobs()
        process.send(signal.SIGINT)
        async with asyncio.timeout(10):
            assert (await process.finished()).code == 0


async def test_verdicts_are_given_in_the_name_that_is_said(done: Bench) -> None:
    async with review(done, "--as", "Ann Öz") as (_, url), Page(url) as page:
        await reject(page)
        assert (await page.jobs())[0]["by"] == "Ann Öz"
    async with review(done, USER="bob", LOGNAME="bob") as (_, url), Page(url) as page:
        assert (await page.get("/api/overview"))["user"] == "bob"


async def test_a_port_of_one_s_own_is_taken_or_refused_in_words(done: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await done.command("review", done.out, "--no-open", "--port", str(port))
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == (
            f"error: --port {port}: can't be listened on (Address already in use); 0 is any free port\n"
        )
    async with review(done, "--port", str(port)) as (_, url):
        assert f":{port}/" in url


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "error: nowhere: no ledger here; expected the output directory of a run\n"),
        (
            ["out", "--as", " "],
            "error: the name of who gives verdicts is ''; expected one line of 1 to 200 characters\n",
        ),
    ],
)
async def test_what_can_not_be_reviewed_is_said(done: Bench, options: list[str], message: str) -> None:
    ended = await done.command("review", *options, "--no-open")
    assert (ended.code, ended.out, ended.err) == (2, "", message)


@contextmanager
def browser(folder: Path) -> Iterator[Path]:
    """A program that is opened as a browser would be, and writes down the address."""
    opened = folder / "opened"
    program = folder / "browser"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.part\nmv {opened}.part {opened}\n')
    program.chmod(0o755)
    yield opened


async def there(path: Path) -> str:
    """What a file says once it is there."""
    async with asyncio.timeout(20):
        while not path.exists():  # noqa: ASYNC110, ASYNC240  # another process makes it
            await asyncio.sleep(0.02)
    return path.read_text()  # noqa: ASYNC240


async def test_a_browser_is_opened_where_there_is_one(done: Bench) -> None:
    with browser(done.folder) as opened:
        async with review(done, BROWSER=str(done.folder / "browser")) as (_, url):
            assert await there(opened) == url
        opened.unlink()
        async with review(done, "--no-open", BROWSER=str(done.folder / "browser")) as (_, url), Page(url) as page:
            await page.jobs()
            assert not opened.exists()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, sys.platform == "darwin"),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "10.0.0.1 22 10.0.0.2 22"}, False),
        ({"BROWSER": "opener", "SSH_CONNECTION": "10.0.0.1 22 10.0.0.2 22"}, True),
    ],
)
def test_a_browser_is_opened_before_a_screen_alone(environment: dict[str, str], expected: bool) -> None:
    assert has_browser(environment) is expected


async def test_beside_a_run_it_ends_when_no_page_has_asked_for_a_while(done: Bench) -> None:
    began_at = time.monotonic()
    async with review(done, "--end-when-idle", "2") as (process, url):
        async with Page(url) as page:
            job_id = await reject(page)
            for _ in range(4):
                await asyncio.sleep(0.7)
                await page.get("/api/changes")
        async with asyncio.timeout(20):
            ended = await process.finished()
    assert ended.code == 0
    assert time.monotonic() - began_at > 4
    assert done.row(job_id)["verdict"] == "rejected"


def servers(output: Path) -> list[int]:
    """Processes of `review` for an output directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_bytes().split(b"\0")
            if b"review" in line and os.fsencode(output) in line:
                found.append(int(process.name))
    return found


@contextmanager
def ended_afterwards(output: Path) -> Iterator[None]:
    """The servers that a run has left are ended after the block."""
    try:
        yield
    finally:
        for pid in servers(output):
            os.kill(pid, signal.SIGTERM)


async def test_a_run_opens_it_and_leaves_it_open(bench: Bench) -> None:
    environment = {"BROWSER": str(bench.folder / "browser")}
    with browser(bench.folder) as opened, ended_afterwards(bench.out):
        async with sandbox(latency="0.2") as provider:
            arguments = bench.run_arguments(bench.write(jobs(3)), provider, "--open")
            ended = await bench.command(*arguments, environment=environment)
            assert ended.code == 0
        url = await there(opened)
        assert f"Review: {url}\n" in ended.err
        async with Page(url) as page:
            assert [card["status"] for card in await page.jobs()] == ["succeeded"] * 3
        (pid,) = servers(bench.out)
        told = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes)
        assert KEY.encode() not in told
        assert b"SEGMIND_API_KEY" not in told
        assert os.getsid(pid) == pid  # a Ctrl-C at the run's terminal isn't its


async def test_a_run_without_it_opens_nothing(bench: Bench) -> None:
    async with sandbox() as provider:
        ended = await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))
    assert "Review" not in ended.err
    assert servers(bench.out) == []


def test_why_it_does_not_open_is_a_warning(bench: Bench) -> None:
    """What lies in the working directory is not imported."""
    (bench.folder / "asyncio.py").write_text("raise SystemExit('not this one')")
    said: list[str] = []
    beside = ReviewBeside(say=said.append, arguments=["--no-open"], without=[])
    beside.start(bench.folder / "nowhere")
    beside.wait_until_said(30)
    assert said == [
        f"warning: --open: error: {bench.folder / 'nowhere'}: no ledger here; expected the output directory of a run"
    ]
