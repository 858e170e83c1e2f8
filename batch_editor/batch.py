"""A run, from manifests to edited images: opens every resource, joins the stations, owns how it ends."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from batch_editor.attempts import Attempts, Task
from batch_editor.budget import Budget
from batch_editor.client import Client, HttpClient
from batch_editor.config import Settings
from batch_editor.errors import MachineError, UsageError
from batch_editor.history import History
from batch_editor.intake import Catalog, Selection, take_in
from batch_editor.ledger import Counts, Ledger, LedgerWriter, RunStart, Spool, readings
from batch_editor.limits import RateGate
from batch_editor.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.output_manifest import write_manifest
from batch_editor.pool import Pool
from batch_editor.progress import Progress, Quiet
from batch_editor.publishing import put_all, recover
from batch_editor.retry import Policy
from batch_editor.storage import Store
from batch_editor.summary import Stop, Summary, exit_code_of, summarize
from batch_editor.watch import Watch

# Requests are fetched from the ledger this many at a time; one may hold a few MB of inline links.
PAGE = 64


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What one run is told besides the settings.

    output: the output directory; default `<outputs.directory>/<stem of the first manifest>`.
    sandbox: a rehearsal: nothing is paid, and its results make room for real ones.
    """

    selection: Selection = field(default_factory=Selection)
    output: Path | None = None
    retry_failed: bool = False
    sandbox: bool = False
    progress: Progress = field(default_factory=Quiet)
    signals: bool = False


async def run_batch(
    manifests: Sequence[Path | str],
    settings: Settings,
    key: SecretStr,
    options: BatchOptions | None = None,
) -> Summary:
    """Do every job of the manifests that isn't done, and write the output manifest.

    Returns when all is done or the run had to stop; `Summary.exit_code` says which. With `options.signals`, the
    first SIGINT, SIGTERM or SIGHUP lets requests in flight finish and a second one drops them.

    Raises:
        UsageError: the settings or a manifest are wrong; nothing was sent.
        LockedError: another process is at work on the output directory.
        MachineError: the output directory or its ledger can't be used.
    """
    options = options or BatchOptions()
    paths = [Path(manifest) for manifest in manifests]
    catalog = Catalog(settings)
    output = output_directory(paths, settings, options.output)
    history = History([output], rehearsal=options.sandbox)
    with Spool() as spool:
        warnings = await asyncio.to_thread(take_in, paths, catalog, options.selection, history, spool)
        for warning in warnings:
            options.progress.say(f"warning: {warning}")
        store = Store(output)
        with ExitStack() as stack:
            stack.callback(store.close)
            await asyncio.to_thread(store.prepare)
            stack.enter_context(store.locked())
            ledger = Ledger(output / "ledger.sqlite3")
            stack.callback(ledger.close)
            run = _Run(settings, options, catalog, store, ledger)
            await asyncio.to_thread(run.prepare, spool)
            return await run.carry_out(key)


def output_directory(manifests: Sequence[Path], settings: Settings, output: Path | None) -> Path:
    """Where a run of these manifests keeps its results."""
    return output or settings.outputs.directory / manifests[0].stem


