"""What this program calls itself in every request."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("batch_editor")
    except PackageNotFoundError:  # its files alone, which were never installed
        return "0"


USER_AGENT = f"batch_editor/{_version()}"
