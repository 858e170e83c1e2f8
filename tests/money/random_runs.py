"""Runs with a budget and everything that may happen to them, by seed. Run as a script: `random_runs.py 200`."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from batch_editor.money.steady_prices import SteadyPrices
from batch_editor.sandbox import Sandbox
from tests.support.bench import LOW_USD, MEDIUM_USD, Bench, Job, arrived, job, sandbox

# The first one that fires wins. Statuses are charged only where they say so, all else is.
FAULTS = (
    *("502:0.08:billed=1", "502:0.08", "503:0.05:billed=1", "504:0.05:billed=1", "429:0.1", "500:0.05"),
    *("reset:0.05", "truncate:0.05", "truncate:0.05:close=1", "empty:0.03", "html:0.03", "400:0.03"),
)
PRICES_USD = {"low": LOW_USD, "medium": MEDIUM_USD}


@dataclass(frozen=True)
class Story:
    """What one seed stands for."""

    seed: int
    jobs: tuple[Job, ...]
    budget_usd: float
    concurrency: int
    faults: tuple[str, ...]
    kills: int
    parallel: bool

    @classmethod
    def of(cls, seed: int) -> Story:
        rng = random.Random(seed)
        kinds = rng.choice([["low"], ["low", "medium"], ["low", "low", "medium"], ["low", "auto"]])
        return cls(
            seed=seed,
            jobs=tuple(job(f"job-{n}", quality=rng.choice(kinds)) for n in range(rng.randint(30, 60))),
            budget_usd=round(rng.uniform(0.2, 0.6), 3),
            concurrency=rng.choice([1, 4, 12, 50]),
            faults=tuple(rng.sample(FAULTS, rng.choice([0, 0, 1, 2, 3]))),
            kills=rng.choice([0, 0, 0, 1, 2]),
            parallel=rng.random() < 0.25,
        )

    @property
    def free(self) -> bool:
        """Whether the model chooses what some of the jobs cost."""
        return any(each["quality"] == "auto" for each in self.jobs)


@dataclass(frozen=True)
class Outcome:
    """What the provider billed of a budget, and what the runs said."""

    story: Story
    billed_usd: float
    requests: int
    codes: tuple[int, ...]
    possibly_billed: int
    left: tuple[str, ...]  # qualities whose price is known

    @property
    def share(self) -> float:
        return self.billed_usd / self.story.budget_usd

    @property
    def within(self) -> bool:
        return self.billed_usd <= self.story.budget_usd + 1e-9

    @property
    def judged(self) -> bool:
        """Whether nothing but the budget kept the runs from going on: then it has to be used up."""
        return 4 in self.codes and not self.possibly_billed and not self.story.kills and not self.story.free

    @property
    def used_up(self) -> bool:
        """At least 95 % used, or the rest too small for any job that is left and of a kind with a known price."""
        rest_usd = self.story.budget_usd - self.billed_usd
        return self.share >= 0.95 or all(rest_usd < PRICES_USD[quality] for quality in self.left)


async def live(story: Story, bench: Bench) -> Outcome:
    """Make a story happen, to its last run."""
    half = len(story.jobs) // 2
    parts = [story.jobs[:half], story.jobs[half:]] if story.parallel else [story.jobs]
    config: dict[str, object] = {"retry": {"backoff_s": 0.01, "backoff_max_s": 0.05}, "concurrency": story.concurrency}
    if story.parallel:
        config["budget"] = {"per_day_usd": story.budget_usd, "ledger": "spending"}
    (bench.folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    limit = [] if story.parallel else ["--max-cost", str(story.budget_usd)]
    async with sandbox(faults=story.faults, seed=story.seed, latency="0.01-0.05") as provider:
        manifests = [bench.write(part, name=f"part-{n}.yaml") for n, part in enumerate(parts)]
        ends: Sequence[tuple[int, int]]
        if story.kills or story.parallel:
            commands = [
                bench.run_arguments(manifest, provider, "--json", *limit, out=bench.folder / manifest.stem)
                for manifest in manifests
            ]
            ends = await asyncio.gather(*(to_the_end(bench, command, story, provider) for command in commands))
        else:  # a process of its own would take a second to start and show nothing more
            flags: dict[str, Any] = {"concurrency": story.concurrency, "budget__max_cost_usd": story.budget_usd}
            summary = await bench.run(manifests[0], provider, out=bench.folder / manifests[0].stem, **flags)
            ends = [(summary.exit_code, summary.possibly_billed)]
        await provider.books.idle()
        tables = [bench.rows(bench.folder / f"part-{n}") for n in range(len(parts))]
        return Outcome(
            story=story,
            billed_usd=provider.books.billed_usd,
            requests=provider.books.requests,
            codes=tuple(code for code, _ in ends),
            possibly_billed=sum(billed for _, billed in ends),
            left=tuple(quality for rows in tables for quality in _left(rows)),
        )


def _left(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """The qualities of jobs that are left where three charges have told their price."""
    known = Counter(row["quality"] for row in rows if row["status"] == "succeeded")
    for quality in {row["quality"] for row in rows if row["status"] == "pending"}:
        if known[quality] >= SteadyPrices.ENOUGH:
            yield quality


async def to_the_end(bench: Bench, command: Sequence[str | Path], story: Story, provider: Sandbox) -> tuple[int, int]:
    """Kill the run as often as the story says, then let it go on; its exit code and attempts possibly billed."""
    rng = random.Random(story.seed)
    for _ in range(story.kills):
        async with bench.started(*command) as process:
            waiting = asyncio.create_task(arrived(provider.books, provider.books.requests + rng.randint(1, 15)))
            ended = asyncio.create_task(process.ended())
            await asyncio.wait([waiting, ended], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            await asyncio.sleep(rng.uniform(0, 0.05))
            process.kill()
            await ended
            await process.finished()
    end = await bench.command(*command)
    return end.code, end.json["requests"]["possibly_billed"]


def bench_in(folder: Path, patch: pytest.MonkeyPatch) -> Bench:
    patch.chdir(folder)
    return Bench(folder)


def main(count: int, first: int = 1000) -> None:
    """Live through so many stories and report."""
    shares: list[float] = []
    codes: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    for seed in range(first, first + count):
        story = Story.of(seed)
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            outcome = asyncio.run(live(story, bench_in(Path(folder), patch)))
        codes.update(outcome.codes)
        kinds.update(
            {"faults": bool(story.faults), "kills": bool(story.kills), "parallel": story.parallel, "free": story.free}
        )
        if outcome.judged:
            shares.append(outcome.share)
        if not outcome.within or set(outcome.codes) - {0, 1, 4} or (outcome.judged and not outcome.used_up):
            print("BROKEN", outcome, flush=True)  # noqa: T201
    print(f"{count} stories, {dict(kinds)}, exit codes {dict(codes)}")  # noqa: T201
    if shares:
        mean = sum(shares) / len(shares)
        print(f"{len(shares)} ended by the budget alone: least {min(shares):.1%} used, mean {mean:.1%}")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
