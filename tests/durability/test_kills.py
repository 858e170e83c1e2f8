"""Runs that are killed at every step: nothing is lost or bought twice. The long form is in kills.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.durability.kills import live_through

pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
@pytest.mark.fault(75)
async def test_wherever_a_run_is_killed_the_next_ones_come_to_the_same_end(tmp_path: Path) -> None:
    tally = await live_through(100, tmp_path)
    assert tally.wrong == []
    assert tally.never == []
    assert tally.kills >= 100
