"""What to type after a plan: to save it, to approve it, and to run what was approved.

What it needs is imported when it runs, see `main`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batch_editor.cli.given import given_options
from batch_editor.text import redact, shell_word

if TYPE_CHECKING:
    from batch_editor.report import Commands

# What a plan has alone, or says how it is shown.
_OF_PLAN = frozenset(("over", "save", "approved_by", "report", "as_json", "verbose"))
_YOUR_NAME = "Your Name"
# Nobody types more, and a page has bounds.
_LONGEST = 20_000


def commands_of(context: click.Context, manifests: Sequence[Path], save: Path | None, *, approved: bool) -> Commands:
    """The commands of a `plan` on the command line; `save`: where that writes the plan, `approved`: with a name."""
    from batch_editor.config import ENV_PREFIX
    from batch_editor.report import Commands

    stem = "manifest" if manifests[0].name == "-" else manifests[0].stem
    file = Path(f"{stem}.plan.json") if save is None else save
    words = [*map(str, manifests), *_given(context)]
    saving = ["plan", *words, "--save", str(file)]
    return Commands(
        folder=shell_word(str(Path.cwd())),
        variables=sorted(name for name in os.environ if name.startswith(ENV_PREFIX)),
        save=_line(saving) if save is None else None,
        approve=None if approved else _line([*saving, "--approved-by", _YOUR_NAME]),
        run=_line(["run", *words, "--plan", str(file)]),
    )


def _given(context: click.Context) -> Iterator[str]:
    for option in given_options(context, without=_OF_PLAN):
        yield option.flag
        if option.value is not None:
            yield option.value


def _line(words: Sequence[str]) -> str:
    line = redact(" ".join(["batch-editor", *map(shell_word, words)]))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} … (the whole is what this plan was made with)"
