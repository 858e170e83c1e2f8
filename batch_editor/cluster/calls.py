"""What a call is on its way to a node, and how it is made there. Knows nothing of Ray."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from batch_editor.errors import MachineError
from batch_editor.processes import CallFailed, NewFile, Processes

PACKAGE = "batch_editor"
# In the folder of proof: what the driver wrote. Each node adds a file that is called like itself.
FROM_DRIVER = "from-driver"


class Proof(NamedTuple):
    """What makes a node fit: this version, and a folder in which it sees what the driver wrote, `token`.

    `folder`: None where files travel with the calls.
    """

    version: str
    folder: Path | None
    token: str


class Sent(NamedTuple):
    """A file's content, in the place of its path."""

    data: bytes


class Call(NamedTuple):
    """A function and what it is called with; of files that the nodes don't see, `Sent`."""

    function: Callable[..., Any]
    args: Sequence[Any]
    named: Mapping[str, Any]


class Outcome(NamedTuple):
    """What became of a call.

    written: the files that it wrote and the driver can't see, in the order of its arguments.
    failed: why the call has no result, if so.
    refused: why no call can be made on that node, if so.
    """

    result: Any = None
    written: tuple[bytes, ...] = ()
    failed: str | None = None
    refused: str | None = None


class Opening(NamedTuple):
    """The first message to the driver: the cluster, what each node must have, and how calls are made.

    start_s: how long a node may take to answer at first. limit_s: of one call, once it is made.
    retries: how often a call is made again whose node was lost, or its worker.
    """

    address: str
    proof: Proof
    start_s: float
    limit_s: float
    retries: int


class Opened(NamedTuple):
    """What it answers: how many cores the nodes have, or what is wrong."""

    cores: int = 0
    faults: tuple[str, ...] = ()


def installed_version() -> str:
    """The version of this package; a word for none."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "of no known version"


def unfit(proof: Proof) -> str | None:
    """What is wrong with the node that this is called on, in words that follow its name; None if nothing is."""
    here = _version_here()
    if here != proof.version:
        return f"has {PACKAGE} {here}, and the driver {proof.version}; install the same one on every node"
    if proof.folder is None:
        return None
    try:
        seen = (proof.folder / FROM_DRIVER).read_text(encoding="ascii")
        why = None if seen == proof.token else "another one is there"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    if why is None:
        return None
    return (
        f"doesn't see {proof.folder.parent} as the driver does ({why}); mount the same folder at that path on every"
        " node, or keep pictures in a bucket (outputs.images)"
    )


def prove(proof: Proof, name: str) -> str | None:
    """As `unfit`; and write what the driver is to see, under that name."""
    if (found := unfit(proof)) is not None or proof.folder is None:
        return found
    path = proof.folder / name
    try:
        with path.open("w", encoding="ascii") as file:
            file.write(proof.token)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"can't write to {proof.folder.parent} ({error.strerror}); let its user write there"
    return None


def carried_out(call: Call, proof: Proof, limit_s: float) -> Outcome:
    """Make the call, in a process beside this one: what crashes or hangs there is an outcome, and not made again."""
    if (found := unfit(proof)) is not None:
        return Outcome(refused=f"node {_here()} {found}")
    with ExitStack() as stack:
        files = _Files(stack, is_shared=proof.folder is not None)
        try:
            result = _processes(limit_s).call(
                call.function,
                *[files.of(value) for value in call.args],
                **{name: files.of(value) for name, value in call.named.items()},
            )
            return Outcome(result, files.written())
        except CallFailed as failed:
            return Outcome(failed=str(failed))
        except (MachineError, OSError) as error:  # of our own work with its files; the function's are handled above
            return Outcome(refused=f"node {_here()} can't work: {error}")


class _Files:
    """The files of one call, as paths. What it writes has another name meanwhile.

    A node that is taken for lost, and isn't, does the same as the one that does its work again.
    """

    def __init__(self, stack: ExitStack, *, is_shared: bool) -> None:
        self._stack = stack
        self._is_shared = is_shared
        self._folder: Path | None = None
        self._new: list[tuple[Path, NewFile]] = []

    def of(self, value: Any) -> Any:
        """What stands for a value of the call."""
        match value:
            case Sent(data):
                path = self._temporary()
                path.write_bytes(data)
                return path
            case NewFile():
                beside = value.with_name(f"{value.name}.{secrets.token_hex(4)}") if self._is_shared else None
                path = Path(beside or self._temporary())
                self._stack.callback(path.unlink, missing_ok=True)
                self._new.append((path, value))
                return path
            case list():
                return [self.of(each) for each in value]
            case _:
                return value

    def written(self) -> tuple[bytes, ...]:
        """The new files that the driver can't see; others get their names. One that wasn't written stays away."""
        if not self._is_shared:
            return tuple(path.read_bytes() if path.exists() else b"" for path, _ in self._new)
        for path, name in self._new:
            if path.exists():
                path.replace(name)
        return ()

    def _temporary(self) -> Path:
        if self._folder is None:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="batch-editor-")))
        return self._folder / secrets.token_hex(4)


def _here() -> str:
    return os.uname().nodename


@lru_cache(maxsize=1)
def _version_here() -> str:
    return installed_version()


@lru_cache(maxsize=1)
def _processes(limit_s: float) -> Processes:
    """One process for all calls that this worker of Ray's ever makes, one after another."""
    return Processes(1, limit_s=limit_s)
