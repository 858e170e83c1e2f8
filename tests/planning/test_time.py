"""The time that a plan expects beside the time that the real scheduler takes, against a provider of known shape."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batch_editor import Plan
from batch_editor.sandbox import Sandbox
from tests.support.bench import Bench, jobs, sandbox

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Shape:
    """What holds a run back, and the word of the plan for it."""

    count: int
    limited_by: str
    provider: dict[str, Any]
    flags: dict[str, Any] = field(default_factory=dict)


SHAPES = {
    "rate-bound": Shape(32, "rate limit", {"latency": "0.3-0.5"}, {"rate_limit": "20/s", "concurrency": 40}),
    "concurrency-bound": Shape(32, "concurrency", {"latency": "0.3-0.5"}, {"concurrency": 8}),
    "long-tailed": Shape(140, "concurrency", {"latency": "lognormal:0.3,0.5"}, {"concurrency": 20}),
    "faulty": Shape(
        48, "concurrency", {"latency": "0.3-0.5", "faults": ("502:0.1",)}, {"concurrency": 12, "retry__backoff_s": 0.4}
    ),
    "tiny": Shape(3, "latency", {"latency": "0.9-1.1"}, {"concurrency": 8}),
}
# Start-up, commits and image files, which at latencies of a minute are nothing.
SLACK_S = 0.5
# A busy machine lengthens runs and never shortens them, so where the two disagree both are measured again.
MEASUREMENTS = 3


@pytest.mark.parametrize("name", SHAPES)
async def test_half_of_the_simulated_runs_end_when_the_real_one_does(bench: Bench, name: str) -> None:
    shape = SHAPES[name]
    learnt_from, real = [], []
    async with sandbox(**shape.provider) as provider:
        for number in range(MEASUREMENTS):
            learnt_from.append(await measured(bench, provider, shape, name=f"before-{number}"))
            real.append(await measured(bench, provider, shape, name=f"real-{number}"))
            before = min(learnt_from, key=sending_s)
            plan = bench.plan(jobs(shape.count, name="planned"), history=[before], **shape.flags)
            _, expected_s, _ = plan.duration_s
            if agree(expected_s, min(map(sending_s, real))):
                break
    assert agree(expected_s, min(map(sending_s, real)))
    assert plan.limited_by == shape.limited_by
    assert says_from_what(plan, out=before)


async def measured(bench: Bench, provider: Sandbox, shape: Shape, *, name: str) -> Path:
    """The output directory of a real run of jobs that no other run has."""
    out = bench.folder / name
    await bench.run(jobs(shape.count, name=name), provider, out=out, **shape.flags)
    return out


def agree(expected_s: float, real_s: float) -> bool:
    return expected_s == pytest.approx(real_s, rel=0.15, abs=SLACK_S)


def sending_s(out: Path) -> float:
    """From the first request's leaving to the last answer."""
    with closing(sqlite3.connect(out / "ledger.sqlite3")) as db:
        (seconds,) = db.execute("SELECT max(ended_at) - min(sent_at) FROM attempts").fetchone()
    return float(seconds)


def says_from_what(plan: Plan, *, out: Path) -> bool:
    with closing(sqlite3.connect(out / "ledger.sqlite3")) as db:
        (measured,) = db.execute("SELECT count(*) FROM attempts WHERE state = 'succeeded'").fetchone()
    return f"simulated from {measured} measured latencies" in plan.made_of
