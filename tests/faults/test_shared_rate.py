"""One rate limit for all runs of a key on this machine."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import signal
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from batch_editor.records import Rate
from batch_editor.scheduling.rate_limiter import LimiterClosed, RateLimiter
from batch_editor.scheduling.send_policy import JITTER_S, slack_s, spacing_s
from batch_editor.scheduling.shared_rate_file import SharedRateFile, shared_rate_path
from tests.support.bench import Bench, arrived, job, jobs, sandbox
from tests.support.simulated_provider import most_in_a_window, running
from tests.support.virtual_time import now, run

pytestmark = pytest.mark.slow

RATE = Rate(10, 1.0)


def shared_rate_of(path: Path, said: list[str], rate: Rate = RATE) -> SharedRateFile:
    """On virtual time."""
    return SharedRateFile(path, rate, say=said.append, clock=now)


async def departures(path: Path, said: list[str], *, runs: int, rate: Rate, for_s: float) -> list[float]:
    """When requests leave, of runs that share a rate limit and always have some to send; their disks are slow."""
    left: list[float] = []
    rng = random.Random(runs)

    async def worker(limiter: RateLimiter) -> None:
        while True:
            permit = await limiter.permit()
            await asyncio.sleep(rng.choice([0.0, 0.001, 0.3 * rate.period_s]) if rng.random() < 0.1 else 0.0)
            await limiter.depart(permit)
            left.append(now())

    async with AsyncExitStack() as stack:
        shared_rates = [shared_rate_of(path, said, rate) for _ in range(runs)]
        limiters = [await stack.enter_async_context(running(RateLimiter(rate, shared=each))) for each in shared_rates]
        tasks = [asyncio.create_task(worker(limiter)) for limiter in limiters for _ in range(5)]
        await asyncio.sleep(for_s)
        for limiter in limiters:
            limiter.close()
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} <= {LimiterClosed, asyncio.CancelledError}
        for each in shared_rates:
            each.close()
    return left


@pytest.mark.parametrize("rate", [Rate(10, 1.0), Rate(100, 1.0), Rate(60, 60.0)], ids=str)
@pytest.mark.parametrize("runs", [1, 2, 7])
def test_no_window_of_all_runs_together_holds_more_than_the_limit(tmp_path: Path, rate: Rate, runs: int) -> None:
    said: list[str] = []
    periods = 30
    left = run(departures(tmp_path / "turns", said, runs=runs, rate=rate, for_s=periods * rate.period_s))
    assert said == []
    assert most_in_a_window(left, rate.period_s) <= rate.count
    # 4.5 % are kept back for the way; what a slow disk held up takes another turn.
    assert len(left) >= 0.85 * periods * rate.count


@pytest.mark.fault(79)
async def test_two_runs_share_the_limit(bench: Bench) -> None:
    manifests = [bench.write([job(f"{name}-{n}") for n in range(40)], name=f"{name}.yaml") for name in "ab"]
    async with sandbox() as provider, AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(
                bench.started(
                    *("run", manifest, "-o", bench.folder / manifest.stem, "--base-url", provider.base_url),
                    *("--rate", "600/min", "--progress", "none"),
                    anew=True,
                )
            )
            for manifest in manifests
        ]
        ended = [await process.finished() for process in processes]
    assert [each.code for each in ended] == [0, 0], [each.err for each in ended]
    assert provider.books.requests == 80
    # Nobody waits a minute here: a limit of 600/min admits 26 in any 2 s at most, see `most_admitted`; two have 46.
    assert provider.books.most_in_window(2.0) <= most_admitted(Rate(600, 60.0), 2.0) == 26
    times = [entry.at for entry in provider.books.log][20:60]
    assert (times[-1] - times[0]) <= (len(times) - 1) / 10 / 0.9


def most_admitted(rate: Rate, window_s: float) -> int:
    """What a window of the provider's clock holds at most: what is caught up with, and what was held up on its way."""
    return int(1 + (slack_s(rate) + window_s + JITTER_S) / spacing_s(rate))


async def test_a_run_that_crashes_and_starts_again_in_a_loop_keeps_the_limit(bench: Bench) -> None:
    manifest, rate = bench.write(jobs(10)), Rate(20, 60.0)
    async with sandbox(latency="30") as provider:
        for number in range(3):
            # On a fresh output directory there is no ledger that remembers what was sent.
            arguments = ("run", manifest, "-o", bench.folder / f"out-{number}", "--base-url", provider.base_url)
            async with bench.started(*arguments, "--rate", "20/min", "--progress", "none") as process:
                await arrived(provider.books, number + 1)
                process.send(signal.SIGKILL)
                await process.finished()
    times = [entry.at for entry in provider.books.log]
    assert len(times) == 3
    assert min(after - before for before, after in pairwise(times)) >= spacing_s(rate) - slack_s(rate) - JITTER_S


def test_keys_and_hosts_have_rates_of_their_own_and_the_name_tells_nothing(tmp_path: Path) -> None:
    paths = {
        shared_rate_path(key, url) for key in ("a-key", "b-key") for url in ("https://one.example", "http://two/v1")
    }
    assert len(paths) == 4
    assert {path.parent for path in paths} == {Path(os.environ["XDG_STATE_HOME"]) / "batch_editor"}
    assert not any("key" in path.name or "example" in path.name for path in paths)
    assert shared_rate_path("a-key", "https://one.example/v1") == shared_rate_path("a-key", "https://one.example/v2")


