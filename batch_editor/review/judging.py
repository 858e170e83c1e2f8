"""What people say of pictures, on its way to the file of verdicts: who, when, and of which pictures."""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from batch_editor.errors import BatchEditorError, UsageError
from batch_editor.ledger import readings, review_readings
from batch_editor.review.filters import Filter
from batch_editor.review.index import Snapshot
from batch_editor.verdicts import FILE_NAME, Picture, Unchanged, Verdicts, VerdictWord
from batch_editor.verdicts.entries import checked_name


def system_user() -> str:
    """Who has started this process, by the name that the system knows; a container's may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


class Conflict(BatchEditorError):
    """What is asked for isn't what is there by now. `count`: how many pictures the filter chooses."""

    def __init__(self, message: str, count: int | None = None) -> None:
        super().__init__(message)
        self.count = count


class Judge:
    """Gives verdicts in one person's name. Everything blocks; threads may share it.

    The file is made with the first verdict. `has_judged`: whether anything was said or taken back.

    Raises:
        UsageError: the name is none.
    """

    def __init__(self, output: Path, by: str) -> None:
        self.by = checked_name(by)
        self.has_judged = False
        self._output = output
        self._lock = threading.Lock()  # of opening the file
        self._file: Verdicts | None = None

    @property
    def read_only(self) -> str | None:
        """Why nobody can say anything; None if one can."""
        path = self._output / FILE_NAME
        if os.access(path if path.exists() else self._output, os.W_OK):
            return None
        return f"{self._output} can't be written, so verdicts can't be kept"

    def give(
        self,
        pictures: Sequence[Picture],
        *,
        verdict: VerdictWord | Unchanged | None,
        note: str | Unchanged | None,
        now: float,
    ) -> int:
        """Say something of pictures; return the number by which `undo` takes it back.

        Raises:
            UsageError: the note is none.
            MachineError: it can't be kept.
        """
        batch = self._verdicts().give(pictures, verdict=verdict, note=note, by=self.by, now=now)
        self.has_judged = True
        return batch

    def undo(self, batch: int, *, now: float) -> list[Picture]:
        """Take back what was said at once; return the pictures of which something else holds now.

        Raises:
            MachineError: it can't be kept.
        """
        undone = self._verdicts().undo(batch, by=self.by, now=now)
        self.has_judged = True
        return undone

    def of_filter(self, snapshot: Snapshot, query: object, *, expect: object) -> list[Picture]:
        """The pictures that a filter chooses, each once.

        Raises:
            UsageError: it is no filter.
            Conflict: jobs with a picture are more or fewer than the page has shown.
        """
        if not isinstance(query, str) or not isinstance(expect, int):
            raise UsageError("a filter is a text, with the number of pictures that is expected of it (expect)")
        jobs = [job.picture for job in Filter.parse(query.removeprefix("?")).chosen(snapshot)]
        pictures = [picture for picture in jobs if picture is not None]
        if len(pictures) != expect:
            raise Conflict("the pictures of that filter have changed", len(pictures))
        return list(dict.fromkeys(pictures))

    def known(self, snapshot: Snapshot, pictures: Sequence[Picture]) -> list[Picture]:
        """These pictures, each once, of which the ledger knows every one.

        Raises:
            Conflict: it doesn't.
        """
        distinct = list(dict.fromkeys(pictures))
        others = []
        for picture in distinct:
            job = snapshot.job_of(picture.fingerprint)
            if job is None or job.picture != picture:
                others.append(picture)
        if others:
            # Former ones, or those of a moment ago: a run may just have made a picture again.
            with readings.reading(self._output) as db:
                attempts = review_readings.attempts_of(db, *{picture.fingerprint for picture in others})
            if not {*others} <= {(each.fingerprint, each.sha256) for each in attempts}:
                raise Conflict("there is no such picture any more; load the page again")
        return distinct

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def _verdicts(self) -> Verdicts:
        with self._lock:
            if self._file is None:
                self._file = Verdicts(self._output / FILE_NAME)
            return self._file
