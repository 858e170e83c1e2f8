"""Where what is spent of an approved plan is counted: beside its file, and in the same place by each copy of that."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import platformdirs

from batch_editor.errors import UsageError
from batch_editor.files import fsync_directory, open_regular
from batch_editor.naming import safe_output


def spent_file(plan: Path, plan_id: str) -> Path:
    """Where what is spent of an approved plan is counted, unless `budget.ledger` is set: beside its file.

    By the plan's id: a file that is renamed when it is approved, or copied, must not give the amount again.

    >>> spent_file(Path("/plans/spring.json"), "20261127T154819-7416a3")
    PosixPath('/plans/plan-20261127T154819-7416a3.spent')
    """
    return plan.resolve().with_name(f"plan-{safe_output(plan_id, folders=False)}.spent")


def place_of_count(plan: Path, plan_id: str) -> Path:
    """The file in which what is spent of an approved plan is counted; it is there when this returns. Blocks.

    The user's state folder notes the file of the first run. So neither a copy of the plan in another folder nor a count
    that was removed gives the amount again; one that was moved together with its plan is noted anew.

    Raises:
        UsageError: it can't be made or written, or it is gone.
    """
    beside = spent_file(plan, plan_id)
    with _note(plan_id) as note:
        noted = None if note is None else note.read()
        place = beside if not noted else _in_place(Path(os.fsdecode(noted)), beside)
        _expect_writable(place)
        if note is not None and noted != os.fsencode(place):
            note.seek(0)
            note.truncate()
            note.write(os.fsencode(place))
            note.flush()
            os.fsync(note.fileno())
    return place


def _in_place(noted: Path, beside: Path) -> Path:
    for place in (noted, beside):  # beside, where they were moved together
        with suppress(OSError, ValueError):
            place.stat()
            return place
    raise UsageError(
        f"{noted}: what is spent of the approved plan is counted there, and it is gone. Put it back, or beside the"
        " plan's file; or save a plan anew with `plan --save`, and have that approved"
    )


@contextmanager
def _note(plan_id: str) -> Iterator[BinaryIO | None]:
    """The note of where a plan is counted, which other runs wait for; None where the user has no state folder."""
    file = _open_note(plan_id)
    if file is None:
        yield None
        return
    with file:
        yield file


def _open_note(plan_id: str) -> BinaryIO | None:
    try:
        folder = platformdirs.user_state_path("batch_editor", appauthor=False) / "approved"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / safe_output(plan_id, folders=False)
        file = os.fdopen(open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        fsync_directory(folder)
    except (OSError, RuntimeError):  # a user without a home, as containers may have
        return None
    return file


def _expect_writable(file: Path) -> None:
    try:
        os.close(open_regular(file, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise UsageError(
            f"{file}: what is spent of the approved plan can't be counted there ({error.strerror or error}). Put the"
            " plan's file into a folder that runs can write, or have budget.ledger name what they share of spending"
        ) from error
