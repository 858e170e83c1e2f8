"""Runs that are killed again and again, by seed. The long form: `python -m tests.durability.kills 1000`."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.support.bench import Job, Row, job
from tests.support.durability import Books, Desk, Left, RunServer, SandboxServer, look, settled
from tests.support.system_calls import (
    CREATE,
    DISK,
    LINK,
    MKDIR,
    NETWORK,
    RECEIVE,
    RENAME,
    RESIZE,
    SEND,
    SYNC,
    UNLINK,
    WRITE,
    Death,
    build,
)

# A fifth of the requests fails on the way, some of them charged.
FAULTS = ("502:0.06:billed=1", "503:0.04", "truncate:0.06", "reset:0.04")
LATENCY = "0.005-0.02"

Kind = Literal["fresh", "changed", "tight"]
KINDS: tuple[Kind, ...] = ("changed", "fresh", "changed", "fresh", "tight")

# The steps of a run's life, in its order: the calls that make them.
STEPS: Mapping[str, tuple[str, str]] = {
    "folders are made": (MKDIR, "*"),
    "the lock is taken": (WRITE + RESIZE, "*/.lock"),
    "the ledger is created": (CREATE, "*/ledger.sqlite3"),
    "the ledger's journal is begun": (CREATE, "*/ledger.sqlite3-journal"),
    "the ledger's journal is ended": (UNLINK, "*/ledger.sqlite3-journal"),
    "a commit is written": (WRITE, "*/ledger.sqlite3-wal"),
    "a commit is durable": (SYNC, "*/ledger.sqlite3-wal"),
    "money is set aside or settled": (SYNC, "*/spending.sqlite3-wal"),
    "a request is sent": (SEND, "*"),
    "an answer comes": (RECEIVE, "*"),
    "its body is begun": (CREATE, "*.part"),
    "its body is written": (WRITE, "*.part"),
    "its body is durable": (SYNC, "*.part"),
    "its body is committed": (RENAME, "*.full"),
    "its staged name is durable": (SYNC, "*/.landing"),
    "the image is named": (LINK, "*/images/[!.]*"),
    "the name is durable": (SYNC, "*/images"),
    "a name in a folder is durable": (SYNC, "*/images/shelf"),
    "its staged file is cleared": (UNLINK, "*.full"),
    "a former image is put away": (RENAME + LINK, "*/.history/*"),
    "putting away is durable": (SYNC, "*/.history*"),
    "a former name is taken away": (UNLINK, "*/images/[!.]*"),
    "the manifest is begun": (CREATE, "*/.manifest*"),
    "the manifest is written": (WRITE, "*/.manifest*"),
    "the manifest is durable": (SYNC, "*/.manifest*"),
    "the manifest is named": (RENAME, "*/manifest.csv"),
    "the ledger is taken together": (WRITE, "*/ledger.sqlite3"),
    "the ledger is one file": (UNLINK, "*/ledger.sqlite3-wal"),
}
ORDER = list(STEPS)
# Those of each request; the others come once in a run, or not in every one.
OFTEN = ORDER[ORDER.index("a commit is written") : ORDER.index("a former image is put away")]
CHANGES = {"a former image is put away", "putting away is durable", "a former name is taken away"}
BIRTH = {"the ledger is created"}
SHARED = {"money is set aside or settled"}
NAMED = [f"{when} {step}" for step in STEPS for when in ("before", "after")]
# The ends come last: up to them a run does all there is to do.
LATE = set(ORDER[ORDER.index("the manifest is begun") :])

# What depends on when and how often, and not on what came of it.
_VARYING = {"attempts", "possibly_billed", "latency_s", "started_at", "finished_at", "request_id"}


@dataclass(frozen=True)
class Kill:
    """One death to come: before or after a step of a run's life, at any call, or after a time."""

    step: str
    death: Death | None
    after_s: float | None = None

    @classmethod
    def at(cls, step: str, rng: random.Random) -> Kill:
        when, _, name = step.partition(" ")
        # A later one hits another job, or another station of the same.
        nth = rng.choice([1, 1, 2, 3, 5]) if name in OFTEN else 1
        return cls(step, Death(*STEPS[name], when == "after", nth))

    @classmethod
    def anywhere(cls, rng: random.Random) -> Kill:
        if rng.random() < 0.5:
            return cls("at any time", None, rng.uniform(0.02, 0.5))
        nth = int(rng.triangular(1, 700, 1))
        return cls("at any call", Death(DISK + NETWORK, "*", rng.random() < 0.5, nth))


