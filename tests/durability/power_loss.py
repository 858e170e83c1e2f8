"""Power cuts at every call of a run: what each may leave, and what the next run makes of it.

The long form, every state of three recordings of each scenario: `python -m tests.durability.power_loss 3`.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from pydantic import SecretStr

from batch_editor import BatchOptions, load_settings, run_batch
from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.durability.crash_model import Disk, State
from tests.support.bench import KEY, Job, job
from tests.support.durability import Books, Desk, RunServer, SandboxServer, look, settled
from tests.support.system_calls import RECEIVE, RENAME, SEND, SYNC, UNLINK, WRITE, Call, build, read_log

# In memory where there is any: a state is thrown away a second later.
FAST = next((each for each in ("/dev/shm",) if os.access(each, os.W_OK)), None)
_IMAGE_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Scenario:
    """Runs on one output directory, the last of which is the one that the power cuts hit."""

    jobs: tuple[tuple[Job, ...], ...]
    rehearsal_first: bool = False


def _plain(count: int, *, changed: bool = False) -> tuple[Job, ...]:
    """Some in a folder, two that share a request; changed, a half asks for other edits and a few move."""
    jobs = [
        job(
            f"job-{n}",
            f"edit {n}{' again' if changed and n % 2 else ''}",
            output=f"{'shelf/' if n % 3 == 0 else ''}{'new-' if changed and n % 4 == 0 else ''}{n}",
        )
        for n in range(count)
    ]
    return (*jobs, job("same", jobs[0]["prompt"]))


SCENARIOS: Mapping[str, Scenario] = {
    "fresh": Scenario((_plain(10),)),
    "changed": Scenario((_plain(6), _plain(6, changed=True))),
    "rehearsed": Scenario(((job("mug"),), (job("mug"),)), rehearsal_first=True),
}


@dataclass(frozen=True)
class Recording:
    """The calls of a scenario's runs. `first` is the first one of the run that the power cuts hit; `paid` are the
    images that were there before it.
    """

    scenario: Scenario
    root: str
    inode: int
    calls: tuple[Call, ...]
    first: int
    paid: frozenset[str]

    def changed(self, change: Callable[[Sequence[Call]], Iterable[Call]]) -> Recording:
        """As it would be if the runs had done things otherwise."""
        before, after = tuple(change(self.calls[: self.first])), tuple(change(self.calls[self.first :]))
        return replace(self, calls=before + after, first=len(before))


@dataclass(frozen=True)
class Cut:
    """What a power cut left, and what the world had seen by then: requests that were sent, images that had come."""

    label: str
    state: State
    sent: Counter[str]
    received: int


async def record(
    scenario: Scenario, folder: Path, runs: RunServer, sandbox: SandboxServer, *, synchronous: str | None = None
) -> Recording:
    """The calls of real runs; `synchronous` is what SQLite is told in place of what the product tells it."""
    desk = Desk(folder)
    calls: list[Call] = []
    first, paid = 0, frozenset[str]()
    for number, jobs in enumerate(scenario.jobs):
        first, paid = len(calls), look(desk)[0].stamps
        desk.write(jobs, concurrency=3, budget={"ledger": str(desk.spending), "per_day_usd": 10})
        log = desk.folder / f"calls-{number}"
        rehearsal = scenario.rehearsal_first and not number
        arguments = desk.arguments(sandbox.base_url, *(["--sandbox"] if rehearsal else []))
        assert await runs.run(desk, arguments, log=log, synchronous=synchronous) == 0, desk.said()
        calls += read_log(log)
    recording = Recording(scenario, str(desk.disk), desk.disk.stat().st_ino, tuple(calls), first, paid)
    _check_is_whole(recording, desk)
    return recording


def _check_is_whole(recording: Recording, desk: Desk) -> None:
    """If all that was recorded comes to what is there, nothing was missed."""
    disk = Disk(recording.root, recording.inode)
    for call in recording.calls:
        disk.make(call)
    there = {
        path.relative_to(desk.disk).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in desk.disk.rglob("*")
        if not path.name.endswith(("-shm", ".lock"))
    }
    assert disk.most() == there


def cuts(recording: Recording, seed: int) -> Iterator[Cut]:
    """What power cuts after each call of the last run may leave; each state once for what the world had seen."""
    rng = random.Random(seed)
    posix = Disk(recording.root, recording.inode)
    ext4 = Disk(recording.root, recording.inode, names_follow=True)
    sent: Counter[str] = Counter()
    received = 0
    seen = set()
    for number, call in enumerate(recording.calls):
        if call.kind == SEND:
            sent = sent + Counter(re.findall(r'"prompt": ?"([^"]+)"', call.data.decode(errors="replace")))
        elif call.kind == RECEIVE:
            received += call.data.count(_IMAGE_END)
        else:
            posix.make(call)
            ext4.make(call)
        if number < recording.first:
            sent, received = Counter(), 0
            continue
        states = {
            "posix-min": posix.least(),
            "ext4-min": ext4.least(),
            "max": posix.most(),
            "random 1": posix.some(rng),
            "random 2": ext4.some(rng),
        }
        for variant, state in states.items():
            known = hash((frozenset(state.items()), frozenset(sent.items()), received))
            if known not in seen:
                seen.add(known)
                yield Cut(f"{variant} after call {number} ({call.kind} {Path(call.path).name})", state, sent, received)


# What the next run makes of it


async def aftermath(cut: Cut, recording: Recording, folder: Path, sandbox: Sandbox) -> list[str]:
    """What is wrong with what a power cut left, or with the end of the run that goes on from there."""
    desk = Desk(folder)
    _restore(cut, recording, desk)
    sandbox.books.reset()
    left, wrong = look(desk)
    manifest = desk.folder / "jobs.yaml"
    desk.write(recording.scenario.jobs[-1])
    settings = load_settings(
        flags={
            "rate_limit": "100000/s",
            "api": {"base_url": sandbox.base_url},
            "budget": {"ledger": str(desk.spending), "per_day_usd": "10"},
        }
    )
    summary = await run_batch([manifest], settings, SecretStr(KEY), BatchOptions(output=desk.out))
    if summary.exit_code:
        wrong.append(f"exit code {summary.exit_code}: {summary.errors}")
    after = Books.of(sandbox.books.log_as_json())
    # Every request that left was charged, for all that anybody knows.
    arrived = after.arrived + cut.sent
    wrong += settled(desk, replace(after, arrived=arrived, billed=arrived))
    wrong += [f"an image that was paid for is gone: {stamp}" for stamp in recording.paid - look(desk)[0].stamps]
    former = set() if recording.scenario.rehearsal_first else left.finished
    wrong += [f"{prompt} was finished in the ledger, and was sent again" for prompt in former if after.arrived[prompt]]
    if recording.scenario.rehearsal_first:
        kept = {row["prompt"] for row in desk.rows() if row["status"] == "succeeded"} - set(after.arrived)
        if len(kept) > cut.received:
            wrong.append(f"{kept}: finished without an answer")
    return [f"{cut.label}: {each}" for each in wrong]


def _restore(cut: Cut, recording: Recording, desk: Desk) -> None:
    shutil.rmtree(desk.disk)
    desk.disk.mkdir()
    for name, content in cut.state.items():
        path = desk.disk / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if desk.spending.exists():
        # Its rows belong to an output directory, which is elsewhere now.
        with closing(sqlite3.connect(desk.spending, isolation_level=None)) as db:
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'spending'").fetchone():
                former = str(desk.out).replace(str(desk.disk), recording.root)
                db.execute("UPDATE spending SET owner = ? WHERE owner = ?", (str(desk.out), former))


def _aftermaths(told: Sequence[Cut], recording: Recording) -> list[str]:
    async def all_of_them() -> list[str]:
        wrong: list[str] = []
        with tempfile.TemporaryDirectory(dir=FAST) as folder:
            async with Sandbox(SandboxOptions(size_scale=0.02, key=KEY)) as sandbox:
                for number, cut in enumerate(told):
                    wrong += await aftermath(cut, recording, Path(folder) / str(number), sandbox)
                    shutil.rmtree(Path(folder) / str(number))
        return wrong

    return asyncio.run(all_of_them())


class Judges:
    """Two processes that go on from what power cuts left."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def found(self, told: Sequence[Cut], recording: Recording, *, size: int = 25) -> AsyncGenerator[str, None]:
        """What is wrong, as it is found."""
        without_calls = replace(recording, calls=())
        loop = asyncio.get_running_loop()
        parts = [told[at : at + size] for at in range(0, len(told), size)]
        work = [loop.run_in_executor(self._pool, _aftermaths, part, without_calls) for part in parts]
        try:
            for each in asyncio.as_completed(work):
                for wrong in await each:
                    yield wrong
        finally:
            for future in work:
                future.cancel()


