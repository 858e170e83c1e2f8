"""`batch-editor plan`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_editor.cli.given import find_manifests, redo_from, selection_from, settings_from
from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import shared
from batch_editor.cli.output import show, tell
from batch_editor.cli.plan_commands import commands_of
from batch_editor.text import printable, quoted

if TYPE_CHECKING:
    from batch_editor.planning import Plan, Planned, SavedPlan, SaveTo


@click.command()
@shared
@click.option(
    "--compare",
    "over",
    metavar="NAME=V1,V2",
    multiple=True,
    help="What compare --over would cost, for its few jobs and for all; repeatable.",
)
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write what would be sent, and the settings that cost, to a file that is approved; see run --plan.",
)
@click.option("--approved-by", metavar="NAME", help="Who approves the plan that --save writes.")
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write one HTML file for who decides: counts, prices and where they are from, examples, the commands.",
)
def plan(**options: Any) -> int:
    """Say what a run would cost and how long it would take. Sends nothing, needs no key.

    \b
    Example:
      batch-editor plan jobs/catalog.csv --max-cost 25
    """
    return show_plan({**options, "over_option": "--compare"})


def show_plan(options: dict[str, Any]) -> int:
    """Print the plan; return the exit code."""
    find_manifests(options)
    settings = settings_from(options)
    selection = selection_from(options)

    from batch_editor.planning import expect_approved, make_plan, read_approved, save_plan

    to, saved, approved = _save_to(options), None, options.get("plan")
    page = _page(options)
    plan_file = None if approved is None else read_approved(approved)

    def look(planned: Planned) -> None:
        """Look whether the plan is the approved one, and write what is asked for of it, while its jobs are there."""
        nonlocal saved
        if approved is not None and plan_file is not None:
            found = expect_approved(
                *(approved, plan_file, planned.staging, planned.catalog, planned.settings),
                redo=planned.redo,
                shard=planned.selection.shard,
            )
            for line in found.said:
                tell(line)
        if to is not None:
            saved = save_plan(planned, to, now=time.time())
        if page is not None:
            _report(planned, page, saved)

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
        look=look,
    )
    for warning in made.warnings:
        tell(f"warning: {warning}")
    show(_WithFile(made, saved), as_json=options["as_json"])
    return made.exit_code


def _save_to(options: dict[str, Any]) -> SaveTo | None:
    """Where the plan is to be saved, and who approves it.

    Raises:
        click.UsageError: somebody approves nothing, or nobody does; or it isn't to be saved as a file.
    """
    from batch_editor.planning import SaveTo

    path, name = options.get("save"), options.get("approved_by")
    if name is not None and (path is None or not printable(name)):
        wanted = "--save FILE beside it" if path is None else "the name of who approves"
        raise click.UsageError(f"--approved-by {quoted(name)}: expected {wanted}")
    if str(path) == "-":
        raise click.UsageError("--save -: expected the name of a file; standard output has the plan")
    return None if path is None else SaveTo(path, name)


def _page(options: dict[str, Any]) -> Path | None:
    """Where the page about the plan is to be written.

    Raises:
        click.UsageError: not to a file of its own.
    """
    page: Path | None = options.get("report")
    if page is None:
        return None
    if str(page) == "-":
        raise click.UsageError("--report -: expected the name of a file; standard output has the plan")
    if options["over"]:
        raise click.UsageError("--report is about what run would send; expected no --compare beside it")
    for name in ("save", "config"):
        if options[name] is not None and _is_same(page, options[name]):
            raise click.UsageError(f"--report {page}: --{name} names the same file; expected another one")
    if any(_is_same(page, manifest) for manifest in options["manifests"]):
        raise click.UsageError(f"--report {page}: that is the manifest; expected another file")
    return page


def _is_same(page: Path, other: Path) -> bool:
    return page.resolve() == other.resolve()


def _report(planned: Planned, page: Path, saved: SavedPlan | None) -> None:
    from batch_editor.report import write_plan_report

    context = click.get_current_context()
    approved = saved is not None and saved.approved_by is not None
    path = None if saved is None else saved.path
    write_plan_report(planned, page, commands_of(context, planned.manifests, path, approved=approved), saved=saved)


class _WithFile:
    """A plan, with the file that it was saved as, if it was."""

    def __init__(self, plan: Plan, saved: SavedPlan | None) -> None:
        self._plan = plan
        self._saved = saved

    def as_json(self) -> dict[str, Any]:
        """The plan's `--json` object, with `saved`."""
        return {**self._plan.as_json(), "saved": None if self._saved is None else self._saved.as_json()}

    def lines(self) -> Iterator[str]:
        """The plan for people."""
        yield from self._plan.lines()
        if self._saved is not None:
            yield from self._saved.lines()
