"""Tests of one group share what they prepare: they run in one of the processes that `make test` runs tests in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """\
import os
import pytest

@pytest.mark.xdist_group("shared")
@pytest.mark.parametrize("number", range(8))
def test_one_of_them(number):
    open(f"seen-{os.getpid()}", "a").close()
"""


@pytest.mark.slow
def test_tests_of_one_group_run_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "test_shared.py").write_text(TESTS)
    arguments = ["-m", "pytest", "-q", "--numprocesses", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, *arguments, "test_shared.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "8 passed" in done.stdout) == (0, True), done.stdout + done.stderr
    assert len(list(tmp_path.glob("seen-*"))) == 1
