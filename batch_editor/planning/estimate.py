"""The dry run: what a manifest will cost and how long it will take, before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path

from batch_editor.config import DEFAULT_ENDPOINT, Settings
from batch_editor.endpoints import Endpoint
from batch_editor.ledger import Changes, Staging, readings, staging_readings
from batch_editor.money import TOLERANCE_USD, Price
from batch_editor.output import verdicts_of
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, Selection, StagingReport
from batch_editor.planning.comparing import stage_jobs
from batch_editor.planning.comparison import Comparison
from batch_editor.planning.inputs import TrackedLinks
from batch_editor.planning.moving import moved_lines, retired_lines, retiring_line
from batch_editor.planning.pace import Pace, paces_of, slowest
from batch_editor.planning.plan import Fit, Lifetime, Plan
from batch_editor.planning.planned import Planned
from batch_editor.planning.reuse import find_images, output_of, reusable
from batch_editor.planning.sharding import expect_shard
from batch_editor.planning.stage_redos import stage_redos
from batch_editor.records import Redo, Shape


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
    look: Callable[[Planned], None] = lambda _: None,
) -> Plan:
    """What a run of these manifests would do. Sends nothing, needs no key, changes nothing. Blocks.

    `history` are output directories whose real charges and latencies count, besides that of `output`; `reuse` those
    whose images are taken as well. Only with `check_inputs` is the network used, to look at every input link, and with
    `inputs.track` to ask those of jobs that were made before; then no event loop may be running, and `say` gets a line
    now and then. `look` is given the plan once it is whole, while the staged jobs are there.

    Raises:
        UsageError: the settings or a manifest are wrong.
        MachineError: a ledger can't be read, or there is no room for the expanded manifest.
    """
    paths = [Path(manifest) for manifest in manifests]
    selection = selection or Selection()
    root = output or output_of(paths[0], settings, selection)
    expect_shard(root, selection.shard, rehearsal=rehearsal)
    settings = settings.for_shard(selection.shard)
    catalog = Catalog(settings)
    sources = reusable(root, reuse, shard=selection.shard)
    calibration = Calibration(root, [*history, *sources], rehearsal=rehearsal)
    with Staging() as staging, staging.translated():
        report = stage_jobs(paths, catalog, selection, calibration, staging)
        jobs = staging, catalog, settings
        plan = assess(*jobs, calibration, output=root, redo=redo, reuse=sources, rehearsal=rehearsal, report=report)
        if check_inputs:
            from batch_editor.planning.input_check import checked  # here: aiohttp, which other plans do without

            again = partial(plan_again, plan, *jobs, calibration, report)
            plan = asyncio.run(checked(plan, again, *jobs, output=root, say=say))
        look(Planned(plan, staging, catalog, settings, paths, selection, root, (*history, *sources), redo))
        return plan


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
    spent_usd, changes, redos, compared, tracked = 0.0, Changes(), None, False, None
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
                if settings.inputs.track != "none":
                    links = staging.tracking(catalog.sendable_shapes).find(readings.file_of(db))
                    tracked = TrackedLinks(settings.inputs.track, links)
    taken = staging.take_elsewhere()
    plan = plan_of(staging, catalog, settings, calibration, spent_usd=spent_usd, changes=changes, report=report)
    return replace(
        plan,
        redos=redos,
        taken=taken,
        warnings=(*plan.warnings, *warnings),
        is_another_comparison=compared and plan.comparison is not None,
        tracked=tracked,
    )


def plan_again(
    plan: Plan,
    staging: Staging,
    catalog: Catalog,
    settings: Settings,
    calibration: Calibration,
    report: StagingReport,
    changes: Changes,
) -> Plan:
    """A plan made by `assess` anew, now that more of its jobs have changed. Blocks."""
    again = plan_of(staging, catalog, settings, calibration, spent_usd=plan.spent_usd, changes=changes, report=report)
    return replace(
        again,
        redos=plan.redos,
        taken=plan.taken,
        warnings=plan.warnings,
        is_another_comparison=plan.is_another_comparison,
        tracked=plan.tracked,
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
    used = [catalog.sendable[name] for name in staging_readings.endpoints(staging)]
    inline = [name for name, endpoint in catalog.sendable.items() if endpoint.wire == "openai"]
    found = staging_readings.totals(staging, inline=inline)
    paces = paces_of(used, staging_readings.requests_by_endpoint(staging), catalog, settings, calibration)
    pace = slowest(paces)
    return Plan(
        jobs=found.jobs + found.faulty,
        requests=found.requests,
        reused=found.reused,
        done=found.done,
        uploads=found.uploads,
        known=found.known,
        cost=Price(found.min_usd, found.expected_usd, found.max_usd),
        paces=tuple(paces),
        duration_s=pace.duration_s,
        made_of=pace.made_of,
        limited_by=pace.limited_by if len(paces) == 1 else f"{pace.limited_by} of {pace.provider}",
        advice=pace.advice if len(paces) == 1 else f"{pace.provider}: {pace.advice}",
        groups=tuple(staging_readings.groups(staging)),
        budget=_within_budget(staging, settings, spent_usd, found.requests),
        deadline=_within_deadline(settings, paces),
        first_usd=found.first_usd,
        spent_usd=spent_usd,
        changes=changes or Changes(),
        retires=tuple(_lifetimes(used, catalog.today)),
        notices=tuple(_notices(staging, catalog, used)),
        warnings=(*filter(None, (retiring_line(endpoint, catalog.today) for endpoint in used)), *report.warnings),
        skipped=report.skipped,
        tables=tuple(report.tables),
        faulty=found.faulty,
        shard=None if report.shard is None else replace(report.shard, limits=tuple(_parts_of_limits(settings, paces))),
        comparison=_timed(report.comparison, catalog, settings, calibration),
    )


def _parts_of_limits(settings: Settings, paces: Iterable[Pace]) -> Iterator[str]:
    """The limits of a shard's settings that are divided, in words."""
    budget = settings.budget
    divided = [(budget.max_cost_usd, "at most")]
    if not budget.shared_over_machines:
        providers = [settings.provider(pace.provider) for pace in paces]
        for each in providers:
            yield str(each.rate) if len(providers) == 1 else f"{each.name} {each.rate}"
        divided += [(budget.per_day_usd, "a day"), (budget.per_month_usd, "a month")]
    for usd, what in divided:
        if usd is not None:
            yield f"${usd:,.4g} {what}"
    if settings.max_failures is not None and not settings.max_failures.endswith("%"):
        yield f"{settings.max_failures} failed jobs"


