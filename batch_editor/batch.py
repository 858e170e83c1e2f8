"""A run, from manifests to edited images: joins the stations, and owns how it begins and ends."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from batch_editor.acceptance import Acceptance
from batch_editor.config import Settings
from batch_editor.descriptors import provide_descriptors
from batch_editor.dispatch import Ask, Dispatch, answered
from batch_editor.errors import Declined, LedgerError, MachineError, UsageError
from batch_editor.history import History
from batch_editor.input_check import look_at_inputs
from batch_editor.intake import Catalog, Selection, take_in
from batch_editor.ledger import Expected, Ledger, LedgerWriter, RunStart, Spool, readings
from batch_editor.ledger.ledger import FILE_NAME as LEDGER_NAME
from batch_editor.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.output_manifest import check_place, is_output_manifest, write_manifest
from batch_editor.placing import put_all, retire_gone
from batch_editor.plan import IDENTIFIED, Plan
from batch_editor.planning import assess
from batch_editor.progress import Progress, Quiet
from batch_editor.publishing import Publisher, recover
from batch_editor.records import Failure, Redo
from batch_editor.redaction import guarded
from batch_editor.shared_budget import SharedBudget, settle_past
from batch_editor.signals import RunSignals
from batch_editor.spending import Spending, shared_spending
from batch_editor.storage import Store, give_room_free, locked, set_room_aside
from batch_editor.summary import Stop, Summary, exit_code_of, summarize, what_stopped
from batch_editor.threads import closed_on_a_thread, finished, to_the_end


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What one run is told besides the settings.

    selection: which jobs of the manifests, and what is set for all of them.
    output: the output directory; default `<outputs.directory>/<stem of the first manifest>`.
    history: other output directories, whose charges and latencies count for the plan.
    redo: what is sent again, see `Redo`.
    sandbox: a rehearsal: nothing is paid, and its results make room for real ones.
    check_inputs: look at every input link first; requests with a faulty one fail unsent.
    canary: send that many jobs first, and go on only if they cost what the plan says.
    yes: go on without asking where many done jobs would be made again, or the manifest looks like another one.
    ask: who is asked before much money is spent, with some lines to decide by; None: nobody is there.
    progress: who is shown where the run is; lines alone, on standard error, by default.
    signals: let the first SIGINT, SIGTERM or SIGHUP stop the run gently; for whole processes.
    attempt_ended: told after each attempt, with how many others are in flight.
    """

    selection: Selection = field(default_factory=Selection)
    output: Path | None = None
    history: Sequence[Path] = ()
    redo: Collection[Redo] = ()
    sandbox: bool = False
    canary: int = 0
    check_inputs: bool = False
    yes: bool = False
    ask: Ask | None = None
    progress: Progress = field(default_factory=Quiet)
    signals: bool = False
    attempt_ended: Callable[[int], None] = lambda in_flight: None


async def run_batch(
    manifests: Sequence[Path | str],
    settings: Settings,
    key: SecretStr,
    options: BatchOptions | None = None,
) -> Summary:
    """Do every job of the manifests that isn't done, and write the output manifest.

    Returns when all is done or the run had to stop; `Summary.exit_code` says which.

    Raises:
        UsageError: the settings or a manifest are wrong; nothing was sent.
        Declined: `options.ask` said no; nothing was sent.
        LockedError: another process is at work on the output directory.
        MachineError: the output directory or its ledger can't be used.
    """
    options = options or BatchOptions()
    began_at = time.monotonic()
    paths = [Path(manifest) for manifest in manifests]
    output = options.output or settings.outputs.directory / paths[0].stem
    provide_descriptors(settings.concurrency, rehearsal=options.sandbox)
    async with closed_on_a_thread() as stack:
        if not options.sandbox:
            stack.enter_context(guarded(key.get_secret_value()))
        catalog, spool = await to_the_end(lambda: (Catalog(settings), stack.enter_context(Spool())))
        planning = partial(_plan, paths, settings, catalog, options, output, spool)
        plan = await finished(planning, on_cancel=spool.cancel)
        for notice in plan.notices:
            options.progress.say(notice)
        for warning in plan.warnings:
            options.progress.say(f"warning: {warning}")
        store, ledger, acceptance, spending = await to_the_end(_open, stack, output, settings, options, catalog, plan)
        with ledger.translated():
            await to_the_end(_settle_the_past, ledger, store, acceptance, spending, settings, options)
            await _confirm(plan, settings, options)
            start = await to_the_end(_begin, ledger, store, spool, catalog, plan, options)
            if options.check_inputs:
                await _check_inputs(ledger, spool, catalog, settings, plan, options)
            canary = await to_the_end(spool.spread, options.canary) if options.canary else {}
        dispatch = Dispatch(
            settings=settings,
            endpoints=catalog.endpoints,
            store=store,
            acceptance=acceptance,
            ledger=ledger,
            shared=_on_its_thread(stack, spending),
            start=start,
            sandbox=options.sandbox,
            progress=options.progress,
            signals=RunSignals() if options.signals else None,
            canary=canary,
            ask=options.ask,
            attempt_ended=options.attempt_ended,
        )
        return await _carry_out(dispatch, key, began_at)


