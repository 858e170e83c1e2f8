"""What given options come to: manifests, settings, chosen jobs. The rest is imported when it runs, see `main`."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.output import tell
from batch_editor.errors import UsageError
from batch_editor.text import escape_bytes, quoted

if TYPE_CHECKING:
    from batch_editor.config import Settings
    from batch_editor.planning import Selection
    from batch_editor.records import Redo
    from batch_editor.shard import Shard

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def find_manifests(options: dict[str, Any]) -> None:
    """Put in the manifests that the names are meant for; those that aren't there stay, to be reported.

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
    from batch_editor.shard import Shard

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
