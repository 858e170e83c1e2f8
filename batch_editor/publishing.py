"""Images get their names: after an attempt, after a crash, and when a manifest renames or shares them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.group_thread import GroupThread
from batch_editor.ledger import Ledger, LedgerWriter, Placement
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.storage import ENDINGS, HISTORY, IMAGES, Store

PAGE = 500


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
        self._thread: GroupThread[Arrival, int] = GroupThread(self._publish, name="publisher")

    async def publish(self, arrival: Arrival) -> int:
        """How many jobs have the image now. Cancelling the caller doesn't take it back.

        Raises:
            MachineError: the disk or the ledger is in the way; the image stays where it landed.
        """
        return await self._thread.do(arrival)

    def close(self) -> None:
        """Publish what has arrived, then end the thread. Blocks."""
        self._thread.close()

    def _publish(self, arrivals: Sequence[Arrival]) -> list[int | BaseException]:
        self._store.keep_landed()
        wanted = self._writer.wait(self._received, arrivals)
        outcomes = iter(put(self._store, [each for images in wanted for each in images]))
        placed = [[next(outcomes) for _ in images] for images in wanted]
        errors = [next((path for path in paths if isinstance(path, StorageError)), None) for paths in placed]
        done = [
            (arrival, [(image.placement, path) for image, path in zip(images, paths, strict=True)])
            for arrival, images, paths, error in zip(arrivals, wanted, placed, errors, strict=True)
            if error is None
        ]
        self._writer.wait(self._succeeded, done)
        for arrival, _ in done:
            self._store.forget(arrival.attempt_id)
        return [len(paths) if error is None else error for paths, error in zip(placed, errors, strict=True)]

    def _received(self, arrivals: Sequence[Arrival]) -> list[list[Unplaced]]:
        for arrival in arrivals:
            arrival.record()
        return [
            [
                Unplaced(placement, Path(arrival.image.path), arrival.image.sha256, arrival.image.format)
                for placement in self._ledger.jobs_of(arrival.fingerprint)
            ]
            for arrival in arrivals
        ]

    def _succeeded(self, done: Sequence[tuple[Arrival, Sequence[tuple[Placement, str]]]]) -> None:
        for arrival, placements in done:
            for placement, path in placements:
                self._ledger.placed(placement, path)
            self._ledger.succeeded(arrival.attempt_id, placements[0][1])


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A job's image, and where it is now."""

    placement: Placement
    source: Path
    sha256: str
    format: str


def put(store: Store, images: Sequence[Unplaced]) -> list[str | StorageError]:
    """Put jobs' images under their names, durably; return their paths, or what is in an image's way. Blocks.

    What stood under a job's former name moves to the history, or goes if it is the same image; after the new name
    is durable, and unless another one of these images has just taken it.

    Raises:
        StorageError: the disk is in the way of all of them.
    """
    folders: set[Path] = set()
    outcomes = [_placed(store, image, folders) for image in images]
    store.keep(folders)
    taken = set(outcomes)
    for image, path in zip(images, outcomes, strict=True):
        former = image.placement.former_path
        if isinstance(path, str) and former is not None and former not in taken:
            same = image.placement.former_fingerprint == image.placement.fingerprint
            store.clear(former, image.placement.former_sha256, keep=not same)
    return outcomes


def _placed(store: Store, image: Unplaced, folders: set[Path]) -> str | StorageError:
    try:
        return store.place(image.source, image.placement.output, image.sha256, image.format, folders)
    except StorageError as error:
        return error


def put_one(store: Store, image: Unplaced) -> str:
    """As `put`, for one image alone; return its path.

    Raises:
        StorageError: the disk is in the way.
    """
    (outcome,) = put(store, [image])
    if isinstance(outcome, StorageError):
        raise outcome
    return outcome


def recover(ledger: Ledger, store: Store, *, now: float, hold: bool = False) -> int:
    """Settle what a run that died left open; return how many attempts may have been billed in vain. Blocks.

    An image that was whole on disk is kept. Any other attempt may have been billed; its request is sent again, or
    with `hold` stays unknown until somebody says so.
    """
    lost = 0
    for attempt in ledger.open_attempts():
        image = store.landed(attempt.attempt_id)
        with ledger.transaction():
            if image is not None and attempt.state == "sent":
                ledger.received(attempt.attempt_id, image, Answer(image), now=now, charged_usd=None)
            image = image or attempt.image
            if image is None or not _finish(ledger, store, attempt.attempt_id, attempt.fingerprint, image):
                lost += 1
                ledger.failed(
                    attempt.attempt_id,
                    _INTERRUPTED,
                    None,
                    state="unknown" if hold else "pending",
                    now=now,
                    charged_usd=None,
                    counts=False,
                )
        store.forget(attempt.attempt_id)
    store.sweep()
    return lost


_INTERRUPTED = Failure(
    "interrupted",
    "the run ended while this request was in flight; it may have been billed",
    maybe_billed=True,
    passing=True,
)


def _finish(ledger: Ledger, store: Store, attempt_id: int, fingerprint: str, image: SavedImage) -> bool:
    """Whether the image of an attempt that had received it is under its names now."""
    placements = ledger.jobs_of(fingerprint)
    landed = Path(image.path) if image.path else None
    path = None
    for placement in placements:
        source = landed or store.find(f"{IMAGES}/{placement.output}{ENDINGS[image.format]}", image.sha256)
        if source is not None:
            path = put_one(store, Unplaced(placement, source, image.sha256, image.format))
            ledger.placed(placement, path)
    if path is None and landed is not None:
        # No job of the manifest wants it any more; it was paid for all the same.
        folders: set[Path] = set()
        name = f"{HISTORY.removeprefix(IMAGES + '/')}/{fingerprint}"
        path = store.place(landed, name, image.sha256, image.format, folders)
        store.keep(folders)
    if path is not None:
        ledger.succeeded(attempt_id, path)
    return path is not None


def put_all(ledger: Ledger, store: Store, *, now: float) -> int:
    """Put every image of the manifest where it belongs; return how many are gone from the disk. Blocks.

    Covers jobs that share a request that was done before, jobs that were renamed or went back to what they asked
    for earlier, and images that somebody removed.
    """
    lost = _check_names(ledger, store, now=now)
    while page := ledger.misplaced(PAGE):
        lost += _put_again(ledger, store, page, now=now)
    return lost


def _check_names(ledger: Ledger, store: Store, *, now: float) -> int:
    lost, position = 0, -1
    while page := ledger.images_after(position, PAGE):
        missing = [p for _, p in page if p.former_path is None or not store.holds(p.former_path)]
        if missing:
            lost += _put_again(ledger, store, missing, now=now)
        position = page[-1][0]
    return lost


def _put_again(ledger: Ledger, store: Store, placements: Sequence[Placement], *, now: float) -> int:
    """Put images that the disk has somewhere under their names; return how many it has nowhere."""
    lost = 0
    with ledger.transaction():
        for placement in placements:
            source = _found(ledger, store, placement)
            if source is None:
                ledger.lost(placement.fingerprint, now=now)
                lost += 1
            else:
                image = Unplaced(placement, source, placement.sha256, placement.format)
                ledger.placed(placement, put_one(store, image))
    return lost


def _found(ledger: Ledger, store: Store, placement: Placement) -> Path | None:
    """The image where it was put last, or under the name of another job that shares it."""
    if (source := store.find(placement.image_path, placement.sha256)) is not None:
        return source
    shared = (each.former_path for each in ledger.jobs_of(placement.fingerprint))
    found = (store.find(path, placement.sha256) for path in shared)
    return next((source for source in found if source is not None), None)
