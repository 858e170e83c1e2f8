"""How a run shows where it is: a bar on a terminal, a plain line now and then elsewhere, or nothing.

The only importer of tqdm.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol, TextIO, cast

from tqdm import tqdm

from batch_editor.text import duration

Style = Literal["auto", "bar", "plain", "none"]

# A line every half minute is 1,000 lines a night.
PLAIN_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a run is. Jobs, except `in_flight` and `retried`, which are requests; `eta_s` None while unknown."""

    total: int
    done: int
    succeeded: int
    failed: int
    retried: int
    in_flight: int
    per_min: float
    spent_usd: float
    eta_s: float | None


class Progress(Protocol):
    """Shows snapshots. May be called as often as anything changes."""

    def show(self, snapshot: Snapshot) -> None:
        """Where the run is now."""

    def say(self, line: str) -> None:
        """A line for the person who watches, beside or instead of the bar."""

    def close(self) -> None:
        """The last snapshot stays."""


class Quiet:
    """No progress; lines only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr

    def show(self, snapshot: Snapshot) -> None:
        """Show nothing."""

    def say(self, line: str) -> None:
        """Print the line."""
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to close."""


class Plain(Quiet):
    """A line at most every half minute, for logs."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        every_s: float = PLAIN_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream)
        self._every_s = every_s
        self._clock = clock
        self._next_at = clock() + every_s

    def show(self, snapshot: Snapshot) -> None:
        """Print a line, if it is time for one."""
        if self._clock() >= self._next_at:
            self._next_at = self._clock() + self._every_s
            self.say(f"{snapshot.done}/{snapshot.total} jobs, {details(snapshot)}")


class Bar:
    """A moving bar, for terminals."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._bar: tqdm[NoReturn] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Move the bar; tqdm itself paints at most ten times a second."""
        if self._bar is None:
            self._bar = tqdm(
                total=snapshot.total,
                initial=snapshot.done,
                unit="job",
                file=self._stream,
                dynamic_ncols=True,
                # tqdm itself puts a comma before the postfix.
                bar_format="{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{postfix}",
            )
        bar = self._bar
        bar.set_postfix_str(details(snapshot), refresh=False)
        bar.update(snapshot.done - bar.n)

    def say(self, line: str) -> None:
        """Print the line above the bar."""
        tqdm.write(line, file=self._stream)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


def progress_for(style: Style, stream: TextIO | None = None) -> Progress:
    """The progress that a style names; `auto` is a bar on a terminal, plain lines elsewhere."""
    stream = cast("TextIO", _UnreadStream(stream if stream is not None else sys.stderr))
    if style == "bar" or (style == "auto" and stream.isatty()):
        return Bar(stream)
    return Quiet(stream) if style == "none" else Plain(stream)


class _UnreadStream:
    """A stream that perhaps nobody reads any more: a closed terminal is no reason to end a run that is paid for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or not."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or not."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def details(snapshot: Snapshot) -> str:
    """What a snapshot says beside done and total; what matters most first, for a narrow terminal cuts the end off.

    >>> details(Snapshot(9, 4, 3, 1, 2, 5, 61.0, 0.72, 8.0))
    '8s left, $0.72, 3 succeeded, 1 failed, 2 retried, 5 in flight, 61.0/min'
    """
    eta = "" if snapshot.eta_s is None else f"{duration(snapshot.eta_s)} left, "
    failed = f"{snapshot.failed} failed, " if snapshot.failed else ""
    retried = f"{snapshot.retried} retried, " if snapshot.retried else ""
    return (
        f"{eta}${snapshot.spent_usd:,.2f}, {snapshot.succeeded} succeeded, {failed}{retried}"
        f"{snapshot.in_flight} in flight, {snapshot.per_min:.1f}/min"
    )
