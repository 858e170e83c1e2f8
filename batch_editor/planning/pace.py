"""How long the requests to one provider take, and what holds them back: by a simulation of the scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from batch_editor.config import Provider, Settings
from batch_editor.endpoints import Endpoint
from batch_editor.ledger.experience import Refusals
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog
from batch_editor.scheduling import (
    SAMPLE,
    Course,
    Failed,
    Workload,
    at_share,
    simulate_often,
    smoothed,
    spread_latencies,
)
from batch_editor.text import duration

# Where fewer attempts than this have been seen, this share of transient failures is assumed.
SEEN_ENOUGH = 20
ASSUMED_FAILURES = 0.01


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the requests to one provider take; providers work at the same time.

    duration_s: p10, p50 and p90. late: a run that nine in ten are quicker than. made_of: what it was simulated from.
    limited_by, advice: what holds it back, in a word and in a sentence with the next step.
    """

    provider: str
    requests: int
    duration_s: tuple[float, float, float]
    late: Course
    made_of: str
    limited_by: str
    advice: str

    def as_json(self) -> dict[str, Any]:
        """One of the `providers` of a plan's `--json`."""
        p10, p50, p90 = self.duration_s
        return {
            "requests": self.requests,
            "duration_s": {"p10": round(p10, 1), "p50": round(p50, 1), "p90": round(p90, 1)},
            "limited_by": self.limited_by,
            "advice": self.advice,
        }


def paces_of(
    used: Sequence[Endpoint],
    by_endpoint: Sequence[tuple[str, int]],
    catalog: Catalog,
    settings: Settings,
    calibration: Calibration,
) -> list[Pace]:
    """The pace of so many requests to each endpoint, for each provider of those used; of none, that of the default."""
    providers = dict.fromkeys(endpoint.provider for endpoint in used or [catalog.default])
    return [_pace_of(each, by_endpoint, catalog, settings, calibration) for each in providers]


def slowest(paces: Sequence[Pace]) -> Pace:
    """The pace that all of them together have: providers work at the same time."""
    return max(paces, key=lambda pace: pace.duration_s[1])


def _pace_of(
    name: str,
    by_endpoint: Sequence[tuple[str, int]],
    catalog: Catalog,
    settings: Settings,
    calibration: Calibration,
) -> Pace:
    work, made_of = _workload(settings.provider(name), by_endpoint, catalog, settings, calibration)
    courses = simulate_often(work)
    p10, p50, p90 = (at_share(courses, share) for share in (0.1, 0.5, 0.9))
    limited_by, advice = _limit(work, p50)
    return Pace(name, work.requests, (p10.end_s, p50.end_s, p90.end_s), p90, made_of, limited_by, advice)


def _workload(
    provider: Provider,
    by_endpoint: Sequence[tuple[str, int]],
    catalog: Catalog,
    settings: Settings,
    calibration: Calibration,
) -> tuple[Workload, str]:
    """What the simulation starts from, and that in words."""
    counts = [(name, count) for name, count in by_endpoint if catalog.sendable[name].provider == provider.name]
    requests = sum(count for _, count in counts)
    latencies: list[float] = []
    failures: list[Failed] = []
    attempts, means = 0, []
    refusals: list[Refusals] = []
    for name, count in counts:
        seen = calibration.latencies_s.get(name, [])
        typical = catalog.sendable[name].latency_s
        drawn = smoothed(seen) if seen else spread_latencies(typical)
        # Each endpoint weighs as much as it has requests, and is drawn from as a whole.
        weight = max(1, round(1000 * count / requests))
        latencies += [drawn[n * len(drawn) // weight] for n in range(weight)]
        failures += [Failed(*failed) for failed in calibration.failures.get(name, [])]
        attempts += calibration.attempts.get(name, 0)
        refusals += calibration.refusals.get(name, [])
        means.append(f"{name}'s published average of {typical:g} s" if not seen else f"{len(seen)} measured latencies")
    enough = attempts >= SEEN_ENOUGH
    refused = sum(each.count for each in refusals)
    share = min(0.9, len(failures) / attempts) if enough else ASSUMED_FAILURES
    work = Workload(
        requests=requests,
        concurrency=provider.concurrency,
        rate=provider.rate,
        latencies_s=sorted(latencies) or [catalog.default.latency_s],
        failure_share=share,
        failures=failures or [Failed(latency_s) for latency_s in latencies or [catalog.default.latency_s]],
        policy=settings.retry.policy,
        refused_share=min(0.9, refused / (attempts + refused)) if enough else 0.0,
        refused_s=sum(each.count * each.latency_s for each in refusals) / max(refused, 1),
        pause_s=sum(each.count * each.pause_s for each in refusals) / max(refused, 1),
    )
    seen_share = f"as {attempts} attempts showed" if enough else "assumed"
    paused = f"; {work.refused_share:.1%} met a 429 and paused the run" if work.refused_share else ""
    if not means:
        return work, "nothing to send"
    return work, f"simulated from {', '.join(means)}; {share:.1%} of attempts made again, {seen_share}{paused}"


def _limit(work: Workload, course: Course) -> tuple[str, str]:
    """What holds the run back, in a word and in a sentence with the next step."""
    if not work.requests:
        return "nothing", "nothing to send"
    latency_s = sum(work.latencies_s) / len(work.latencies_s)
    rate, in_flight = work.rate, work.in_flight
    if work.requests <= work.concurrency and (work.requests - 1) * work.spacing_s < latency_s:
        limit = f"the provider's {latency_s:.0f} s an image is the limit"
        together = f"; all {work.requests} requests are in flight together" if work.requests > 1 else ""
        return "latency", limit + together
    if in_flight <= work.concurrency:
        return "rate limit", (
            f"rate limit {rate} is the limit; {in_flight} request{'' if in_flight == 1 else 's'} would be in flight,"
            f" concurrency {work.concurrency} is enough"
        )
    wanted = min(in_flight, work.requests)
    quicker = at_share(simulate_often(replace(work, concurrency=wanted), repeats=1 if wanted > SAMPLE else 5), 0.5)
    per_min = 60 * work.concurrency / latency_s
    return "concurrency", (
        f"concurrency {work.concurrency} gives {per_min:.1f}/min; {wanted} would use your {rate} and finish in"
        f" {duration(quicker.end_s)} instead of {duration(course.end_s)}"
    )
