"""`batch-editor explain`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import verbose
from batch_editor.cli.output import show
from batch_editor.text import escape_bytes


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("job_id", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output; times in UTC.")
@verbose()
def explain(output: Path, job_id: str, *, as_json: bool) -> int:
    """One job's whole story: requests, attempts, waits, statuses, charges, files, verdicts. JOB is its id.

    \b
    Example:
      batch-editor explain outputs/catalog mug
    """
    from batch_editor.history import story_of

    raise_interrupts()
    show(story_of(output, escape_bytes(job_id)), as_json=as_json)
    return 0
