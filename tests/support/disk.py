"""A small file system of its own, which fills up as a real disk does: it is one. Root alone mounts it."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

MB = 2**20


class Disk:
    """A file system of its own in memory, as small as wanted."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def mount(self, kilobytes: int, *, at: Path | None = None) -> None:
        self.place = at or self.place
        self.place.mkdir(parents=True, exist_ok=True)
        _do("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(self.place))

    def unmount(self) -> None:
        """Also where it isn't mounted, and where something is still open on it."""
        subprocess.run(["umount", "-l", self.place], check=False, capture_output=True)

    def change(self, *options: str) -> None:
        _do("mount", "-o", ",".join(["remount", *options]), str(self.place))

    def fill(self) -> None:
        """Leave not a byte free."""
        with (self.place / "filler").open("ab", buffering=0) as file:
            for size in (MB, 4096):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        assert self.free < 4096

    def empty(self) -> None:
        """Take away what it was filled with."""
        (self.place / "filler").unlink()

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.place).free


def _do(*command: str) -> None:
    """As root, which makes small file systems."""
    subprocess.run(command, check=True, capture_output=True, timeout=10)
