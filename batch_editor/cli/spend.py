"""`batch-editor spend`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import io
from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import verbose
from batch_editor.cli.output import written
from batch_editor.text import escape_bytes


@click.command()
@click.argument("outputs", metavar="[OUT…]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    *("--by", "by"),
    metavar="GROUP",
    default="day",
    show_default=True,
    help="day, month (both of UTC), run, endpoint, template (the manifest's entry), or column:NAME, a column of the"
    " manifest's rows.",
)
@click.option(
    *("--format", "form"),
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="csv has no row of totals, and formulas in it are defused.",
)
@click.option(
    *("-c", "--config"),
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings, for budget.ledger; default: config.yaml in the working directory if there is one.",
)
@verbose()
def spend(outputs: tuple[Path, ...], by: str, form: str, config: Path | None) -> int:
    """What was spent: confirmed and possibly billed apart, over output directories.

    Without OUT: by day, month or endpoint, over all runs that share budget.ledger. Also while a run is at work.

    \b
    Example:
      batch-editor spend outputs/catalog --by month
      batch-editor spend outputs/* --by column:shelf --format csv > shelves.csv
    """
    import orjson

    from batch_editor.config import load_settings
    from batch_editor.frames import By, shared_by, spent_by
    from batch_editor.money import shared_days

    raise_interrupts()
    grouping = By.parse(by)
    if outputs:
        spent = spent_by(outputs, grouping)
    else:
        settings = load_settings(config)
        spent = shared_by(shared_days(settings), grouping, ledger=str(settings.budget.ledger))
    with written():
        if form == "csv":
            text = io.StringIO()
            spent.write_csv(text)
            click.echo(escape_bytes(text.getvalue()), nl=False)
        elif form == "json":
            click.echo(orjson.dumps(spent.as_json()))
        else:
            for line in spent.lines():
                click.echo(escape_bytes(line))
    return 0
