"""A run, from manifests to edited images: joins the stations, and owns how it begins and ends."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from batch_editor.client import Network
from batch_editor.config import Keys, Settings, read_keys
from batch_editor.endpoints import Endpoint
from batch_editor.errors import MachineError, UsageError
from batch_editor.finished import Asked, Left, Maker, finish_command, finish_left, write_reports
from batch_editor.ledger import Compared, Expected, LedgerWriter, RunStart, Staging, note_shard, note_stops, readings
from batch_editor.money import SharedBudget
from batch_editor.output import FinishedFiles, Store, free_disk_reserve, take_disk_reserve, write_manifest
from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.planning import Catalog, output_of
from batch_editor.recovery.recover import recover
from batch_editor.runs.approving import on_record
from batch_editor.runs.descriptors import provide_descriptors
from batch_editor.runs.dispatch import send_pending
from batch_editor.runs.opening import OpenOutput, expect_ledger, open_output, resolve_the_past, shared_budget
from batch_editor.runs.options import BatchOptions
from batch_editor.runs.preparing import PlannedRun, check_inputs, expect_keys, plan_run
from batch_editor.runs.run import Run
from batch_editor.runs.signals import RunSignals
from batch_editor.runs.stops import StopReason, exit_code_of, exit_code_of_signal, what_stopped
from batch_editor.runs.summary import Summary, summarize
from batch_editor.runs.taking_over import take_over
from batch_editor.runs.tracking import track_inputs
from batch_editor.shard import WHOLE
from batch_editor.text import guarded
from batch_editor.threads import closed_on_a_thread, finished, to_the_end


async def run_batch(
    manifests: Sequence[Path | str],
    settings: Settings,
    key: SecretStr | Keys,
    options: BatchOptions | None = None,
) -> Summary:
    """Do every job of the manifests that isn't done, and write the output manifest.

    `key`: that of `api`; those of other providers are read as the settings say. Or all of them, see `read_keys`.

    Returns when all is done or the run had to stop; `Summary.exit_code` says which.

    Raises:
        UsageError: the settings or a manifest are wrong, or the run may not be what was meant; nothing was sent.
        ConfigError: no provider of the manifests has a key.
        LockedError: another process is at work on the output directory.
        MachineError: the output directory or its ledger can't be used.
    """
    async with prepared(manifests, settings, key, options) as batch:
        batch.expect_confirmed()
        return await batch.send()


@asynccontextmanager
async def prepared(
    manifests: Sequence[Path | str],
    settings: Settings,
    key: SecretStr | Keys,
    options: BatchOptions | None = None,
) -> AsyncIterator[Batch]:
    """A batch that is planned, with its output directory open and in order; nothing is sent yet.

    Raises:
        UsageError: the settings or a manifest are wrong.
        LockedError: another process is at work on the output directory.
        MachineError: the output directory or its ledger can't be used.
    """
    options = options or BatchOptions()
    began_at = time.monotonic()
    paths = [Path(manifest) for manifest in manifests]
    output = options.output or output_of(paths[0], settings, options.selection)
    if options.expect_ledger:
        await to_the_end(expect_ledger, output)
    async with closed_on_a_thread() as stack:
        keys = await to_the_end(_all_keys, key, settings, rehearsal=options.sandbox)
        if not options.sandbox:
            for each in keys.found.values():
                stack.enter_context(guarded(each.get_secret_value()))
        settings = settings.for_shard(options.selection.shard)
        catalog, staging = await to_the_end(lambda: (Catalog(settings), stack.enter_context(Staging())))
        planning = partial(plan_run, paths, settings, catalog, options, output, staging)
        planned = await finished(planning, on_cancel=staging.cancel)
        providers = expect_keys(planned, keys)
        provide_descriptors(sum(each.concurrency for each in providers), rehearsal=options.sandbox)
        network = await to_the_end(Network.from_environment)
        for line in planned.said():
            options.progress.say(line)
        uploads = [settings.api.uploads_to] if planned.plan.uploads else []
        if proxy := network.named_for(*(each.api.edits_at for each in providers), *uploads):
            options.progress.say(f"requests go through the proxy {proxy}")
        for warning in planned.plan.warnings:
            options.progress.say(f"warning: {warning}")
        opened = await to_the_end(open_output, stack, output, planned)
        with opened.ledger.translated():
            await to_the_end(resolve_the_past, opened, settings, options)
            with staging.translated():
                planned = await track_inputs(opened, planned, keys)
        yield Batch(planned, opened, shared_budget(stack, opened.spending), keys, began_at)


class Batch:
    """A plan, and what is open to carry it out, see `prepared`.

    sample: the requests that went first, by fingerprint, with their expected prices in USD.
    """

    def __init__(
        self, planned: PlannedRun, opened: OpenOutput, shared: SharedBudget | None, keys: Keys, began_at: float
    ) -> None:
        self.settings = planned.settings
        self.options = planned.options
        self.plan = planned.plan
        self.sample: dict[str, float] = {}
        self._planned = planned
        self._opened = opened
        self._ledger = opened.ledger
        self._shared = shared
        self._keys = keys
        self._began_at = began_at
        # A rehearsal uses up nothing.
        self._approval = None if self.options.sandbox else planned.approval
        self._runs: list[RunStart] = []

    @property
    def output(self) -> Path:
        """The output directory; its ledger is there."""
        return self._opened.store.root

    @property
    def endpoints(self) -> Collection[Endpoint]:
        """The endpoints that requests may go to."""
        return self._planned.catalog.sendable.values()

    def to_confirm(self) -> list[str]:
        """Why the run may not be what was meant; nothing with `options.yes`."""
        return [] if self.options.yes else list(self.plan.to_confirm())

    def expect_confirmed(self) -> None:
        """See that there is nothing to confirm, where nobody can be asked.

        Raises:
            UsageError: there is.
        """
        if questions := self.to_confirm():
            raise UsageError("\n".join([*questions, "nothing was sent; if that is what is meant, pass --yes"]))

    async def send(self, *, first: int = 0) -> Summary:
        """Send what is pending; with `first` only so many requests, spread over the templates. Each call is a run.

        Raises:
            MachineError: the output directory or its ledger can't be used.
        """
        with self._ledger.translated():
            if self._runs:
                await to_the_end(self._open_again)
            start = await to_the_end(self._begin)
            if self.options.check_inputs and len(self._runs) == 1:
                await check_inputs(self._ledger, self._planned)
            if first:
                self.sample = await to_the_end(self._planned.staging.spread, first)
        run = Run(
            start=start,
            settings=self.settings,
            options=self.options,
            keys=self._keys,
            endpoints=self._planned.catalog.sendable,
            writer=LedgerWriter(self._ledger),
            store=self._opened.store,
            acceptance=self._opened.acceptance,
            processes=self._opened.processes,
            shared=self._shared,
            database=self._opened.database,
            metrics=self._opened.metrics,
            approval=self._approval,
        )
        return await self._carry_out(run, list(self.sample) if first else None)

    async def compared(self) -> Compared:
        """What became of `sample`, beside what was expected."""
        with self._ledger.translated():
            return await to_the_end(readings.compared, self._ledger.connection, self.sample)

    async def leave(self, stop: StopReason) -> Summary:
        """Leave the rest to a later run, for this reason; between two runs."""
        with self._ledger.translated():
            return await to_the_end(self._conclude, stop)

    def _open_again(self) -> None:
        """What the end of the run before has closed. Blocks."""
        root = self._opened.store.root
        self._opened = replace(self._opened, store=Store(root, self._opened.store.pictures))
        self._began_at = time.monotonic()
        take_disk_reserve(root, self._planned.in_flight)

    def _begin(self) -> RunStart:
        """Record the run; the first one takes the manifest over, and puts images where they belong. Blocks."""
        now, ledger, plan, options = time.time(), self._ledger, self.plan, self.options
        before = len(self.sample)
        expected_usd = plan.cost.expected_usd - sum(self.sample.values())
        with ledger.transaction():
            if not options.sandbox and not ledger.runs.holds_paid_results():
                ledger.runs.forget_rehearsals()
            run_id = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f"-{uuid.uuid4().hex[:6]}"
            changes = None if self._runs else plan.job_changes
            expected = Expected(plan.requests - before, expected_usd, plan.duration_s[1], changes)
            note_shard(ledger.connection, options.selection.shard or WHOLE)
            start = ledger.runs.begin(
                run_id,
                now=now,
                sandbox=options.sandbox,
                expected=expected,
                command=options.command,
                approval=None if self._approval is None else on_record(self._approval),
            )
        if not self._runs:
            try:
                take_over(self._opened, self._planned, now=now)
            except MachineError as error:
                with ledger.transaction():
                    ledger.runs.end(run_id, now=time.time(), exit_code=error.exit_code, stop=("machine", str(error)))
                raise
        self._runs.append(start)
        return start

    async def _carry_out(self, run: Run, only: Sequence[str] | None) -> Summary:
        """Send what is pending, and end the run whatever happens."""
        stop: StopReason | None = None
        signals = RunSignals() if self.options.signals else None
        try:
            stop = await send_pending(run, only=only, signals=signals)
            if stop is None and only is not None:
                stop = StopReason("canary", f"the {len(only)} requests that go first are sent; the rest waits")
        except MachineError as error:
            stop = StopReason("machine", str(error))
        finally:
            await to_the_end(run.writer.close)
            try:
                summary = await to_the_end(self._end, stop, signals)
            finally:
                if signals:
                    signals.release()
        return summary

    def _end(self, stop: StopReason | None, signals: RunSignals | None) -> Summary:
        """Write what is known where people look for it. Blocks."""
        store = self._opened.store
        store.close()  # waits for what a dropped attempt still writes
        free_disk_reserve(store.root)
        with self._ledger.translated():
            try:
                hold, collect = self.settings.retry.unknown == "hold", not self.options.sandbox
                recover(self._ledger, store, self._opened.acceptance, now=time.time(), hold=hold, collect=collect)
            except MachineError as error:  # an image that can't be placed stays staged for the next run
                machine = StopReason("machine", str(error))
                stop = machine if machine.outranks(stop) else stop
            if stop is None or stop.kind not in ("signal", "machine"):
                stop = self._finish(signals) or stop
            return self._conclude(stop)

    def _finish(self, signals: RunSignals | None) -> StopReason | None:
        """Make the finished files that are left; return what kept it from that: a signal, a disk or bucket. Blocks."""
        store, processes, left = self._opened.store, self._opened.processes, Left()
        files = FinishedFiles(store.root, store.pictures)
        say = self.options.progress.say
        try:
            asked = Asked(self._ledger.finished.rules())
            maker = Maker(files, processes)
            left = finish_left(
                *(self._ledger, files, maker, asked),
                at_once=processes.count,
                say=say,
                stop=lambda: signals is not None and signals.late is not None,
            )
            write_reports(self._ledger.connection, store.root)
        except MachineError as error:
            said = f"not all finished files could be made: {error}; {finish_command(store.root)} tries it again"
            return StopReason("machine", said)
        if not left.stopped or signals is None or signals.late is None:
            return None
        name, code = signals.late.name, exit_code_of_signal(signals.late)
        return StopReason(
            "signal", f"by {name}; {finish_command(store.root)} makes the finished files that are left", code
        )

    def _write_manifest(self, stop: StopReason | None) -> StopReason | None:
        """Write the output manifest; return why the run stopped, for which a disk or bucket that refuses is a reason.

        Before the run's end is recorded, which then has its exit code.
        """
        try:
            path = self._opened.store.root / MANIFEST_NAME
            write_manifest(self._ledger.connection, path)
            if stop is None or stop.kind != "machine":  # a store that was away would be waited for once more
                self._opened.store.pictures.keep_manifest(path)
        except MachineError as error:
            machine = StopReason("machine", str(error), providers=stop.providers if stop else {})
            return machine if machine.outranks(stop) else stop
        return stop

    def _conclude(self, stop: StopReason | None) -> Summary:
        ledger, root, run_id = self._ledger, self._opened.store.root, self._runs[-1].run_id
        standing = readings.standing(ledger.connection)
        redos = ledger.requests.redo_jobs()
        stop = what_stopped(standing.wanted, stop, redos=redos)
        if stop is not None and stop.kind in ("budget", "deadline"):
            with ledger.transaction():
                ledger.runs.left_by(stop.kind, stop.message)
        stop = self._write_manifest(stop)
        code = exit_code_of(standing.wanted, stop, redos=redos)
        with ledger.transaction():
            note_stops(ledger.connection, run_id, stop.providers if stop else {})
            ended = (stop.kind, stop.message) if stop else None
            ledger.runs.end(run_id, now=time.time(), exit_code=code, stop=ended, jobs=standing.jobs)
        summary = summarize(
            *(ledger.connection, run_id, standing),
            output=root,
            stop=stop,
            exit_code=code,
            elapsed_s=time.monotonic() - self._began_at,
            sandbox=self.options.sandbox,
        )
        if self._opened.metrics is not None:
            self._opened.metrics.run_ended(summary, succeeded_at=ledger.runs.succeeded_at())
        return summary


def _all_keys(key: SecretStr | Keys, settings: Settings, *, rehearsal: bool) -> Keys:
    if isinstance(key, Keys):
        return key
    if rehearsal:
        return Keys(dict.fromkeys(settings.provider_names, key), {})
    return read_keys(settings, api=key)
