"""`batch-editor status`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def status(output: Path, *, as_json: bool) -> int:
    """Counts by status, money, what is left and why. Also while a run is at work.

    \b
    Example:
      batch-editor status outputs/products
    """
    from batch_editor.summary import last_summary

    summary = last_summary(output)
    if as_json:
        import orjson

        click.echo(orjson.dumps(summary.as_json()))
    else:
        for line in summary.lines():
            click.echo(line)
    return 0
