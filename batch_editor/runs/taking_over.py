"""What a manifest asks for becomes what the ledger has: jobs come, change and go, and their images with them."""

from __future__ import annotations

from pathlib import Path

from batch_editor.finishing import rules_to_text
from batch_editor.ledger import Ledger, Staging, import_jobs
from batch_editor.manifest import TableRead
from batch_editor.output import INPUTS, Store, keep_table, put_all, retire_gone, take_images
from batch_editor.planning import IDENTIFIED
from batch_editor.runs.opening import OpenOutput
from batch_editor.runs.options import BatchOptions
from batch_editor.runs.preparing import PlannedRun
from batch_editor.text import many


def take_over(opened: OpenOutput, planned: PlannedRun, *, now: float) -> None:
    """Make the manifest the ledger's, and put images where they belong. Blocks."""
    ledger, store, staging, options = opened.ledger, opened.store, planned.staging, planned.options
    for table in planned.plan.tables:
        if table.export is not None:
            _keep(table, store.root, options, now)
    gone = import_jobs(
        ledger,
        staging.path,
        redo=options.redo,
        shapes=planned.catalog.shapes,
        providers={name: endpoint.provider for name, endpoint in planned.catalog.sendable.items()},
        extras=list(staging.extras),
        compared=planned.plan.comparison.names if planned.plan.comparison is not None else (),
    )
    finish = planned.settings.finish
    with ledger.transaction():
        ledger.finished.use_config(None if finish is None else rules_to_text(finish))
    if identified := planned.plan.changes.identified:
        options.progress.say(f"{identified:,} {IDENTIFIED}")
    if planned.plan.taken:
        _take(ledger, store, staging, options)
    lost = put_all(ledger, store, now=now)
    if lost:
        options.progress.say(
            f"warning: {lost} images that were paid for are no longer {store.pictures.where};"
            " --retry-failed makes them, and pays them, again"
        )
    images = retire_gone(ledger, store)
    if gone or images:  # of a run that died in between the images alone are left
        options.progress.say(_gone(max(gone, images), images, moved=planned.plan.changes.moved))


def _take(ledger: Ledger, store: Store, staging: Staging, options: BatchOptions) -> None:
    """Take over the images that other output directories have paid for."""
    taken = take_images(ledger, store, staging.images_elsewhere())
    images = many(taken.requests, "image")
    options.progress.say(f"took {images} of other output directories, for nothing")
    if taken.lost:
        options.progress.say(
            f"warning: {taken.lost:,} more are no longer there as they were; their requests are sent and paid"
        )


def _keep(table: TableRead, root: Path, options: BatchOptions, now: float) -> None:
    """Keep a shop's table as it was read, for the way back into the shop."""
    file = table.file
    if file.has_changed:
        options.progress.say(f"warning: {table.name} changed since it was read, and is not kept in {INPUTS}/")
    else:
        keep_table(root, file.open, ending=file.ending, read_at=now)


def _gone(jobs: int, images: int, *, moved: int) -> str:
    place = f"the manifest or went, with other inputs, to another shard ({moved:,})" if moved else "the manifest"
    left = f"{many(jobs, 'job')} left {place}"
    if not images:
        return f"{left} without an image of {'its' if jobs == 1 else 'their'} own"
    if images == jobs:
        return f"{left}; {'its image is' if jobs == 1 else 'their images are'} in images/.history"
    return f"{left}; the image{'s' * (images != 1)} of {images:,} {'is' if images == 1 else 'are'} in images/.history"
