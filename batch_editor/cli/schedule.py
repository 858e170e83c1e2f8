"""`batch-editor schedule`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_editor.cli.given import find_manifests, given_options, settings_from, shard_from
from batch_editor.cli.options import plan_option, sending
from batch_editor.cli.output import tell, written
from batch_editor.cli.paths import NAMED_PATH
from batch_editor.errors import UsageError
from batch_editor.text import escape_bytes, quoted, shell_word

if TYPE_CHECKING:
    from batch_editor.config import Settings
    from batch_editor.nightly import Schedule

# What a night, with those that resume it, may spend and how long it may last where neither the config nor an option
# says: a hundred pictures, and long before the next night.
MAX_COST_USD, DEADLINE = "25", "4h"
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
# Kubernetes has room for 52 characters of a CronJob's name.
_NAME_LENGTH = 39
# Where each service's credentials and addresses are, as its own tools have it.
_OF_LIBPQ = ("PGPASSFILE", "PGPASSWORD")
_OF_BUCKETS = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_OWN = frozenset(("manifests", "at", "kind", "to", "force", "timezone", "output", "verbose", "shards"))
_PATHS = frozenset(("config", "output", "history", "reuse", "plan", "endpoint"))
# What a checkout hasn't, or would empty: at GitHub they are where they are on this machine.
_OUTSIDE_OF_CHECKOUT = frozenset(("history", "reuse", "plan"))


@click.command()
@sending
@plan_option
@click.option("--at", metavar="HH:MM", required=True, help="When, every night.")
@click.option(
    "--as",
    "kind",
    required=True,
    type=click.Choice(["systemd", "cron", "kubernetes", "github", "airflow"]),
    help="What starts it.",
)
@click.option("--timezone", metavar="NAME", help="Whose clock, such as Europe/Berlin; default: this machine's.")
@click.option(
    "--shards",
    metavar="N",
    type=click.IntRange(min=2),
    help="Of kubernetes and github: N machines, each with its shard of the jobs.",
)
@click.option("--to", metavar="DIR", type=NAMED_PATH, help="Write the files there instead.")
@click.option("--force", is_flag=True, help="Overwrite files that are there, but never the one with the key.")
def schedule(at: str, kind: str, to: Path | None, timezone: str | None, *, force: bool, **options: Any) -> int:
    """Print what runs manifests every night: whole files, from the working directory, with the options of run.

    What comes next is said beside it: where the key goes, what starts it, and the first run, which is made by hand.

    \b
    Example:
      batch-editor schedule jobs/catalog.csv --at 02:00 --as systemd
    """
    from batch_editor.nightly import KINDS, listed, write_all

    find_manifests(options)
    settings = settings_from(options)
    nightly = _schedule(click.get_current_context(), {**options, "kind": kind}, settings, (at, timezone))
    folder = None if to is None else to.expanduser()
    made = KINDS[kind].make(nightly, folder)
    lines = listed(made.files) if folder is None else write_all(made.files, folder, force=force)
    with written():
        for line in lines:
            click.echo(escape_bytes(line))
    tell("Next:")
    for number, step in enumerate((*made.steps, *_of_budget(settings, options["plan"]), *_not_at_night()), 1):
        tell(f"  {number}. {step}")
    return 0


def _schedule(
    context: click.Context, given: Mapping[str, Any], settings: Settings, when: tuple[str, str | None]
) -> Schedule:
    """What the command line asks for.

    Raises:
        UsageError: a manifest isn't there, or a value is wrong.
    """
    from batch_editor.nightly import Schedule, is_zone, local_zone
    from batch_editor.planning import Selection, output_of

    at, timezone = when
    found = _TIME.fullmatch(at)
    if found is None:
        raise UsageError(f"--at {quoted(at)}: expected a time of day, such as 02:00")
    if timezone is not None and not is_zone(timezone):
        raise UsageError(f"--timezone {quoted(timezone)}: expected the name of a time zone, such as Europe/Berlin")
    for manifest in given["manifests"]:
        if not manifest.exists():
            raise UsageError(f"{quoted(str(manifest))}: there is no such file, and a schedule needs one")
    _expect_every_night(given, settings)
    _expect_approved(given, settings)
    directory = Path.cwd()
    shards = _expect_shards(given, settings)
    output = given["output"] or output_of(given["manifests"][0], settings, Selection(shard=shard_from(given)))
    limits = settings.budget
    # --max-cost included
    is_limited = limits.max_cost_usd or limits.per_day_usd or limits.per_month_usd or given["plan"]
    budget = () if is_limited else ("--max-cost", MAX_COST_USD)
    deadline = () if settings.deadline else ("--deadline", DEADLINE)
    return Schedule(
        name=_name(output),
        hour=int(found[1]),
        minute=int(found[2]),
        zone=timezone or local_zone(),
        directory=directory,
        program=_program(),
        manifests=tuple(_below(directory, str(each)) for each in given["manifests"]),
        output=_below(directory, str(output)),
        options=(*_options(context, directory, is_checkout=given["kind"] == "github"), *budget),
        paths=tuple(_below(directory, path) for path in _paths(given)),
        config_paths=tuple(_config_paths(settings)),
        nightly=deadline,
        secrets=tuple(dict.fromkeys(_secrets(settings))),
        timeout_s=settings.api.timeout_s,
        made_by=" ".join(map(shell_word, ["batch-editor", *sys.argv[1:]])),
        shards=shards,
    )


def _expect_shards(given: Mapping[str, Any], settings: Settings) -> int:
    """How many shards are to be started; 0: the manifest isn't divided, or one shard is asked for.

    Raises:
        click.UsageError: what is to start them starts one machine.
        ConfigError: a limit can't be divided.
    """
    from batch_editor.endpoints import SEGMIND
    from batch_editor.nightly import KINDS
    from batch_editor.shard import Shard

    shards: int = given["shards"] or 0
    if shards and given["shard"]:
        raise click.UsageError("--shards starts all of them; expected no --shard besides")
    kind, most = given["kind"], KINDS[given["kind"]].most_shards
    if shards and not most:
        names = " and ".join(name for name, maker in KINDS.items() if maker.most_shards)
        raise click.UsageError(
            f"--shards is of {names}, which start several machines; make a schedule on each machine: --shard 0/{shards}"
            f" to --shard {shards - 1}/{shards}"
        )
    if shards > most:
        raise click.UsageError(f"--shards {shards}: expected {most:,} at most, which is all that {kind} starts")
    shard = Shard(0, shards) if shards else shard_from(given)
    settings.for_shard(shard).provider(SEGMIND)
    return shards


def _expect_approved(given: Mapping[str, Any], settings: Settings) -> None:
    """See that a plan that is named can be run.

    Raises:
        UsageError: there is no such plan, nobody has approved it, or it isn't one of shards.
    """
    from batch_editor.planning import read_approved

    if given["plan"] is None:
        return
    read_approved(given["plan"])
    if given["shards"] and not settings.budget.shared_over_machines:
        raise UsageError(
            "--plan with --shards: each shard takes a plan of its own, and a schedule of its own (--shard 0/"
            f"{given['shards']} …), or budget.ledger: postgresql://… and one plan without --shard"
        )


def _expect_every_night(given: Mapping[str, Any], settings: Settings) -> None:
    """See that nothing is asked for that holds for one night alone, or buys everything again in each.

    Raises:
        UsageError: something is.
    """
    if "all" in given["redo"]:
        raise UsageError("--redo all would make every image again each night, and buy it; run that once, by hand")
    with suppress(ValueError):  # a time of day or a duration
        datetime.fromisoformat((settings.deadline or "").strip())
        raise UsageError(
            f"deadline {quoted(str(settings.deadline))} is that of one night; every night needs a time of day, such as"
            " 06:00, or a duration, such as 4h"
        )


def _secrets(settings: Settings) -> Iterator[str]:
    """The variables of the environment that every night needs.

    Of the keys of other providers those that are set up: in the config, or by their variable.
    """
    from batch_editor.postgres import DatabaseAddress

    for name in settings.provider_names:
        api = settings.provider(name).api
        is_set_up = api is settings.api or name in settings.providers or api.key_env in os.environ
        if api.key_file is None and is_set_up:
            yield api.key_env
    for address in (*settings.notify.to, settings.notify.ping or ""):
        if address.startswith("env:"):
            yield address.removeprefix("env:")
    if isinstance(settings.budget.ledger, DatabaseAddress):
        given = (settings.budget.ledger.password_env, *(name for name in _OF_LIBPQ if name in os.environ))
        yield from filter(None, given)
    bucket = settings.outputs.images or ""
    for scheme, prefix in _OF_BUCKETS.items():
        if bucket.startswith(f"{scheme}://"):
            yield from (name for name in sorted(os.environ) if name.startswith(prefix))


def _options(context: click.Context, directory: Path, *, is_checkout: bool) -> Iterator[str]:
    """The options of run that were given, as words."""
    for option in given_options(context, without=_OWN):
        yield option.flag
        if option.value is None:
            continue
        if is_checkout and option.name in _OUTSIDE_OF_CHECKOUT:
            yield str(directory / option.value)
        else:
            yield _below(directory, option.value) if option.name in _PATHS else option.value


def _paths(given: Mapping[str, Any]) -> Iterator[str]:
    """The paths among the options; an endpoint's name may be one."""
    named = (given["config"], given["plan"], given["endpoint"], *given["history"], *given["reuse"])
    yield from (str(each) for each in named if each is not None)


