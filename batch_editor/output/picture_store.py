"""Where pictures have their names: what runs, recovery and readers need of it, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from batch_editor.images import ENDINGS
from batch_editor.output.kept_files import KeptFile

IMAGES = "images"
HISTORY = "images/.history"
REJECTED = "images/.rejected"
FINISHED = "finished"


class NewName(NamedTuple):
    """An image and the name that it is to have. `source`: a file; or as text, the path that it has in the store."""

    source: Path | str
    output: str
    sha256: str
    format: str

    @property
    def path(self) -> str:
        """Its path in the store."""
        return image_path(self.output, self.format)


class PictureStore(Protocol):
    """Pictures by their paths: relative to the output directory, with `/`. Everything blocks; threads may share it.

    What is there under a name is whole: readers never see half of a picture. Done again after a crash anywhere in it,
    everything comes to the same.

    Raises, in all that follows:
        StorageError: the disk or the bucket refuses.
    """

    @property
    def executor(self) -> Executor | None:
        """Threads on which names are given, where that takes time; None: any."""

    @property
    def where(self) -> str:
        """Where the pictures are, in words: on disk, or in which bucket."""

    @property
    def folder(self) -> Path | None:
        """The directory in which the pictures are files; None where they are none."""

    def prepare(self, ledger_id: str, say: Callable[[str], None]) -> None:
        """See that pictures of that ledger can be written, read and removed. Before anything is paid for.

        Raises:
            UsageError: it has another ledger's, or the settings that lead to it are wrong.
        """

    def owner(self) -> str | None:
        """The id of the ledger whose pictures these are, where that is on record; else None."""

    def place(self, names: Sequence[NewName]) -> list[str]:
        """Give images their names, durably; return their paths, in order.

        What stands there with other content is moved to the history first: it was paid for.
        """

    def bring(self, names: Sequence[NewName]) -> None:
        """Have images here that have their names, and lie where images were kept before."""

    def set_aside(self, source: Path, path: str, sha256: str) -> None:
        """Keep what is no result under a path that nothing else ever has, durably."""

    def clear(self, path: str, sha256: str | None, *, keep: bool) -> None:
        """Take an image's former name away, if the image is still the one with that content.

        With `keep` it moves to the history; without, it stands under another name already.
        """

    def find(self, path: str | None, sha256: str) -> str | None:
        """The path of the image with that content: its own, or one in the history."""

    def former(self, sha256: str) -> Iterator[str]:
        """Paths in the history that may have that content, by their names."""

    def standing(self) -> Container[str]:
        """The paths under which there is a picture now."""

    def kept(self, folder: str) -> Iterator[KeptFile]:
        """What lies in the history or among the rejected, by `HISTORY` or `REJECTED`. A path may come twice."""

    def remove_kept(self, folder: str, paths: Sequence[str]) -> None:
        """Remove what lies there."""

    def open(self, path: str) -> BinaryIO | None:
        """A picture, from its first byte, for the caller to close; None if it isn't there."""

    def content_sha256(self, path: str) -> str | None:
        """The SHA-256 of what a path holds; None if nothing is there."""

    def written_at(self, path: str) -> float | None:
        """When what a path holds was written, in seconds since 1970; None if nothing is there."""

    def place_finished(self, source: Path, path: str) -> None:
        """Put a finished file under its path, durably, in the place of what is there.

        `source` is a file of the output directory, durable, and may be gone then. Not `transient` is an error of this
        file's path alone.
        """

    def finished_files(self) -> Callable[[str, int], bool]:
        """Tells of a path whether a finished file of that size in bytes stands there, as far as is known so."""

    def remove_finished(self, path: str) -> bool:
        """Remove a finished file; return whether there may have been one."""

    def keep_manifest(self, path: Path) -> None:
        """Have the output manifest where the pictures are."""

    def hurry(self) -> None:
        """Let work under way fail rather than wait for a store that is away."""

    def close(self) -> None:
        """Wait for the threads."""


def image_path(output: str, format: str) -> str:
    """Where a job's image belongs.

    >>> image_path("mugs/red", "jpeg")
    'images/mugs/red.jpg'
    """
    return f"{IMAGES}/{output}{ENDINGS[format]}"  # type: ignore[index]


def history_path(path: str, sha256: str) -> str:
    """Where an image goes that loses its name; where it is, if that is the history.

    >>> history_path("images/mugs/red.jpg", "0f3a9c51e2d4b7")
    'images/.history/mugs/red.0f3a9c51e2d4.jpg'
    """
    if path.startswith(f"{HISTORY}/"):
        return path
    folder, _, name = path.removeprefix(f"{IMAGES}/").rpartition("/")
    stem, _, ending = name.rpartition(".")
    kept = f"{stem}.{sha256[:12]}.{ending}"
    return "/".join(filter(None, [HISTORY, folder, kept]))
