"""`batch-editor compare`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_editor.cli.given import find_manifests, settings_from
from batch_editor.cli.notifying import Ending, NotifyingCommand, notifying
from batch_editor.cli.options import running, shared
from batch_editor.cli.output import tell
from batch_editor.cli.plan import show_plan
from batch_editor.cli.run import carry_out, given_command, show_and_forget
from batch_editor.errors import MachineError
from batch_editor.text import printable, shell_word

if TYPE_CHECKING:
    from batch_editor.compare import ComparisonResults
    from batch_editor.config import Settings
    from batch_editor.planning import Way
    from batch_editor.runs.summary import Summary

_STOPPED_BY_SIGNAL = (130, 143)
# Options of the command that a run of all jobs is given as well, with how they are written.
_KEPT = {
    "config": "--config",
    "endpoint": "--endpoint",
    "concurrency": "--concurrency",
    "rate": "--rate",
    "history": "--history",
    "reuse": "--reuse",
    "base_url": "--base-url",
}


@click.command(cls=NotifyingCommand)
@shared
@running
@click.option(
    "--over",
    metavar="NAME=V1,V2",
    multiple=True,
    required=True,
    help='Values of endpoint or of a parameter; repeatable, for all combinations. Values with a comma: NAME=["a, b"].',
)
def compare(**options: Any) -> int:
    """Make a few jobs in several ways, to choose a model and a quality by looking.

    --limit is how many jobs, 5 by default: the first of each template in turn. Running it again resumes.

    \b
    Example:
      batch-editor compare jobs/catalog.csv --over quality=low,high --over size=1024x1024,1536x1024
    """
    options["over_option"] = "--over"
    if options["dry_run"]:
        return show_plan(options)
    with notifying(options) as ending:
        return _run_and_show(options, ending)


def _run_and_show(options: dict[str, Any], ending: Ending) -> int:
    """Make the comparison, and show what it comes to; return the exit code."""
    find_manifests(options)
    settings = settings_from(options)
    summary, plan, _ = carry_out(options, settings, ending)

    import asyncio

    from batch_editor.compare import read_results, write_sheet

    assert plan.comparison is not None, "what is compared is a required option"
    commands = [_command(options, settings, summary.output, way) for way in plan.comparison.ways]
    results = read_results(summary.output, plan.comparison, commands)
    sheet = None
    if summary.exit_code not in _STOPPED_BY_SIGNAL:
        try:
            sheet = asyncio.run(write_sheet(results, allow_private=settings.inputs.allow_private_links))
        except MachineError as error:
            tell(f"warning: {error}")
    show_and_forget(_Shown(summary, results, sheet), as_json=options["as_json"])
    return summary.exit_code


def _command(options: Mapping[str, Any], settings: Settings, output: Path, way: Way) -> str:
    """The command that does all jobs in a way, and buys nothing again of what was compared."""
    words = ["batch-editor", "run", *map(str, options["manifests"])]
    for name, option in _KEPT.items():
        value = options[name]
        if name == "endpoint" and "endpoint" in way.overrides:
            continue
        given = value if isinstance(value, tuple) else () if value is None else (value,)
        words += [word for each in given for word in (option, str(each))]
    if options["table_format"] != "auto":
        words += ["--format", options["table_format"]]
    words += ["--skip-faulty"] * options["skip_faulty"]
    words += _places(options["manifests"][0], settings, output)
    kept = [text for text in options["overrides"] if text.partition("=")[0].strip() not in way.overrides]
    for text in (*kept, *(f"{name}={value}" for name, value in way.overrides.items())):
        words += ["--set", text]
    return " ".join(map(shell_word, words))


def _places(manifest: Path, settings: Settings, output: Path) -> list[str]:
    """Options that say where a run of all jobs finds what was compared, as far as it doesn't look there by itself."""
    from batch_editor.manifest import STANDARD_INPUT, default_output_name
    from batch_editor.planning import compared_output

    if manifest == STANDARD_INPUT:  # which has no name, so the command says where a run's results go
        return ["--output", f"{output}-all", "--reuse", str(output)]
    own = settings.outputs.directory / default_output_name(manifest)
    return [] if output.resolve() == compared_output(own).resolve() else ["--reuse", str(output)]


class _Shown:
    """A comparison's outcome: the run's summary, the table, and the command of each way."""

    def __init__(self, summary: Summary, results: ComparisonResults, sheet: Path | None) -> None:
        self._summary = summary
        self._results = results
        self._sheet = sheet

    def as_json(self) -> dict[str, Any]:
        """The run's `--json` object, with `compare` and the contact sheet."""
        sheet = None if self._sheet is None else str(self._sheet)
        return {**self._summary.as_json(), "compare": {**self._results.as_json(), "sheet": sheet}}

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield from self._summary.lines(command=given_command())
        if self._sheet is not None:
            yield f"Contact sheet: {self._sheet}"
        yield f"Side by side: batch-editor review {shell_word(str(self._results.output))}"
        yield ""
        yield from self._results.lines()
        yield ""
        yield f"To do all {self._results.comparison.all_jobs:,} jobs one way. {self._results.said_of_money}:"
        for each in self._results.ways:
            yield f"  # {printable(each.way.label, limit=100)}"
            yield f"  {each.command}"