def _config_paths(settings: Settings) -> Iterator[tuple[str, str]]:
    """The files that every night needs again and the config names, by their settings."""
    key_files = {"api": settings.api.key_file}
    key_files |= {f"providers.{name}": provider.key_file for name, provider in settings.providers.items()}
    yield from ((f"{name}.key_file", str(file)) for name, file in key_files.items() if file is not None)
    if isinstance(settings.budget.ledger, Path):
        yield "budget.ledger", str(settings.budget.ledger)


def _below(directory: Path, path: str) -> str:
    """A path as seen from the working directory, where it lies below it."""
    return str(Path(path).relative_to(directory)) if Path(path).is_relative_to(directory) else path


def _name(output: Path) -> str:
    """What is called after an output directory: letters, digits and hyphens, as Kubernetes takes them."""
    plain = re.sub(r"[^a-z0-9]+", "-", output.name.lower()).strip("-")[:_NAME_LENGTH].strip("-")
    return f"batch-editor-{plain}" if plain else "batch-editor"


def _program() -> tuple[str, ...]:
    """How this program is started where there is no PATH of a person's."""
    beside = Path(sys.executable).with_name("batch-editor")
    found = str(beside) if beside.exists() else shutil.which("batch-editor")
    return (sys.executable, "-m", "batch_editor") if found is None else (found,)


def _of_budget(settings: Settings, plan: Path | None) -> Iterator[str]:
    """What a budget that isn't that of a day or month means for the nights."""
    budget = settings.budget
    if plan is not None:
        yield (
            f"What {escape_bytes(str(plan))} approves is spent once, over all nights, and nothing else is sent: rows"
            " that are new or changed since end a night with 2, and want a plan of their own"
        )
        return
    own = f"{budget.max_cost_usd:g}" if budget.max_cost_usd else MAX_COST_USD
    if budget.max_cost_usd or not (budget.per_day_usd or budget.per_month_usd):
        yield (
            f"A night that ends with work left shares its budget of ${own} with the next ones, until one is done: if it"
            " is spent, raise it. A budget for each day is budget.per_day_usd in the config"
        )


def _not_at_night() -> Iterator[str]:
    """Settings of this environment, which no schedule has."""
    from batch_editor.config import ENV_PREFIX
    from batch_editor.endpoints import TODAY

    for name in sorted(os.environ):
        if name.startswith(ENV_PREFIX) and name != TODAY:
            setting = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            yield f"{name} is set here and won't be at night: set {setting} in the config"
