"""`batch-editor run`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import gc
import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_editor.cli.given import find_manifests, redo_from, selection_from, settings_from
from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.notifying import Ending, NotifyingCommand, notifying
from batch_editor.cli.options import running, shared
from batch_editor.cli.output import Shown, quieten, show, tell
from batch_editor.cli.plan import show_plan
from batch_editor.errors import StorageError
from batch_editor.text import shell_word

if TYPE_CHECKING:
    import asyncio

    from batch_editor.config import Keys, Settings
    from batch_editor.planning import Offer, Plan
    from batch_editor.review.beside import ReviewBeside
    from batch_editor.runs.batch import Batch
    from batch_editor.runs.options import BatchOptions
    from batch_editor.runs.summary import Summary

# Of a run that ends sooner, review's address would never be known.
REVIEW_STARTS_S = 15.0


@click.command(cls=NotifyingCommand)
@shared
@running
def run(**options: Any) -> int:
    """Expand manifests, check them, send the requests, save the images.

    Running it again on the same output directory resumes: only what isn't done is sent.

    \b
    Example:
      batch-editor run jobs/shopify.csv --set 'prompt=Put the {{ title }} on white' --max-cost 25
    """
    if options["dry_run"]:
        return show_plan(options)
    with notifying(options) as ending:
        return _run_and_show(options, ending)


def _run_and_show(options: dict[str, Any], ending: Ending) -> int:
    """Make the run, and show what it comes to; return the exit code."""
    find_manifests(options)
    settings = settings_from(options)
    summary, _, batch = carry_out(options, settings, ending)
    offer = _offer(options["manifests"], settings, batch) if _is_retired(summary) else None
    show_and_forget(_WithOffer(summary, offer), as_json=options["as_json"])
    return summary.exit_code


def show_and_forget(found: Shown, *, as_json: bool) -> None:
    """Print what a run has come to. Where nobody reads it, or its disk is full, the exit code still tells."""
    try:
        show(found, as_json=as_json)
    except BrokenPipeError:
        quieten()
    except StorageError as error:
        tell(f"error: {error}")


def carry_out(options: dict[str, Any], settings: Settings, ending: Ending) -> tuple[Summary, Plan, BatchOptions]:
    """Prepare, confirm and send what the options of a command ask for; what came of it, its plan, and how it was made.

    Raises:
        BatchEditorError: as `send`.
    """
    ending.expect_reachable(settings)
    selection = selection_from(options)

    # Imported here: aiohttp and asyncio itself take a third of a second that --help need not wait for.
    import asyncio

    from batch_editor.cli.asking import send  # and with it all that sending needs: a signal meanwhile ends the process
    from batch_editor.cli.logs import set_up_logging
    from batch_editor.ledger import GivenCommand
    from batch_editor.runs.options import BatchOptions
    from batch_editor.runs.progress import progress_for

    raise_interrupts()
    progress = progress_for(options["progress"])
    set_up_logging(options["log_file"], say=progress.say if options["verbose"] else None)
    batch = BatchOptions(
        selection=selection,
        output=options["output"],
        redo=redo_from(options),
        reuse=options["reuse"],
        sandbox=options["sandbox"],
        check_inputs=options["check_inputs"],
        history=options["history"],
        yes=options["yes"],
        expect_ledger=options["expect_ledger"],
        plan=options["plan"],
        progress=progress,
        signals=True,
        command=GivenCommand([shell_word(argument) for argument in sys.argv[1:]], shell_word(str(Path.cwd()))),
    )
    keys = None if batch.sandbox else _keys(settings)
    terminal = None if batch.yes else _terminal(options["manifests"])
    ask = None if terminal is None else partial(_ask, terminal)
    beside = _beside(options, settings, batch) if options["review_beside"] else None
    send_it = partial(send, ask=ask, canary=options["canary"] or 0)
    if beside is not None:
        send_it = partial(send_it, confirmed=beside.start)
    gc.freeze()  # what the libraries made, which collections would look at again and again
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        summary, plan = runner.run(_run(options["manifests"], settings, keys, batch, send_it))
    ending.ended(summary)
    if beside is not None:
        beside.wait_until_said(REVIEW_STARTS_S)
    return summary, plan, batch


def _beside(options: Mapping[str, Any], settings: Settings, batch: BatchOptions) -> ReviewBeside:
    """Review in a process of its own, with the run's settings."""
    from batch_editor.review.beside import ReviewBeside

    arguments = [] if options["config"] is None else ["--config", str(options["config"])]
    return ReviewBeside(say=batch.progress.say, arguments=arguments, without=_key_variables(settings))