class _Run:
    """One run on one locked output directory."""

    def __init__(
        self, settings: Settings, options: BatchOptions, catalog: Catalog, store: Store, ledger: Ledger
    ) -> None:
        self._settings = settings
        self._options = options
        self._catalog = catalog
        self._store = store
        self._ledger = ledger
        self._start: RunStart
        self._dropped = False
        self._began_at = time.monotonic()

    def prepare(self, spool: Spool) -> None:
        """Settle what a dead run left, take the manifest over, put images where they belong. Blocks."""
        now = time.time()
        ledger, sandbox = self._ledger, self._options.sandbox
        if sandbox and ledger.holds_paid_results():
            raise UsageError(
                f"{self._store.root}: holds results of the real provider, which a rehearsal would mix up;"
                " choose another directory with --output"
            )
        lost = recover(ledger, self._store, now=now)
        if lost:
            self._options.progress.say(
                f"the run before ended with {lost} requests in flight; they may have been billed and are sent again"
            )
        with ledger.transaction():
            if not sandbox and not ledger.holds_paid_results():
                ledger.forget_rehearsals()
            run_id = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f"-{uuid.uuid4().hex[:6]}"
            self._start = ledger.begin_run(run_id, now=now, sandbox=sandbox)
        parameters = {name: list(each.parameters) for name, each in self._catalog.endpoints.items()}
        ledger.admit(
            spool.flushed(),
            retry_failed=self._options.retry_failed,
            parameters=parameters,
            extras=list(spool.extras),
        )
        gone = put_all(ledger, self._store, now=now)
        if gone:
            self._options.progress.say(
                f"warning: {gone} images that were paid for are no longer on disk;"
                " --retry-failed makes them, and pays them, again"
            )

    async def carry_out(self, key: SecretStr) -> Summary:
        """Send what is pending, and end the run whatever happens."""
        stop: Stop | None = None
        writer = LedgerWriter(self._ledger)
        try:
            stop = await self._send(key, writer)
        except MachineError as error:
            stop = Stop("machine", str(error))
        finally:
            await asyncio.to_thread(writer.close)
            summary = await asyncio.to_thread(self._end, stop)
        return summary

    def _end(self, stop: Stop | None) -> Summary:
        """Write what is known where people look for it. Blocks."""
        manifest = self._store.root / MANIFEST_NAME
        try:
            recover(self._ledger, self._store, now=time.time())
            code = exit_code_of(self._ledger.connection, stop)
            with self._ledger.transaction():
                self._ledger.end_run(self._start.run_id, now=time.time(), exit_code=code)
            write_manifest(self._ledger.connection, manifest)
        except sqlite3.Error as error:
            raise self._ledger.error(error) from error
        return summarize(
            self._ledger.connection,
            self._start.run_id,
            output=self._store.root,
            stop=stop,
            exit_code=code,
            elapsed_s=time.monotonic() - self._began_at,
            sandbox=self._options.sandbox,
        )

    async def _send(self, key: SecretStr, writer: LedgerWriter) -> Stop | None:
        settings, ledger = self._settings, self._ledger
        rate = settings.rate
        now = time.time()
        recent = [max(0.0, now - at) for at in await writer.do(ledger.sent_since, now - rate.period_s)]
        gate = RateGate(
            rate,
            recent=recent[-rate.count :],
            backoff_s=settings.retry.backoff_s,
            backoff_max_s=settings.retry.backoff_max_s,
            retry_after_max_s=settings.retry.retry_after_max_s,
        )
        budget = Budget(settings.budget.max_cost_usd, spent_usd=self._start.spent_usd)
        watch = Watch(
            settings,
            gate=gate,
            budget=budget,
            progress=self._options.progress,
            counts=await writer.do(self._counts),
        )
        async with AsyncExitStack() as stack:
            client: Client = await stack.enter_async_context(
                HttpClient(settings.api, key, retried=settings.retry.statuses)
            )
            attempts = Attempts(
                run_id=self._start.run_id,
                sandbox=self._options.sandbox,
                inline=settings.inputs.local_files == "inline",
                endpoints=self._catalog.endpoints,
                client=client,
                gate=gate,
                budget=budget,
                ledger=ledger,
                writer=writer,
                store=self._store,
                policy=Policy(
                    max_attempts=settings.retry.max_attempts,
                    max_possibly_billed=settings.retry.max_possibly_billed,
                    backoff_s=settings.retry.backoff_s,
                    backoff_max_s=settings.retry.backoff_max_s,
                ),
                watcher=watch,
                rng=random.Random(),
            )
            pool = Pool(self._pending(writer, budget, watch), attempts.work, concurrency=settings.concurrency)
            watch.halts(pool.stop, gate.close, budget.close)
            stack.callback(watch.close)
            with self._signals(watch):
                await _alongside(pool.run(), gate.run(), watch.run())
            if attempts.too_dear:
                watch.out_of_budget()
        return watch.stop

    def _counts(self) -> Counts:
        return readings.counts(self._ledger.connection, selected=True)

    async def _pending(self, writer: LedgerWriter, budget: Budget, watch: Watch) -> AsyncIterator[Task]:
        """What is to be sent, in manifest order, as long as the budget could pay for any of it."""
        cheapest = await writer.do(self._ledger.cheapest_pending_usd)
        position = -1
        while page := await writer.do(self._ledger.pending_after, position, PAGE):
            for request in page:
                if cheapest is not None and budget.exhausted(cheapest):
                    watch.out_of_budget()
                    return
                yield Task.of(request)
            position = page[-1].position

    @contextmanager
    def _signals(self, watch: Watch) -> Iterator[None]:
        """While the block runs, the first signal stops the run gently and the second one drops what is in flight."""
        if not self._options.signals:
            yield
            return
        loop = asyncio.get_running_loop()
        main = asyncio.current_task()
        assert main is not None

        def on_signal(number: signal.Signals) -> None:
            if watch.interrupted:
                self._dropped = True
                main.cancel()
            else:
                watch.interrupt(number)

        caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in caught:
            loop.add_signal_handler(number, on_signal, number)
        try:
            yield
        except asyncio.CancelledError:
            if not self._dropped:
                raise
            main.uncancel()
        finally:
            for number in caught:
                loop.remove_signal_handler(number)


async def _alongside(main: Awaitable[None], *companions: Coroutine[None, None, None]) -> None:
    """Await `main` while the companions run; they end with it. A lone error comes as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(companion) for companion in companions]
            try:
                await main
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