@dataclass(frozen=True)
class Story:
    """Jobs, and the deaths of the runs that try to do them. `kind` is what was there before, or what limits them."""

    seed: int
    kind: Kind
    kills: tuple[Kill, ...]

    @property
    def shares(self) -> bool:
        """Whether the file of shared spending sets the budget, and not an option."""
        return self.seed % 2 == 1

    @property
    def limit_usd(self) -> float:
        """Tight is less than the fewest requests cost by the list, whatever is lost."""
        return 0.15 if self.kind == "tight" else 10.0

    @property
    def rng(self) -> random.Random:
        return random.Random(self.seed)

    def jobs(self, *, changed: bool = False) -> list[Job]:
        """A third in a folder, two that share a request; changed, a half asks for other edits and a few move."""
        jobs = []
        for n in range(self.rng.randint(16, 20)):
            edit = f"edit {self.seed}-{n}" + (" again" if changed and n % 2 else "")
            folder = "shelf/" if n % 3 == 0 else ""
            moved = "new-" if changed and (n % 4 == 0 or n % 5 == 0) else ""
            jobs.append(job(f"job-{n}", edit, output=f"{folder}{moved}{n}"))
        return [*jobs, job("same", jobs[0]["prompt"])]


@dataclass
class Tally:
    """What came of many stories."""

    wanted: int
    seed: int
    stories: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    requests: int = 0
    billed: int = 0
    jobs: int = 0
    possibly_billed: int = 0
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._waiting: list[str] = []

    @property
    def kills(self) -> int:
        """How many there were."""
        return self.steps.total()

    @property
    def never(self) -> list[str]:
        """Steps that no run has died at."""
        return [step for step in NAMED if not self.steps[step]]

    def __iter__(self) -> Iterator[Story]:
        """Stories until there were as many kills as wanted, before and after each step in turn, and as many anywhere.

        A step that a run didn't come to has its turn again.
        """
        while (self.kills < self.wanted or self.never) and self.stories < 20 + self.wanted // 4:
            self.stories += 1
            yield self._next(self.seed + self.stories)

    def _next(self, seed: int) -> Story:
        kind: Kind = KINDS[seed % len(KINDS)]
        absent = (BIRTH if kind == "changed" else CHANGES) | (set() if seed % 2 else SHARED)
        if len(self._waiting) < len(NAMED):
            self._waiting += self._rng.sample(NAMED, len(NAMED))
        possible = [step for step in self._waiting if step.partition(" ")[2] not in absent]
        steps = sorted(possible, key=lambda step: self.steps[step])[:8]
        for step in steps:
            self._waiting.remove(step)
        steps.sort(key=lambda step: ORDER.index(step.partition(" ")[2]))
        kills = [Kill.at(step, self._rng) for step in steps]
        early = sum(step.partition(" ")[2] not in LATE for step in steps)
        for _ in range(3):
            kills.insert(self._rng.randint(min(1, early), early), Kill.anywhere(self._rng))
        return Story(seed, kind, tuple(kills))

    def miss(self, kill: Kill) -> None:
        """A run ended before it came to die."""
        self.missed += 1
        if kill.step in NAMED:
            self._waiting.append(kill.step)


@dataclass(frozen=True)
class Place:
    """Where a story happens: the folder of the runs that are killed, that of one that isn't, and who runs them."""

    killed: Desk
    reference: Desk
    runs: RunServer
    sandbox: SandboxServer

    async def prepare(self, story: Story) -> list[str]:
        """Bring both folders to where the deaths begin; the arguments of the runs that are to die."""
        await self.sandbox.reset()
        more: dict[str, Any] = {"concurrency": story.rng.choice([1, 3, 6])}
        if story.kind == "changed":
            for desk in (self.killed, self.reference):
                desk.write(story.jobs(), **more)
                await self._to_the_end(desk)
        jobs = story.jobs(changed=story.kind == "changed")
        self.reference.write(jobs, **more)
        await self._to_the_end(self.reference)
        limit = () if story.shares else ("--max-cost", str(story.limit_usd))
        if story.shares:
            more["budget"] = {"ledger": str(self.killed.spending), "per_day_usd": story.limit_usd}
        self.killed.write(jobs, **more)
        await self.sandbox.reset()
        return self.killed.arguments(self.sandbox.base_url, *limit)

    async def _to_the_end(self, desk: Desk) -> None:
        code = await self.runs.run(desk, desk.arguments(self.sandbox.base_url))
        assert code == 0, desk.said()


