"""What a test needs of the machine. Where it is lacking the test is skipped, and says what it needs."""

from __future__ import annotations

import os
import shutil

import pytest


def need_root() -> None:
    """For file systems of a few MB, which a test mounts."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it mounts a small file system")


def need_c_compiler() -> None:
    """For a library that stands between a run and the system."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (cc): it builds a library of tests/support")
