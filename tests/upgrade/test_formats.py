"""What was done of shops' tables before they were read as exports is done for this version: `before-formats`."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch_editor import BatchOptions, Plan, Selection, Settings, make_plan, run_batch
from batch_editor.recovery.rebuild import rebuild
from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.support.bench import KEY, Bench

MADE = Path(__file__).parent / "before-formats"
CHEAP = {"quality": "low", "size": "1024x1024"}
# How a table was given as a manifest, on the command line.
OVERRIDES = {
    **CHEAP,
    "carry": "{handle: [title]}",
    "when": "{{ image_src }}",
    "id": "{{ handle }}-{{ image_position }}",
    "prompt": "Show {{ title }} on pure white",
    "image_urls": "{{ image_src }}",
}
BOTH = [("shop.yaml", {}), ("shopify.csv", OVERRIDES)]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MADE, tmp_path / "shop"))


def plan(shop: Path, name: str, overrides: dict[str, str]) -> Plan:
    output = shop / "outputs" / Path(name).stem
    return make_plan([shop / name], Settings(), selection=Selection(overrides=overrides), output=output)


async def run(shop: Path, name: str, overrides: dict[str, str]) -> int:
    """How many requests a run sends."""
    async with Sandbox(SandboxOptions(latency="0", rate_limit="1000/s")) as sandbox:
        options = BatchOptions(output=shop / "outputs" / Path(name).stem, selection=Selection(overrides=overrides))
        await run_batch([shop / name], Bench(shop).settings(sandbox), SecretStr(KEY), options)
        return sandbox.books.requests


def rows(shop: Path, name: str) -> list[list[str]]:
    with (shop / "outputs" / Path(name).stem / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(("name", "overrides"), BOTH, ids=["yaml", "table"])
@pytest.mark.parametrize("rebuilt", [False, True])
async def test_jobs_that_use_the_shops_own_columns_stay_what_they_were(
    shop: Path, name: str, overrides: dict[str, str], rebuilt: bool
) -> None:
    before = rows(shop, name)
    if rebuilt:
        output = shop / "outputs" / Path(name).stem
        (output / "ledger.sqlite3").unlink()
        rebuild(output)
    planned = plan(shop, name, overrides)
    assert (planned.jobs, planned.requests, planned.changes.gone) == (len(before) - 1, 0, 0)
    assert planned.known["unchanged"] == planned.jobs
    assert await run(shop, name, overrides) == 0
    after = rows(shop, name)
    # All that was there, cell for cell: the parameters, and the table's own columns.
    assert after == before
    for path in (MADE / "outputs" / Path(name).stem / "images").rglob("*.png"):
        assert (shop / path.relative_to(MADE)).read_bytes() == path.read_bytes()


def test_a_plan_says_why_they_are_not_read_as_exports(shop: Path) -> None:
    tables = [each.said.replace(f"{shop}/", "") for each in plan(shop, "shop.yaml", {}).tables]
    assert tables == [
        (
            "shopify.csv: read as it stands; it is a Shopify export, but image_urls doesn't use {{ image }};"
            " format: shopify makes it one row a picture"
        ),
        (
            "google.tsv: read as it stands; it is a Google Merchant feed, but image_urls doesn't use {{ image }};"
            " format: google makes it one row a picture"
        ),
    ]


async def test_reading_the_export_afterwards_buys_only_what_is_new(shop: Path) -> None:
    overrides = {**CHEAP, "prompt": OVERRIDES["prompt"]}
    planned = plan(shop, "shopify.csv", overrides)
    assert planned.tables[0].said.startswith(f"{shop}/shopify.csv: Shopify export, 8 rows: 3 products, 6 pictures, ")
    # A variant's picture, of which the columns Image Src and Image Position tell nothing.
    assert (planned.jobs, planned.requests, planned.changes.gone) == (6, 1, 0)
    assert await run(shop, "shopify.csv", overrides) == 1
    assert [row[0] for row in rows(shop, "shopify.csv")[1:]] == [
        "red-mug-1", "red-mug-2", "red-mug-3", "cat-cushion-1", "flight-suit-1", "flight-suit-2",
    ]  # fmt: skip
