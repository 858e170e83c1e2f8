"""Options that `run` and `plan` share, and what becomes of them. The rest is imported when it runs, see `main`."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.output import tell
from batch_editor.errors import UsageError
from batch_editor.text import escape_bytes, quoted

if TYPE_CHECKING:
    from batch_editor.config import Settings
    from batch_editor.planning import Selection
    from batch_editor.records import Redo, Shard

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

F = TypeVar("F", bound=Callable[..., Any])


def _note(context: click.Context, _: click.Parameter, value: bool) -> bool:
    context.ensure_object(dict)["verbose"] = value
    return value


def verbose(help: str = "Say where, if this meets a bug of the program.", *, expose: bool = False) -> Callable[[F], F]:
    """The option -v, --verbose, of which `main` hears as well; the command itself only with `expose`."""
    return click.option(
        *("-v", "--verbose"), is_flag=True, is_eager=True, callback=_note, expose_value=expose, help=help
    )


on_option = click.option(
    "--on",
    metavar="local|ray",
    help="Where images are checked and files are finished: on this machine, or on the Ray cluster that this runs in,"
    " also as ray=HOST:PORT.",
)

plan_option = click.option(
    "--plan",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Send only what a plan has that was saved and approved, for no more than its amount; else end with 2.",
)


def find_manifests(options: dict[str, Any]) -> None:
    """Put in the manifests that the names are meant for; those that aren't there stay, to be told of as such.

    Raises:
        UsageError: names that may be meant for another file.
    """
    from batch_editor.files import MANIFESTS, NotThere
    from batch_editor.manifest.table_files import find_table

    paths, faults = [], []
    for manifest in options["manifests"]:
        try:
            paths.append(Path(find_table(str(manifest), Path(), endings=MANIFESTS)))
        except NotThere as error:
            faults.append(f"{manifest}: there is no such file{error.hint}")
    if faults:
        raise UsageError("\n".join(faults))
    options["manifests"] = tuple(paths)


_SENDING = [
    click.argument(
        "manifests",
        metavar="MANIFEST…",
        nargs=-1,
        required=True,
        type=click.Path(path_type=Path),
    ),
    click.option(
        "-c",
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Settings; default: config.yaml in the working directory if there is one.",
    ),
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
    click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output."),
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
    plan_option,
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


def settings_from(options: dict[str, Any]) -> Settings:
    """Settings, with the flags on top."""
    from batch_editor.config import load_settings

    settings = load_settings(
        options["config"],
        flags={
            "endpoint": options["endpoint"],
            "concurrency": options["concurrency"],
            "rate_limit": options["rate"],
            "deadline": options["deadline"],
            "max_failures": options["max_failures"],
            "rows": {"faulty": "skip" if options["skip_faulty"] else None},
            "budget": {"max_cost_usd": options["max_cost"]},
            "api": {"base_url": options["base_url"]},
            "run": {"on": options.get("on")},
        },
    )
    return settings if options["base_url"] is None else settings.everywhere_at(settings.api.base_url)


class GivenOption(NamedTuple):
    """An option that stands on the command line: `flag` as it is spelt out; value: None where it has none."""

    name: str
    flag: str
    value: str | None


def given_options(context: click.Context, *, without: Collection[str]) -> Iterator[GivenOption]:
    """The options of a command that were given, but for those of these names; a repeated one as often as it stands."""
    for option in context.command.params:
        assert option.name is not None
        if (
            not isinstance(option, click.Option)
            or option.name in without
            or context.get_parameter_source(option.name) is not ParameterSource.COMMANDLINE
        ):
            continue
        flag, value = max(option.opts, key=len), context.params[option.name]
        for each in value if option.multiple else [value]:
            yield GivenOption(option.name, flag, None if each is True else str(each))


def redo_from(options: dict[str, Any]) -> set[Redo]:
    """What is sent again: `--redo`, and what the older flags stand for."""
    redo: set[Redo] = set(options["redo"])
    if options["retry_failed"]:
        redo |= {"failed", "unknown"}
    if options["resend_unknown"]:
        redo.add("unknown")
    return redo


def selection_from(options: dict[str, Any]) -> Selection:
    """Which jobs, and what is set for all of them. Standard input is read to its end where it is a manifest.

    Raises:
        click.UsageError: a `--set` without `=`, or standard input without `--output`.
        UsageError: standard input can't be read.
        StorageError: there is no room for it.
    """
    from batch_editor.planning import Selection

    overrides = {}
    for text in options["overrides"]:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--set {quoted(text)}: expected NAME=VALUE, such as --set quality=low")
        overrides[name.strip()] = value
    _gather_standard_input(options)
    over = over_from(options.get("over", ()), options.get("over_option", ""))
    if over and options["shard"]:
        raise click.UsageError("--shard is of run and plan; a comparison is of a few jobs, and one process makes it")
    return Selection(
        endpoint=options["endpoint"],
        only=[escape_bytes(pattern) for pattern in options["only"]],  # as ids are
        limit=options["limit"],
        overrides=overrides,
        format=options["table_format"],
        over=over,
        shard=shard_from(options),
    )


def shard_from(options: Mapping[str, Any]) -> Shard | None:
    """The part of the jobs that is asked for; None: all.

    Raises:
        click.UsageError: there is no such part.
    """
    from batch_editor.records import Shard

    if options["shard"] is None:
        return None
    try:
        return Shard.parse(options["shard"])
    except ValueError as error:
        raise click.UsageError(f"--shard {quoted(options['shard'])}: {error}") from error


def over_from(texts: Sequence[str], option: str) -> dict[str, list[str]]:
    """What is compared: `NAME=V1,V2`, or `NAME=["a, b", "c"]` where a value has a comma.

    Raises:
        click.UsageError: one of them says no such thing, or a name is given twice.
    """
    over: dict[str, list[str]] = {}
    for text in texts:
        name, _, written = text.partition("=")
        values = _values(written.strip())
        if not name.strip() or not values or not all(values):
            wanted = f'{option} quality=low,high, or {option} \'prompt=["a, b", "c"]\' where a value has a comma'
            raise click.UsageError(f"{option} {quoted(text)}: expected NAME=V1,V2, such as {wanted}")
        if name.strip() in over:
            raise click.UsageError(f"{option} {name.strip()} is given twice; expected all its values in one")
        over[name.strip()] = values
    return over


def _values(written: str) -> list[str]:
    if not written.startswith("["):
        return [value.strip() for value in written.split(",")]
    try:
        listed = json.loads(written)
    except ValueError:
        return []
    return [value if isinstance(value, str) else json.dumps(value) for value in listed]


def _gather_standard_input(options: dict[str, Any]) -> None:
    """Read it here, on the main thread, where Ctrl-C ends the waiting for it."""
    from batch_editor.errors import StorageError
    from batch_editor.files import YAML
    from batch_editor.manifest import STANDARD_INPUT, gather_standard_input

    format = options["table_format"]
    if format != "auto" and all(path.suffix.lower() in YAML for path in options["manifests"]):
        raise click.UsageError(
            f"--format {format} says how a table given as MANIFEST is read; a YAML manifest says it of its rows itself,"
            " by format: in the job"
        )
    if STANDARD_INPUT not in options["manifests"]:
        if format in ("csv", "jsonl"):
            message = f"--format {format} says how standard input (-) is read; files tell by their name"
            raise click.UsageError(message)
        return
    if options["output"] is None:
        raise click.UsageError("standard input (-) has no name for an output directory; say where results go: -o OUT")
    if sys.stdin.isatty():
        tell("Reading the manifest from standard input; Ctrl-D ends it.")
    raise_interrupts()
    try:
        gather_standard_input()
    except OSError as error:
        message = f"standard input can't be read: {error.strerror or error}"
        raise (StorageError if error.errno in _NO_ROOM else UsageError)(message) from error
