"""The dry run: what a manifest will cost and how long it will take, before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from batch_editor.config import DEFAULT_ENDPOINT, Settings
from batch_editor.endpoints import Endpoint
from batch_editor.ledger import Changes, Staging, readings, staging_readings
from batch_editor.ledger.experience import Refusals
from batch_editor.money import TOLERANCE_USD, Price
from batch_editor.output import verdicts_of
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, Selection, StagingReport
from batch_editor.planning.comparing import stage_jobs
from batch_editor.planning.comparison import Comparison
from batch_editor.planning.moving import moved_lines, retired_lines, retiring_line
from batch_editor.planning.plan import Fit, Group, Lifetime, Plan
from batch_editor.planning.reuse import find_images, output_of, reusable
from batch_editor.planning.stage_redos import stage_redos
from batch_editor.records import Redo, Shape
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


def make_plan(
    manifests: Sequence[Path | str],
    settings: Settings,
    *,
    selection: Selection | None = None,
    output: Path | None = None,
    history: Sequence[Path] = (),
    redo: Collection[Redo] = (),
    reuse: Sequence[Path] = (),
    check_inputs: bool = False,
    rehearsal: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Plan:
    """What a run of these manifests would do. Sends nothing, needs no key, changes nothing. Blocks.

    `history` are output directories whose real charges and latencies count, besides that of `output`; `reuse` those
    whose images are taken as well. Only with
    `check_inputs` is the network used, to look at every distinct input link; then no event loop may be running,
    and `say` gets a line now and then.

    Raises:
        UsageError: the settings or a manifest are wrong.
        MachineError: a ledger can't be read, or there is no room for the expanded manifest.
    """
    paths = [Path(manifest) for manifest in manifests]
    selection = selection or Selection()
    root = output or output_of(paths[0], settings, selection)
    catalog = Catalog(settings)
    sources = reusable(root, reuse)
    calibration = Calibration(root, [*history, *sources], rehearsal=rehearsal)
    with Staging() as staging, staging.translated():
        report = stage_jobs(paths, catalog, selection, calibration, staging)
        plan = assess(
            staging,
            catalog,
            settings,
            calibration,
            output=root,
            redo=redo,
            reuse=sources,
            rehearsal=rehearsal,
            report=report,
        )
        if not check_inputs:
            return plan
        from batch_editor.planning.input_check import look_at_inputs  # here: aiohttp, which other plans do without

        return replace(plan, inputs=asyncio.run(look_at_inputs(staging, catalog.sendable, settings, plan, say=say)))


def assess(
    staging: Staging,
    catalog: Catalog,
    settings: Settings,
    calibration: Calibration,
    *,
    output: Path,
    redo: Collection[Redo] = (),
    reuse: Sequence[Path] = (),
    rehearsal: bool = False,
    report: StagingReport | None = None,
) -> Plan:
    """The plan of the staged jobs, given what the output directory has of them, and those of `reuse`. Blocks.

    A rehearsal's results count for the next rehearsal only.

    Raises:
        LedgerError: the output directory's ledger can't be read.
        VerdictsError: its verdicts can't be, where rejected images are to be made again.
        ManifestError: what is to be sent for them can't be.
    """
    spent_usd, changes, redos, compared = 0.0, Changes(), None, False
    # Whoever wants everything made again wants new images.
    warnings = [] if "all" in redo else list(find_images(staging, reuse, catalog.shapes))
    if readings.begun(output):
        with readings.reading(output) as db:
            run = readings.last_run(db)
            if run is not None and (rehearsal or not run.sandbox):
                spent_usd, compared = readings.spent_usd(db), readings.is_comparison(db)
                others = readings.other_endpoints(db, catalog.shapes)
                catalog.load_others(others)
                verdicts = verdicts_of(db, output) if "rejected" in redo else {}
                changes = staging.compare(
                    readings.file_of(db),
                    catalog.shapes,
                    former=None
                    if settings.redo.endpoint or {"endpoint", "all"} & set(redo)
                    else _former(others, catalog),
                    redo=redo,
                    rejected=[picture for picture, verdict in verdicts.items() if verdict.verdict == "rejected"],
                )
                if "rejected" in redo:
                    redos = stage_redos(staging, catalog, calibration, changes.rejected, verdicts, redo)
    taken = staging.take_elsewhere()
    plan = plan_of(staging, catalog, settings, calibration, spent_usd=spent_usd, changes=changes, report=report)
    return replace(
        plan,
        redos=redos,
        taken=taken,
        warnings=(*plan.warnings, *warnings),
        is_another_comparison=compared and plan.comparison is not None,
    )


def _former(others: Collection[str], catalog: Catalog) -> dict[str, Shape] | None:
    """The endpoints that a ledger's requests went to, as far as they are known; None if it has no other one."""
    if len(catalog.shapes) == 1 and not others:
        return None
    return {name: endpoint.shape for name, endpoint in catalog.sendable.items()}


