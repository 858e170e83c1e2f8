"""Everything this package raises on purpose. What a job met is data (`records.Failure`), not an exception.

BatchEditorError
├── UsageError              exit 2: the command, the config or a manifest is wrong; nothing was sent
│   ├── ConfigError
│   ├── EndpointError
│   └── ManifestError       carries every fault found, not the first one alone
├── Declined                exit 4: who was asked said no; nothing was sent
├── HistoryError            exit 3: the provider's list of requests can't be read; nothing was resolved
├── LockedError             exit 5: another process is at work on the output directory
└── MachineError            exit 6: disk full, directory lost or not writable, ledger damaged
    ├── LedgerError
    ├── StorageError
    └── VerdictsError
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class BatchEditorError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(BatchEditorError):
    """What the caller gave is wrong; nothing was sent and nothing changed."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, of the wrong type, or contradicts another one."""


class EndpointError(UsageError):
    """An endpoint is unknown, or its file is not one."""


class ManifestError(UsageError):
    """A manifest has faults; `faults` has the first ones in order, `total` counts them all."""

    def __init__(self, faults: Sequence[str], *, total: int | None = None) -> None:
        self.faults = tuple(faults)
        self.total = len(faults) if total is None else total
        lines = list(self.faults)
        if self.total > len(lines):
            lines.append(f"… and {self.total - len(lines)} more")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[ManifestError], tuple[Sequence[str]], dict[str, object]]:
        return type(self), (self.faults,), {"total": self.total}


class Declined(BatchEditorError):
    """Somebody was asked before money was spent, and said no."""

    exit_code = 4


class HistoryError(BatchEditorError):
    """The provider doesn't say, or not in words that are understood, what it was sent and what it charged."""

    exit_code = 3


class LockedError(BatchEditorError):
    """Another process holds the output directory."""

    exit_code = 5


class MachineError(BatchEditorError):
    """A local I/O error: the disk or a ledger can't be used. What was paid for is saved first.

    `transient`: whether the same may work later, when room was made or a mount has come back.
    """

    exit_code = 6

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class LedgerError(MachineError):
    """The ledger can't be read or written, or a newer version wrote it."""


class StorageError(MachineError):
    """A file of the output directory can't be written."""


class VerdictsError(MachineError):
    """What people said of images can't be read or written, or a newer version wrote it."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The nearest known word as the tail of a message, or nothing. Another case counts only where nothing else is near.

    >>> did_you_mean("hgih", ["low", "medium", "high"])
    ' (did you mean high?)'
    >>> did_you_mean("BRAND", ["Title", "Brand"])
    ' (did you mean Brand?)'
    >>> did_you_mean("zebra", ["low", "medium", "high"])
    ''
    """
    in_lower_case = {each.lower(): each for each in known}
    near = get_close_matches(word, known, n=1)
    near = near or [in_lower_case[each] for each in get_close_matches(word.lower(), in_lower_case, n=1)]
    return f" (did you mean {near[0]}?)" if near else ""
