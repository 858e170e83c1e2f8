"""A committed image on its way to its names, step by step, each durable before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from batch_editor.ledger import Ledger, LedgerWriter, Placement
from batch_editor.output import DiskRetry, Store, Unplaced, keep, put
from batch_editor.records import SavedImage
from batch_editor.threads import finished

T = TypeVar("T")


class Publisher:
    """Brings committed images under their names.

    The order: `received`, durable → under its names, durable → `succeeded`, durable → staged file gone. Each step is
    repeated while the disk or the ledger refuses it, until the disk retry's time is up. Commits of several attempts
    share a transaction, see `LedgerWriter`.
    """

    def __init__(self, ledger: Ledger, writer: LedgerWriter, store: Store, disk_retry: DiskRetry) -> None:
        self._ledger = ledger
        self._writer = writer
        self._store = store
        self._disk_retry = disk_retry

    async def receive(self, fingerprint: str, image: SavedImage, record: Callable[[], None]) -> list[Unplaced]:
        """Make an attempt's row `received`; return the names that its image is to have, one a job.

        `record` writes the row, within the ledger's transaction.

        Raises:
            MachineError: the ledger can't be written.
        """

        def received() -> list[Unplaced]:
            record()
            wanting = self._ledger.jobs.wanting(fingerprint)
            return [Unplaced(placement, image.path, image.sha256, image.format) for placement in wanting]

        return await self._disk_retry.persist(lambda: self._writer.do(received))

    async def publish(self, attempt_id: int, fingerprint: str, image: SavedImage, unplaced: Sequence[Unplaced]) -> int:
        """Give the image its names; return how many jobs have it now. One that no job wants goes to the history.

        Raises:
            MachineError: the disk or the ledger refuses; the image stays staged.
        """
        if unplaced:
            paths = await self._on_disk(partial(put, self._store, unplaced))
        else:
            paths = [await self._on_disk(partial(keep, self._store, fingerprint, Path(image.path), image))]
        placements = [each.placement for each in unplaced]
        await self._disk_retry.persist(lambda: self._writer.do(self._succeeded, attempt_id, placements, paths))
        await self._on_disk(partial(self._store.forget, attempt_id))
        return len(unplaced)

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await self._disk_retry.persist(lambda: finished(work, executor=self._store.executor))

    def _succeeded(self, attempt_id: int, placements: Sequence[Placement], paths: Sequence[str]) -> None:
        for placement, path in zip(placements, paths, strict=False):  # no job may want it: then it is kept
            self._ledger.jobs.placed(placement, path)
        self._ledger.attempts.succeeded(attempt_id, paths[0])