async def live(story: Story, place: Place, tally: Tally) -> None:
    """Make a story happen, to its clean end, and compare that with the end of a run that nobody killed."""
    arguments = await place.prepare(story)
    desk, wrong = place.killed, Wrong(story)
    paid = look(desk)[0].stamps
    done: list[tuple[Left, Books]] = []
    for kill in story.kills:
        code = await place.runs.run(desk, arguments, death=kill.death, killed_after_s=kill.after_s)
        if code != -9:
            tally.miss(kill)
            wrong.add(kill.step, [f"exit code {code}: {desk.said()}"] if code not in (0, 4) else ())
            continue
        tally.steps[kill.step] += 1
        left, found = look(desk)
        wrong.add(kill.step, found)
        done.append((left, await place.sandbox.books()))
    code = await place.runs.run(desk, arguments)
    books = await place.sandbox.books()
    if code != (4 if story.kind == "tight" else 0):
        wrong.add("the end", [f"exit code {code}: {desk.said()}"])
    wrong.add("the end", settled(desk, books))
    wrong.add("the end", _sent_again(done, books))
    if books.billed_usd > story.limit_usd + 1e-9:
        wrong.add("the end", [f"${books.billed_usd:.4f} billed, ${story.limit_usd} allowed"])
    wrong.add("the end", [f"an image that was paid for is gone: {stamp}" for stamp in paid - look(desk)[0].stamps])
    if story.kind != "tight":
        wrong.add("the end", _differences(desk.rows(), place.reference.rows()))
    tally.requests += books.arrived.total()
    tally.billed += books.billed.total()
    tally.jobs += len(desk.rows())
    tally.possibly_billed += sum(int(row["possibly_billed"]) for row in desk.rows())
    tally.wrong += wrong.all


@dataclass
class Wrong:
    """What went wrong in a story."""

    story: Story
    all: list[str] = field(default_factory=list)

    def add(self, when: str, found: Iterable[str]) -> None:
        """Note what was found when a run was killed there."""
        self.all += [f"story {self.story.seed} ({self.story.kind}), {when}: {each}" for each in found]


def _sent_again(done: Iterable[tuple[Left, Books]], books: Books) -> Iterator[str]:
    """What was finished when a process died, by its ledger or by an image on its disk, and arrived after that."""
    for left, before in done:
        for prompt in left.finished:
            if books.arrived[prompt] > before.arrived[prompt]:
                yield f"{prompt} was finished in the ledger, and was sent again"
        for stamp in left.stamps:
            if books.arrived_by_body[stamp] > before.arrived_by_body[stamp]:
                yield f"the image of {stamp[:12]} was on disk, and was bought again"


def _differences(rows: list[Row], wanted: list[Row]) -> Iterator[str]:
    """Where an output manifest says something else than that of a run that nobody killed."""
    if [row["job_id"] for row in rows] != [row["job_id"] for row in wanted]:
        yield "manifest.csv has other jobs"
    for row, other in zip(rows, wanted, strict=False):
        # Of an image that was saved from a dead run the headers of its answer are lost, and only they.
        lost = set() if row["request_id"] else {"http_status", "actual_cost_usd"}
        for name in row.keys() - _VARYING - lost:
            if row[name] != other[name]:
                yield f"manifest.csv has {row['job_id']}.{name} = {row[name]!r}, not {other[name]!r}"


async def live_through(kills: int, folder: Path, *, seed: int = 0) -> Tally:
    """Stories with so many kills, two at a time."""
    tally = Tally(kills, seed)
    library = build(folder)
    waiting = iter(tally)

    async def worker() -> None:
        async with (
            RunServer.started(library) as runs,
            SandboxServer.started(latency=LATENCY, faults=FAULTS) as sandbox,
        ):
            for story in waiting:
                own = folder / str(story.seed)
                await live(story, Place(Desk(own / "killed"), Desk(own / "reference"), runs, sandbox), tally)
                shutil.rmtree(own)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(worker())
    return tally


def main(kills: int, seed: int = 1000) -> None:
    """Live through so many kills and report."""
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(live_through(kills, Path(folder), seed=seed))
    for step, times in sorted(tally.steps.items()):
        print(f"{times:5} killed {step}")  # noqa: T201
    print(f"{tally.kills} kills in {tally.stories} stories, {tally.missed} runs that ended first")  # noqa: T201
    print(  # noqa: T201
        f"{tally.jobs} jobs, {tally.requests} requests, {tally.billed} charges, {tally.possibly_billed} attempts"
        f" marked as possibly billed; {len(tally.wrong)} violations"
    )
    for each in tally.wrong:
        print("VIOLATION", each)  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
