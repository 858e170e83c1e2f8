"""Under CI=true a skipped test is a failure: else what a machine lacks would leave tests out unseen."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

# Tests that may be skipped there all the same: the path of a file, or of a test without its parameters, and why.
ALLOWED: dict[str, str] = {}

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def judged(report: Report) -> Report:
    """The report, as a failure if it is of a skip that isn't allowed."""
    name = report.nodeid.partition("[")[0]
    if not report.skipped or hasattr(report, "wasxfail") or name in ALLOWED or name.partition("::")[0] in ALLOWED:
        return report
    _, _, why = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, report.longreprtext)
    report.outcome = "failed"
    report.longrepr = f"{why}\nUnder CI=true no test is skipped unless tests/support/skips.py allows it, with a reason"
    return report


def in_ci() -> bool:
    return os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return judged(report) if in_ci() else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """For whole modules, as `pytest.importorskip` skips them."""
    report = yield
    return judged(report) if in_ci() else report
