"""Pictures as objects of a bucket, below the output directory's own name there."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import BinaryIO

import orjson

from batch_editor.buckets import About, Bucket, Found
from batch_editor.errors import StorageError, UsageError
from batch_editor.images import ENDINGS
from batch_editor.output.kept_files import KeptFile
from batch_editor.output.local_pictures import LocalPictures, file_sha256
from batch_editor.output.picture_store import FINISHED, HISTORY, IMAGES, NewName, history_path
from batch_editor.shops import Seen

# The object that says whose pictures these are.
MARKER = ".batch-editor.json"
_PROBE = ".batch-editor.probe"
MANIFEST = "manifest.csv"
# They wait for the network. S3 takes a picture of 2 MB in a tenth of a second: more than the provider sends.
THREADS = 16
# A name is looked at and given by one thread at a time; two of different names seldom share a lock.
_LOCKS = 64
# Another program that writes here is not meant to be; it changes nothing between two looks, again and again.
_LOOKS = 5
_TYPES = {ending: f"image/{format}" for format, ending in ENDINGS.items()}


class BucketPictures:
    """See `PictureStore`. What the bucket doesn't have is also looked for in the output directory, `root`.

    There the pictures are that were made before the bucket was set.
    """

    folder = None

    def __init__(self, root: Path, bucket: Bucket) -> None:
        self.where = f"in {bucket}"
        self.executor = ThreadPoolExecutor(THREADS, thread_name_prefix="bucket")
        self.bucket = bucket
        self._root = root
        self._local = LocalPictures(root)
        self._names = [Lock() for _ in range(_LOCKS)]

    def prepare(self, ledger_id: str, say: Callable[[str], None]) -> None:
        """See `PictureStore`."""
        with self.bucket.refused_for_settings():
            owner = self.owner()
            if owner is None and not self.bucket.create(MARKER, orjson.dumps({"ledger": ledger_id}), _about(MARKER)):
                owner = self.owner()
        if owner not in (None, ledger_id):
            raise UsageError(
                f"{self.bucket}: holds the pictures of another output directory than {self._root}: {MARKER} there has"
                f" the ledger {owner}, here it is {ledger_id}; choose another --output or outputs.images. If that"
                f" directory is gone for good, remove {MARKER}"
            )
        self.bucket.prove(_PROBE)
        if owner is None and any((self._root / IMAGES).glob("[!.]*")):
            say(f"images go to {self.bucket} from now on; those in {self._root / IMAGES} are sent there too, and stay")

    def owner(self) -> str | None:
        """The id of the ledger whose pictures these are; None if nobody has said so."""
        marker = self.bucket.read(MARKER)
        if marker is None:
            return None
        try:
            return str(orjson.loads(marker)["ledger"])
        except (ValueError, KeyError, TypeError):  # JSON's error is a ValueError
            return f"of no known form, {marker[:40]!r}"

    def place(self, names: Sequence[NewName]) -> list[str]:
        """See `PictureStore`."""
        for name in names:
            with self._lock(name.path):
                self._place(name)
        return [name.path for name in names]

    def bring(self, names: Sequence[NewName]) -> None:
        """See `PictureStore`."""
        here = [name for name in names if self._local.content_sha256(name.path) == name.sha256]
        sent = self.executor.map(lambda name: self.place([name._replace(source=self._root / name.path)]), here)
        list(sent)  # raises what one of them did

    def set_aside(self, source: Path, path: str, sha256: str) -> None:
        """See `PictureStore`."""
        with self.bucket.body(source) as body:
            self.bucket.create(path, body, _about(path, sha256))

    def clear(self, path: str, sha256: str | None, *, keep: bool) -> None:
        """See `PictureStore`."""
        with self._lock(path):
            found = self.bucket.look(path)
            if found is None or self._sha256(path, found) != sha256:
                return
            if keep:
                self._retire(path, found)
            self.bucket.remove(path)

    def find(self, path: str | None, sha256: str) -> str | None:
        """See `PictureStore`."""
        if path is None:
            return None
        for candidate in (path, history_path(path, sha256)):
            if self._holds(candidate, sha256):
                return candidate
        return self._local.find(path, sha256)

    def former(self, sha256: str) -> Iterator[str]:
        """See `PictureStore`."""
        digits = f".{sha256[:12]}."
        yield from sorted(path for path in self.bucket.paths(HISTORY) if digits in path.rpartition("/")[2])
        yield from self._local.former(sha256)

    def standing(self) -> Container[str]:
        """See `PictureStore`."""
        seen = Seen()
        for path in self.bucket.paths(IMAGES):
            seen.add(path)
        return seen

    def kept(self, folder: str) -> Iterator[KeptFile]:
        """See `PictureStore`."""
        for each in self.bucket.objects(folder):
            yield KeptFile(each.path, each.size_bytes, each.written_at)
        yield from self._local.kept(folder)

    def remove_kept(self, folder: str, paths: Sequence[str]) -> None:
        """See `PictureStore`."""
        list(self.executor.map(self.bucket.remove, paths))  # raises what one of them did
        self._local.remove_kept(folder, paths)

    def open(self, path: str) -> BinaryIO | None:
        """See `PictureStore`."""
        content = self.bucket.read(path)
        return self._local.open(path) if content is None else io.BytesIO(content)

    def content_sha256(self, path: str) -> str | None:
        """See `PictureStore`."""
        found = self.bucket.look(path)
        return self._local.content_sha256(path) if found is None else self._sha256(path, found)

    def written_at(self, path: str) -> float | None:
        """See `PictureStore`."""
        found = self.bucket.look(path)
        return self._local.written_at(path) if found is None else found.written_at

    def place_finished(self, source: Path, path: str) -> None:
        """See `PictureStore`."""
        try:
            sha256 = file_sha256(source)
        except OSError as error:
            raise StorageError(f"{source}: can't be read ({error.strerror})") from error
        if not self._holds(path, sha256):
            with self.bucket.body(source) as body:
                self.bucket.write(path, body, _about(path, sha256))

    def finished_files(self) -> Callable[[str, int], bool]:
        """See `PictureStore`. By one list: to ask for each file would take as long as to make it."""
        seen = Seen()
        for path in self.bucket.paths(FINISHED):
            seen.add(path)
        return lambda path, size_bytes: path in seen

    def remove_finished(self, path: str) -> bool:
        """See `PictureStore`."""
        self.bucket.remove(path)
        return True

    def keep_manifest(self, path: Path) -> None:
        """See `PictureStore`."""
        self.bucket.upload(MANIFEST, path, _about(MANIFEST).content_type)

    def hurry(self) -> None:
        """See `PictureStore`."""
        self.bucket.hurry()

    def close(self) -> None:
        """See `PictureStore`."""
        self.executor.shutdown()

    def _lock(self, path: str) -> Lock:
        return self._names[hash(path) % _LOCKS]

    def _place(self, name: NewName) -> None:
        if isinstance(name.source, Path):
            self._send(name.source, name)
        elif not self._holds(name.source, name.sha256):
            self._send(self._root / name.source, name)
        elif name.source != name.path:
            self._copy(name.source, name)

    def _send(self, source: Path, name: NewName) -> None:
        """Make a file's content an object. A create-only request comes first: one that stands there is never lost."""
        path, about = name.path, _about(name.path, name.sha256)
        with self.bucket.body(source) as body:
            for _ in range(_LOOKS):
                if self.bucket.create(path, body, about):
                    return
                found = self.bucket.look(path)
                if found is None:
                    continue
                if found.size_bytes == len(body) and self._sha256(path, found) == name.sha256:
                    return  # sent before: by a run that died, or its answer was lost
                self._retire(path, found)
                if self.bucket.replace(path, body, about, found):
                    return
        raise StorageError(f"{self.bucket}/{path}: changes all the time; another program writes there")

    def _copy(self, source: str, name: NewName) -> None:
        """Give an object another name as well, within the store."""
        found = self.bucket.look(name.path)
        if found is not None:
            if self._sha256(name.path, found) == name.sha256:
                return
            self._retire(name.path, found)
        self._copy_whole(source, name.path, name.sha256)

    def _retire(self, path: str, found: Found) -> None:
        """Have an object's content in the history as well, before it loses its name."""
        sha256 = self._sha256(path, found)
        kept = history_path(path, sha256)
        if not self._holds(kept, sha256):
            self._copy_whole(path, kept, sha256)

    def _copy_whole(self, source: str, target: str, sha256: str) -> None:
        if not self.bucket.copy(source, target) or not self._holds(target, sha256):
            raise StorageError(f"{self.bucket}/{target}: the copy of {source} isn't there")

    def _holds(self, path: str, sha256: str) -> bool:
        found = self.bucket.look(path)
        return found is not None and self._sha256(path, found) == sha256

    def _sha256(self, path: str, found: Found) -> str:
        """The SHA-256 of an object's content: what its writer said, which the store compared; or what is read."""
        if found.sha256 is not None:
            return found.sha256
        return hashlib.sha256(self.bucket.read(path) or b"").hexdigest()


def _about(path: str, sha256: str = "") -> About:
    ending = PurePosixPath(path).suffix.lower()
    other = {".csv": "text/csv; charset=utf-8", ".json": "application/json"}
    return About(sha256, _TYPES.get(ending) or other.get(ending, "application/octet-stream"))
