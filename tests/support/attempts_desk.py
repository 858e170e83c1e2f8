"""Attempts as a run makes them, on a real ledger, disk, budget and rate limiter, with a scripted provider."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from batch_editor import BatchOptions
from batch_editor.endpoints import load_endpoint
from batch_editor.errors import MachineError
from batch_editor.ledger import Counts, Expected, Ledger, LedgerWriter
from batch_editor.money import Budget, Reservations, SharedBudget, Spending, SteadyPrices
from batch_editor.output import Acceptance, Store
from batch_editor.processes import Processes
from batch_editor.records import Answer, Failure
from batch_editor.runs.attempts import Attempts
from batch_editor.runs.lanes import Lane
from batch_editor.runs.listener import AttemptListener, Listeners
from batch_editor.runs.monitor import RunMonitor
from batch_editor.runs.progress import Quiet
from batch_editor.runs.rate_feedback import RateFeedback
from batch_editor.runs.run import Run
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import GiveUp, Permit, RateLimiter, Requeue, Retry
from tests.support.bench import KEYS, Bench
from tests.support.scripted_client import ScriptedClient
from tests.support.simulated_provider import running

ENDPOINT = "gpt-image-1.5-edit"
PRICE_USD = 0.24
PARAMS = {"prompt": "a mug", "image_urls": ["https://shop.example.com/mug.jpg"], "size": "1024x1024", "quality": "low"}


class Heard(AttemptListener):
    """Keeps what it is told: `events` in order, `ends` what failures came to."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.ends: list[Retry | GiveUp] = []

    def upload_refused(self, task: Task, failure: Failure) -> None:
        self.events.append("upload_refused")

    def started(self, task: Task, attempt_id: int) -> None:
        self.events.append("started")

    def answered(self, task: Task, answer: Answer, permit: Permit | None) -> None:
        self.events.append("answered")

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        self.events.append("succeeded")

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        self.events.append("failed")
        self.ends.append(then)

    def unsaved(self, task: Task, error: MachineError) -> None:
        self.events.append("unsaved")

    def local_error(self, error: MachineError) -> None:
        self.events.append("local_error")

    def ended(self, task: Task) -> None:
        self.events.append("ended")