@pytest.mark.parametrize("state", [None, "", ".", "state", "../state", "~/state"])
def test_without_an_absolute_xdg_state_home_it_is_below_the_home(
    monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    if state is not None:
        monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert shared_rate_path("a-key", "https://one.example").parent == Path("/home/somebody/.local/state/batch_editor")


async def test_a_user_without_a_home_is_told_and_the_run_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    async with sandbox() as provider:
        summary = await bench.run(jobs(2), provider)
    assert summary.exit_code == 0
    assert "Without XDG_STATE_HOME, other runs of the same key" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"half", struct.pack("<d", float("nan")), struct.pack("<d", 1e12)])
def test_what_no_run_of_today_has_written_holds_nobody_up(tmp_path: Path, content: bytes) -> None:
    path, said = tmp_path / "turns", list[str]()
    path.write_bytes(content)

    async def two_turns() -> float:
        turns = shared_rate_of(path, said)
        await turns.turn()
        await turns.turn()
        return now()

    assert run(two_turns()) <= 2 * spacing_s(RATE) + 1e-3
    assert said == []


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def replace_by_another(path: Path) -> None:
    path.with_name("other").touch()
    path.with_name("other").replace(path)


REMOVALS = [Path.unlink, remove_folder, replace_by_another]


@pytest.mark.parametrize("remove", REMOVALS, ids=["the file", "its folder", "replaced"])
@pytest.mark.parametrize("runs", [1, 2, 7])
def test_a_file_that_is_removed_while_runs_are_on_is_shared_again_by_all_and_said_once(
    tmp_path: Path, runs: int, remove: Callable[[Path], None]
) -> None:
    path, said, left = tmp_path / "state" / "turns", list[str](), list[float]()

    async def send(shared: SharedRateFile) -> None:
        while now() < 10:
            await shared.turn()
            left.append(now())

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(runs):
                group.create_task(send(shared_rate_of(path, said)))
            for _ in range(3):
                await asyncio.sleep(2.03)
                remove(path)
                # Without its folder nothing tells that there was a file, until a run makes it again.
                await asyncio.sleep(spacing_s(RATE) if remove is remove_folder else 0.0)
                group.create_task(send(shared_rate_of(path, said)))  # one that starts just then

    run(all_of_them())
    assert most_in_a_window(left, RATE.period_s) <= RATE.count
    assert len(left) >= 0.85 * 10 * RATE.count
    message = (
        f"warning: {path}: was removed or replaced while this run was on; other runs of the same key may have sent"
        " requests beside it. From now on they share the rate limit again"
    )
    assert said == [message] * (runs + 2)  # the one that started last has seen nothing


@pytest.mark.parametrize("known", [True, False])
def test_a_new_file_is_begun_as_if_the_window_were_full_where_other_runs_have_been(tmp_path: Path, known: bool) -> None:
    """It may be in the place of one that was removed."""
    path = tmp_path / "state" / "turns"
    if known:
        path.parent.mkdir()

    async def first_turn() -> float:
        await shared_rate_of(path, []).turn()
        return now()

    assert run(first_turn()) == pytest.approx(spacing_s(RATE) if known else 0.0, abs=1e-6)


async def test_a_file_that_is_removed_between_two_starts_lets_no_window_hold_more(bench: Bench) -> None:
    manifests = [bench.write([job(f"{name}-{n}") for n in range(60)], name=f"{name}.yaml") for name in "ab"]
    async with sandbox() as provider, AsyncExitStack() as stack:
        processes = []
        for manifest in manifests:
            arguments = ("run", manifest, "-o", bench.folder / manifest.stem, "--base-url", provider.base_url)
            starting = bench.started(*arguments, "--rate", "20/s", "--progress", "none", anew=True)
            processes.append(await stack.enter_async_context(starting))
            if len(processes) == 1:
                await arrived(provider.books, 10)
                shared_rate_path("SG_0123456789abcdef", provider.base_url).unlink()
        ended = [await process.finished() for process in processes]
    assert [each.code for each in ended] == [0, 0], [each.err for each in ended]
    assert ended[0].err.count("was removed or replaced while this run was on") == 1
    assert provider.books.most_in_window(1.0) <= 20


@pytest.mark.parametrize("obstacle", ["a folder", "a link", "no folder"])
async def test_a_file_that_cannot_be_used_is_said_and_the_run_goes_on(bench: Bench, obstacle: str) -> None:
    async with sandbox() as provider:
        path = shared_rate_path("SG_0123456789abcdef", provider.base_url)
        if obstacle == "no folder":
            path.parent.write_text("a file")
        else:
            path.parent.mkdir()
            path.mkdir() if obstacle == "a folder" else path.symlink_to(bench.folder / "elsewhere")
        arguments = bench.run_arguments(bench.write(jobs(3)), provider)
        ended = await bench.command(*arguments)
    assert ended.code == 0
    assert ended.err.count(f"warning: {path}: can't be used (") == 1
    assert not (bench.folder / "elsewhere").exists()


def test_whoever_stands_still_with_the_lock_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    path, said = tmp_path / "turns", list[str]()

    async def turn() -> float:
        turns = shared_rate_of(path, said)
        await turns.turn()
        with path.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            await turns.turn()
        return now()

    assert 2 <= run(turn()) < 3
    assert len(said) == 1
    assert "would not share the rate limit" in said[0]
