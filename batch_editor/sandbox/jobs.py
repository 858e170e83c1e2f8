"""Jobs, whichever way they are asked for: which fault each meets, and from its first second to its charge."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox.books import Books, Entry
from batch_editor.sandbox.checks import Refusal
from batch_editor.sandbox.faults import Fault, Sent, first_fault, parse_fault
from batch_editor.sandbox.options import SandboxOptions, parse_latency
from batch_editor.sandbox.orders import Order
from batch_editor.sandbox.records import Record
from batch_editor.sandbox.studio import Picture, Studio

FAULT_HEADER = "x-sandbox-fault"
# How much of a job's latency it waits for its turn.
_QUEUED_SHARE = 0.1


@dataclass(frozen=True)
class Placed:
    """A request that was let in and passed the checks."""

    endpoint: Endpoint
    body: bytes
    entry: Entry
    sent: Sent
    fault: Fault | None

    @property
    def runs_job(self) -> bool:
        """Whether the job is done, and billed, whatever the client gets to see of it."""
        return self.fault is None or self.fault.runs_job


class Jobs:
    """What is asked for, and made. `opened` is awaited before the first is worked on."""

    def __init__(self, options: SandboxOptions, books: Books) -> None:
        self._options = options
        self._books = books
        self._faults = tuple(parse_fault(spec) for spec in options.faults)
        self._latency = parse_latency(options.latency)
        self._attempts: Counter[str] = Counter()
        self._studio: Studio

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The studio is open, for as long as the block lasts."""
        async with Studio.opened(scale=self._options.size_scale) as self._studio:
            yield

    def reset(self) -> None:
        """Forget how often each body was sent."""
        self._attempts.clear()

    def place(self, endpoint: Endpoint, body: bytes, entry: Entry, request: web.Request) -> Placed:
        """A request that passed the checks, with the fault that it meets."""
        self._attempts[entry.body_sha256] += 1
        sent = Sent(
            number=entry.number,
            attempt=self._attempts[entry.body_sha256],
            body_sha256=entry.body_sha256,
            prompt=entry.prompt,
        )
        faults = [fault for fault in self._faults_for(request) if not fault.poll]
        return Placed(endpoint, body, entry, sent, first_fault(faults, sent, seed=self._options.seed))

    def poll_fault(self, sent: Sent) -> Fault | None:
        """The fault that a poll meets."""
        return first_fault([each for each in self._faults if each.poll], sent, seed=self._options.seed)

    async def wait(self, placed: Placed) -> None:
        """Take as long as the job would."""
        await asyncio.sleep(self._latency_of(placed))

    async def work(self, record: Record, placed: Placed) -> Picture:
        """A job from its first second to its charge.

        Raises:
            Refusal: it failed, and is not charged.
        """
        fault = placed.fault
        kind = fault.kind if fault is not None else ""
        latency_s = self._latency_of(placed)
        try:
            await asyncio.sleep(_QUEUED_SHARE * latency_s)
            record.state = "PROCESSING"
            await asyncio.sleep((1 - _QUEUED_SHARE) * latency_s)
            if kind == "failed":
                raise Refusal(422, (fault and fault.text) or "The model could not make the image")
            picture = await self.picture(record.order, flaw=kind)
        except Refusal as refusal:
            record.fail(time.time(), str(refusal))
            raise
        if fault is None or fault.billed:
            self._books.bill(placed.entry, picture.price_usd)
        record.complete(time.time(), file_size=len(picture.data))
        return picture

    async def picture(self, order: Order, *, flaw: str | None = None) -> Picture:
        """The picture that is ordered, see `Studio.make`."""
        return await self._studio.make(order, flaw=flaw)

    def _latency_of(self, placed: Placed) -> float:
        return self._latency(placed.sent.random(self._options.seed, "latency"))

    def _faults_for(self, request: web.Request) -> tuple[Fault, ...]:
        """The faults of the options, after those that the request itself asks for."""
        try:
            injected = [parse_fault(spec) for spec in request.headers.getall(FAULT_HEADER, [])]
        except ValueError as unparsed:
            raise Refusal(400, f"{FAULT_HEADER}: {unparsed}") from unparsed
        return (*injected, *self._faults)
