"""What comes before the first request of a run: its plan, its output directory in order, its manifest taken over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batch_editor.buckets.bucket import PATIENCE_S
from batch_editor.cluster.opening import pool_on
from batch_editor.config import Keys, Provider, Settings
from batch_editor.errors import ConfigError, LedgerError, UsageError
from batch_editor.finishing import rules_to_text
from batch_editor.ledger import FILE_NAME as LEDGER_NAME
from batch_editor.ledger import Changes, Ledger, Staging, import_jobs, shard_of
from batch_editor.manifest import TableRead
from batch_editor.money import Spending, charge_left_open, shared_database
from batch_editor.output import (
    INPUTS,
    Acceptance,
    Store,
    check_place,
    free_disk_reserve,
    is_output_manifest,
    keep_table,
    locked,
    picture_store_for_run,
    put_all,
    record_place,
    retire_gone,
    take_disk_reserve,
    take_images,
)
from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.planning import (
    IDENTIFIED,
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
from batch_editor.planning.sharding import check_shard, expect_shard
from batch_editor.postgres import Database
from batch_editor.processes import Pool
from batch_editor.records import Failure
from batch_editor.recovery.recover import recover
from batch_editor.runs.approving import spending_of
from batch_editor.runs.options import BatchOptions
from batch_editor.text import many
from batch_editor.threads import to_the_end

if TYPE_CHECKING:
    from batch_editor.runs.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Planned:
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
        """What people are told before anything is sent."""
        yield from () if self.approval is None else self.approval.said
        yield from self.plan.introduction()

    @property
    def in_flight(self) -> int:
        """How many requests may be in flight at most, of all providers."""
        return sum(min(self.settings.provider(name).concurrency, n) for name, n in self.plan.requests_to.items())


@dataclass(frozen=True, slots=True)
class OpenOutput:
    """An output directory that is locked and in order, and who checks its images; see `open_output`.

    `processes`: where images are decoded. `database`: the one that runs of several machines share; None if they share
    nothing. `spending`: what runs share of the day's and the month's budget, or of an approved amount; None if nothing
    limits them. `metrics`: who counts for Prometheus; None if nobody does.
    """

    store: Store
    ledger: Ledger
    acceptance: Acceptance
    processes: Pool
    database: Database | None
    spending: Spending | None
    metrics: Metrics | None


def plan_run(
    paths: Sequence[Path], settings: Settings, catalog: Catalog, options: BatchOptions, output: Path, staging: Staging
) -> Planned:
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
    return Planned(settings, options, catalog, staging, plan, again, approve, approval)


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


def expect_keys(planned: Planned, keys: Keys) -> list[Provider]:
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
            planned.options.progress.say(
                f"warning: {name}: {keys.missing[name]}. Its {count:,} request{'s' * (count != 1)} wait; the others are"
                " sent"
            )
    return [settings.provider(name) for name in names]


def expect_ledger(output: Path) -> None:
    """See that something has run in the output directory before. Blocks.

    Raises:
        UsageError: nothing has.
    """
    if _has_no_ledger(output) and not is_output_manifest(output / MANIFEST_NAME):
        raise UsageError(
            f"{output}: has no ledger yet, which --expect-ledger expects: everything would be bought. See that its disk"
            " is mounted and the working directory is right; a first run goes without --expect-ledger"
        )


def _has_no_ledger(output: Path) -> bool:
    path = output / LEDGER_NAME
    return not path.exists() or (path.is_file() and not path.stat().st_size)


def _open_ledger(output: Path) -> Ledger:
    path, manifest = output / LEDGER_NAME, output / MANIFEST_NAME
    if _has_no_ledger(output) and is_output_manifest(manifest):
        raise LedgerError(
            f"{path}: the ledger is gone, and {manifest} tells of a run whose images would be paid for again;"
            f" `batch-editor status {output} --rebuild` makes it anew. To begin anew, remove {MANIFEST_NAME}"
        )
    return Ledger(path)


def open_output(stack: ExitStack, output: Path, planned: Planned) -> OpenOutput:
    """The output directory, locked, its ledgers, and who checks its images; `stack` closes them. Blocks."""
    settings, options = planned.settings, planned.options
    pictures = picture_store_for_run(
        output,
        settings.outputs.images,
        rehearsal=options.sandbox,
        patience_s=min(PATIENCE_S, settings.outputs.wait_s),
    )
    stack.callback(pictures.close)
    store = Store(output, pictures)
    stack.callback(store.close)
    store.prepare()
    dead = stack.enter_context(locked(store.root))
    if dead is not None:
        options.progress.say(f"took over from {dead}, which ended without a word")
    check_place(store.root / MANIFEST_NAME)
    take_disk_reserve(store.root, planned.in_flight)
    stack.callback(free_disk_reserve, store.root)
    ledger = _open_ledger(output)
    stack.callback(ledger.close)
    pictures.prepare(ledger.id, options.progress.say)
    record_place(output, pictures)
    processes = pool_on(settings.run.on, pictures.folder)
    stack.callback(processes.close)
    acceptance = Acceptance(settings.checks, planned.catalog.sendable, processes)
    stack.callback(acceptance.close)
    acceptance.start()
    database = None if options.sandbox else shared_database(settings, options.progress.say)
    spending = None if options.sandbox else spending_of(settings, output, database, planned.approval)
    if spending is not None:
        stack.callback(spending.close)
    metrics = _metrics(stack, output, settings, options)
    return OpenOutput(store, ledger, acceptance, processes, database, spending, metrics)


def _metrics(stack: ExitStack, output: Path, settings: Settings, options: BatchOptions) -> Metrics | None:
    if settings.metrics.textfile is None and settings.metrics.port is None:
        return None
    from batch_editor.runs.metrics import Metrics  # here: its library takes a tenth of a second to load

    metrics = Metrics(output, settings.metrics, say=options.progress.say)
    stack.callback(metrics.close)
    metrics.serve()
    return metrics


def resolve_the_past(opened: OpenOutput, settings: Settings, options: BatchOptions) -> None:
    """Put in order what a run that died left behind. Blocks.

    Raises:
        UsageError: it is a rehearsal, and results of the real provider are there; or what is there is of other jobs.
        MachineError: the output directory or its ledger can't be used.
    """
    ledger, store = opened.ledger, opened.store
    if options.sandbox and ledger.runs.holds_paid_results():
        raise UsageError(
            f"{store.root}: holds results of the real provider, which a rehearsal would mix up;"
            " choose another directory with --output"
        )
    if options.sandbox or ledger.runs.holds_paid_results():  # results of rehearsals make room for others
        check_shard(store.root, shard_of(ledger.connection), options.selection.shard)
    hold = settings.retry.unknown == "hold" and not {"unknown", "all"} & set(options.redo)
    # A rehearsal's provider is gone with its run.
    lost = recover(ledger, store, opened.acceptance, now=time.time(), hold=hold, collect=not options.sandbox)
    if lost.requests:
        fate = "--resend-unknown sends that again" if hold else "that is sent again"
        options.progress.say(
            f"the run before ended with {many(lost.requests, 'request')} in flight, which may have been billed; {fate}"
        )
    if lost.redos:
        word = "--redo rejected --redo unknown" if hold else "--redo rejected"
        options.progress.say(
            f"the run before ended with {many(lost.redos, 'redo')} in flight, which may have been billed; what was"
            f" rejected stays, and {word} sends that again"
        )
    if opened.spending is not None:
        charge_left_open(opened.spending, ledger)


def take_over(opened: OpenOutput, planned: Planned, *, now: float) -> None:
    """Make the manifest the ledger's, and put images where they belong. Blocks."""
    ledger, store, staging, options = opened.ledger, opened.store, planned.staging, planned.options
    for table in planned.plan.tables:
        if table.export is not None:
            _keep(table, store.root, options, now)
    gone = import_jobs(
        ledger,
        staging.path,
        redo=options.redo,
        shapes=planned.catalog.shapes,
        providers={name: endpoint.provider for name, endpoint in planned.catalog.sendable.items()},
        extras=list(staging.extras),
        compared=planned.plan.comparison.names if planned.plan.comparison is not None else (),
    )
    finish = planned.settings.finish
    with ledger.transaction():
        ledger.finished.use_config(None if finish is None else rules_to_text(finish))
    if identified := planned.plan.changes.identified:
        options.progress.say(f"{identified:,} {IDENTIFIED}")
    if planned.plan.taken:
        _take(ledger, store, staging, options)
    lost = put_all(ledger, store, now=now)
    if lost:
        options.progress.say(
            f"warning: {lost} images that were paid for are no longer {store.pictures.where};"
            " --retry-failed makes them, and pays them, again"
        )
    images = retire_gone(ledger, store)
    if gone or images:  # of a run that died in between the images alone are left
        options.progress.say(_gone(max(gone, images), images, moved=planned.plan.changes.moved))