def _on_its_thread(stack: ExitStack, spending: Spending | None) -> SharedBudget | None:
    if spending is None:
        return None
    shared = SharedBudget(spending)
    stack.callback(shared.close)
    return shared


def _open_ledger(output: Path) -> Ledger:
    path, manifest = output / LEDGER_NAME, output / MANIFEST_NAME
    gone = not path.exists() or (path.is_file() and not path.stat().st_size)
    if gone and is_output_manifest(manifest):
        raise LedgerError(
            f"{path}: the ledger is gone, and {manifest} tells of a run whose images would be paid for again;"
            f" `batch-editor status {output} --rebuild` makes it anew. To begin anew, remove {MANIFEST_NAME}"
        )
    return Ledger(path)


def _plan(
    paths: Sequence[Path],
    settings: Settings,
    catalog: Catalog,
    options: BatchOptions,
    output: Path,
    spool: Spool,
) -> Plan:
    """What the run will do, before anything is written. Blocks."""
    with spool.translated():
        past = History(output, options.history, rehearsal=options.sandbox)
        taken = take_in(paths, catalog, options.selection, past, spool)
        plan = assess(
            spool,
            catalog,
            settings,
            past,
            output=output,
            redo=options.redo,
            rehearsal=options.sandbox,
            taken=taken,
        )
    limit = settings.budget.max_cost_usd
    if limit is not None and plan.first_usd is not None and not plan.spent_usd and plan.first_usd > limit:
        raise UsageError(
            f"the budget of ${limit:,.4g} is below the price of the first job, which may cost up to"
            f" ${plan.first_usd:,.4f}; raise --max-cost, or choose a lower quality or size"
        )
    return plan


def _open(
    stack: ExitStack, output: Path, settings: Settings, options: BatchOptions, catalog: Catalog, plan: Plan
) -> tuple[Store, Ledger, Acceptance, Spending | None]:
    """The output directory, locked, its ledgers, and who checks its images; `stack` closes them. Blocks."""
    store = Store(output, wait_s=settings.outputs.wait_s)
    stack.callback(store.close)
    store.prepare()
    dead = stack.enter_context(locked(store.root))
    if dead is not None:
        options.progress.say(f"took over from {dead}, which ended without a word")
    check_place(store.root / MANIFEST_NAME)
    set_room_aside(store.root, min(settings.concurrency, plan.requests))
    stack.callback(give_room_free, store.root)
    ledger = _open_ledger(output)
    stack.callback(ledger.close)
    acceptance = Acceptance(settings.checks, catalog.endpoints)
    stack.callback(acceptance.close)
    acceptance.start()
    spending = None if options.sandbox else shared_spending(settings, output)
    if spending is not None:
        stack.callback(spending.close)
    return store, ledger, acceptance, spending


def _settle_the_past(
    ledger: Ledger,
    store: Store,
    acceptance: Acceptance,
    spending: Spending | None,
    settings: Settings,
    options: BatchOptions,
) -> None:
    """Put in order what a run that died left behind. Blocks."""
    if options.sandbox and ledger.holds_paid_results():
        raise UsageError(
            f"{store.root}: holds results of the real provider, which a rehearsal would mix up;"
            " choose another directory with --output"
        )
    hold = settings.retry.unknown == "hold" and not {"unknown", "all"} & set(options.redo)
    # A rehearsal's provider is gone with its run.
    lost = recover(ledger, store, acceptance, now=time.time(), hold=hold, collect=not options.sandbox)
    if lost:
        fate = "wait for --resend-unknown" if hold else "are sent again"
        options.progress.say(
            f"the run before ended with {lost} requests in flight; they may have been billed and {fate}"
        )
    if spending is not None:
        settle_past(spending, ledger)


