"""Review shows a comparison as a grid: a row for each job, a column for each way, whatever inputs the jobs share."""

from __future__ import annotations

from tests.support.bench import Bench, job, sandbox
from tests.support.page import reviewed


async def test_the_grid_of_review_has_a_row_for_each_job_and_a_column_for_each_way(bench: Bench) -> None:
    path = bench.write([job("white", "on white"), job("beach", "on a beach")])
    async with sandbox() as provider:
        _, _, _, _, *quick = bench.run_arguments(path, provider)
        over = ("--over", "endpoint=gpt-image-1.5-edit,nano-banana", "--over", "quality=low,high")
        made = await bench.command("compare", path, *quick, *over)
        assert made.code == 0, made.err
    async with reviewed(bench.folder / "outputs/jobs-compare") as page:
        assert (await page.get("/api/overview"))["has_grid"]
        found = await page.get("/api/grid")
    assert [column["label"] for column in found["columns"]] == [
        "gpt-image-1.5-edit, low",
        "gpt-image-1.5-edit, high",
        "nano-banana, any",
    ]
    assert [column["price_usd"]["mean"] for column in found["columns"]] == [0.0108, 0.1596, 0.04]
    rows = [(row["input"]["label"], [cell["job_id"] for cell in row["cells"]]) for row in found["rows"]]
    ways = ("gpt-image-1.5-edit-low", "gpt-image-1.5-edit-high", "nano-banana")
    assert rows == [(name, [f"{name}@{way}" for way in ways]) for name in ("white", "beach")]