# What if it were done otherwise


def without_syncs(*patterns: str) -> Callable[[Sequence[Call]], Iterator[Call]]:
    """The calls without the fsync of files or folders whose path matches."""

    def change(calls: Sequence[Call]) -> Iterator[Call]:
        for call in calls:
            if call.kind != SYNC or not any(re.search(pattern, call.path) for pattern in patterns):
                yield call

    return change


def without_clearing(calls: Sequence[Call]) -> Iterator[Call]:
    """The calls without an fsync of the staging folder but where something has just been committed."""
    committed = False
    for call in calls:
        if "/.landing/" in (call.other or call.path) and call.kind in (RENAME, UNLINK):
            committed = call.kind == RENAME
        if committed or call.kind != SYNC or not call.path.endswith("/.landing"):
            yield call


def sent_first(calls: Sequence[Call]) -> Iterator[Call]:
    """The calls with each request sent before the commit that came before it."""
    changed = list(calls)
    for call in [call for call in calls if call.kind == SEND]:
        at = changed.index(call)
        commit = max(
            (
                n
                for n, each in enumerate(changed[:at])
                if each.kind == SYNC and each.path.endswith("ledger.sqlite3-wal")
            ),
            default=0,
        )
        while commit and changed[commit - 1].kind == WRITE and changed[commit - 1].path.endswith("ledger.sqlite3-wal"):
            commit -= 1
        changed.insert(commit, changed.pop(at))
    return iter(changed)


async def survey(recordings: int) -> None:
    """Every state of so many recordings of each scenario."""
    judges = Judges()
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        async with RunServer.started(library) as runs, SandboxServer.started(latency="0.005-0.02") as sandbox:
            for name, scenario in SCENARIOS.items():
                for number in range(recordings):
                    recording = await record(scenario, Path(folder) / f"{name}-{number}", runs, sandbox)
                    told = list(cuts(recording, number))
                    wrong = [each async for each in judges.found(told, recording)]
                    calls = len(recording.calls) - recording.first
                    said = f"{name}: {calls} calls, {len(told)} states, {len(wrong)} violations"
                    print(said, *wrong[:20], sep="\n  ", flush=True)  # noqa: T201
    judges.close()


if __name__ == "__main__":
    asyncio.run(survey(*map(int, sys.argv[1:])))
