"""Pictures and their thumbnails, by request and content: what the ledger names, never a path that a page asks for."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from batch_editor.errors import BatchEditorError, MachineError
from batch_editor.files import open_regular
from batch_editor.images import sniff
from batch_editor.images.pixels import load_decoders
from batch_editor.images.thumbnails import thumbnail
from batch_editor.ledger import readings, review_readings
from batch_editor.output import IMAGES, THUMBNAIL_LENGTH, PictureStore, thumbnail_key
from batch_editor.processes import CallFailed, Processes
from batch_editor.review.cache import Cache
from batch_editor.review.index import Index
from batch_editor.threads import finished

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEAD = 16


class NoPicture(BatchEditorError):
    """There is nothing to show; the message says why, in words for people."""


class Thumbnails:
    """Thumbnails of files, made in other processes a few at a time. Whoever asks for one and leaves frees its place."""

    def __init__(self, cache: Cache, processes: Processes) -> None:
        self._cache = cache
        self._processes = processes
        self._turns = asyncio.Semaphore(processes.count)
        self._prepared = False

    def prepare(self) -> None:
        """Start the processes, for a page is about to ask for many; return at once."""
        if not self._prepared:
            self._prepared = True
            threading.Thread(target=self._start, name="decoders", daemon=True).start()

    def _start(self) -> None:
        with suppress(CallFailed, MachineError):  # whoever asks for a thumbnail hears of it
            self._processes.start(load_decoders)

    async def known(self, key: str) -> bytes | None:
        """The thumbnail that was made for a key before."""
        return await asyncio.to_thread(self._cache.read, thumbnail_key(key))

    async def of(self, path: Path, *, key: str) -> bytes:
        """A thumbnail of a file, a WebP; kept for its key.

        Raises:
            NoPicture: it can't be read as a picture.
        """
        async with self._turns:
            if (known := await self.known(key)) is not None:  # somebody else asked for it meanwhile
                return known
            return await finished(partial(self._made, path, key))

    def _made(self, path: Path, key: str) -> bytes:
        try:
            data = self._processes.call(thumbnail, path, length=THUMBNAIL_LENGTH)
        except (CallFailed, MachineError) as error:
            raise NoPicture(f"no thumbnail can be made: {error}") from error
        self._cache.put(thumbnail_key(key), data)
        return data


class Pictures:
    """The pictures of an output directory, those of former requests and attempts included.

    Those of a bucket are fetched into the cache when they are first asked for.
    """

    def __init__(self, output: Path, store: PictureStore, index: Index, cache: Cache, thumbnails: Thumbnails) -> None:
        self._output = output
        self._root = output.resolve()
        self.store = store
        self._index = index
        self._cache = cache
        self._thumbnails = thumbnails

    def prepare(self) -> None:
        """Let the first thumbnails wait less, for a page is about to ask for many."""
        self._thumbnails.prepare()

    async def thumb(self, fingerprint: str, sha256: str) -> bytes:
        """A picture's thumbnail, a WebP.

        Raises:
            NoPicture: there is no such picture.
        """
        if (known := await self._thumbnails.known(sha256)) is not None:
            return known
        return await self._thumbnails.of(await self.file(fingerprint, sha256), key=sha256)

    async def file(self, fingerprint: str, sha256: str) -> Path:
        """The file of a picture, whose content is what it is called.

        Raises:
            NoPicture: there is no such picture.
        """
        return await asyncio.to_thread(self._file, fingerprint, sha256)

    def _file(self, fingerprint: str, sha256: str) -> Path:
        if _SHA256.fullmatch(sha256) is None:
            raise NoPicture("no picture is called that")
        for path in self._places(fingerprint, sha256):
            file = self._root / path if self.store.folder is not None else self._fetched(path, sha256)
            if file is not None and (self.store.folder is None or self._holds(file, sha256)):
                return file
        where = "on the disk" if self.store.folder is not None else self.store.where
        raise NoPicture(f"the picture is no longer {where}, neither under its job's name nor in images/.history")

    def _fetched(self, path: str, sha256: str) -> Path | None:
        """A file with what the bucket has under a path, if that is the picture."""
        key = f"picture {sha256}"
        if (kept := self._cache.path_of(key)) is not None:
            return kept
        place = self.store.find(path, sha256)
        found = None if place is None else self.store.open(place)
        if found is None:
            return None
        with found:
            content = found.read()
        if hashlib.sha256(content).hexdigest() != sha256:
            return None
        try:
            return self._cache.put(key, content)
        except OSError as error:
            raise NoPicture(f"the picture can't be kept to be shown ({error.strerror})") from error

    def _places(self, fingerprint: str, sha256: str) -> Iterator[str]:
        """Where the picture may be: under its job's name; else where former ones go.

        Raises:
            NoPicture: the request never had it.
        """
        job = self._index.snapshot().job_of(fingerprint)
        if job is not None and job.row.sha256 == sha256 and job.row.path is not None:
            yield job.row.path
        with readings.reading(self._output) as db:
            places = review_readings.places_of(db, fingerprint)
            if all(place.sha256 != sha256 for place in places) and all(
                attempt.sha256 != sha256 for attempt in review_readings.attempts_of(db, fingerprint)
            ):
                raise NoPicture("the ledger knows no such picture of that request")
        for place in places:
            if place.image_path is not None and place.sha256 == sha256:
                yield place.image_path
        # The name that it had then, which may have been another one: `mug.<12 digits>.png`.
        yield from self.store.former(sha256)

    def _holds(self, path: Path, sha256: str) -> bool:
        """Whether a file of the images folder has that content; nothing is read through a link that leads elsewhere."""
        try:
            if not path.resolve().is_relative_to(self._root / IMAGES):
                return False
            return content_sha256(path) == sha256
        except OSError:
            return False


def content_sha256(path: Path, *, follow_links: bool = False) -> str:
    """The SHA-256 of a file's content.

    Raises:
        OSError: it can't be read, or is no file.
    """
    with open(path, "rb", opener=open_regular if follow_links else _opened) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def opened_picture(path: Path) -> tuple[BinaryIO, str, int]:
    """A picture's file, its content type (by its first bytes), and its size in bytes.

    Raises:
        NoPicture: it is none that browsers show.
    """
    try:
        file = open(path, "rb", opener=open_regular)  # noqa: SIM115  # the caller's
    except OSError as error:
        raise NoPicture(f"the file can't be read ({error.strerror})") from error
    format = sniff(file.read(_HEAD))
    if format is None:
        file.close()
        raise NoPicture("no PNG, JPEG, WebP or GIF; browsers don't show it")
    file.seek(0)
    return file, f"image/{format}", os.fstat(file.fileno()).st_size


def _opened(path: str, flags: int) -> int:
    return open_regular(path, flags | os.O_NOFOLLOW)
