"""`prune`: what is old goes, after the ledger has noted that it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from batch_editor.errors import UsageError
from batch_editor.ledger import FILE_NAME, Connection, Ledger, pruning, readings
from batch_editor.output import (
    HISTORY,
    PAGE_CACHE,
    REJECTED,
    KeptFile,
    PictureStore,
    locked,
    picture_store,
    remove_file,
)
from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.pruning.old_files import OldFiles, find_old, pictures_of_rows

_AT_ONCE = 500
_WHAT = {
    HISTORY: ("former image", "former images"),
    REJECTED: ("answer without a result", "answers without a result"),
    PAGE_CACHE: ("file of the review page's cache", "files of the review page's cache"),
}
_NAMES = {HISTORY: "history", REJECTED: "rejected", PAGE_CACHE: "cache"}


@dataclass(frozen=True, slots=True)
class Removed:
    """How many files, and their bytes together."""

    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PruneOutcome:
    """What was removed, by folder; or, with `dry_run`, what would be.

    requests: how many that were done, and are no job's any more, have no picture with that.
    """

    output: Path
    keep: timedelta
    dry_run: bool
    removed: Mapping[str, Removed]
    requests: int

    def as_json(self) -> dict[str, Any]:
        """The `--json` object of `prune`."""
        return {
            "output": str(self.output),
            "exit_code": 0,
            "dry_run": self.dry_run,
            "keep_s": self.keep.total_seconds(),
            "removed": {
                _NAMES[folder]: {"files": removed.files, "bytes": removed.size_bytes}
                for folder, removed in self.removed.items()
            },
            "requests": self.requests,
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        verb = "would be removed" if self.dry_run else "removed"
        for folder, (one, many) in _WHAT.items():
            removed = self.removed[folder]
            what = one if removed.files == 1 else many
            yield f"{folder}: {removed.files:,} {what} {verb}, {removed.size_bytes / 1e6:,.1f} MB"
        if self.requests:
            request, has = ("request", "has") if self.requests == 1 else ("requests", "have")
            have = "would have" if self.dry_run else has
            yield (
                f"{self.requests:,} done {request} of former manifests {have} no image any more: a job that asks for it"
                " again is made, and paid, again"
            )


def prune_output(
    output: Path, keep: timedelta, *, dry_run: bool, say: Callable[[str], None], now: float | None = None
) -> PruneOutcome:
    """Remove what is older than `keep` and needed by no job of the manifest; with `dry_run` only look. Blocks.

    The ledger notes first which pictures go. Killed anywhere and done again, it comes to the same. now: in seconds
    since 1970.

    Raises:
        UsageError: there is no ledger.
        LockedError: another process is at work on the output directory.
        MachineError: the disk, the bucket or the ledger refuses.
    """
    if not readings.begun(output):
        raise UsageError(f"{output}: no ledger here; expected the output directory of a run")
    now = time.time() if now is None else now
    before = now - keep.total_seconds()
    if dry_run:
        with readings.reading(output) as db, closing(picture_store(output)) as pictures:
            old = _find(db, output, pictures, before)
            return _outcome(output, keep, old, pruning.count_done(db, old.pictures), dry_run=True)
    with (
        locked(output),
        closing(Ledger(output / FILE_NAME)) as ledger,
        ledger.translated(),
        closing(picture_store(output)) as pictures,
    ):
        pictures.prepare(ledger.id, say)
        old = _find(ledger.connection, output, pictures, before)
        with ledger.transaction():
            requests = pruning.count_done(ledger.connection, old.pictures)
            pruning.mark_pruned(ledger.connection, old.pictures, now=now)
        for folder, files in old.by_folder.items():
            for at in range(0, len(files), _AT_ONCE):
                _remove(output, pictures, folder, [each.path for each in files[at : at + _AT_ONCE]])
        return _outcome(output, keep, old, requests, dry_run=False)


def _find(db: Connection, output: Path, pictures: PictureStore, before: float) -> OldFiles:
    in_use = pruning.images_in_use(db) | pictures_of_rows(output / MANIFEST_NAME)
    return find_old(output, pictures, before=before, in_use=in_use)


def _remove(output: Path, pictures: PictureStore, folder: str, paths: Sequence[str]) -> None:
    if folder != PAGE_CACHE:
        pictures.remove_kept(folder, paths)
        return
    for path in paths:
        remove_file(output, path)


def _outcome(output: Path, keep: timedelta, old: OldFiles, requests: int, *, dry_run: bool) -> PruneOutcome:
    removed = {folder: _sum(files) for folder, files in old.by_folder.items()}
    return PruneOutcome(output, keep, dry_run, removed, requests)


def _sum(files: Sequence[KeptFile]) -> Removed:
    return Removed(len(files), sum(each.size_bytes for each in files))
