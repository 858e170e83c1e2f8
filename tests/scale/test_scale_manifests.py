"""A manifest's rows cost the same each, however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from counts import TENFOLD, counted, spooled, table

MANY, FEW = 5000, 500

DIRECT: dict[str, str] = {}
TEMPLATES = {"prompt": "Show {{ title }} on white", "id": "{{ id }}-{{ size }}"}
RENDERED = {"prompt": "Show {{ title|trim }} on white"}


@pytest.mark.parametrize(
    ("overrides", "calls"),
    [
        # Measured: 110 calls, Python's and C's; they take 20 µs. One more check of each row is one or two calls, so
        # ten more are a change that somebody should have a reason for.
        (DIRECT, 120),
        # A template of names alone is filled in without Jinja2, for no more than reading a cell costs: 109.
        (TEMPLATES, 120),
        # One that Jinja2's sandbox renders: 180.
        (RENDERED, 195),
    ],
)
def test_a_row_costs_so_many_calls(tmp_path: Path, overrides: Mapping[str, str], calls: int) -> None:
    few = counted(spooled(table(tmp_path, FEW), **overrides))
    many = counted(spooled(table(tmp_path, MANY), **overrides))
    assert (many.calls - few.calls) / (MANY - FEW) <= calls
    assert many.calls <= TENFOLD * few.calls


def test_rows_go_to_the_disk_by_the_thousand(tmp_path: Path) -> None:
    few = counted(spooled(table(tmp_path, FEW)))
    many = counted(spooled(table(tmp_path, MANY)))
    # A batch of a thousand rows is BEGIN, one statement for all of them, COMMIT.
    assert many.statements - few.statements <= 3 * MANY / 1000


def test_memory_does_not_grow_with_the_manifest(tmp_path: Path) -> None:
    few = counted(spooled(table(tmp_path, 2000)))
    many = counted(spooled(table(tmp_path, 10_000)))
    # Both hold a batch of a thousand rows, 1 MB at the worst moment; 8,000 rows more would be another 8.
    assert many.peak_bytes - few.peak_bytes < 200_000
