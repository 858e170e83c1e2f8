"""Under CI=true a test that is skipped fails, unless the list says why it may be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.skips import ALLOWED

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.support import skips
from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport
skips.ALLOWED.update({"test_some.py::test_allowed": "why", "test_file.py": "why"})
"""
TESTS = {
    "test_some.py": """
import pytest
def test_here(): pytest.skip("needs a moon")
@pytest.mark.skipif(True, reason="needs a sun")
def test_marked(): pass
@pytest.mark.parametrize("case", [1])
def test_allowed(case): pytest.skip("as the list says")
@pytest.mark.xfail(reason="known")
def test_known(): assert False
def test_passes(): pass
""",
    "test_module.py": 'import pytest; pytest.importorskip("no_such_library")',
    "test_file.py": 'import pytest; pytest.skip("as the list says", allow_module_level=True)',
}


def outcome(folder: Path, *, ci: str) -> str:
    """What pytest says of these tests."""
    for name, text in {"conftest.py": CONFTEST, **TESTS}.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--continue-on-collection-errors"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.slow
def test_in_ci_a_skip_is_a_failure_unless_it_is_listed(tmp_path: Path) -> None:
    said = outcome(tmp_path, ci="true")
    assert " 1 failed, 1 passed, 2 skipped, 1 xfailed, 2 errors in " in said
    assert "FAILED test_some.py::test_here" in said
    assert "ERROR test_some.py::test_marked" in said
    assert "ERROR test_module.py" in said
    assert "Skipped: needs a moon\nUnder CI=true no test is skipped unless tests/support/skips.py allows it" in said


@pytest.mark.slow
def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    assert " 1 passed, 5 skipped, 1 xfailed in " in outcome(tmp_path, ci="")


def test_every_skip_that_is_allowed_has_its_reason_and_its_test() -> None:
    for name, reason in ALLOWED.items():
        path, _, test = name.partition("::")
        assert reason
        assert f"def {test.rpartition('::')[2]}" in (ROOT / path).read_text(encoding="utf-8")
