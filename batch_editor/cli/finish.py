"""`batch-editor finish`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import config_option, json_option, on_option, verbose
from batch_editor.cli.output import show, tell


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    "presets",
    metavar="NAME",
    multiple=True,
    help="Only this: a preset, or a preset's file, also where no manifest asks for it; or a NAME of the manifest's"
    " finish. Repeatable.",
)
@config_option
@on_option
@json_option
@verbose()
def finish(output: Path, presets: tuple[str, ...], config: Path | None, on: str | None, *, as_json: bool) -> int:
    """Make finished files from the pictures that are there: each marketplace's size, border and format. Costs nothing.

    Those that are missing or whose picture or rules have changed. Exit 1 where some could not be made.

    \b
    Example:
      batch-editor finish outputs/catalog --preset amazon-main
    """
    from batch_editor.config import load_settings
    from batch_editor.finished import finish_output

    settings = load_settings(config, flags={"run": {"on": on}})
    raise_interrupts()
    outcome = finish_output(output, settings.finish, presets, say=tell, on=settings.run.on)
    show(outcome, as_json=as_json)
    return outcome.exit_code
