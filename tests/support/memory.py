"""What processes hold of the memory, by the kernel's word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def memory_mb(pid: int) -> float:
    """The proportional set size of a process and those that it started."""
    return sum(_pss_kib(each) for each in _family(pid)) * 1024 / 1e6


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            for child in (task / "children").read_text(encoding="utf-8").split():
                yield from _family(int(child))


def _pss_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
