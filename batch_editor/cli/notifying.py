"""Notifying of how a run ended, or why it couldn't start. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_editor.cli.given import shard_from
from batch_editor.cli.interrupts import Terminated
from batch_editor.cli.output import tell
from batch_editor.errors import BatchEditorError, ConfigError
from batch_editor.text import shell_word

if TYPE_CHECKING:
    from batch_editor.config import NotifySettings, Settings
    from batch_editor.notify import Message, Notifier
    from batch_editor.runs.summary import Summary

# EX_SOFTWARE of sysexits.h: a bug of ours, which no code of the documented list describes.
BUG = 70


class Ending:
    """How a run ends, until those named in `notify` hear of it. `faults`: why some of them can't be reached."""

    def __init__(self, options: Mapping[str, Any], settings: NotifySettings, faults: Sequence[str]) -> None:
        self._options = options
        self._when = settings.when
        self._faults = faults
        self._budget_usd: float | None = None
        self._summary: Summary | None = None

    def expect_reachable(self, settings: Settings) -> None:
        """See that everybody whom the config names can be reached, before anything is sent.

        Raises:
            ConfigError: somebody can't; every fault in one message.
        """
        self._budget_usd = settings.for_shard(shard_from(self._options)).budget.max_cost_usd
        if self._faults and settings.notify.when != "never":
            raise ConfigError("\n".join(self._faults))

    def ended(self, summary: Summary) -> None:
        """How the run ended."""
        self._summary = summary

    def message(self, error: BaseException | None) -> tuple[int, Message | None]:
        """The exit code, and the message about it, if anybody hears of it."""
        from batch_editor.runs.message import message_of, message_of_no_run

        code = _code_of(error) if error is not None or self._summary is None else self._summary.exit_code
        if self._when == "never" or (self._when == "trouble" and code == 0):
            return code, None
        command = " ".join(map(shell_word, ["batch-editor", *sys.argv[1:]]))
        if self._summary is not None:
            return code, message_of(self._summary, command=command, budget_usd=self._budget_usd)
        return code, message_of_no_run(self._name(), code, _words_of(error), command=command)

    def _name(self) -> str:
        output: Path | None = self._options["output"]
        if output is not None:
            return output.name
        stem, shard = Path(self._options["manifests"][0]).stem, self._options["shard"]
        return stem if shard is None else f"{stem}, shard {shard}"


@contextmanager
def notifying(options: Mapping[str, Any]) -> Iterator[Ending]:
    """Notify who is named in `notify` of how the block ended. Who that is, is read first, and failing softly.

    Never changes how the block ends; takes ten seconds at most after it.
    """
    from batch_editor.config import load_notify_settings

    settings = load_notify_settings(options["config"])
    if not settings.to and settings.ping is None:
        yield Ending(options, settings, ())
        return
    from batch_editor.notify import Notifier, addresses_of

    addresses = addresses_of(settings)
    ending = Ending(options, settings, addresses.faults)
    notifier = Notifier(addresses)
    notifier.started()
    try:
        yield ending
    except BaseException as error:
        _notify(notifier, ending, error)
        raise
    _notify(notifier, ending, None)


def _notify(notifier: Notifier, ending: Ending, error: BaseException | None) -> None:
    for fault in notifier.ended(*ending.message(error)):
        tell(f"warning: notify: {fault}")


def _code_of(error: BaseException | None) -> int:
    """The exit code that `main` makes of it."""
    if isinstance(error, BatchEditorError):
        return error.exit_code
    if isinstance(error, click.ClickException):
        return 2
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return 143 if isinstance(error, Terminated) else 130
    return 0 if isinstance(error, (BrokenPipeError, SystemExit)) else BUG


def _words_of(error: BaseException | None) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "it was interrupted; nothing is lost, running again resumes"
    return (
        str(error) if isinstance(error, BatchEditorError) else f"a bug in batch-editor: {type(error).__name__}: {error}"
    )