def _take(ledger: Ledger, store: Store, staging: Staging, options: BatchOptions) -> None:
    """Take over the images that other output directories have paid for."""
    taken = take_images(ledger, store, staging.images_elsewhere())
    images = f"{taken.requests:,} image{'s' * (taken.requests != 1)}"
    options.progress.say(f"took {images} of other output directories, for nothing")
    if taken.lost:
        options.progress.say(
            f"warning: {taken.lost:,} more are no longer there as they were; their requests are sent and paid"
        )


def _keep(table: TableRead, root: Path, options: BatchOptions, now: float) -> None:
    """Keep a shop's table as it was read, for the way back into the shop."""
    file = table.file
    if file.has_changed:
        options.progress.say(f"warning: {table.name} changed since it was read, and is not kept in {INPUTS}/")
    else:
        keep_table(root, file.open, ending=file.ending, read_at=now)


def _gone(jobs: int, images: int, *, moved: int) -> str:
    place = f"the manifest or went, with other inputs, to another shard ({moved:,})" if moved else "the manifest"
    left = f"{jobs:,} job{'s' * (jobs != 1)} left {place}"
    if not images:
        return f"{left} without an image of {'its' if jobs == 1 else 'their'} own"
    if images == jobs:
        return f"{left}; {'its image is' if jobs == 1 else 'their images are'} in images/.history"
    return f"{left}; the image{'s' * (images != 1)} of {images:,} {'is' if images == 1 else 'are'} in images/.history"


async def check_inputs(ledger: Ledger, planned: Planned) -> None:
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
