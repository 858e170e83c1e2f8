"""Images get their names: those of new results, of jobs that were renamed or share one, and of jobs that left.

What was paid for and is no result gets one as well, among the rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.ledger import Ledger, Placement
from batch_editor.output.picture_store import HISTORY, IMAGES, NewName, image_path
from batch_editor.output.store import Store
from batch_editor.records import SavedImage

PAGE = 500


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A job's image, and where it is now: a file; or as text, its path in the store."""

    placement: Placement
    source: Path | str
    sha256: str
    format: str


def put(store: Store, images: Sequence[Unplaced]) -> list[str]:
    """Put jobs' images under their names, durably; return their paths. Blocks.

    What stood under a job's former name moves to the history, or goes if it is the same image; after the new name
    is durable, and unless another one of these images has just taken it.

    Raises:
        StorageError: the disk or the bucket refuses one of them.
    """
    names = [NewName(each.source, each.placement.output, each.sha256, each.format) for each in images]
    paths = store.pictures.place(names)
    for image in images:
        former = image.placement.former_path
        if former is not None and former not in paths:
            same = image.placement.former_sha256 == image.sha256
            store.pictures.clear(former, image.placement.former_sha256, keep=not same)
    return paths


def put_one(store: Store, image: Unplaced) -> str:
    """As `put`, for one image alone; return its path."""
    (path,) = put(store, [image])
    return path


def keep(store: Store, fingerprint: str, source: Path, image: SavedImage) -> str:
    """Put an image that no job of the manifest wants any more into the history; return its path. Blocks.

    It was paid for all the same.

    Raises:
        StorageError: the disk refuses to read or write.
    """
    # With its content in its name: two images of one request both stay.
    name = f"{HISTORY.removeprefix(f'{IMAGES}/')}/{fingerprint}.{image.sha256[:12]}"
    (path,) = store.pictures.place([NewName(source, name, image.sha256, image.format)])
    return path


def set_aside(store: Store, placements: Sequence[Placement], attempt_id: int, fingerprint: str, number: int) -> None:
    """Keep what a request's attempt of that number received, and what is no result, among the rejected. Blocks.

    It is named after the first job that asks for it, or after the request where no job does any more.
    """
    store.reject(attempt_id, placements[0].output if placements else fingerprint, number)


def put_all(ledger: Ledger, store: Store, *, now: float) -> int:
    """Put every image of the manifest where it belongs; return how many are gone from the disk. Blocks.

    Covers jobs that share a request that was done before, jobs that were renamed or went back to what they asked
    for earlier, and images that somebody removed.
    """
    lost, position = _check_names(ledger, store, now=now), -1
    while page := ledger.jobs.misplaced_after(position, PAGE):
        lost += _put_again(ledger, store, ledger.jobs.placements_at(page), now=now)
        position = page[-1]
    return lost


def retire_gone(ledger: Ledger, store: Store) -> int:
    """Move the images of jobs that left the manifest to the history; return how many jobs' these are. Blocks.

    A job that comes back finds its image there.
    """
    count, rowid = 0, -1
    while page := ledger.jobs.gone_after(rowid, PAGE):
        for gone in page:
            if gone.path is not None:
                store.pictures.clear(gone.path, gone.sha256, keep=True)
        with ledger.transaction():
            for gone in page:
                ledger.jobs.forget_placed(gone.job_id)
        count += sum(gone.path is not None for gone in page)
        rowid = page[-1].rowid
    return count


def _check_names(ledger: Ledger, store: Store, *, now: float) -> int:
    lost, position = 0, -1
    standing = store.pictures.standing()
    while page := ledger.jobs.images_after(position, PAGE):
        missing = [at for at, path in page if path is None or path not in standing]
        if missing:
            lost += _put_again(ledger, store, ledger.jobs.placements_at(missing), now=now)
        position = page[-1][0]
    return lost


def _put_again(ledger: Ledger, store: Store, placements: Sequence[Placement], *, now: float) -> int:
    """Put images that the disk has somewhere under their names; return how many it has nowhere."""
    lost = 0
    here = [each for each in placements if each.image_path == image_path(each.output, each.format)]
    store.pictures.bring(
        [NewName(image_path(each.output, each.format), each.output, each.sha256, each.format) for each in here]
    )
    with ledger.transaction():
        for placement in placements:
            source = _found(ledger, store, placement)
            if source is None:
                ledger.jobs.lost(placement.fingerprint, now=now)
                lost += 1
            else:
                image = Unplaced(placement, source, placement.sha256, placement.format)
                ledger.jobs.placed(placement, put_one(store, image))
    return lost


def _found(ledger: Ledger, store: Store, placement: Placement) -> str | None:
    """The image where it was put last, or where any job that shares it has it or is to have it.

    A run that died while it put images under new names may have taken the former ones away, and not yet said so.
    """
    if (source := store.pictures.find(placement.image_path, placement.sha256)) is not None:
        return source
    shared = ledger.jobs.wanting(placement.fingerprint)
    paths = (path for each in shared for path in (each.former_path, image_path(each.output, each.format)))
    found = (store.pictures.find(path, placement.sha256) for path in paths)
    return next((source for source in found if source is not None), None)
