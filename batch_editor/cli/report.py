"""`batch-editor report`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import verbose
from batch_editor.cli.output import tell, written
from batch_editor.cli.paths import NAMED_PATH
from batch_editor.text import escape_bytes


@click.command()
@click.argument("outputs", metavar="OUT…", nargs=-1, required=True, type=NAMED_PATH)
@click.option("--to", "target", metavar="FILE", type=NAMED_PATH, help="Where to; default: OUT/report.html.")
@verbose()
def report(outputs: tuple[Path, ...], target: Path | None) -> int:
    """One HTML file to keep and to mail: jobs, money, plan against actual, plots, failures, small pictures.

    It refers to nothing outside itself and needs no scripts. Several OUT come into one file. Also while a run is at
    work.

    \b
    Example:
      batch-editor report outputs/catalog
    """
    from batch_editor.report import Source, write_report
    from batch_editor.report.writing import FILE_NAME
    from batch_editor.runs.plan_comparison import why_they_differ

    if target is None and len(outputs) > 1:
        raise click.UsageError("several OUT come into one file; say where: --to FILE")
    raise_interrupts()
    sources = [Source(output, why_they_differ) for output in dict.fromkeys(outputs)]
    to = outputs[0] / FILE_NAME if target is None else target
    write_report(sources, to, say=tell)
    with written():
        click.echo(escape_bytes(f"Report: {to}"))
    return 0
