"""Review shows a comparison as a grid: a row for each job, a column for each way, whatever inputs the jobs share."""

from __future__ import annotations

from tests.support.bench import Bench, job, sandbox
from tests.support.page import reviewed


async def test_the_grid_of_review_has_a_row_for_each_job_and_a_column_for_each_way(bench: Bench) -> None:
    path = bench.write([job("white", "on white"), job("beach", "on a beach")])
    async with sandbox() as provider:
        _, _, _, _, *quick = bench.run_arguments(path, provider)
        over = ("--over", "endpoint=gpt-image-1.5-edit,gpt-image-2.5-flare,nano-banana", "--over", "quality=low,xhigh")
        made = await bench.command("compare", path, *quick, *over)
        assert made.code == 0, made.err
    async with reviewed(bench.folder / "outputs/jobs-compare") as page:
        assert (await page.get("/api/overview"))["has_grid"]
        found = await page.get("/api/grid")
    assert [column["label"] for column in found["columns"]] == [
        "gpt-image-1.5-edit, low",
        "gpt-image-1.5-edit, xhigh → high",
        "gpt-image-2.5-flare, low",
        "gpt-image-2.5-flare, xhigh",
        "nano-banana, any",
    ]
    prices = [column["price_usd"]["mean"] for column in found["columns"]]
    assert (prices[:2], prices[-1]) == ([0.0108, 0.1596], 0.04)
    rows = [(row["input"]["label"], [cell["job_id"] for cell in row["cells"]]) for row in found["rows"]]
    flare = [f"gpt-image-2.5-flare-{quality}" for quality in ("low", "xhigh")]
    ways = ("gpt-image-1.5-edit-low", "gpt-image-1.5-edit-xhigh", *flare, "nano-banana")
    assert rows == [(name, [f"{name}@{way}" for way in ways]) for name in ("white", "beach")]
