"""Says that this system can't run the program, before an import deep inside does it with a traceback."""

from __future__ import annotations

from importlib import import_module

from batch_editor.errors import UsageError

# Locks on files, and the limit of open files; Python has neither on Windows.
_NEEDED = ("fcntl", "resource")


def require_posix() -> None:
    """Return if this Python has the modules that only POSIX systems have.

    Raises:
        UsageError: it lacks one, as on Windows.
    """
    for name in _NEEDED:
        try:
            import_module(name)
        except ImportError as error:
            raise UsageError(
                f"batch-editor needs Linux, macOS or another POSIX system: this Python has no module {name}. "
                "On Windows, run it inside WSL (https://learn.microsoft.com/windows/wsl/install)"
            ) from error
