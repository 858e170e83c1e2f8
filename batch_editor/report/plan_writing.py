"""Writes the page about a plan: gathers, makes small pictures, and puts the file in its place whole."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.files import whole_file
from batch_editor.planning import Planned, SavedPlan
from batch_editor.report.plan_gathering import Commands, GatheredPlan, gather_plan
from batch_editor.report.rendering import rendered
from batch_editor.report.thumbnails import thumbnails_of_files

# With the rest of the page it stays below 2 MB.
MOST_BYTES = 1_200_000
LENGTH = 160


def write_plan_report(
    planned: Planned,
    to: Path,
    commands: Commands,
    *,
    saved: SavedPlan | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """One HTML file about a plan, for who decides: whole under its name or not there at all. Blocks.

    While the plan's jobs are staged. Sends nothing, and changes nothing but the file.

    Raises:
        StorageError: the file can't be written.
        LedgerError: what the day and the month have spent can't be read.
    """
    now = clock()
    found = gather_plan(planned, commands, saved, now=now)
    data = page(found, now=now)
    try:
        with whole_file(to) as file:
            file.write(data)
    except OSError as error:
        raise StorageError(f"{to}: can't be written ({error.strerror or error})") from error


def page(found: GatheredPlan, *, now: float) -> bytes:
    """The page, with small pictures of inputs that are on this machine."""
    shown = [
        *(each for example in found.examples for each in example.shown),
        *found.inputs.shown,
    ]
    files = {each.link: each.file for each in shown}
    times = Counter(each.link for each in shown)
    small = thumbnails_of_files(files, times, length=LENGTH, most_bytes=MOST_BYTES)
    return rendered("plan.html", small, now=now, found=found, plan=found.plan)
