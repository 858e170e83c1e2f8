"""A run's output directory: locked, in order after whatever ended the run before, and with who checks its images."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch_editor.buckets.bucket import PATIENCE_S
from batch_editor.cluster.opening import pool_on
from batch_editor.config import Settings
from batch_editor.errors import LedgerError, UsageError
from batch_editor.ledger import FILE_NAME as LEDGER_NAME
from batch_editor.ledger import Ledger, shard_of
from batch_editor.money import SharedBudget, Spending, charge_left_open, shared_database
from batch_editor.output import (
    Acceptance,
    Store,
    check_place,
    free_disk_reserve,
    is_output_manifest,
    locked,
    picture_store_for_run,
    record_place,
    take_disk_reserve,
)
from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.planning.sharding import check_shard
from batch_editor.postgres import Database
from batch_editor.processes import Pool
from batch_editor.recovery.recover import recover
from batch_editor.runs.approving import expect_countable, spending_of
from batch_editor.runs.options import BatchOptions
from batch_editor.runs.preparing import PlannedRun
from batch_editor.text import many

if TYPE_CHECKING:
    from batch_editor.runs.metrics import Metrics


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


def open_output(stack: ExitStack, output: Path, planned: PlannedRun) -> OpenOutput:
    """The output directory, locked, its ledgers, and who checks its images; `stack` closes them. Blocks."""
    settings, options, approval = planned.settings, planned.options, planned.approval
    # First of all: a run that is refused for it leaves nothing behind.
    counted_in = None if options.sandbox or approval is None else expect_countable(settings, approval)
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
    spending = None
    if not options.sandbox:
        spending = spending_of(settings, output, database, approval, counted_in=counted_in, ledger_id=ledger.id)
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


def shared_budget(stack: ExitStack, spending: Spending | None) -> SharedBudget | None:
    """What runs share of spending, on a thread of its own that `stack` ends; None where they share nothing."""
    if spending is None:
        return None
    shared = SharedBudget(spending)
    stack.callback(shared.close)
    return shared
