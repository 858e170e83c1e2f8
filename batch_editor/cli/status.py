"""`batch-editor status`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import json_option, verbose
from batch_editor.cli.output import show, tell


@click.command()
@click.argument("outputs", metavar="OUT…", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
@click.option(
    "--rebuild",
    "rebuilding",
    is_flag=True,
    help="First make a lost or damaged ledger anew from manifest.csv and the images.",
)
@verbose()
def status(outputs: tuple[Path, ...], *, as_json: bool, rebuilding: bool) -> int:
    """Counts by status, money, what is left and why. Also while a run is at work.

    Of several OUT, such as the shards of a manifest, the sums, and a line for each.

    \b
    Example:
      batch-editor status outputs/catalog
    """
    from batch_editor.recovery.rebuild import rebuild
    from batch_editor.runs.several import last_summaries
    from batch_editor.runs.summary import last_summary

    raise_interrupts()
    named = list(dict.fromkeys(outputs))
    for output in named if rebuilding else ():
        for line in rebuild(output).lines():
            tell(line)
    show(last_summary(named[0]) if len(named) == 1 else last_summaries(named), as_json=as_json)
    return 0
