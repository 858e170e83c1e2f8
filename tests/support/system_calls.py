"""What a process does to a folder and to the network, call by call; and its death at one of them. Linux, with a C
compiler: system_calls.c is built when it is needed and loaded by LD_PRELOAD, so SQLite's own writes are seen as well.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import need_c_compiler

SOURCE = Path(__file__).with_name("system_calls.c")

# Letters of the calls, as the library writes them.
CREATE, WRITE, RESIZE, SYNC, MKDIR, RENAME, LINK, UNLINK, RMDIR, SEND, RECEIVE = "cwtsmrludnv"
NETWORK = SEND + RECEIVE
DISK = CREATE + WRITE + RESIZE + SYNC + MKDIR + RENAME + LINK + UNLINK + RMDIR

_HEAD = struct.Struct("<cQqIII")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that succeeded. `other` is the new name of a rename or a link; `offset` the length of a resize."""

    kind: str
    inode: int
    offset: int
    path: str
    other: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Death:
    """The call at which a process dies: the n-th one of these kinds whose path, or new name, matches the pattern."""

    kinds: str
    pattern: str
    after: bool
    nth: int


def build(folder: Path, *, source: Path = SOURCE) -> Path:
    """The library of that source, made in that folder."""
    need_c_compiler()
    library = folder / f"{source.stem}.so"
    compiler = ("cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread")
    subprocess.run(compiler, check=True)
    return library


def watch(folder: Path, *, log: Path | None = None, death: Death | None = None) -> list[str | int]:
    """What to tell the library."""
    death = death or Death("", "", after=False, nth=0)
    return [str(folder), str(log or ""), death.kinds, death.pattern, int(death.after), death.nth]


def read_log(log: Path) -> Iterator[Call]:
    """The calls in the order of their effects."""
    data = log.read_bytes()
    at = 0
    while at < len(data):
        kind, inode, offset, *lengths = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        texts = []
        for length in lengths:
            texts.append(data[at : at + length])
            at += length
        yield Call(kind.decode(), inode, offset, texts[0].decode(), texts[1].decode(), texts[2])
