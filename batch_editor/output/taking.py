"""Takes images over from other output directories, which have paid for them, with what people said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from batch_editor.ledger import ImageElsewhere, Ledger, readings
from batch_editor.output.placing import Unplaced, put
from batch_editor.output.store import Store
from batch_editor.output.verdict_lookup import verdicts_of
from batch_editor.verdicts import FILE_NAME as VERDICTS
from batch_editor.verdicts import Picture, Verdict, Verdicts, read_verdicts


class Taken(NamedTuple):
    """How many requests have their image now, and how many have none after all: it is gone, or another one by now."""

    requests: int
    lost: int


def has_image(source: Path) -> Callable[[str, str], bool]:
    """Whether an output directory has an image of that path and SHA-256; only its name is looked for, for a plan."""
    store = Store(source)
    return lambda path, sha256: any(each.is_file() for each in store.places(path, sha256))


def take_images(ledger: Ledger, store: Store, pages: Iterable[Sequence[ImageElsewhere]]) -> Taken:
    """Copy images, each checked by its content, and record that their requests are done. Blocks.

    Killed anywhere and done again it comes to the same: an image has its name whole or not at all, and its verdict
    before its request is done. Directories that images come from are only read.

    Raises:
        StorageError: the disk refuses to read or write.
        VerdictsError: verdicts can't be read or written.
    """
    taken = lost = 0
    said = _Verdicts()
    for page in pages:
        found = [(image, source) for image in page if (source := _fetched(store, image)) is not None]
        lost += len(page) - len(found)
        said.give(store.root, [image for image, _ in found])
        wanted = [
            (image, Unplaced(placement, source, image.sha256, image.format))
            for image, source in found
            for placement in ledger.jobs.wanting(image.fingerprint)
        ]
        paths = put(store, [unplaced for _, unplaced in wanted])
        with ledger.transaction():
            for (image, unplaced), path in zip(wanted, paths, strict=True):
                ledger.requests.take(image, path)
                ledger.jobs.placed(unplaced.placement, path)
        for _, source in found:
            source.unlink(missing_ok=True)
        taken += len(found)
    return Taken(taken, lost)


def _fetched(store: Store, image: ImageElsewhere) -> Path | None:
    """The image as a file that can be given its name here; None where it isn't there as it was."""
    for place in Store(image.source).places(image.image_path, image.sha256):
        if (staged := store.stage_copy(place, f"{image.fingerprint}.taken", image.sha256)) is not None:
            return staged
    return None


class _Verdicts:
    """What holds of images in the directories that they come from, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[Picture, Verdict]] = {}

    def give(self, root: Path, images: Sequence[ImageElsewhere]) -> None:
        """Say the same of them here, where nothing is said of them yet."""
        verdicts = {Picture(each.fingerprint, each.sha256): self._of(each) for each in images}
        if not any(verdicts.values()):
            return
        here = read_verdicts(root)
        with ExitStack() as stack:
            file = Verdicts(root / VERDICTS)
            stack.callback(file.close)
            for picture, verdict in verdicts.items():
                if verdict is not None and picture not in here:
                    file.give([picture], verdict=verdict.verdict, note=verdict.note, by=verdict.by, now=verdict.at)

    def _of(self, image: ImageElsewhere) -> Verdict | None:
        if image.source not in self._known:
            with readings.reading(image.source) as db:
                self._known[image.source] = verdicts_of(db, image.source)
        return self._known[image.source].get(Picture(image.called, image.sha256))
