"""New images get their names, as many at a time as have arrived, on a thread of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.group_thread import GroupThread
from batch_editor.ledger import Ledger, LedgerWriter, Placement
from batch_editor.output import Store, Unplaced, keep, put
from batch_editor.records import SavedImage


@dataclass(frozen=True, slots=True)
class Arrival:
    """An attempt whose image is sealed; `record` makes its row `received`, within the ledger's transaction."""

    attempt_id: int
    fingerprint: str
    image: SavedImage
    record: Callable[[], None]


class Publisher:
    """Brings sealed images under their names, on a thread of its own, as many at a time as have arrived.

    The order of each image is kept: sealed name durable → `received`, durable → under its name, durable →
    `succeeded`, durable → sealed name gone. A group shares every one of these steps, where each image alone would
    cost two fsyncs of folders, two commits and eight changes of thread.
    """

    def __init__(self, ledger: Ledger, writer: LedgerWriter, store: Store) -> None:
        self._ledger = ledger
        self._writer = writer
        self._store = store
        self._thread: GroupThread[tuple[Arrival, bool], int] = GroupThread(self._serve, name="publisher")

    async def publish(self, arrival: Arrival) -> int:
        """How many jobs have the image now. Cancelling the caller doesn't take it back.

        Raises:
            MachineError: the disk or the ledger is in the way; the image stays where it landed.
        """
        return await self._thread.do((arrival, True))

    async def receive(self, arrival: Arrival) -> None:
        """Only make it `received`, for one that is looked at before it is published; errors are those of `publish`."""
        await self._thread.do((arrival, False))

    def close(self) -> None:
        """Publish what has arrived, then end the thread. Blocks."""
        self._thread.close()

    def _serve(self, group: Sequence[tuple[Arrival, bool]]) -> list[int | BaseException]:
        self._store.keep_landed()
        wanted = self._writer.wait(self._received, [arrival for arrival, _ in group])
        published = iter(
            self._publish(
                [arrival for arrival, to_publish in group if to_publish],
                [images for (_, to_publish), images in zip(group, wanted, strict=True) if to_publish],
            )
        )
        return [next(published) if to_publish else 0 for _, to_publish in group]

    def _publish(self, arrivals: Sequence[Arrival], wanted: Sequence[Sequence[Unplaced]]) -> list[int | BaseException]:
        outcomes = iter(put(self._store, [each for images in wanted for each in images]))
        placed = [
            [next(outcomes) for _ in images] or [self._kept(arrival)]
            for arrival, images in zip(arrivals, wanted, strict=True)
        ]
        errors = [next((path for path in paths if isinstance(path, StorageError)), None) for paths in placed]
        done = [
            (arrival, [image.placement for image in images], [str(path) for path in paths])
            for arrival, images, paths, error in zip(arrivals, wanted, placed, errors, strict=True)
            if error is None
        ]
        self._writer.wait(self._succeeded, done)
        for arrival, _, _ in done:
            self._store.forget(arrival.attempt_id, sealed=True)
        return [len(images) if error is None else error for images, error in zip(wanted, errors, strict=True)]

    def _kept(self, arrival: Arrival) -> str | StorageError:
        try:
            return keep(self._store, arrival.fingerprint, Path(arrival.image.path), arrival.image)
        except StorageError as error:
            return error

    def _received(self, arrivals: Sequence[Arrival]) -> list[list[Unplaced]]:
        for arrival in arrivals:
            arrival.record()
        return [
            [
                Unplaced(placement, arrival.image.path, arrival.image.sha256, arrival.image.format)
                for placement in self._ledger.jobs.wanting(arrival.fingerprint)
            ]
            for arrival in arrivals
        ]

    def _succeeded(self, done: Sequence[tuple[Arrival, Sequence[Placement], Sequence[str]]]) -> None:
        for arrival, placements, paths in done:
            for placement, path in zip(placements, paths, strict=False):  # no job may want it: then it is kept
                self._ledger.jobs.placed(placement, path)
            self._ledger.attempts.succeeded(arrival.attempt_id, paths[0])
