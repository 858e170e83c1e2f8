"""What a power cut may leave of a folder, by the calls that were made before it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.support.system_calls import CREATE, LINK, MKDIR, RENAME, RESIZE, RMDIR, SYNC, UNLINK, WRITE, Call

# Paths below the folder, with what is in a file; None is a folder.
State: TypeAlias = dict[str, bytes | None]
# Whether a change that nothing made durable has come to the disk all the same.
Luck: TypeAlias = Callable[["_Change"], bool]


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """Of a file: bytes at an offset, or with None a new length. Of a folder: what stands under names now."""

    offset: int = 0
    data: bytes | None = None
    entries: tuple[tuple[str, _Node | None], ...] = ()


@dataclass(slots=True, eq=False)
class _Node:
    """A file or a folder: what is durable of it, and what has been done to it since."""

    changes: list[_Change] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _File(_Node):
    solid: bytes = b""

    def content(self, luck: Luck, torn: random.Random | None) -> bytes:
        """With `torn`, the last write that came to the disk came in part."""
        happened = [change for change in self.changes if luck(change)]
        if not happened:
            return self.solid
        last = happened[-1]
        if torn and last.data:
            happened[-1] = _Change(last.offset, last.data[: torn.randrange(len(last.data) + 1)])
        content = bytearray(self.solid)
        for change in happened:
            if change.data is None:
                content = content[: change.offset].ljust(change.offset, b"\0")
            else:
                end = change.offset + len(change.data)
                content = content.ljust(end, b"\0")
                content[change.offset : end] = change.data
        return bytes(content)


@dataclass(slots=True, eq=False)
class _Folder(_Node):
    solid: dict[str, _Node] = field(default_factory=dict)
    now: dict[str, _Node] = field(default_factory=dict)

    def set(self, change: _Change) -> None:
        self.changes.append(change)
        _enter(self.now, change)

    def content(self, luck: Luck) -> dict[str, _Node]:
        content = dict(self.solid)
        for change in self.changes:
            if luck(change):
                _enter(content, change)
        return content


def _enter(content: dict[str, _Node], change: _Change) -> None:
    for name, node in change.entries:
        if node is None:
            content.pop(name, None)
        else:
            content[name] = node


class Disk:
    """A folder that calls are made on, empty at first; its states are what a power cut could leave of it just then.

    fsync makes durable what POSIX says and no more: the bytes and the length of a file, or the names in a folder. With
    `names_follow`, that of a file makes the names durable that lead to it, as on ext4.
    """

    def __init__(self, root: str, inode: int, *, names_follow: bool = False) -> None:
        self._root = root
        self._top = _Folder()
        self._nodes: dict[int, _Node] = {inode: self._top}
        self._names_follow = names_follow

    def make(self, call: Call) -> None:
        """Take in the next call. What was not done below the folder, or to a file without a name, is passed over."""
        if call.kind in (CREATE, MKDIR):
            node = _File() if call.kind == CREATE else _Folder()
            self._nodes[call.inode] = node
            folder, name = self._place(call.path)
            folder.set(_Change(entries=((name, node),)))
        elif call.kind in (WRITE, RESIZE):
            if isinstance(file := self._nodes.get(call.inode), _File):
                file.changes.append(_Change(call.offset, call.data if call.kind == WRITE else None))
        elif call.kind == SYNC:
            self._sync(self._nodes.get(call.inode))
        elif call.kind in (LINK, RENAME):
            self._name(call)
        elif call.kind in (UNLINK, RMDIR):
            folder, name = self._place(call.path)
            folder.set(_Change(entries=((name, None),)))

    def _name(self, call: Call) -> None:
        old, old_name = self._place(call.path)
        new, new_name = self._place(call.other)
        node = old.now[old_name]
        if call.kind == LINK:
            new.set(_Change(entries=((new_name, node),)))
        elif new.now.get(new_name) is node:
            pass  # POSIX: renaming one name of a file to another leaves both
        elif old is new:
            new.set(_Change(entries=((old_name, None), (new_name, node))))
        else:
            # Two folders, and an fsync of each: POSIX doesn't say that both change together.
            new.set(_Change(entries=((new_name, node),)))
            old.set(_Change(entries=((old_name, None),)))

    def _sync(self, node: _Node | None) -> None:
        if isinstance(node, _Folder):
            node.solid = dict(node.now)
            node.changes.clear()
        elif isinstance(node, _File):
            node.solid = node.content(_all, None)
            node.changes.clear()
            if self._names_follow:
                self._sync_names(self._top, node)

    def _sync_names(self, folder: _Folder, file: _File) -> bool:
        """Make the names durable on the way to a file; whether there are any below that folder."""
        leads = [
            node is file or (isinstance(node, _Folder) and self._sync_names(node, file)) for node in folder.now.values()
        ]
        if any(leads):
            self._sync(folder)
        return any(leads)

    def least(self) -> State:
        """Only what was made durable."""
        return self._state(lambda _: False, None)

    def most(self) -> State:
        """Everything that was done."""
        return self._state(_all, None)

    def some(self, rng: random.Random) -> State:
        """Some of what was not made durable, in any order, and the last writes in part."""
        share = rng.random()
        chosen: dict[int, bool] = {}
        return self._state(lambda change: chosen.setdefault(id(change), rng.random() < share), rng)

    def _state(self, luck: Luck, torn: random.Random | None) -> State:
        return dict(_walk(self._top, "", luck, torn))

    def _place(self, path: str) -> tuple[_Folder, str]:
        *folders, name = path.removeprefix(f"{self._root}/").split("/")
        folder = self._top
        for each in folders:
            below = folder.now[each]
            assert isinstance(below, _Folder)
            folder = below
        return folder, name


def _all(_: _Change) -> bool:
    return True


def _walk(folder: _Folder, path: str, luck: Luck, torn: random.Random | None) -> Iterator[tuple[str, bytes | None]]:
    for name, node in folder.content(luck).items():
        if isinstance(node, _Folder):
            yield f"{path}{name}", None
            yield from _walk(node, f"{path}{name}/", luck, torn)
        # SQLite's index of its log is made anew by whoever comes first, and a lock has nothing to say.
        elif isinstance(node, _File) and not name.endswith(("-shm", ".lock")):
            yield f"{path}{name}", node.content(luck, torn)
