"""A manifest's rows cost the same each, however many there are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from batch_editor import Selection
from batch_editor.config import Settings
from batch_editor.ledger import Staging
from batch_editor.ledger.staging_readings import input_links
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, stage_manifests
from tests.scale.counts import TENFOLD, counted, peak_bytes, staged, table

pytestmark = pytest.mark.slow

MANY, FEW = 5000, 500

DIRECT: dict[str, str] = {}
TEMPLATES = {"prompt": "Show {{ title }} on white", "id": "{{ id }}-{{ size }}"}
RENDERED = {"prompt": "Show {{ title|trim }} on white"}


@pytest.mark.parametrize("overrides", [DIRECT, TEMPLATES, RENDERED], ids=["direct", "templates", "rendered"])
def test_ten_times_the_rows_cost_no_more_each(tmp_path: Path, overrides: Mapping[str, str]) -> None:
    few = counted(staged(table(tmp_path, FEW), **overrides))
    many = counted(staged(table(tmp_path, MANY), **overrides))
    assert many.calls <= TENFOLD * few.calls


def test_rows_go_to_the_disk_in_one_statement(tmp_path: Path) -> None:
    few = counted(staged(table(tmp_path, FEW)))
    many = counted(staged(table(tmp_path, MANY)))
    # Kinds are a statement each, and there is one more: prompts whose numbers have a digit more.
    assert many.statements - few.statements <= 2


def test_memory_does_not_grow_with_the_manifest(tmp_path: Path) -> None:
    few = peak_bytes(staged(table(tmp_path, 1000)))
    many = peak_bytes(staged(table(tmp_path, 5000)))
    # Both hold one row, beside 90 KB of columns and kinds; 4,000 rows more would be 4 MB.
    assert many - few < 50_000


def test_links_to_look_at_are_drawn_one_at_a_time(tmp_path: Path) -> None:
    def peak_of_links(count: int) -> int:
        with Staging() as staging:
            catalog = Catalog(Settings())
            stage_manifests([table(tmp_path, count)], catalog, Selection(), Calibration(tmp_path / "none"), staging)
            links = input_links(staging, catalog.default.name, images=catalog.default.images, mask=catalog.default.mask)
            tracemalloc.start()
            try:
                assert sum(1 for _ in links) == count
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert peak_of_links(5000) < peak_of_links(500) + 20_000
