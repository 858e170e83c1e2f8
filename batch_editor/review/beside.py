"""Review beside a run: a process of its own, which the run neither waits for nor is hurt by, and which outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batch_editor.text import printable, redact

# A page that is open asks every few seconds. After so long without one the server ends itself.
IDLE_S = 900
_SAID = "Review: "


class ReviewBeside:
    """Starts the command `review` for output directories; `say` is called with its address, or why there is none.

    arguments: more of the command's. without: variables that it is not to have; nor has it any that hold a key.
    """

    def __init__(self, *, say: Callable[[str], None], arguments: Sequence[str], without: Sequence[str]) -> None:
        self._say = say
        self._arguments = [*arguments, "--end-when-idle", str(IDLE_S)]
        self._without = without
        self._thread: threading.Thread | None = None

    def start(self, output: Path) -> None:
        """Start it, and return at once."""
        self._thread = threading.Thread(target=self._started, args=(output,), name="review", daemon=True)
        self._thread.start()

    def wait_until_said(self, within_s: float) -> None:
        """Return when `say` has been told, or the time is up. Blocks."""
        if self._thread is not None:
            self._thread.join(within_s)

    def _started(self, output: Path) -> None:
        # As in `processes`: modules come from where this process has them, not from the working directory.
        folders = [*filter(None, sys.path), str(Path(__file__).parents[2])]
        program = f"import sys; sys.path[:] = {folders!r}; from batch_editor.__main__ import entry; entry()"
        try:
            process = subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
                [sys.executable, "-P", "-c", program, "review", *self._arguments, "--", str(output)],
                env=_environment(os.environ, self._without),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C, and its end, are the run's
            )
        except OSError as error:
            self._say(f"warning: --open: no process can be started ({error.strerror})")
            return
        assert process.stdout is not None
        line = process.stdout.readline().decode(errors="replace").strip()
        said = (
            line if line.startswith(_SAID) else f"warning: --open: {printable(line) or 'review ended without a word'}"
        )
        self._say(said)
        process.stdout.close()
        process.returncode = 0  # it lives longer than this process; Popen would warn that nobody has waited for it


def _environment(environment: Mapping[str, str], without: Sequence[str]) -> dict[str, str]:
    """The variables that it gets: what a browser and a proxy need is in them, and no key."""
    return {name: value for name, value in environment.items() if name not in without and redact(value) == value}
