"""`batch-editor history`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import verbose
from batch_editor.cli.output import show


@click.command()
@click.argument("outputs", metavar="OUT…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output; times in UTC.")
@verbose()
def history(outputs: tuple[Path, ...], *, as_json: bool) -> int:
    """Every run on record, the newest last: when, jobs, money, plan against actual, how it ended and why.

    Also while a run is at work.

    \b
    Example:
      batch-editor history outputs/catalog
    """
    from batch_editor.history import History, history_of

    raise_interrupts()
    show(History([history_of(output) for output in dict.fromkeys(outputs)]), as_json=as_json)
    return 0