def plan_of(
    staging: Staging,
    catalog: Catalog,
    settings: Settings,
    calibration: Calibration,
    *,
    spent_usd: float = 0.0,
    changes: Changes | None = None,
    report: StagingReport | None = None,
) -> Plan:
    """The plan of the staged jobs. `spent_usd`: what the budget has spent before; `changes`: those since then."""
    report = report or StagingReport()
    found = staging_readings.totals(staging)
    used = [catalog.sendable[name] for name in staging_readings.endpoints(staging)]
    work, made_of = _workload(staging_readings.requests_by_endpoint(staging), catalog, settings, calibration)
    courses = simulate_often(work)
    p10, p50, p90 = (at_share(courses, share) for share in (0.1, 0.5, 0.9))
    limited_by, advice = _limit(work, settings, p50)
    return Plan(
        jobs=found.jobs + found.faulty,
        requests=found.requests,
        reused=found.reused,
        done=found.done,
        uploads=found.uploads,
        known=found.known,
        cost=Price(found.min_usd, found.expected_usd, found.max_usd),
        duration_s=(p10.end_s, p50.end_s, p90.end_s),
        made_of=made_of,
        limited_by=limited_by,
        advice=advice,
        groups=tuple(Group(*row) for row in staging_readings.groups(staging)),
        budget=_within_budget(staging, settings, spent_usd, found.requests),
        deadline=_within_deadline(settings, p90),
        first_usd=found.first_usd,
        spent_usd=spent_usd,
        changes=changes or Changes(),
        retires=tuple(_lifetimes(used, catalog.today)),
        notices=tuple(_notices(staging, catalog, used)),
        warnings=(*filter(None, (retiring_line(endpoint, catalog.today) for endpoint in used)), *report.warnings),
        skipped=report.skipped,
        tables=tuple(report.tables),
        faulty=found.faulty,
        comparison=_timed(report.comparison, catalog, settings, calibration),
    )


def _timed(
    comparison: Comparison | None, catalog: Catalog, settings: Settings, calibration: Calibration
) -> Comparison | None:
    """A comparison with how long all jobs take in each way."""
    if comparison is None:
        return None
    ways = []
    for way in comparison.ways:
        work, _ = _workload(way.by_endpoint, catalog, settings, calibration)
        ways.append(replace(way, all_s=at_share(simulate_often(work), 0.5).end_s))
    return replace(comparison, ways=ways)


def _lifetimes(used: Sequence[Endpoint], on: date) -> Iterator[Lifetime]:
    for endpoint in used:
        successor = endpoint.successor.endpoint if endpoint.successor is not None else None
        if endpoint.retires is not None or successor is not None:
            days_left = None if endpoint.retires is None else (endpoint.retires - on).days
            yield Lifetime(endpoint.name, endpoint.retires, days_left, successor)


def _notices(staging: Staging, catalog: Catalog, used: Sequence[Endpoint]) -> Iterator[str]:
    """What is said before all else: which endpoint is retired, and what takes its place."""
    for move in catalog.moves.values():
        if catalog.default in used and (move is catalog.replaced or move.changes):
            yield from moved_lines(move, catalog.today)
    if catalog.ignores_pricing:
        yield f"  pricing.factor and pricing.table were made for {DEFAULT_ENDPOINT} and don't count"
    sends = {name for name, _ in staging_readings.requests_by_endpoint(staging)}
    for endpoint in used:
        if endpoint.name in sends:
            yield from retired_lines(endpoint, catalog.today)


def _workload(
    by_endpoint: Sequence[tuple[str, int]], catalog: Catalog, settings: Settings, calibration: Calibration
) -> tuple[Workload, str]:
    """What the simulation of so many requests to each endpoint starts from, and that in words."""
    requests = sum(count for _, count in by_endpoint)
    latencies: list[float] = []
    failures: list[Failed] = []
    attempts, means = 0, []
    refusals: list[Refusals] = []
    for name, count in by_endpoint:
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
        concurrency=settings.concurrency,
        rate=settings.rate,
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


def _limit(work: Workload, settings: Settings, course: Course) -> tuple[str, str]:
    """What holds the run back, in a word and in a sentence with the next step."""
    if not work.requests:
        return "nothing", "nothing to send"
    latency_s = sum(work.latencies_s) / len(work.latencies_s)
    rate, in_flight = settings.rate, work.in_flight
    if work.requests <= work.concurrency and (work.requests - 1) * work.spacing_s < latency_s:
        return "latency", (
            f"the provider's {latency_s:.0f} s an image is the limit; all {work.requests} requests are in flight"
            " together"
        )
    if in_flight <= settings.concurrency:
        return "rate limit", (
            f"rate limit {rate} is the limit; {in_flight} request{'' if in_flight == 1 else 's'} would be in flight,"
            f" concurrency {settings.concurrency} is enough"
        )
    wanted = min(in_flight, work.requests)
    quicker = at_share(simulate_often(replace(work, concurrency=wanted), repeats=1 if wanted > SAMPLE else 5), 0.5)
    per_min = 60 * work.concurrency / latency_s
    return "concurrency", (
        f"concurrency {settings.concurrency} gives {per_min:.1f}/min; {wanted} would use your {rate} and finish in"
        f" {duration(quicker.end_s)} instead of {duration(course.end_s)}"
    )


def _within_budget(staging: Staging, settings: Settings, spent_usd: float, requests: int) -> Fit | None:
    limit = settings.budget.max_cost_usd
    if limit is None:
        return None
    left_usd = limit - spent_usd + TOLERANCE_USD
    within = staging_readings.within_budget(staging, left_usd=left_usd, limit_usd=limit, has_begun=spent_usd > 0)
    already = f" (${spent_usd:,.2f} of it spent)" if spent_usd else ""
    return Fit(f"${limit:,.2f}{already}", within == requests, within)


def _within_deadline(settings: Settings, late: Course) -> Fit | None:
    """What nine in ten runs have done by the deadline."""
    deadline = settings.ends_at
    if deadline is None:
        return None
    within = late.done_by(deadline.timestamp() - datetime.now().timestamp())
    return Fit(f"{deadline:%Y-%m-%d %H:%M}", within == late.requests, within)
