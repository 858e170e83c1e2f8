"""What pages are told of jobs: filters, order, counts, the grid, all of one."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.bench import Bench, sandbox
from tests.support.made_output import MadeOutput
from tests.support.page import Page, reviewed

VERSION_0_1 = Path(__file__).parents[1] / "upgrade" / "version-0.1" / "outputs" / "catalog"
CARD = [
    *("job_id", "status", "verdict", "note", "by", "at", "fingerprint", "sha256", "width", "height", "thumb", "before"),
    *("prompt", "template", "endpoint", "error_kind", "error", "cost_usd", "latency_s", "redo", "redone"),
    *("reused_from", "possibly_billed"),
]


async def test_every_job_is_a_card_in_the_order_of_the_manifest(made: MadeOutput, page: Page) -> None:
    found = await page.get("/api/jobs?limit=1000")
    assert (found["total"], found["offset"], len(found["jobs"])) == (100, 0, 100)
    assert [card["job_id"] for card in found["jobs"][:4]] == [
        *("B00000-beach", "B00000-studio", "B00000-winter", "B00001-beach"),
    ]
    assert all(list(card) == CARD for card in found["jobs"])
    assert found["pictures"] == sum(card["sha256"] is not None for card in found["jobs"]) == 92
    statuses = Counter(card["status"] for card in found["jobs"])
    assert statuses == {"succeeded": 92, "failed": 6, "pending": 1, "unknown": 1}


async def test_jobs_come_a_window_at_a_time(page: Page) -> None:
    whole = await page.jobs("?limit=1000")
    assert await page.jobs("?offset=40&limit=7") == whole[40:47]
    assert await page.jobs("?offset=98&limit=7") == whole[98:]
    assert await page.jobs("?offset=500") == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", "offset is 0, limit 0; expected 0 or more, and 1 to 1000"),
        ("limit=1001", "offset is 0, limit 1001; expected 0 or more, and 1 to 1000"),
        ("offset=-1", "offset is -1, limit 200; expected 0 or more, and 1 to 1000"),
        ("offset=x", "offset or limit is no number"),
        ("sort=name", "sort is 'name'; expected manifest, cost, time, fidelity"),
        (
            "state=failed",
            "the filter names 'state'; expected status, verdict, error_kind, template, endpoint, row.NAME or q",
        ),
    ],
)
async def test_a_query_that_means_nothing_is_refused(page: Page, query: str, message: str) -> None:
    answer = await page.ask(f"/api/jobs?{query}")
    assert (answer.status, json.loads(answer.body)) == (400, {"error": message})


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("status=failed", lambda card: card["status"] == "failed"),
        ("status=failed&status=unknown", lambda card: card["status"] in ("failed", "unknown")),
        ("error_kind=moderation", lambda card: card["error_kind"] == "moderation"),
        ("endpoint=gpt-image-1.5-edit", lambda _: True),
        ("endpoint=other", lambda _: False),
        ("row.scene=studio", lambda card: card["job_id"].endswith("-studio")),
        ("row.scene=studio&row.scene=beach", lambda card: card["job_id"].endswith(("-studio", "-beach"))),
        ("row.scene=studio&status=failed", lambda card: card["job_id"].endswith("o") and card["status"] == "failed"),
        ("row.nothing=", lambda _: True),
        ("q=B0000", lambda card: card["job_id"].startswith("B0000")),
        ("q=SAFETY+system", lambda card: card["error_kind"] == "moderation"),
        ("q=in+a+WINTER+setting", lambda card: card["job_id"].endswith("winter")),
        ("q=vendor+3", lambda card: int(card["job_id"][1:6]) % 9 == 3 if card["job_id"][0] == "B" else False),
        ("q=+", lambda _: True),
        ("q=%00", lambda _: False),
    ],
)
async def test_a_filter_chooses_what_it_says(page: Page, query: str, holds: Any) -> None:
    everything = await page.jobs("?limit=1000")
    assert await page.jobs(f"?limit=1000&{query}") == [card for card in everything if holds(card)]


@pytest.mark.parametrize("sort", ["cost", "time"])
@pytest.mark.parametrize("descending", [0, 1])
async def test_jobs_are_sorted_and_those_without_a_value_come_last(page: Page, sort: str, descending: int) -> None:
    name = {"cost": "cost_usd", "time": "latency_s"}[sort]
    values = [card[name] for card in await page.jobs(f"?limit=1000&sort={sort}&descending={descending}")]
    known = [value for value in values if value is not None]
    assert values == sorted(known, reverse=bool(descending)) + [None] * (len(values) - len(known))
    assert 0 < len(known) < len(values)


async def test_the_manifest_s_order_can_be_turned_round(page: Page) -> None:
    forward = await page.jobs("?limit=1000")
    assert await page.jobs("?limit=1000&descending=1") == forward[::-1]


async def test_the_overview_says_what_there_is_and_what_can_be_filtered_by(made: MadeOutput, page: Page) -> None:
    found = await page.get("/api/overview")
    assert found["output"] == str(made.path)
    assert found["manifest_name"] == "catalog.yaml"
    assert found["running"] is False
    assert found["jobs"] == {"total": 100, "succeeded": 92, "failed": 6, "pending": 1, "unknown": 1}
    assert found["verdicts"] == {"approved": 0, "rejected": 0, "none": 92}
    assert (found["user"], found["read_only"], found["has_fidelity"], found["has_grid"]) == ("ann", None, False, True)
    filters = found["filters"]
    assert filters["error_kind"] == [
        {"value": "moderation", "count": 4},
        {"value": "input_unreachable", "count": 2},
        {"value": "timeout", "count": 1},
    ]
    assert [each["count"] for each in filters["template"]] == [99, 1]
    columns = {column["name"]: column for column in filters["columns"]}
    assert list(columns) == ["sku", "title", "season", "vendor", "photo", "scene"]
    assert columns["scene"]["values"] == [{"value": scene, "count": 33} for scene in ("beach", "studio", "winter")]
    assert (columns["sku"]["distinct"], len(columns["sku"]["values"])) == (33, 33)


async def test_money_is_what_the_jobs_cost(page: Page) -> None:
    money = (await page.get("/api/overview"))["money"]
    cards = await page.jobs("?limit=1000&status=succeeded")
    assert money["actual_usd"] == pytest.approx(sum(card["cost_usd"] for card in cards))
    assert money["estimated_usd"] == pytest.approx(92 * 0.0408)


async def test_the_grid_has_a_row_for_each_input_and_a_column_for_each_way_of_editing_it(page: Page) -> None:
    found = await page.get("/api/grid?limit=1000")
    assert [column["label"] for column in found["columns"]] == ["beach", "studio", "winter"]
    assert (found["total"], len(found["rows"])) == (33, 33)
    first = found["rows"][0]
    assert first["input"]["label"] == "00000.jpg"
    assert [cell["job_id"] for cell in first["cells"]] == ["B00000-beach", "B00000-studio", "B00000-winter"]
    prices = found["columns"][0]["price_usd"]
    assert prices["min"] < prices["mean"] < prices["max"]


async def test_a_filter_leaves_out_cells_and_rows_of_the_grid(page: Page) -> None:
    found = await page.get("/api/grid?q=no.+7&row.scene=winter&row.scene=beach")
    assert [column["label"] for column in found["columns"]] == ["beach", "winter"]
    assert [[cell["job_id"] for cell in row["cells"]] for row in found["rows"]] == [["B00007-beach", "B00007-winter"]]


async def test_a_filter_of_different_cells_leaves_holes(page: Page) -> None:
    found = await page.get("/api/grid?status=failed")
    assert {len(row["cells"]) for row in found["rows"]} == {len(found["columns"])}
    cells = [cell for row in found["rows"] for cell in row["cells"]]
    assert cells.count(None) == len(cells) - 6


async def test_the_grid_tells_jobs_apart_by_parameters_and_variants(bench: Bench) -> None:
    """As of a CSV with a row for each quality, or of the same request twice on purpose."""
    picture = {"image_urls": ["http://127.0.0.1:9/cup.png"], "prompt": "on white"}
    jobs: list[dict[str, Any]] = [
        *({"id": f"cup-{quality}", **picture, "quality": quality} for quality in ("low", "medium")),
        {"id": "twice", "prompt": "on black", "image_urls": ["http://127.0.0.1:9/mug.png"], "variants": 2},
        {"id": "alone", "prompt": "on black", "image_urls": ["http://127.0.0.1:9/pot.png"]},
    ]
    async with sandbox() as provider:
        await bench.run(jobs, provider)
    async with reviewed(bench.out) as page:
        found = await page.get("/api/grid")
    cells = [
        {column["label"]: cell["job_id"] for column, cell in zip(found["columns"], row["cells"], strict=True) if cell}
        for row in found["rows"]
    ]
    assert cells == [
        {"low": "cup-low", "medium": "cup-medium"},
        {"low": "twice-v1", "low, variant 2": "twice-v2"},
    ]


async def test_all_of_a_job_is_told(page: Page) -> None:
    found = await page.job("B00010-beach")
    assert found["inputs"] == [
        {
            "label": "Before",
            "url": f"/input/{found['fingerprint']}/0",
            "thumb": f"/before/{found['fingerprint']}/0",
            "name": "00010.jpg",
        }
    ]
    assert found["prompt"] == found["sent_prompt"] == "Show the Rocket lamp no. 10 in a beach setting, autumn light"
    assert ["quality", "medium"] in found["params"]
    assert not {"prompt", "image_urls", "mask"} & {name for name, _ in found["params"]}
    assert found["row"][:2] == [["sku", "B00010"], ["title", "Rocket lamp no. 10"]]
    assert found["axes"] == [["scene", "beach"]]
    assert found["mask"] is None
    assert [attempt["number"] for attempt in found["attempts"]] == [1, 2]
    assert found["attempts"][0]["started_at"] == "2026-10-14T16:46:47.500Z"
    assert (found["output_path"], found["format"]) == ("images/B00010/beach.jpg", "jpeg")
    assert found["redone"] == len(found["former"]) == 1
    assert found["former"][0]["label"] == "Before it was made again"
    assert found["former"][0]["fingerprint"] == found["fingerprint"]
    assert found["former"][0]["sha256"] != found["sha256"]


async def test_several_inputs_and_a_mask_are_told(page: Page) -> None:
    found = await page.job("single-0")
    assert [each["label"] for each in found["inputs"]] == ["Input 1", "Input 2"]
    assert found["mask"]["name"] == "mask.png"
    assert found["mask"]["url"] == f"/input/{found['fingerprint']}/mask"


async def test_a_job_has_its_place_among_those_of_a_filter(page: Page) -> None:
    found = await page.job("B00007-studio", "?row.scene=studio")
    assert (found["position"], found["total"], found["matches"]) == (7, 33, True)
    assert (found["previous"], found["next"]) == ("B00006-studio", "B00008-studio")
    first = await page.job("B00000-beach", "?sort=manifest")
    assert (first["position"], first["previous"], first["next"]) == (0, None, "B00000-studio")
    last = await page.job("B00000-beach", "?descending=1")
    assert (last["position"], last["previous"], last["next"]) == (99, "B00000-studio", None)


async def test_a_job_that_a_filter_does_not_choose_any_more_keeps_its_place(page: Page) -> None:
    found = await page.job("B00007-beach", "?row.scene=studio")
    assert (found["position"], found["total"], found["matches"]) == (7, 33, False)
    assert (found["previous"], found["next"]) == ("B00006-studio", "B00007-studio")
    descending = await page.job("B00007-beach", "?row.scene=studio&descending=1")
    assert (descending["previous"], descending["next"]) == ("B00007-studio", "B00006-studio")


async def test_a_job_that_is_not_there_is_none(page: Page) -> None:
    answer = await page.ask("/api/jobs/nobody")
    assert (answer.status, json.loads(answer.body)) == (
        404,
        {"error": "no job of the manifest is called 'nobody'"},
    )


@pytest.mark.parametrize(
    "job_id",
    [
        *(
            "a/b",
            "a b",
            "100%",
            "%2e%2e",
            "<script>alert(1)</script>",
            "'\"&amp;",
            "café ☕",
            "a?b#c",
            "a\\b",
            "x" * 200,
        ),
        *("..a", "a/../b", "//a", "a+b", "a;b", "\u202eabc"),
    ],
)
async def test_any_id_is_found_and_stays_text(bench: Bench, job_id: str) -> None:
    prompt = '</script><img src=x onerror="alert(1)">{{ 7 * 7 }}'
    hostile = {"id": job_id, "prompt": f"{{% raw %}}{prompt}{{% endraw %}}", "image_urls": ["http://127.0.0.1:9/a.png"]}
    async with sandbox() as provider:
        await bench.run([hostile], provider)
    async with reviewed(bench.out) as page:
        found = await page.job(job_id)
        assert (found["job_id"], found["prompt"]) == (job_id, prompt)
        shell = await page.ask(f"/job/{quote(job_id, safe='')}")
        assert shell.status == 200
        assert b"alert(1)" not in shell.body
        assert (await page.ask("/api/jobs")).headers["Content-Type"] == "application/json"


async def test_a_job_that_took_another_s_picture_says_whose_and_cost_nothing(bench: Bench) -> None:
    same = {"prompt": "on white", "image_urls": ["http://127.0.0.1:9/a.png"]}
    async with sandbox() as provider:
        await bench.run([{"id": "one", **same}, {"id": "other", **same}], provider)
    async with reviewed(bench.out) as page:
        one, other = await page.jobs()
    assert (one["reused_from"], other["reused_from"]) == (None, "one")
    assert (one["cost_usd"] > 0, other["cost_usd"]) == (True, 0.0)
    assert one["thumb"] == other["thumb"]


async def test_a_job_that_changed_has_its_former_picture(bench: Bench) -> None:
    link = ["http://127.0.0.1:9/a.png"]
    async with sandbox() as provider:
        for prompt in ("first", "second"):
            await bench.run([{"id": "cup", "prompt": prompt, "image_urls": link}], provider)
    async with reviewed(bench.out) as page:
        found = await page.job("cup")
        assert [each["label"] for each in found["former"]] == ["Before the job changed"]
        assert found["former"][0]["fingerprint"] != found["fingerprint"]
        assert (await page.ask(found["former"][0]["url"])).status == 200
        assert (await page.ask(found["former"][0]["thumb"])).status == 200


async def test_an_output_directory_of_an_earlier_version_is_shown_and_stays_as_it_is(tmp_path: Path) -> None:
    output = Path(shutil.copytree(VERSION_0_1, tmp_path / "catalog"))
    before = (output / "ledger.sqlite3").read_bytes()
    async with reviewed(output) as page:
        cards = await page.jobs("?limit=1000")
        assert len(cards) > 10
        found = [await page.job(card["job_id"]) for card in cards]
        assert {len(job["attempts"]) for job in found} >= {1}
    assert (output / "ledger.sqlite3").read_bytes() == before
