"""Makes one finished file, in another process: what crashes or hangs there costs that file alone."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import orjson

from batch_editor.errors import StorageError
from batch_editor.finished.asked import Wanted
from batch_editor.finishing import CannotFinish, FinishedFile, FinishRules, finish_picture
from batch_editor.ledger import FinishedRow
from batch_editor.output import FinishedFiles
from batch_editor.processes import CallFailed, NewFile, Pool
from batch_editor.text import printable

# What the disk says when no other file could be written either.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class Maker:
    """Makes finished files of an output directory. Threads may share it; all blocks."""

    def __init__(self, files: FinishedFiles, processes: Pool) -> None:
        self._files = files
        self._processes = processes

    def make(self, wanted: Wanted) -> FinishedRow:
        """The row of a file that has its name now, durably, or of why it couldn't be made.

        The row of what stood there has to be forgotten before.

        Raises:
            MachineError: the disk or the bucket refuses, or no process can be started.
        """
        job, rules = wanted.job, wanted.rules
        row = FinishedRow(job.job_id, rules.name, None, rules.digest, job.image_sha256, wanted.by_command)
        try:
            with self._files.staged() as staged:
                made = self._made(wanted, staged)
                if isinstance(made, str):
                    lasts = isinstance(made, _Refused)
                    return row._replace(fault=str(made), rules=rules.refused if lasts else rules.digest)
                self._files.place(staged, wanted.path)
        except StorageError as error:
            if error.transient:
                raise
            return row._replace(fault=printable(str(error)))
        return row._replace(
            path=wanted.path,
            sha256=made.sha256,
            size_bytes=made.bytes,
            format=made.format,
            width=made.width,
            height=made.height,
            notes=orjson.dumps(made.notes).decode(),
            checks=orjson.dumps([asdict(check) for check in made.checks]).decode(),
            failing=sum(not check.ok for check in made.checks),
        )

    def _made(self, wanted: Wanted, staged: Path) -> FinishedFile | str:
        """The staged file, durable, or why there is none.

        Raises:
            MachineError: the disk refuses, or no process can be started.
        """
        assert wanted.job.image_path is not None, "who has no picture is asked for nothing"
        stem = PurePosixPath(wanted.job.output).name
        with self._files.picture(wanted.job.image_path) as picture:
            given = picture, NewFile(staged), wanted.rules, stem, wanted.job.image_sha256
            try:
                try:
                    made = self._processes.call(finished_file, *given)
                except CallFailed:
                    # Once more: its process may have been ended from outside, by a machine out of memory.
                    made = self._processes.call(finished_file, *given)
            except CallFailed as failed:
                return printable(f"it could not be made: {failed}")
        if isinstance(made, _DiskRefuses):
            raise StorageError(f"{staged.parent}: can't be written ({made})")
        return made


class _Refused(str):
    """Why the file can't be made, which comes to the same whenever it is tried."""

    __slots__ = ()


class _DiskRefuses(str):
    """What the system says of a disk that takes no file."""

    __slots__ = ()


def finished_file(
    picture: Path, staged: Path, rules: FinishRules, stem: str, image_sha256: str
) -> FinishedFile | str | _Refused | _DiskRefuses:
    """Make the finished file, durable, or say why not: from another process errors don't come as they are."""
    try:
        made = finish_picture(picture, staged, rules, stem=stem)
        with staged.open("rb") as file:
            os.fsync(file.fileno())
    except CannotFinish as error:
        said = printable(str(error))
        return _Refused(said) if _has(picture, image_sha256) else said
    except OSError as error:
        said = error.strerror or str(error)
        return _DiskRefuses(said) if error.errno in _DISK else printable(f"it could not be made: {said}")
    return made


def _has(picture: Path, sha256: str) -> bool:
    """Whether the picture is the one that came, and no file that was cut or changed since."""
    try:
        with picture.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
