"""Writes a report: gathers, makes thumbnails, and puts the file in its place whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.files import whole_file
from batch_editor.report.gathering import MOST_PICTURES, Gathered, ShownPicture, Source, gather
from batch_editor.report.page import page
from batch_editor.report.thumbnails import thumbnails

FILE_NAME = "report.html"


def write_report(
    sources: Sequence[Source], to: Path, *, say: Callable[[str], None], clock: Callable[[], float] = time.time
) -> None:
    """One HTML file about some output directories, whole under its name or not there at all. Blocks.

    `say` gets a line for what takes long.

    Raises:
        UsageError: nothing has run in one of them.
        MachineError: a ledger can't be read, or the file not be written.
    """
    share = MOST_PICTURES // len(sources)
    found = [gather(source, most_pictures=share) for source in sources]
    chosen = [
        (source.output, each.path, each.sha256)
        for shown in (_rejected, _others)
        for source, gathered in zip(sources, found, strict=True)
        for each in shown(gathered)
    ]
    if len(chosen) > 100:
        say(f"Making {len(chosen):,} small pictures …")
    data = page(found, thumbnails(chosen), now=clock())
    try:
        with whole_file(to) as file:
            file.write(data)
    except OSError as error:
        raise StorageError(f"{to}: can't be written ({error.strerror or error})") from error


def _rejected(found: Gathered) -> Sequence[ShownPicture]:
    return found.rejected


def _others(found: Gathered) -> Sequence[ShownPicture]:
    return found.others
