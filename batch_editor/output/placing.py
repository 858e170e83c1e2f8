"""Images of what was done before: put where the manifest wants them, or moved away with the jobs that left it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batch_editor.ledger import Ledger, Placement
from batch_editor.output import ENDINGS, IMAGES, Store
from batch_editor.output.publishing import Unplaced, put_one

PAGE = 500


def put_all(ledger: Ledger, store: Store, *, now: float) -> int:
    """Put every image of the manifest where it belongs; return how many are gone from the disk. Blocks.

    Covers jobs that share a request that was done before, jobs that were renamed or went back to what they asked
    for earlier, and images that somebody removed.
    """
    lost, position = _check_names(ledger, store, now=now), -1
    while page := ledger.misplaced_after(position, PAGE):
        lost += _put_again(ledger, store, ledger.placements_at(page), now=now)
        position = page[-1]
    return lost


def retire_gone(ledger: Ledger, store: Store) -> int:
    """Move the images of jobs that left the manifest to the history; return how many jobs these are. Blocks.

    A job that comes back finds its image there.
    """
    count, rowid = 0, -1
    while page := ledger.gone_after(rowid, PAGE):
        for gone in page:
            if gone.path is not None:
                store.clear(gone.path, gone.sha256, keep=True)
        with ledger.transaction():
            for gone in page:
                ledger.forget_placed(gone.job_id)
        count += len(page)
        rowid = page[-1].rowid
    return count


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
                image = Unplaced(placement, source, placement.sha256, placement.format)
                ledger.placed(placement, put_one(store, image))
    return lost


def _found(ledger: Ledger, store: Store, placement: Placement) -> Path | None:
    """The image where it was put last, or where any job that shares it has it or is to have it.

    A run that died while it put images under new names may have taken the former ones away, and not yet said so.
    """
    if (source := store.find(placement.image_path, placement.sha256)) is not None:
        return source
    shared = ledger.jobs_of(placement.fingerprint)
    paths = (path for each in shared for path in (each.former_path, _path(each)))
    found = (store.find(path, placement.sha256) for path in paths)
    return next((source for source in found if source is not None), None)


def _path(placement: Placement) -> str:
    """Where a job's image belongs."""
    return f"{IMAGES}/{placement.output}{ENDINGS[placement.format]}"  # type: ignore[index]
