"""Objects of a bucket, whole or not at all, over a network that loses answers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from batch_editor.buckets.address import Address
from batch_editor.buckets.refusals import Refusal
from batch_editor.errors import StorageError, UsageError

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode, UpdateVersion
    from obstore.store import ObjectStore

T = TypeVar("T")

# What a moment's trouble of a store lasts: it asks for less, or a connection is lost.
PATIENCE_S = 60.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
# All bodies that are on their way at once.
MEMORY_BYTES = 64 * 2**20
_SHA256 = "sha256"
# Objects that are listed at once, as many as stores list in one answer.
_PAGE = 1000


class About(NamedTuple):
    """What is known of an object's content, and kept with it."""

    sha256: str
    content_type: str


class Found(NamedTuple):
    """An object that is there: its size, which version of it, when it was written (seconds since 1970), and what its
    writer said that its content is; None if nothing.
    """

    size_bytes: int
    e_tag: str | None
    version: str | None
    written_at: float
    sha256: str | None


class Listed(NamedTuple):
    """An object of a list: its size, and when it was written (seconds since 1970)."""

    path: str
    size_bytes: int
    written_at: float


class Bucket:
    """A place in a bucket; paths of objects are below it. Everything blocks; threads may share it.

    objects: the library's door to it. patience_s: how long something is tried again that the store refuses for a
    passing reason. region, endpoint: what is asked, for messages; own_region: looks up which region the bucket is in.

    Raises, in all that follows:
        StorageError: the store refuses, or can't be reached for as long as that.
    """

    def __init__(
        self,
        address: Address,
        objects: ObjectStore,
        *,
        patience_s: float = PATIENCE_S,
        region: str | None = None,
        endpoint: str | None = None,
        own_region: Callable[[], str | None] = lambda: None,
    ) -> None:
        from obstore import exceptions  # not above: it is an extra's

        self.address = address
        self.patience_s = patience_s
        self._objects = objects
        self._region = region
        self._endpoint = endpoint
        self._own_region = own_region
        self._stands = (exceptions.AlreadyExistsError, exceptions.PreconditionError)
        self._refuses = (exceptions.BaseError, ValueError, OSError)
        self._room = _Room(MEMORY_BYTES)
        self._is_hurried = threading.Event()
        self._rng = random.Random()

    def __str__(self) -> str:
        return str(self.address)

    @contextmanager
    def body(self, source: Path) -> Iterator[bytes]:
        """A file's content, when there is room for it beside others that are on their way.

        Raises:
            StorageError: the file can't be read.
        """
        try:
            with self._room.taken(source.stat().st_size):
                yield source.read_bytes()
        except OSError as error:
            raise StorageError(f"{source}: can't be read ({error.strerror})") from error

    def create(self, path: str, body: bytes, about: About) -> bool:
        """Make an object; False if there is one. It may be ours: an answer that was lost."""
        return self._put(path, body, about, "create")

    def replace(self, path: str, body: bytes, about: About, former: Found) -> bool:
        """Make it the object's content, if it still is the former one; False if it isn't."""
        version: UpdateVersion = {}
        if former.e_tag is not None:
            version["e_tag"] = former.e_tag
        if former.version is not None:
            version["version"] = former.version
        return self._put(path, body, about, version)

    def write(self, path: str, body: bytes, about: About) -> None:
        """Make it the object's content, whatever is there."""
        self._put(path, body, about, "overwrite")

    def upload(self, path: str, source: Path, content_type: str) -> None:
        """Make a file's content the object's, whatever is there; in parts, where it is large."""
        attributes = {"Content-Type": content_type}
        self._do(path, lambda: self._objects.put(path, source, attributes=attributes, max_concurrency=2), writes=True)

    def look(self, path: str) -> Found | None:
        """An object without its content; None if there is none."""
        try:
            result = self._do(path, lambda: self._objects.get(path, options={"head": True}))
        except FileNotFoundError:
            return None
        meta = result.meta
        sha256 = {name.lower(): value for name, value in result.attributes.items()}.get(_SHA256)
        return Found(meta["size"], meta["e_tag"], meta["version"], meta["last_modified"].timestamp(), sha256)

    def read(self, path: str) -> bytes | None:
        """An object's content; None if there is no object."""
        try:
            return self._do(path, lambda: bytes(self._objects.get(path).bytes()))
        except FileNotFoundError:
            return None

    def copy(self, source: str, target: str) -> bool:
        """Make one object another's content, within the store; False if there is no source."""
        try:
            self._do(target, lambda: self._objects.copy(source, target))
        except FileNotFoundError:
            return False
        return True

    def remove(self, path: str) -> None:
        """Remove an object, if it is there."""
        with suppress(FileNotFoundError):
            self._do(path, lambda: self._objects.delete(path))

    def paths(self, prefix: str) -> Iterator[str]:
        """The paths of all objects in a folder and its folders."""
        return (each.path for each in self.objects(prefix))

    def objects(self, prefix: str) -> Iterator[Listed]:
        """All objects in a folder and its folders."""
        pages: Iterator[Sequence[ObjectMeta]] | None = None
        last: str | None = None

        def page() -> Sequence[ObjectMeta]:
            """The next page; empty at the end. After one that failed the library lists no more."""
            nonlocal pages
            pages = pages or iter(self._objects.list(prefix, offset=last, chunk_size=_PAGE))
            try:
                return next(pages, ())
            except self._refuses:
                pages = None
                raise

        while found := self._do(prefix, page):
            yield from (Listed(meta["path"], meta["size"], meta["last_modified"].timestamp()) for meta in found)
            last = found[-1]["path"]

    def prove(self, path: str) -> None:
        """See that an object can be written, read and removed.

        Raises:
            UsageError: the store refuses what the settings say: no such bucket, another region, no rights.
        """
        with self.refused_for_settings():
            self.write(path, b"", About("", "text/plain"))
            self.read(path)
            self.remove(path)

    @contextmanager
    def refused_for_settings(self) -> Iterator[None]:
        """Where nothing is paid yet: tell what the settings have to do with a refusal, and what to do next.

        Raises:
            UsageError: they are wrong.
        """
        try:
            yield
        except _Refused as error:
            if not error.refusal.is_of_settings:
                raise
            advice = error.refusal.advice(
                self.address, region=self._region, endpoint=self._endpoint, bucket_region=self._own_region()
            )
            raise UsageError(f"{self}: {advice}") from error

    def hurry(self) -> None:
        """Try nothing again from now on: somebody wants the end."""
        self._is_hurried.set()

    def _put(self, path: str, body: bytes, about: About, mode: PutMode) -> bool:
        attributes = {"Content-Type": about.content_type, _SHA256: about.sha256}
        try:
            self._do(
                path,
                lambda: self._objects.put(path, body, attributes=attributes, mode=mode, use_multipart=False),
                only_if=mode != "overwrite",
                writes=True,
            )
        except self._stands:
            return False
        return True

    def _do(self, path: str, work: Callable[[], T], *, only_if: bool = False, writes: bool = False) -> T:
        """The result of an operation, which is tried again while the store refuses it for a passing reason.

        Raises:
            FileNotFoundError: there is no such object. What `writes` needs none.
            the library's AlreadyExistsError, PreconditionError: it was to be done `only_if` the object is what it was
                taken for, and that it isn't.
        """
        ends_at, pause_s = time.monotonic() + self.patience_s, FIRST_PAUSE_S
        while True:
            try:
                return work()
            except self._refuses as error:
                if only_if and isinstance(error, self._stands):
                    raise
                refusal = Refusal.read(error)
                if isinstance(error, FileNotFoundError) and not refusal.is_missing_bucket and not writes:
                    raise
                if not refusal.is_passing or self._is_hurried.is_set() or time.monotonic() + pause_s > ends_at:
                    said = "refused by the store" if refusal.status or refusal.code else "the store can't be reached"
                    raise _Refused(f"{self}/{path}: {said} ({refusal})", refusal) from error
            self._is_hurried.wait(pause_s * self._rng.uniform(0.5, 1))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class _Refused(StorageError):
    def __init__(self, message: str, refusal: Refusal) -> None:
        super().__init__(message)
        self.refusal = refusal


class _Room:
    """So many bytes may be held at once; one that is larger than all of them when nothing else is."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size_bytes: int) -> Iterator[None]:
        """Wait for room, and have it while the block lasts."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used_bytes or self._used_bytes + size_bytes <= self._limit_bytes)
            self._used_bytes += size_bytes
        try:
            yield
        finally:
            with self._changed:
                self._used_bytes -= size_bytes
                self._changed.notify_all()
