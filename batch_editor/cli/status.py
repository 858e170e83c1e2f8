"""`batch-editor status`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import verbose
from batch_editor.cli.output import show, tell


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option(
    "--rebuild",
    "rebuilding",
    is_flag=True,
    help="First make a lost or damaged ledger anew from manifest.csv and the images.",
)
@verbose()
def status(output: Path, *, as_json: bool, rebuilding: bool) -> int:
    """Counts by status, money, what is left and why. Also while a run is at work.

    \b
    Example:
      batch-editor status outputs/products
    """
    from batch_editor.recovery.rebuild import rebuild
    from batch_editor.runs.summary import last_summary

    raise_interrupts()
    if rebuilding:
        for line in rebuild(output).lines():
            tell(line)
    show(last_summary(output), as_json=as_json)
    return 0
