"""Files that can be made again, kept below `OUT/.review`: thumbnails, and input pictures that were fetched.

Safe to delete at any time. Where it can't be written, or is a link to elsewhere, a folder for temporary files serves.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from batch_editor.files import open_regular
from batch_editor.output import PAGE_CACHE, place_in_cache

MOST_BYTES = 512 * 2**20
# Not one by one: to look at all files takes a second for 50,000 of them.
_LEFT = 0.8


class Cache:
    """Files by keys, whatever these are. Everything blocks; threads may share it.

    The oldest go when they are more than `most_bytes` together.
    """

    def __init__(self, output: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()  # of the size, and of making room
        self._root = output / PAGE_CACHE
        if not _is_ours(self._root):
            self._temporary = tempfile.TemporaryDirectory(prefix="batch-editor-review-")
            self._root = Path(self._temporary.name)
        self._size_bytes = sum(size for _, size, _ in self._files())

    def path_of(self, key: str) -> Path | None:
        """The file of a key, None if it isn't there."""
        path = self._place(key)
        try:
            os.close(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW))
        except OSError:
            return None
        return path

    def read(self, key: str) -> bytes | None:
        """The content of a key's file, None if it isn't there."""
        try:
            with open(self._place(key), "rb", opener=_opened) as file:
                return file.read()
        except OSError:
            return None

    def put(self, key: str, data: bytes) -> Path:
        """Keep that as the file of a key; return where.

        Raises:
            OSError: it can't be written.
        """
        with tempfile.NamedTemporaryFile(dir=self._root, prefix=".part-", delete=False) as part:
            part.write(data)
        return self.take(key, Path(part.name), len(data))

    def part(self) -> Path:
        """Where a file may be written that `take` takes; whoever asks for it removes it otherwise."""
        descriptor, name = tempfile.mkstemp(dir=self._root, prefix=".part-")
        os.close(descriptor)
        return Path(name)

    def take(self, key: str, part: Path, size_bytes: int) -> Path:
        """Make a part the file of a key; return where.

        Raises:
            OSError: it can't be moved there; the part is removed.
        """
        path = self._place(key)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if path.parent.is_symlink():
                raise NotADirectoryError(str(path.parent))
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        with self._lock:
            self._size_bytes += size_bytes
            if self._size_bytes > self._most_bytes:
                self._make_room(path)
        return path

    def close(self) -> None:
        """Remove what isn't kept in the output directory."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _place(self, key: str) -> Path:
        return place_in_cache(self._root, key)

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        for folder in self._root.iterdir():
            if folder.is_symlink() or not folder.is_dir():
                continue
            for path in folder.iterdir():
                with suppress(OSError):  # another server may have removed it
                    status = path.lstat()
                    found.append((status.st_mtime, status.st_size, path))
        return found

    def _make_room(self, newest: Path) -> None:
        files = sorted(self._files())
        self._size_bytes = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._size_bytes <= _LEFT * self._most_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                self._size_bytes -= size


def _is_ours(folder: Path) -> bool:
    """Whether there is now a folder that we alone may write, and that is no link to elsewhere."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        with tempfile.TemporaryFile(dir=folder):
            return not folder.is_symlink() and status.st_uid == os.getuid()
    except OSError:
        return False


def _opened(path: str, flags: int) -> int:
    return open_regular(path, flags | os.O_NOFOLLOW)
