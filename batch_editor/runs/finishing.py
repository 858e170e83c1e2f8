"""Finished files made while a run is at work, from each picture as it arrives; what is left is made at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from batch_editor.errors import MachineError
from batch_editor.finished import Asked, Maker, Wanted
from batch_editor.output import FinishedFiles
from batch_editor.records import Answer
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.run import Run
from batch_editor.runs.tasks import Task
from batch_editor.threads import done, finished

# Pictures that wait. Of more, the rest is made at the run's end: memory doesn't grow where they come faster.
MOST_WAITING = 1_000


class Finishing(AttemptListener):
    """Makes finished files beside the requests, which never wait for it.

    It uses one process less than there are: the checks of images find a free one. What this machine refuses is no error
    here: the run's end tries it again, and says so.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._files = FinishedFiles(run.store.root, run.store.pictures)
        self._maker = Maker(self._files, run.processes)
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._is_asked_for = True

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """A picture stands under its jobs' names."""
        if self._is_asked_for and not self._waiting.full():
            self._waiting.put_nowait(task.request.fingerprint)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Within the block, files are made.

        In no task group: an error would cancel the requests in flight, which are paid for. It is raised at the end.
        """
        task = asyncio.ensure_future(self._run_until_cancelled())
        try:
            yield
        finally:
            task.cancel()
            await done(task)
        if not task.cancelled():
            task.result()

    async def _run_until_cancelled(self) -> None:
        """Make files until cancelled. Returns sooner where nobody asks for any, or the machine refuses."""
        try:
            asked = Asked(await self._run.writer.do(self._run.ledger.finished.rules))
            if asked.any:
                await asyncio.to_thread(self._files.prepare)
                await self._make_all(asked, max(1, self._run.processes.count - 1))
        except MachineError as error:
            self._run.options.progress.say(f"warning: finished files wait for the run's end: {error}")
        finally:
            self._is_asked_for = False

    async def _make_all(self, asked: Asked, at_once: int) -> None:
        with ThreadPoolExecutor(at_once, thread_name_prefix="finishing") as threads:
            workers = [asyncio.ensure_future(self._work(asked, threads)) for _ in range(at_once)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, asked: Asked, threads: ThreadPoolExecutor) -> None:
        while True:
            fingerprint = await self._waiting.get()
            for job in await self._run.writer.do(self._run.ledger.finished.of_request, fingerprint):
                found = await finished(partial(asked.of, job, self._files), executor=threads)
                for wanted in found.make:
                    await self._make(wanted, threads)

    async def _make(self, wanted: Wanted, threads: ThreadPoolExecutor) -> None:
        ledger, writer = self._run.ledger.finished, self._run.writer
        await writer.do(ledger.begin, wanted.path, wanted.former)
        await writer.do(ledger.record, await finished(partial(self._maker.make, wanted), executor=threads))