async def _confirm(plan: Plan, settings: Settings, options: BatchOptions) -> None:
    """Ask before much money is spent, if somebody is there, and where the run may not be what was meant, in any case.

    Raises:
        UsageError: nobody is there to say that it is.
        Declined: somebody said no.
    """
    doubts = [] if options.yes else list(plan.doubts())
    if options.ask is None:
        if doubts:
            raise UsageError("\n".join([*doubts, "nothing was sent; if that is what is meant, pass --yes"]))
        return
    much = plan.cost.expected_usd > settings.budget.confirm_above_usd and not options.sandbox
    if (doubts or much) and not await answered(options.ask, [*doubts, *plan.brief()]):
        raise Declined("nothing was sent")


def _begin(ledger: Ledger, store: Store, spool: Spool, catalog: Catalog, plan: Plan, options: BatchOptions) -> RunStart:
    """Record the run, take the manifest over, put images where they belong. Blocks."""
    now = time.time()
    with ledger.transaction():
        if not options.sandbox and not ledger.holds_paid_results():
            ledger.forget_rehearsals()
        run_id = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f"-{uuid.uuid4().hex[:6]}"
        expected = Expected(plan.requests, plan.cost.expected_usd, plan.duration_s[1])
        start = ledger.begin_run(run_id, now=now, sandbox=options.sandbox, expected=expected)
    ledger.admit(
        spool.path,
        redo=options.redo,
        shapes=catalog.shapes,
        extras=list(spool.extras),
    )
    if plan.changes.identified:
        options.progress.say(f"{plan.changes.identified:,} {IDENTIFIED}")
    lost = put_all(ledger, store, now=now)
    if lost:
        options.progress.say(
            f"warning: {lost} images that were paid for are no longer on disk;"
            " --retry-failed makes them, and pays them, again"
        )
    if gone := retire_gone(ledger, store):
        left = (
            "1 job left the manifest; its image is" if gone == 1 else f"{gone} jobs left the manifest; their images are"
        )
        options.progress.say(f"{left} in images/.history")
    return start


async def _check_inputs(
    ledger: Ledger, spool: Spool, catalog: Catalog, settings: Settings, plan: Plan, options: BatchOptions
) -> None:
    check = await look_at_inputs(spool, catalog.endpoints, settings, plan)
    for line in check.lines():
        options.progress.say(line)

    def settle() -> None:
        with ledger.transaction():
            for faulty in check.faulty:
                failure = Failure("input_unreachable", faulty.fault, passing=True)
                ledger.settle_unsent(faulty.fingerprint, failure, now=time.time())

    await to_the_end(settle)


async def _carry_out(dispatch: Dispatch, key: SecretStr, began_at: float) -> Summary:
    """Send what is pending, and end the run whatever happens."""
    stop: Stop | None = None
    writer = LedgerWriter(dispatch.ledger)
    publisher = Publisher(dispatch.ledger, writer, dispatch.store)
    try:
        stop = await dispatch.send(key, writer, publisher)
    except MachineError as error:
        stop = Stop("machine", str(error))
    finally:
        await to_the_end(_close, publisher, writer)
        try:
            summary = await to_the_end(_end, dispatch, stop, began_at)
        finally:
            if dispatch.signals:
                dispatch.signals.release()
    return summary


def _close(publisher: Publisher, writer: LedgerWriter) -> None:
    """End the threads, the one that still needs the other first. Blocks."""
    publisher.close()
    writer.close()


def _end(dispatch: Dispatch, stop: Stop | None, began_at: float) -> Summary:
    """Write what is known where people look for it. Blocks."""
    ledger, store, run_id = dispatch.ledger, dispatch.store, dispatch.start.run_id
    store.close()  # what a dropped attempt set off may still be landing
    give_room_free(store.root)
    with ledger.translated():
        try:
            hold = dispatch.settings.retry.unknown == "hold"
            recover(ledger, store, dispatch.acceptance, now=time.time(), hold=hold, collect=not dispatch.sandbox)
        except MachineError as error:  # an image that can't be placed stays where it landed, for the next run
            machine = Stop("machine", str(error))
            stop = machine if machine.outranks(stop) else stop
        standing = readings.standing(ledger.connection)
        stop = what_stopped(standing.wanted, stop)
        code = exit_code_of(standing.wanted, stop)
        with ledger.transaction():
            ledger.end_run(run_id, now=time.time(), exit_code=code, stop=(stop.kind, stop.message) if stop else None)
        write_manifest(ledger.connection, store.root / MANIFEST_NAME)
        return summarize(
            *(ledger.connection, run_id, standing),
            output=store.root,
            stop=stop,
            exit_code=code,
            elapsed_s=time.monotonic() - began_at,
            sandbox=dispatch.sandbox,
        )
