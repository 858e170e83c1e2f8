"""Images get their names: after an attempt, after a crash, and when a manifest renames or shares them.

What was paid for and is no result gets one as well, among the rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.group_thread import GroupThread
from batch_editor.ledger import Interrupted, Ledger, LedgerWriter, Placement
from batch_editor.output import ENDINGS, HISTORY, IMAGES, Acceptance, Store
from batch_editor.records import Answer, Failure, SavedImage

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
                for placement in self._ledger.jobs_of(arrival.fingerprint)
            ]
            for arrival in arrivals
        ]

    def _succeeded(self, done: Sequence[tuple[Arrival, Sequence[Placement], Sequence[str]]]) -> None:
        for arrival, placements, paths in done:
            for placement, path in zip(placements, paths, strict=False):  # no job may want it: then it is kept
                self._ledger.placed(placement, path)
            self._ledger.succeeded(arrival.attempt_id, paths[0])


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A job's image, and where it is now."""

    placement: Placement
    source: Path | str
    sha256: str
    format: str


def put(store: Store, images: Sequence[Unplaced]) -> list[str | StorageError]:
    """Put jobs' images under their names, durably; return their paths, or what is in an image's way. Blocks.

    What stood under a job's former name moves to the history, or goes if it is the same image; after the new name
    is durable, and unless another one of these images has just taken it.

    Raises:
        StorageError: the disk is in the way of all of them.
    """
    folders: set[str] = set()
    outcomes = [_placed(store, image, folders) for image in images]
    store.keep(folders)
    taken = set(outcomes)
    for image, path in zip(images, outcomes, strict=True):
        former = image.placement.former_path
        if isinstance(path, str) and former is not None and former not in taken:
            same = image.placement.former_fingerprint == image.placement.fingerprint
            store.clear(former, image.placement.former_sha256, keep=not same)
    return outcomes


def _placed(store: Store, image: Unplaced, folders: set[str]) -> str | StorageError:
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


def keep(store: Store, fingerprint: str, source: Path, image: SavedImage) -> str:
    """Put an image that no job of the manifest wants any more into the history; return its path. Blocks.

    It was paid for all the same.

    Raises:
        StorageError: the disk is in the way.
    """
    folders: set[str] = set()
    path = store.place(
        source, f"{HISTORY.removeprefix(IMAGES + '/')}/{fingerprint}", image.sha256, image.format, folders
    )
    store.keep(folders)
    return path


def set_aside(store: Store, placements: Sequence[Placement], attempt_id: int, fingerprint: str, number: int) -> None:
    """Keep what a request's attempt of that number received, and what is no result, among the rejected. Blocks.

    It is named after the first job that asks for it, or after the request where no job does any more.
    """
    store.reject(attempt_id, placements[0].output if placements else fingerprint, number)


def recover(
    ledger: Ledger, store: Store, acceptance: Acceptance, *, now: float, hold: bool = False, collect: bool = True
) -> int:
    """Settle what a run that died left open; return how many attempts may have been billed in vain. Blocks.

    An image that was whole on disk is checked, a second time perhaps, and kept: under its name or among the rejected.
    What was received is not sent again from here, whatever `retry.bad_response` says. What the provider has accepted
    stays open with `collect`, for a run to ask for. Any other attempt may have been billed; its request is sent
    again, or with `hold` stays unknown until somebody says so.
    """
    lost = 0
    for attempt in ledger.open_attempts():
        landed, answer = store.landed(attempt.attempt_id), attempt.answer
        if landed is not None and answer is None:
            answer = Answer(landed)
            with ledger.transaction():
                ledger.received(attempt.attempt_id, landed, answer, now=now, charged_usd=None)
        refused = _refused(ledger, store, acceptance, attempt, landed)
        image = landed or (answer and answer.outcome)
        with ledger.transaction():
            if refused is not None:
                ledger.failed(attempt.attempt_id, refused, answer, state="unknown", now=now, charged_usd=None)
            elif image is None and attempt.state == "accepted" and collect:
                if not attempt.uncollected:
                    ledger.uncollected(attempt.attempt_id, _ACCEPTED, now=now)
                continue
            elif not isinstance(image, SavedImage) or not finish(
                ledger, store, attempt.attempt_id, attempt.fingerprint, image
            ):
                lost += 1
                placements = ledger.jobs_of(attempt.fingerprint)
                set_aside(store, placements, attempt.attempt_id, attempt.fingerprint, attempt.number)
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


def _refused(
    ledger: Ledger, store: Store, acceptance: Acceptance, attempt: Interrupted, landed: SavedImage | None
) -> Failure | None:
    """Why what an attempt received is no result; it is among the rejected then. None if it is one, or nothing came."""
    placements = ledger.jobs_of(attempt.fingerprint)
    refused = None
    if store.holds_spoiled(attempt.attempt_id):
        refused = _SPOILED
    elif landed is not None and not _stands(store, placements, landed):
        refused = acceptance.judge(attempt.endpoint, attempt.params, attempt.files, landed).rejected
    if refused is not None:
        set_aside(store, placements, attempt.attempt_id, attempt.fingerprint, attempt.number)
    return refused


def _stands(store: Store, placements: Sequence[Placement], image: SavedImage) -> bool:
    """Whether the image has a name already: then it was accepted, by the settings of that time."""
    return any(store.find(f"{IMAGES}/{each.output}{ENDINGS[image.format]}", image.sha256) for each in placements)


_SPOILED = Failure(
    "bad_response",
    "HTTP 200 without a usable image; the run ended before it could say more",
    maybe_billed=True,
    http_status=200,
)
_INTERRUPTED = Failure(
    "interrupted",
    "the run ended while this request was in flight; it may have been billed",
    maybe_billed=True,
    passing=True,
)


_ACCEPTED = Failure(
    "interrupted",
    "the run ended while this request was in flight; the provider has accepted it, and the next run collects it",
    maybe_billed=True,
    passing=True,
)


def finish(ledger: Ledger, store: Store, attempt_id: int, fingerprint: str, image: SavedImage) -> bool:
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
        path = keep(store, fingerprint, landed, image)
    if path is not None:
        ledger.succeeded(attempt_id, path)
    return path is not None
