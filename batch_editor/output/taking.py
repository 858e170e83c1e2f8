"""Takes images over from other output directories, which have paid for them, with what people said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from batch_editor.ledger import ImageElsewhere, Ledger, readings
from batch_editor.output.picture_places import picture_store
from batch_editor.output.picture_store import PictureStore, history_path
from batch_editor.output.placing import Unplaced, put
from batch_editor.output.store import Store
from batch_editor.output.verdict_lookup import verdicts_of
from batch_editor.verdicts import FILE_NAME as VERDICTS
from batch_editor.verdicts import Picture, Verdict, Verdicts, read_verdicts


class Taken(NamedTuple):
    """How many requests have their image now, and how many have none after all: it is gone, or another one by now."""

    requests: int
    lost: int


def has_image(pictures: PictureStore) -> Callable[[str, str], bool]:
    """Whether an output directory has an image of that path and SHA-256; only its name is looked for, for a plan."""
    standing = pictures.standing()
    return lambda path, sha256: path in standing or history_path(path, sha256) in standing


def take_images(ledger: Ledger, store: Store, pages: Iterable[Sequence[ImageElsewhere]]) -> Taken:
    """Copy images, each checked by its content, and record that their requests are done. Blocks.

    Killed anywhere and done again it comes to the same: an image has its name whole or not at all, and its verdict
    before its request is done. Directories that images come from are only read.

    Raises:
        StorageError: the disk refuses to read or write.
        VerdictsError: verdicts can't be read or written.
    """
    taken = lost = 0
    with closing(_Sources()) as sources:
        for page in pages:
            found = [(image, staged) for image in page if (staged := sources.staged(store, image)) is not None]
            lost += len(page) - len(found)
            sources.say_the_same(store.root, [image for image, _ in found])
            wanted = [
                (image, Unplaced(placement, staged, image.sha256, image.format))
                for image, staged in found
                for placement in ledger.jobs.wanting(image.fingerprint)
            ]
            paths = put(store, [unplaced for _, unplaced in wanted])
            with ledger.transaction():
                for (image, unplaced), path in zip(wanted, paths, strict=True):
                    ledger.requests.take(image, path)
                    ledger.jobs.placed(unplaced.placement, path)
            for _, staged in found:
                staged.unlink(missing_ok=True)
            taken += len(found)
    return Taken(taken, lost)


class _Sources:
    """The directories that images come from: their images, and what holds of these, each read once."""

    def __init__(self) -> None:
        self._pictures: dict[Path, PictureStore] = {}
        self._verdicts: dict[Path, dict[Picture, Verdict]] = {}

    def close(self) -> None:
        """Close what was opened of them."""
        for pictures in self._pictures.values():
            pictures.close()

    def staged(self, store: Store, image: ImageElsewhere) -> Path | None:
        """The image as a file that can be given its name here; None where it isn't there as it was."""
        if image.source not in self._pictures:
            self._pictures[image.source] = picture_store(image.source)
        for path in (image.image_path, history_path(image.image_path, image.sha256)):
            name = f"{image.fingerprint}.taken"
            if (staged := store.stage_copy(self._pictures[image.source], path, name, image.sha256)) is not None:
                return staged
        return None

    def say_the_same(self, root: Path, images: Sequence[ImageElsewhere]) -> None:
        """Say of them here what was said there, where nothing is said of them yet."""
        verdicts = {Picture(each.fingerprint, each.sha256): self._of(each) for each in images}
        if not any(verdicts.values()):
            return
        here = read_verdicts(root)
        with closing(Verdicts(root / VERDICTS)) as file:
            for picture, verdict in verdicts.items():
                if verdict is not None and picture not in here:
                    file.give([picture], verdict=verdict.verdict, note=verdict.note, by=verdict.by, now=verdict.at)

    def _of(self, image: ImageElsewhere) -> Verdict | None:
        if image.source not in self._verdicts:
            with readings.reading(image.source) as db:
                self._verdicts[image.source] = verdicts_of(db, image.source)
        return self._verdicts[image.source].get(Picture(image.called, image.sha256))
