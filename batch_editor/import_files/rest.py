"""The pictures that stay as they are, listed with their reasons as CSV: a row for each job, or for the picture."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO

from batch_editor.import_files.pictures import Old
from batch_editor.output import defused
from batch_editor.text import printable

COLUMNS = ("line", "product", "image", "job_id", "status", "error_kind", "reason")
# Said on standard error where there is no file to list them in.
SHOWN = 20


class Rest:
    """Writes the list. `pictures` counts them, `reasons` the words that say why; `shown` has the first ones."""

    def __init__(self, file: BinaryIO) -> None:
        self.pictures = 0
        self.reasons: Counter[str] = Counter()
        self.shown: list[str] = []
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def add(self, line: int, product: str, link: str, reasons: Sequence[Old]) -> None:
        """A picture that stays, and why: a reason for each job that it has."""
        self.pictures += 1
        self.reasons[reasons[0].why] += 1
        for old in reasons:
            job = (None, None, None) if old.job is None else (old.job.job_id, old.job.status, old.job.error_kind)
            self._writer.writerow([line, *map(_cell, (product, link, *job, old.reason))])
            if len(self.shown) < SHOWN:
                whose = link if old.job is None else f"job {old.job.job_id}"
                self.shown.append(printable(f"line {line}: {whose}: {old.reason}"))

    def end(self) -> None:
        """Let go of the file, which has all of it."""
        self._text.detach()


def _cell(text: str | None) -> str | None:
    return None if text is None else defused(text)
