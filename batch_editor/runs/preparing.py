"""What a run will do, and what it needs for that, before anything is written or sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batch_editor.config import Keys, Provider, Settings
from batch_editor.errors import ConfigError, UsageError
from batch_editor.ledger import Changes, Ledger, Staging
from batch_editor.planning import (
    Approval,
    Calibration,
    Catalog,
    Plan,
    PlanFile,
    assess,
    expect_approved,
    read_approved,
    reusable,
    stage_jobs,
)
from batch_editor.planning.estimate import plan_again
from batch_editor.planning.input_check import look_at_inputs
from batch_editor.planning.sharding import expect_shard
from batch_editor.records import Failure
from batch_editor.runs.options import BatchOptions
from batch_editor.text import many
from batch_editor.threads import to_the_end


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """What is to be done: the manifests as they are staged, the plan for them, and the approval, if one was given.

    `again` makes the plan anew where more jobs have changed, and `approve` sees anew that the run is what was approved.
    """

    settings: Settings
    options: BatchOptions
    catalog: Catalog
    staging: Staging
    plan: Plan
    again: Callable[[Changes], Plan]
    approve: Callable[[], Approval | None]
    approval: Approval | None = None

    def said(self) -> Iterator[str]:
        """The lines for people before anything is sent."""
        yield from () if self.approval is None else self.approval.said
        yield from self.plan.introduction()

    @property
    def in_flight(self) -> int:
        """How many requests may be in flight at most, of all providers."""
        return sum(min(self.settings.provider(name).concurrency, n) for name, n in self.plan.requests_to.items())


def plan_run(
    paths: Sequence[Path], settings: Settings, catalog: Catalog, options: BatchOptions, output: Path, staging: Staging
) -> PlannedRun:
    """What the run will do, before anything is written. Blocks.

    Raises:
        UsageError: the settings or a manifest are wrong, or the run isn't what was approved.
    """
    approved = None if options.plan is None else read_approved(options.plan)
    shard = options.selection.shard
    with staging.translated():
        expect_shard(output, shard, rehearsal=options.sandbox)
        sources = reusable(output, options.reuse, shard=shard)
        calibration = Calibration(output, [*options.history, *sources], rehearsal=options.sandbox)
        report = stage_jobs(paths, catalog, options.selection, calibration, staging)
        plan = assess(
            staging,
            catalog,
            settings,
            calibration,
            output=output,
            redo=options.redo,
            reuse=sources,
            rehearsal=options.sandbox,
            report=report,
        )
        approve = partial(_approval, approved, staging, catalog, settings, options)
        approval = approve()
    expect_room(plan, settings)
    again = partial(plan_again, plan, staging, catalog, settings, calibration, report)
    return PlannedRun(settings, options, catalog, staging, plan, again, approve, approval)


def _approval(
    approved: PlanFile | None, staging: Staging, catalog: Catalog, settings: Settings, options: BatchOptions
) -> Approval | None:
    if options.plan is None or approved is None:
        return None
    return expect_approved(
        *(options.plan, approved, staging, catalog, settings),
        redo=options.redo,
        shard=options.selection.shard,
        rehearsal=options.sandbox,
    )


def expect_room(plan: Plan, settings: Settings) -> None:
    """See that the budget has room for the first request.

    Raises:
        UsageError: it has none.
    """
    limit = settings.budget.max_cost_usd
    if limit is not None and plan.first_usd is not None and not plan.spent_usd and plan.first_usd > limit:
        raise UsageError(
            f"the budget of ${limit:,.4g} is below the price of the first job, which may cost up to"
            f" ${plan.first_usd:,.4f}; raise --max-cost, or choose a lower quality or size"
        )


def expect_keys(planned: PlannedRun, keys: Keys) -> list[Provider]:
    """The providers that the jobs are of. Says of those that have no key that their jobs wait, and sends the others'.

    Raises:
        ConfigError: none has a key.
    """
    plan, settings = planned.plan, planned.settings
    names = list(plan.requests_to)
    if not any(name in keys.found for name in names):
        raise ConfigError("\n".join(dict.fromkeys(keys.missing[name] for name in names)))
    for name in names:
        count = plan.requests_to.get(name, 0)
        if count and name in keys.missing:
            waiting = many(count, "request waits", "requests wait")
            planned.options.progress.say(f"warning: {name}: {keys.missing[name]}. Its {waiting}; the others are sent")
    return [settings.provider(name) for name in names]


async def check_inputs(ledger: Ledger, planned: PlannedRun) -> None:
    """Look at every input link; requests with a faulty one fail, unsent."""
    check = await look_at_inputs(
        planned.staging, planned.catalog.sendable, planned.settings, planned.plan, say=planned.options.progress.say
    )
    for line in check.lines():
        planned.options.progress.say(line)

    def fail_faulty() -> None:
        """Record them, all or none."""
        with ledger.transaction():
            for faulty in check.faulty:
                failure = Failure("input_unreachable", faulty.fault, transient=True)
                ledger.requests.fail_unsent(faulty.fingerprint, failure, now=time.time())

    await to_the_end(fail_faulty)
