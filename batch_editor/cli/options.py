"""The options that several commands have, each declared once; `given` says what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _note(context: click.Context, _: click.Parameter, value: bool) -> bool:
    context.ensure_object(dict)["verbose"] = value
    return value


def verbose(help: str = "Say where, if this meets a bug of the program.", *, expose: bool = False) -> Callable[[F], F]:
    """The option -v, --verbose, of which `main` hears as well; the command itself only with `expose`."""
    return click.option(
        *("-v", "--verbose"), is_flag=True, is_eager=True, callback=_note, expose_value=expose, help=help
    )


config_option = click.option(
    "-c",
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings; default: config.yaml in the working directory if there is one.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")

on_option = click.option(
    "--on",
    metavar="local|ray",
    help="Where images are checked and files are finished: on this machine, or on the Ray cluster that this runs in,"
    " also as ray=HOST:PORT.",
)


_SENDING = [
    click.argument(
        "manifests",
        metavar="MANIFEST…",
        nargs=-1,
        required=True,
        type=click.Path(path_type=Path),
    ),
    config_option,
    click.option(
        "-o",
        "--output",
        metavar="OUT",
        type=click.Path(path_type=Path),
        help="Output directory; default: outputs/<manifest's stem>.",
    ),
    click.option(
        "--endpoint",
        metavar="NAME",
        help="In place of the one of the config and of the manifests, not of a job's own: a name, or a file.",
    ),
    click.option("--concurrency", metavar="N", help="Requests in flight at most."),
    click.option("--rate", metavar="N/min", help="Rate limit: N/s, N/min or N/h."),
    click.option("--max-cost", metavar="USD", help="Stop before more than this is spent."),
    click.option(
        "--deadline", metavar="WHEN", help="06:00, 2026-11-23T06:00 or 2h: nothing is started that ends later."
    ),
    click.option("--max-failures", metavar="N|SHARE", help="Stop after so many failed jobs: 50, or 20%."),
    click.option("--shard", metavar="I/N", help="Part I, from 0, of N of the jobs, by their inputs; 0/4 to 3/4."),
    click.option("--limit", metavar="N", type=click.IntRange(min=1), help="The first N jobs only."),
    click.option("--only", metavar="GLOB", multiple=True, help="Jobs whose id matches only; repeatable."),
    click.option("--skip-faulty", is_flag=True, help="Fail rows with a fault of their own, and do the others."),
    click.option(
        "--redo",
        multiple=True,
        type=click.Choice(["failed", "unknown", "rejected", "endpoint", "all"]),
        help="Also send what was refused for good, what may have been billed in vain, images that were rejected, done"
        " jobs of another endpoint, or every chosen job; repeatable.",
    ),
    click.option("--retry-failed", is_flag=True, help="The same as --redo failed --redo unknown."),
    click.option("--resend-unknown", is_flag=True, help="The same as --redo unknown."),
    click.option(
        "--set",
        "overrides",
        metavar="NAME=VALUE",
        multiple=True,
        help="A parameter, id, output, when, carry, format, identity, redo_prompt or finish of every job; a template;"
        " repeatable.",
    ),
    click.option(
        "--format",
        "table_format",
        type=click.Choice(["auto", "plain", "shopify", "woocommerce", "google", "csv", "jsonl"]),
        default="auto",
        show_default=True,
        help="How to read a table that is a MANIFEST: auto knows a shop's export by its columns, plain takes the table"
        " as it stands. csv and jsonl are for standard input.",
    ),
    click.option(
        "--history",
        metavar="OUT",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Another output directory whose real charges and latencies count for the plan; repeatable.",
    ),
    click.option(
        "--reuse",
        metavar="OUT",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Take the images of the same requests from another output directory, for nothing; repeatable.",
    ),
    click.option("--check-inputs", is_flag=True, help="Look at every input link before money is spent."),
    click.option("--base-url", metavar="URL", help="The API, up to and with its version; of every provider."),
]
_SHARED = [
    *_SENDING,
    json_option,
    verbose("Say on standard error what happens to each request.", expose=True),
]


def shared(function: F) -> F:
    """Give a command the shared options."""
    for option in reversed(_SHARED):
        function = option(function)
    return function


def sending(function: F) -> F:
    """Give a command the options that say what a run sends, and -v."""
    for option in reversed([*_SENDING, verbose()]):
        function = option(function)
    return function


_RUNNING = [
    click.option("--sandbox", is_flag=True, help="Rehearse against a stand-in inside this process: no key, no cost."),
    click.option(
        "--canary",
        metavar="N",
        type=click.IntRange(min=1),
        help="Send N jobs first; send the rest if they cost what the plan says.",
    ),
    click.option("-y", "--yes", is_flag=True, help="Ask nothing."),
    click.option(
        "--expect-ledger", is_flag=True, help="End with 2 where OUT has no ledger yet, and would buy everything again."
    ),
    click.option(
        "--plan",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Send only what a plan has that was saved and approved, for no more than its amount; else end with 2.",
    ),
    click.option("--dry-run", is_flag=True, help="The same as plan."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "plain", "none"]),
        default="auto",
        show_default=True,
        help="How to show progress on standard error.",
    ),
    click.option(
        "--open", "review_beside", is_flag=True, help="Open review beside the run, in a browser if there is one."
    ),
    on_option,
    click.option("--log-file", metavar="FILE", type=click.Path(path_type=Path), help="Log as JSON lines, appended."),
]


def running(function: F) -> F:
    """Give a command that sends the options of `run` which `plan` doesn't have."""
    for option in reversed(_RUNNING):
        function = option(function)
    return function
