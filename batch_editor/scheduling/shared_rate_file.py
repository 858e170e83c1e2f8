"""When the next request of an API key may leave: one rate limit for all runs on this machine, in a small file."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs

from batch_editor.files import open_regular
from batch_editor.records import Rate
from batch_editor.scheduling.send_policy import jitter_s, slack_s, spacing_s
from batch_editor.scheduling.shared_rate import shared_rate_name

# A run reserves one turn at a time, so the next turn is at most as many turns away as there are runs. An instant
# further away was written before this machine was restarted, which sets the monotonic clock back to zero.
MOST_RUNS = 64
# A run holds the lock for 20 µs. Seconds between tries to get it, and until the file is given up as broken.
LOCK_AGAIN_S = 0.001
LOCK_PATIENCE_S = 2.0

_INSTANT = struct.Struct("<d")


def shared_rate_path(key: str, base_url: str) -> Path:
    """The file by which the runs of a key at a provider share its rate limit; its name is a hash and tells neither.

    Raises:
        RuntimeError: the user has no home, and XDG_STATE_HOME names no place either.
    """
    return platformdirs.user_state_path("batch_editor", appauthor=False) / shared_rate_name(key, base_url)


class SharedRateFile:
    """Turns to send, over all runs that have the file open, see `SharedRateLimit`.

    The file holds one instant: when the next turn is due, by the system's monotonic clock, which all processes share
    and nobody sets. Taking a turn moves the instant on, under a lock that the kernel frees however a process ends. The
    file outlives its runs, so runs that crash and start again in a loop keep the limit too.

    If the file can't be used, `say` is called once and turns are not waited for: the run still keeps the limit by
    itself.
    If somebody removes the file, the runs that had it open make it anew, and `say` is called once.
    """

    def __init__(
        self,
        path: Path,
        rate: Rate,
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._spacing_s = spacing_s(rate)
        self._slack_s = slack_s(rate)
        self._jitter_s = jitter_s(rate)
        self._say = say
        self._clock = clock
        self._file: int | None = None
        # Without a folder no run has ever been here, so the window is empty.
        self._is_first = not path.parent.exists()
        self._has_reported_removal = False
        try:
            self._open()
        except OSError as error:
            self._give_up(error)

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = open_regular(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def close(self) -> None:
        """Leave the rate limit to the other runs."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def turn(self) -> float:
        """See `SharedRateLimit.turn`."""
        due_at = await self._next_turn()
        while (early_s := due_at - self._clock()) > 0:
            await asyncio.sleep(early_s)
            if self._file is None or self._is_in_place(self._file):
                break
            due_at = await self._next_turn()  # the file was replaced meanwhile; another run has this turn as well
        return self._jitter_s

    async def _next_turn(self) -> float:
        """When the turn that this run just took is due; at once if the file can't be used."""
        asked_at = self._clock()
        while self._file is not None:
            try:
                # Not on a thread: it takes six calls of a few microseconds, and a thread may answer 5 ms late.
                if self._is_in_place(self._file):
                    return self._reserve(self._file)
                self._open_again()
            except BlockingIOError as error:
                if self._clock() > asked_at + LOCK_PATIENCE_S:
                    self._give_up(error)
                await asyncio.sleep(LOCK_AGAIN_S)
            except OSError as error:
                self._give_up(error)
        return asked_at

    def _reserve(self, file: int) -> float:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            now = self._clock()
            next_at = self._next_at(file, now)
            if not next_at < now + MOST_RUNS * self._spacing_s:  # also true of NaN
                next_at = now + self._spacing_s
            due_at = max(next_at, now - self._slack_s)
            os.pwrite(file, _INSTANT.pack(due_at + self._spacing_s), 0)
            return due_at
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _next_at(self, file: int, now: float) -> float:
        held = os.pread(file, _INSTANT.size, 0)
        if len(held) == _INSTANT.size:
            next_at: float = _INSTANT.unpack(held)[0]
            return next_at
        # A new file may stand in the place of one that was removed, and its last turn may have been just now.
        return now if self._is_first else now + self._spacing_s

    def _is_in_place(self, file: int) -> bool:
        """Whether the open file is still the one at the path, which other runs open."""
        try:
            open_one, found = os.fstat(file), os.lstat(self._path)
        except FileNotFoundError:
            return False
        return (open_one.st_dev, open_one.st_ino) == (found.st_dev, found.st_ino)

    def _open_again(self) -> None:
        self.close()
        self._is_first = False
        self._open()
        if not self._has_reported_removal:
            self._has_reported_removal = True
            self._say(
                f"warning: {self._path}: was removed or replaced while this run was on; other runs of the same key may"
                " have sent requests beside it. From now on they share the rate limit again"
            )

    def _give_up(self, error: OSError) -> None:
        self.close()
        self._say(
            f"warning: {self._path}: can't be used ({error.strerror}); other runs of the same key at the same time"
            " would not share the rate limit with this one"
        )
