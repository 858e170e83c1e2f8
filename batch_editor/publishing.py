"""Images get their names: after an attempt, after a crash, and when a manifest renames or shares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batch_editor.ledger import Ledger, Placement
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.storage import ENDINGS, HISTORY, IMAGES, Store

PAGE = 500


def put(store: Store, placement: Placement, source: Path, image: tuple[str, str]) -> str:
    """Put one job's image under its name; return its path. `image` is its sha256 and its format. Blocks.

    What stood under the job's former name moves to the history, or goes if it is the same image.
    """
    sha256, format = image
    path = store.place(source, placement.output, sha256, format)
    if placement.former_path is not None and placement.former_path != path:
        same = placement.former_fingerprint == placement.fingerprint
        store.clear(placement.former_path, placement.former_sha256, keep=not same)
    return path


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
            path = put(store, placement, source, (image.sha256, image.format))
            ledger.placed(placement, path)
    if path is None and landed is not None:
        # No job of the manifest wants it any more; it was paid for all the same.
        path = store.place(landed, f"{HISTORY.removeprefix(IMAGES + '/')}/{fingerprint}", image.sha256, image.format)
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
        missing = [at for at, path in page if path is None or not store.holds(path)]
        if missing:
            lost += _put_again(ledger, store, ledger.placements_at(missing), now=now)
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
                image = (placement.sha256, placement.format)
                ledger.placed(placement, put(store, placement, source, image))
    return lost


def _found(ledger: Ledger, store: Store, placement: Placement) -> Path | None:
    """The image where it was put last, or under the name of another job that shares it."""
    if (source := store.find(placement.image_path, placement.sha256)) is not None:
        return source
    shared = (each.former_path for each in ledger.jobs_of(placement.fingerprint))
    found = (store.find(path, placement.sha256) for path in shared)
    return next((source for source in found if source is not None), None)
