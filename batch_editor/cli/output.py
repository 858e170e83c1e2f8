"""Results on standard output, and words on standard error."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import click

from batch_editor.errors import StorageError
from batch_editor.text import escape_all, escape_bytes


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

            click.echo(orjson.dumps(escape_all(found.as_json())))
        else:
            for line in found.lines():
                click.echo(escape_bytes(line))


def tell(text: str, *, end: str = "\n") -> None:
    """Say it on standard error, if that can be written: how a command ends doesn't depend on who hears of it."""
    with suppress(OSError):
        click.echo(escape_bytes(text) + end, err=True, nl=False)


def provide_streams() -> None:
    """Put the null device in the place of standard streams that are closed, and let the others carry any text.

    The next files to be opened would get their numbers, and whatever is printed.
    """
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest number that is free
        pass
    os.close(null)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    codecs.register_error("escape_bytes", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Python would write a name's bytes as they are where LANG is C, and fail on them elsewhere.
            stream.reconfigure(errors="escape_bytes")


def _escape(error: UnicodeError) -> tuple[str, int]:
    """What is printed of text that the terminal's encoding doesn't have."""
    assert isinstance(error, UnicodeEncodeError), "of streams that are written"
    text = escape_bytes(error.object[error.start : error.end])
    return text.encode("ascii", "backslashreplace").decode(), error.end


@contextmanager
def written() -> Iterator[None]:
    """For what writes to standard output. That nobody reads it any more is left to `main`.

    Raises:
        StorageError: its disk is full, or can't be written otherwise.
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
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # sys.stdout may be closed: what wrapped it couldn't be flushed
