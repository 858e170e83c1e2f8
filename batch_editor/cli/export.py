"""`batch-editor export`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import verbose
from batch_editor.cli.output import written
from batch_editor.errors import StorageError


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "parquet"]),
    default="csv",
    show_default=True,
    help="csv defuses formulas; jsonl and parquet hold values as they are.",
)
@click.option("--to", "target", metavar="FILE", default="-", show_default=True, help="Where to; - is standard output.")
@verbose()
def export(output: Path, form: Literal["csv", "jsonl", "parquet"], target: str) -> int:
    """Write the output manifest again, from the ledger.

    \b
    Example:
      batch-editor export outputs/products --format jsonl --to products.jsonl
    """
    from batch_editor.ledger import readings
    from batch_editor.output import export_rows, verdicts_of

    raise_interrupts()
    with readings.reading(output) as db:
        verdicts = verdicts_of(db, output)
        if target == "-":
            with written():
                export_rows(db, sys.stdout.buffer, form, verdicts=verdicts)
                sys.stdout.buffer.flush()
            return 0
        try:
            with Path(target).open("wb") as file:
                export_rows(db, file, form, verdicts=verdicts)
        except OSError as error:
            raise StorageError(f"{target}: can't be written ({error.strerror})") from error
    return 0