@dataclass
class Desk:
    """What a test of attempts works with. `heard` is told last, after the limiter and the monitor."""

    run: Run
    client: ScriptedClient
    lane: Lane
    budget: Budget
    reservations: Reservations
    monitor: RunMonitor
    heard: Heard
    said: io.StringIO
    attempts: Attempts
    tasks: Mapping[str, Task] = field(default_factory=dict)

    @property
    def limiter(self) -> RateLimiter:
        return self.lane.limiter

    async def work(self, name: str | Task = "mug") -> Requeue[Task] | None:
        """One attempt of a request, which may take ten seconds."""
        async with asyncio.timeout(10):
            return await self.attempts.work(self.tasks[name] if isinstance(name, str) else name)

    async def states(self) -> list[str]:
        """The states of all attempts as another process sees them: what is durable."""
        return [state for (state,) in self.look("SELECT state FROM attempts ORDER BY attempt_id")]

    def look(self, query: str) -> list[tuple[Any, ...]]:
        """What the ledger's file answers to a query."""
        with closing(sqlite3.connect(self.run.store.root / "ledger.sqlite3")) as db:
            return db.execute(query).fetchall()

    def charged_usd(self) -> list[float]:
        return [usd for (usd,) in self.look("SELECT charged_usd FROM attempts ORDER BY attempt_id")]

    def request_state(self, name: str = "mug") -> str:
        return str(self.look(f"SELECT state FROM requests WHERE fingerprint = '{name}'")[0][0])

    def files(self, folder: str) -> list[str]:
        """The names of files directly below a folder of the output directory."""
        return sorted(path.name for path in (self.run.store.root / folder).iterdir() if path.is_file())

    def refuse(self, state: str) -> None:
        """Have the ledger refuse that an attempt comes to a state, as a disk might."""
        with closing(sqlite3.connect(self.run.store.root / "ledger.sqlite3")) as db:
            change = "INSERT" if state == "sent" else "UPDATE OF state"
            db.execute(
                f"CREATE TRIGGER refusal BEFORE {change} ON attempts WHEN new.state = '{state}'"
                " BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )

    @asynccontextmanager
    async def ledger_held_up(self) -> AsyncIterator[None]:
        """Within the block, the ledger's thread stands still: what is to be written comes later."""
        gate = threading.Event()
        standing = asyncio.create_task(self.run.writer.do(gate.wait))
        await asyncio.sleep(0)
        try:
            yield
        finally:
            gate.set()
            await standing

    def break_staging(self) -> None:
        """Put a file where the folder of what is received should be."""
        folder = self.run.store.root / "images" / ".landing"
        folder.rmdir()
        folder.write_text("in place of a folder")


@asynccontextmanager
async def desk(
    bench: Bench,
    client: ScriptedClient,
    *,
    requests: Sequence[str] = ("mug",),
    params: Mapping[str, Any] = PARAMS,
    files: Mapping[str, tuple[str, str]] | None = None,
    spending: Spending | None = None,
    acceptance: type[Acceptance] = Acceptance,
    limiter_runs: bool = True,
    **flags: Any,
) -> AsyncIterator[Desk]:
    """A desk for these requests, one job each. `flags` are settings, as those of `Bench.settings`."""
    settings = bench.settings(**{"outputs__wait_s": 0.2, **flags})
    store = Store(bench.out)
    store.prepare()
    endpoints = {ENDPOINT: load_endpoint(ENDPOINT)}
    with closing(Ledger(bench.out / "ledger.sqlite3")) as ledger:
        _fill(ledger, requests, params, files or {})
        start = ledger.runs.begin("run-1", now=time.time(), sandbox=False, expected=Expected(1, PRICE_USD, 1.0))
        tasks = {each.fingerprint: Task.from_request(each) for each in ledger.requests.pending_after(-1, 64)}
        writer = LedgerWriter(ledger)
        shared = SharedBudget(spending) if spending else None
        said = io.StringIO()
        checker = acceptance(settings.checks, endpoints)
        run = Run(
            start=start,
            settings=settings,
            options=BatchOptions(progress=Quiet(said)),
            keys=KEYS,
            endpoints=endpoints,
            writer=writer,
            store=store,
            acceptance=checker,
            processes=Processes(),
            shared=shared,
        )
        limiter = RateLimiter(settings.rate, retry=settings.retry.policy)
        budget = Budget(settings.budget.max_cost_usd)
        counts = Counts(len(requests), 0, 0, len(requests), 0, 0)
        lane = Lane(settings.provider("segmind"), run, limiter=limiter, left=len(requests), is_alone=True)
        monitor = RunMonitor(settings, lanes=[lane], budget=budget, progress=run.options.progress, counts=counts)
        reservations = Reservations(
            start.run_id, budget=budget, shared=shared, writer=writer, prices=SteadyPrices({}, endpoints)
        )
        heard = Heard()
        listener = Listeners(RateFeedback(lane, give_up_s=settings.retry.give_up_s), lane, monitor, heard)
        attempts = Attempts(
            run,
            client=client,
            limiter=limiter,
            reservations=reservations,
            listener=listener,
            may_start=partial(monitor.may_start, lane),
        )
        made = Desk(run, client, lane, budget, reservations, monitor, heard, said, attempts, tasks)
        try:
            if limiter_runs:
                async with running(limiter):
                    yield made
            else:
                yield made
        finally:
            await asyncio.to_thread(writer.close)
            checker.close()
            store.close()
            if shared is not None:
                await asyncio.to_thread(shared.close)


def _fill(
    ledger: Ledger, requests: Sequence[str], params: Mapping[str, Any], files: Mapping[str, tuple[str, str]]
) -> None:
    for position, name in enumerate(requests):
        ledger.connection.execute(
            "INSERT INTO requests (fingerprint, endpoint, params, files, job_id, position, state, expected_usd,"
            " high_usd) VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?)",
            (name, ENDPOINT, json.dumps(params), json.dumps(files), name, position, PRICE_USD, PRICE_USD),
        )
        ledger.connection.execute(
            "INSERT INTO jobs (job_id, position, active, selected, fingerprint, output, extras)"
            " VALUES (?, ?, 1, 1, ?, ?, '{}')",
            (name, position, name, name),
        )
