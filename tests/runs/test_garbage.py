"""What requests leave in memory, and when it is looked for: that holds up everything in flight."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from batch_editor import BatchOptions, run_batch
from batch_editor.cli.garbage import LEAST, NEVER, Garbage
from batch_editor.client import HttpClient, UploadRefused
from batch_editor.config import ApiSettings, RetrySettings
from batch_editor.endpoints import load_endpoint
from batch_editor.limits import RateGate
from batch_editor.progress import Quiet, Snapshot
from batch_editor.records import Rate
from batch_editor.storage import Store
from tests.support.bench import KEY, Bench, jobs, sandbox
from tests.support.recorder import Recorder

CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nhalf of it"


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collection but those that are asked for."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@contextmanager
def counted(generation: int) -> Iterator[list[int]]:
    """How many collections of a generation there are while the block runs."""
    counts = [0]

    def count(phase: str, info: dict[str, int]) -> None:
        counts[0] += phase == "stop" and info["generation"] == generation

    gc.callbacks.append(count)
    try:
        yield counts
    finally:
        gc.callbacks.remove(count)


class Watched(dict[str, Any]):
    """A dict that can be watched."""


async def never(_: str) -> None:
    raise AssertionError


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("reached", [True, False])
async def test_a_request_that_breaks_off_lets_its_body_go(recorder: Recorder, tmp_path: Path, reached: bool) -> None:
    """It may hold a photograph of some MB, and thousands of failures may wait for the collector."""
    recorder.answer = CUT_OFF
    store = Store(tmp_path / "out")
    store.prepare()

    async def edit(client: HttpClient) -> tuple[str | None, weakref.ref[Watched]]:
        body = Watched(prompt="edit")
        landing = store.landing(1)
        answer = await client.edit(load_endpoint("gpt-image-1.5-edit"), body, landing, accepted=never)
        await landing.discard()
        return getattr(answer.outcome, "kind", None), weakref.ref(body)

    kind, body = await with_client(recorder.base_url if reached else "http://127.0.0.1:1/v1", edit)
    store.close()
    assert kind == "connection"
    assert body() is None


class Photograph(str):
    """A `data:` link that can be watched."""

    __slots__ = ("__weakref__",)


@pytest.mark.usefixtures("uncollected")
async def test_an_upload_that_finds_nobody_lets_its_file_go() -> None:
    async def upload(client: HttpClient) -> weakref.ref[Photograph]:
        link = Photograph("data:image/png;base64,AAAA")
        with pytest.raises(UploadRefused):
            await client.upload(load_endpoint("gpt-image-1.5-edit"), link)
        return weakref.ref(link)

    assert (await with_client("http://127.0.0.1:1/v1", upload))() is None


async def with_client(base_url: str, ask: Callable[[HttpClient], Awaitable[Any]]) -> Any:
    """What is asked of a client whose provider is there."""
    api = ApiSettings(base_url=base_url, upload_url=f"{base_url}/upload")
    polls = RateGate(Rate(100, 1.0))
    async with HttpClient(api, SecretStr(KEY), retry=RetrySettings(), polls=polls) as client:
        return await ask(client)


State = tuple[tuple[int, int, int], int, bool]


def collector() -> State:
    return gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()


class Watching(Quiet):
    """What the collector is told to do while a run is on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[State] = set()

    def show(self, snapshot: Snapshot) -> None:
        self.seen.add(collector())


@contextmanager
def left_as_found() -> Iterator[None]:
    thresholds, _, enabled = collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        (gc.enable if enabled else gc.disable)()


async def test_runs_that_overlap_leave_the_collector_of_their_process_alone(bench: Bench) -> None:
    """The host may have frozen what it has, tuned the collector or turned it off, and do so at any time."""

    async def run(name: str, latency_s: float, progress: Watching) -> None:
        async with sandbox(latency=str(latency_s)) as provider:
            options = BatchOptions(output=bench.folder / name, progress=progress)
            manifest = bench.write(jobs(3), name=f"{name}.yaml")
            await run_batch([manifest], bench.settings(provider, concurrency=1), SecretStr(KEY), options)

    async def cut_off(progress: Watching) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run("cut", 60, progress), 0.5)

    with left_as_found():
        gc.freeze()
        gc.set_threshold(500, 7, 9)
        gc.disable()
        first, second, third = Watching(), Watching(), Watching()
        before = collector()
        await asyncio.gather(run("long", 0.5, first), run("short", 0.1, second), cut_off(third))
        # What is frozen becomes less by itself, as what the host had is let go.
        for thresholds, frozen, enabled in [collector(), *first.seen, *second.seen, *third.seen]:
            assert (thresholds, enabled) == ((500, 7, 9), False)
            assert 0.9 * before[1] <= frozen <= before[1]


async def test_the_command_line_looks_over_everything_only_when_it_is_worth_it(bench: Bench) -> None:
    with left_as_found():
        before, seen = gc.get_threshold(), Watching()
        with Garbage() as garbage:
            async with sandbox() as provider:
                options = BatchOptions(output=bench.out, progress=seen, attempt_ended=garbage.attempt_ended)
                await run_batch([bench.write(jobs(3))], bench.settings(provider), SecretStr(KEY), options)
        assert {thresholds for thresholds, _, _ in seen.seen} == {(*before[:2], NEVER)}
        # Nor over what was there before: that takes 30 ms, in which nothing else happens.
        assert min(frozen for _, frozen, _ in seen.seen) > 10_000
        assert gc.get_threshold() == before


@pytest.mark.parametrize("in_flight", [0, 3 * LEAST])
def test_everything_is_looked_over_when_twice_as_many_have_ended_as_are_in_flight(in_flight: int) -> None:
    garbage = Garbage()
    enough = max(LEAST, 2 * in_flight)
    with counted(2) as collections:
        for _ in range(enough - 1):
            garbage.attempt_ended(in_flight)
        assert collections == [0]
        garbage.attempt_ended(in_flight)
        assert collections == [1]
        for number in range(enough):
            garbage.attempt_ended(in_flight - number)  # at a run's end: what was in flight before counts
        assert collections == [2]


async def test_attempts_that_fail_and_that_succeed_count(bench: Bench) -> None:
    in_flight: list[int] = []
    async with sandbox(faults=("502@2",)) as provider:
        options = BatchOptions(output=bench.out, attempt_ended=in_flight.append)
        settings = bench.settings(provider, concurrency=1)
        await run_batch([bench.write(jobs(8))], settings, SecretStr(KEY), options)
    assert provider.books.requests == 9
    assert in_flight == [0] * 9
