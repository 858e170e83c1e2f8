"""What an attempt has received on its way to its names, step by step, each durable before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from batch_editor.ledger import Placement
from batch_editor.output import DiskRetry, Unplaced, keep, put, set_aside
from batch_editor.records import SavedImage
from batch_editor.runs.run import Run
from batch_editor.threads import finished

T = TypeVar("T")


class Publisher:
    """Brings committed images under their names, and what is no result among the rejected.

    The order: `received`, durable → under its names, durable → `succeeded`, durable → staged file gone. Each step is
    repeated while the disk or the ledger refuses it, until the disk retry's time is up. Commits of several attempts
    share a transaction, see `LedgerWriter`.

    Raises, in all that follows:
        MachineError: the disk or the ledger refuses; what was received stays staged.
    """

    def __init__(self, run: Run, disk_retry: DiskRetry) -> None:
        self._ledger = run.ledger
        self._writer = run.writer
        self._store = run.store
        self._disk_retry = disk_retry

    async def record(self, operation: Callable[[], T]) -> T:
        """The result of an operation of the ledger, once it is durable."""
        return await self._disk_retry.persist(lambda: self._writer.do(operation))

    async def receive(self, fingerprint: str, image: SavedImage, record: Callable[[], None]) -> list[Unplaced]:
        """Make an attempt's row `received`; return the names that its image is to have, one a job.

        `record` writes the row, within the ledger's transaction.
        """

        def received() -> list[Unplaced]:
            """Write the row, and read who wants the image, in one transaction."""
            record()
            wanting = self._ledger.jobs.wanting(fingerprint)
            return [Unplaced(placement, Path(image.path), image.sha256, image.format) for placement in wanting]

        return await self.record(received)

    async def publish(self, attempt_id: int, fingerprint: str, image: SavedImage, unplaced: Sequence[Unplaced]) -> int:
        """Give the image its names; return how many jobs have it now. One that no job wants goes to the history."""
        if unplaced:
            paths = await self._named(partial(put, self._store, unplaced))
        else:
            paths = [await self._named(partial(keep, self._store, fingerprint, Path(image.path), image))]
        placements = [each.placement for each in unplaced]
        await self.record(partial(self._succeeded, attempt_id, placements, paths))
        await self.forget(attempt_id)
        return len(unplaced)

    async def reject(self, attempt_id: int, number: int, fingerprint: str) -> None:
        """Put what an attempt has received, if anything, among the rejected: it was paid for."""
        placements = await self.record(partial(self._ledger.jobs.wanting, fingerprint))
        await self._named(partial(set_aside, self._store, placements, attempt_id, fingerprint, number))

    async def forget(self, attempt_id: int) -> None:
        """Remove an attempt's staged file; it has its name, or is among the rejected."""
        await self._on_disk(partial(self._store.forget, attempt_id))

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await self._disk_retry.persist(lambda: finished(work, executor=self._store.executor))

    async def _named(self, work: Callable[[], T]) -> T:
        """The result of work that gives names: on threads of its own where that means to send images away."""
        pictures = self._store.pictures
        threads = pictures.executor or self._store.executor
        return await self._disk_retry.persist(lambda: finished(work, executor=threads, on_cancel=pictures.hurry))

    def _succeeded(self, attempt_id: int, placements: Sequence[Placement], paths: Sequence[str]) -> None:
        for placement, path in zip(placements, paths, strict=False):  # no job may want it: then it is kept
            self._ledger.jobs.placed(placement, path)
        self._ledger.attempts.succeeded(attempt_id, paths[0])