def _key_variables(settings: Settings) -> list[str]:
    """The environment variables that hold keys."""
    return [settings.provider(name).api.key_env for name in settings.provider_names]


def _keys(settings: Settings) -> Keys:
    """The API keys. Not on the event loop: their files may be pipes, and Ctrl-C ends the waiting for them."""
    from batch_editor.config import read_keys
    from batch_editor.text import guard

    keys = read_keys(settings)
    for key in keys.found.values():
        guard(key.get_secret_value())
    return keys


async def _run(
    manifests: tuple[Path, ...],
    settings: Settings,
    keys: Keys | None,
    batch: BatchOptions,
    send: Callable[[Batch], Awaitable[Summary]],
) -> tuple[Summary, Plan]:
    from pydantic import SecretStr

    from batch_editor.runs.batch import prepared

    if keys is not None:
        async with prepared(manifests, settings, keys, batch) as ready:
            return await send(ready), ready.plan

    from batch_editor.sandbox import Sandbox, SandboxOptions

    rates = {name: str(settings.provider(name).rate) for name in settings.provider_names}
    options = SandboxOptions(latency="0.5-1.5", rate_limit=settings.rate_limit, provider_rates=rates)
    async with Sandbox(options) as sandbox:
        rehearsed = settings.everywhere_at(sandbox.base_url, upload_url=sandbox.upload_url)
        async with prepared(manifests, rehearsed, SecretStr("sandbox"), batch) as ready:
            sandbox.serve(ready.endpoints)
            return await send(ready), ready.plan


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop where it is installed (the extra `speed`), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop  # Any to mypy, where it isn't installed
    return factory


def _terminal(manifests: Sequence[Path]) -> int | None:
    """Where somebody can be asked: standard input, or the terminal behind it where that is a manifest; None: nobody."""
    from batch_editor.manifest import STANDARD_INPUT

    if STANDARD_INPUT in manifests:
        with suppress(OSError):
            return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        return None
    is_attended = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    return sys.stdin.fileno() if is_attended else None


def _ask(terminal: int, lines: Sequence[str]) -> bool:
    def say(text: str) -> None:
        """Write to the terminal, wherever standard input is."""
        if terminal == sys.stdin.fileno():
            tell(text, end="")
        else:
            os.write(terminal, text.encode())

    for line in lines:
        say(f"{line}\n")
    while True:
        say("Go on? [y/N]: ")
        # Not input(): whoever holds sys.stdin's lock on another thread when Ctrl-C ends the program aborts it.
        answer = os.read(terminal, 1024).decode(errors="replace").strip().lower()
        if answer in ("", "n", "no", "y", "yes"):
            return answer.startswith("y")


def given_command() -> str:
    """The command as it was given, to resume by."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--retry-failed"]
    return " ".join(map(shell_word, ["batch-editor", *arguments]))


def _is_retired(summary: Summary) -> bool:
    return summary.stop is not None and summary.stop.error_kind == "retired"


def _offer(manifests: tuple[Path, ...], settings: Settings, batch: BatchOptions) -> Offer | None:
    """What moving to the successor comes to."""
    from batch_editor.planning import offer_of_successor

    return offer_of_successor(
        manifests,
        settings,
        selection=batch.selection,
        output=batch.output,
        redo=batch.redo,
        reuse=batch.reuse,
        rehearsal=batch.sandbox,
    )


class _WithOffer:
    """A run's summary, with the command that resumes, or that moves to the successor of a retired endpoint."""

    def __init__(self, summary: Summary, offer: Offer | None) -> None:
        self._summary = summary
        self._offer = offer
        self._command = given_command()
        self._moving = "" if offer is None else f"{self._command} --endpoint {shlex.quote(offer.successor)}"

    def as_json(self) -> dict[str, Any]:
        """The summary's `--json` object, with `move` where the endpoint is retired."""
        move = {} if self._offer is None else {"move": self._offer.as_json(self._moving)}
        return {**self._summary.as_json(), **move}

    def lines(self) -> Iterator[str]:
        """The summary for people."""
        if self._offer is None:
            yield from self._summary.lines(command=self._command)
        else:
            yield from self._summary.lines()
            yield from self._offer.lines(self._moving)
