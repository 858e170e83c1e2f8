"""`batch-editor init`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import config_option, verbose
from batch_editor.cli.output import written
from batch_editor.text import escape_bytes


@click.command()
@click.argument("source", type=click.Path())
@click.option(
    "--to",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the manifest goes; default: jobs/<the source's stem>.yaml.",
)
@click.option("--force", is_flag=True, help="Overwrite the manifest if it is there.")
@config_option
@click.option("--endpoint", metavar="NAME", help="The one that the manifest is for: a name, or a file.")
@verbose()
def init(source: str, to: Path | None, config: Path | None, endpoint: str | None, *, force: bool) -> int:
    """Look at a shop's export, a table or a folder of pictures, and write a first manifest that plans as it stands.

    Prints the commands that come next. Sends nothing, needs no key.

    \b
    Example:
      batch-editor init jobs/products.csv
    """
    from batch_editor.config import load_settings
    from batch_editor.init import begin

    raise_interrupts()
    settings = load_settings(config, flags={"endpoint": endpoint})
    beginning = begin(source, settings, to=to, force=force, config=config, endpoint=endpoint)
    with written():
        for line in beginning.lines():
            click.echo(escape_bytes(line))
    return 0
