"""`batch-editor prune`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import json_option, verbose
from batch_editor.cli.output import show, tell


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--keep", metavar="AGE", required=True, help="Keep what is younger: 30d, 12h, 8w; 0d keeps nothing.")
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@json_option
@verbose()
def prune(output: Path, keep: str, *, dry_run: bool, as_json: bool) -> int:
    """Remove old former images, answers that are no result, and the review page's cache.

    The images of the manifest's jobs stay, rejected ones too, and so does all that is known of money.

    \b
    Example:
      batch-editor prune outputs/catalog --keep 30d --dry-run
    """
    from batch_editor.config import read_duration
    from batch_editor.errors import UsageError
    from batch_editor.pruning import prune_output

    age = read_duration(keep.strip())
    if age is None:
        raise UsageError(f"--keep is {keep!r}; expected an age such as 30d, 12h or 8w")
    raise_interrupts()
    show(prune_output(output, age, dry_run=dry_run, say=tell), as_json=as_json)
    return 0