def _timed(
    comparison: Comparison | None, catalog: Catalog, settings: Settings, calibration: Calibration
) -> Comparison | None:
    """A comparison with how long all jobs take in each way."""
    if comparison is None:
        return None
    ways = []
    for way in comparison.ways:
        used = [catalog.sendable[name] for name, _ in way.by_endpoint]
        paces = paces_of(used, way.by_endpoint, catalog, settings, calibration)
        ways.append(replace(way, all_s=slowest(paces).duration_s[1]))
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


def _within_budget(staging: Staging, settings: Settings, spent_usd: float, requests: int) -> Fit | None:
    limit = settings.budget.max_cost_usd
    if limit is None:
        return None
    left_usd = limit - spent_usd + TOLERANCE_USD
    within = staging_readings.within_budget(staging, left_usd=left_usd, limit_usd=limit, has_begun=spent_usd > 0)
    already = f" (${spent_usd:,.2f} of it spent)" if spent_usd else ""
    return Fit(f"${limit:,.2f}{already}", within == requests, within)


def _within_deadline(settings: Settings, paces: Sequence[Pace]) -> Fit | None:
    """What nine in ten runs have done by the deadline."""
    deadline = settings.ends_at
    if deadline is None:
        return None
    left_s = deadline.timestamp() - datetime.now().timestamp()
    within = sum(pace.late.done_by(left_s) for pace in paces)
    return Fit(f"{deadline:%Y-%m-%d %H:%M}", within == sum(pace.requests for pace in paces), within)
