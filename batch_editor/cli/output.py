"""Results on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import click

from batch_editor.errors import StorageError


class Shown(Protocol):
    """What a command has found."""

    def as_json(self) -> dict[str, Any]:
        """As one JSON object."""

    def lines(self) -> Iterator[str]:
        """As lines for people."""


def show(found: Shown, *, as_json: bool) -> None:
    """Print it.

    Raises:
        StorageError: standard output can't be written.
    """
    with written():
        if as_json:
            import orjson  # not for --help

            click.echo(orjson.dumps(found.as_json()))
        else:
            for line in found.lines():
                click.echo(line)


@contextmanager
def written() -> Iterator[None]:
    """For what writes to standard output. That nobody reads it any more is left to `main`.

    Raises:
        StorageError: its disk is full, or otherwise in the way.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        quieten()
        raise StorageError(f"standard output can't be written ({error.strerror})") from error


def quieten() -> None:
    """Let nothing more come of standard output; Python would complain again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
