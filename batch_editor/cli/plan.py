"""`batch-editor plan`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import gc
from typing import Any

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import find_manifests, redo_from, selection_from, settings_from, shared
from batch_editor.cli.output import show, tell


@click.command()
@shared
@click.option(
    "--compare",
    "over",
    metavar="NAME=V1,V2",
    multiple=True,
    help="What compare --over would cost, for its few jobs and for all; repeatable.",
)
def plan(**options: Any) -> int:
    """Say what a run would cost and how long it would take. Sends nothing, needs no key.

    \b
    Example:
      batch-editor plan jobs/products.csv --max-cost 25
    """
    return show_plan({**options, "over_option": "--compare"})


def show_plan(options: dict[str, Any]) -> int:
    """Print the plan; return the exit code."""
    find_manifests(options)
    settings = settings_from(options)
    selection = selection_from(options)

    from batch_editor.planning import make_plan

    raise_interrupts()
    gc.freeze()  # what the libraries made, which collections would look at again and again
    made = make_plan(
        options["manifests"],
        settings,
        selection=selection,
        output=options["output"],
        history=options["history"],
        redo=redo_from(options),
        reuse=options["reuse"],
        check_inputs=options["check_inputs"],
        say=tell,
    )
    for warning in made.warnings:
        tell(f"warning: {warning}")
    show(made, as_json=options["as_json"])
    return made.exit_code
