"""Jobs in, right images and a right manifest out."""

from __future__ import annotations

import hashlib
import itertools
import json
from datetime import datetime
from typing import Any

import pytest
from PIL import Image

from tests.support.bench import INPUT, KEY, UTC_TIME, Bench, body_of, job, jobs, requests_of, sandbox, sha256_of

COLUMNS = [
    *("job_id", "status", "output_path", "http_status", "attempts", "latency_s", "estimated_cost_usd"),
    *("actual_cost_usd", "possibly_billed", "error_kind", "error", "reused_from", "started_at", "finished_at"),
    *("width", "height", "format", "bytes", "sha256", "request_id", "fingerprint", "endpoint"),
    *("verdict", "verdict_note", "finished", "fidelity"),
    *("prompt", "image_urls", "mask", "size", "quality", "background", "output_compression", "output_format"),
    "moderation",
]


@pytest.mark.slow
async def test_each_of_100_jobs_gets_the_image_of_its_own_request(bench: Bench) -> None:
    wanted = jobs(100)
    async with sandbox(latency="0-0.05") as provider:
        summary = await bench.run(wanted, provider)
    assert summary.exit_code == 0
    assert (summary.jobs.total, summary.jobs.succeeded) == (100, 100)
    assert [row["job_id"] for row in bench.rows()] == [each["id"] for each in wanted]
    for each in wanted:
        assert bench.stamp(each["id"]) == sha256_of(each)
    assert provider.books.requests == provider.books.billed == 100
    assert provider.books.double_billed == 0


async def test_the_manifest_tells_each_image_and_what_it_cost(bench: Bench) -> None:
    formats = ["png", "jpeg", "webp"]
    wanted = [
        job(f"{format}-{size}", output_format=format, size=size, quality=quality, output=f"by-format/{format}/{size}")
        for format, (size, quality) in itertools.product(
            formats, [("1024x1024", "low"), ("1536x1024", "medium"), ("1024x1536", "high")]
        )
    ]
    async with sandbox(latency="0.05") as provider:
        await bench.run(wanted, provider)
    costs = {"low": "0.0108", "medium": "0.06", "high": "0.24"}
    for each, row in zip(wanted, bench.rows(), strict=True):
        assert list(row) == COLUMNS
        path = bench.out / row["output_path"]
        data = path.read_bytes()
        with Image.open(path) as image:
            assert (row["width"], row["height"], row["format"]) == (
                *(str(side) for side in image.size),
                str(image.format).lower(),
            )
        assert path.suffix == {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}[row["format"]]
        assert row["output_path"].startswith(f"images/by-format/{each['output_format']}/{each['size']}.")
        assert (row["bytes"], row["sha256"]) == (str(len(data)), hashlib.sha256(data).hexdigest())
        assert (row["status"], row["http_status"], row["attempts"]) == ("succeeded", "200", "1")
        assert (row["estimated_cost_usd"], row["actual_cost_usd"]) == (costs[each["quality"]],) * 2
        assert (row["possibly_billed"], row["error_kind"], row["error"], row["reused_from"]) == ("0", "", "", "")
        assert 0.05 <= float(row["latency_s"]) < 5
        assert row["request_id"].startswith(sha256_of(each)[:12])
        assert UTC_TIME.fullmatch(row["started_at"])
        assert UTC_TIME.fullmatch(row["finished_at"])
        started, finished = (datetime.fromisoformat(row[name]) for name in ("started_at", "finished_at"))
        assert started < finished
        assert (row["prompt"], row["image_urls"], row["mask"]) == (each["prompt"], INPUT, "")
        assert (row["background"], row["output_compression"], row["moderation"]) == ("opaque", "95", "auto")
        assert row["endpoint"] == "gpt-image-1.5-edit"
        assert len(row["fingerprint"]) == 32
    assert provider.books.billed_usd == pytest.approx(3 * (0.0108 + 0.06 + 0.24))


async def test_other_columns_of_a_row_come_out_again_and_a_csv_is_a_manifest_too(bench: Bench) -> None:
    manifest = bench.folder / "products.csv"
    manifest.write_text(
        f'id,prompt,image_urls,sku,size,quality\na,"one, and two",{INPUT},00123,1024x1024,low\n'
        f"b,more,{INPUT}|{INPUT}?2,,,low\n",
        encoding="utf-8",
    )
    async with sandbox() as provider:
        summary = await bench.run(manifest, provider)
    assert summary.exit_code == 0
    first, second = bench.rows()
    assert list(first) == [*COLUMNS, "row.sku"]
    assert (first["row.sku"], first["prompt"], second["row.sku"]) == ("00123", "one, and two", "")
    assert (second["image_urls"], second["size"]) == (f"{INPUT}|{INPUT}?2", "auto")


async def test_a_request_is_to_the_letter_of_the_api_page(bench: Bench, recorder: Any) -> None:
    wanted = job("mug", mask=None)
    await bench.run([wanted], recorder.base_url)
    (request,) = recorder.requests
    assert (request.method, request.path) == ("POST", "/v1/gpt-image-1.5-edit")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers
    assert request.json == body_of(wanted)
    assert '"mask":null' in request.text
    assert list(request.json) == list(body_of(wanted))


@pytest.mark.fault(90)
async def test_jobs_that_would_send_the_same_request_share_one_image(bench: Bench) -> None:
    wanted = [job("a", "same"), job("other"), job("b", "same"), job("c", "same", output="deep/c")]
    async with sandbox() as provider:
        summary = await bench.run(wanted, provider)
    assert provider.books.requests == 2
    assert (summary.jobs.succeeded, summary.jobs.reused, summary.sent) == (4, 2, 2)
    rows = {row["job_id"]: row for row in bench.rows()}
    assert [rows[id]["reused_from"] for id in ("a", "other", "b", "c")] == ["", "", "a", "a"]
    assert {rows[id]["sha256"] for id in "abc"} == {rows["a"]["sha256"]}
    assert [rows[id]["estimated_cost_usd"] for id in "abc"] == ["0.0108", "0.0", "0.0"]
    assert [rows[id]["attempts"] for id in "abc"] == ["1", "0", "0"]
    assert bench.files() == ["a.png", "b.png", "deep/c.png", "other.png"]
    assert sum(float(row["actual_cost_usd"]) for row in rows.values()) == pytest.approx(provider.books.billed_usd)


async def test_variants_are_the_same_request_sent_again_on_purpose(bench: Bench) -> None:
    wanted = job("mug", variants=2)
    async with sandbox() as provider:
        summary = await bench.run([wanted], provider)
    assert (provider.books.requests, requests_of(provider.books, wanted)) == (2, 2)
    assert bench.statuses() == {"mug-v1": "succeeded", "mug-v2": "succeeded"}
    assert [row["reused_from"] for row in bench.rows()] == ["", ""]
    assert summary.cost.actual == pytest.approx(provider.books.billed_usd)


@pytest.mark.fault(92, 93)
async def test_names_that_cannot_be_files_are_made_safe_and_none_leaves_the_directory(
    bench: Bench,
) -> None:
    ids = ["../../evil", "a/b", "A", "a", "CON", "x" * 190, "é", "=1+1", ".hidden", "-rf"]
    wanted = [job(id, prompt=f"edit number {number}") for number, id in enumerate(ids)]
    async with sandbox() as provider:
        summary = await bench.run(wanted, provider)
    assert summary.jobs.succeeded == len(ids)
    paths = [row["output_path"] for row in bench.rows()]
    assert len({path.casefold() for path in paths}) == len(ids)
    for each, path in zip(wanted, paths, strict=True):
        assert (bench.out / path).resolve().is_relative_to(bench.images.resolve())
        with Image.open(bench.out / path) as image:
            assert image.info["request"] == sha256_of(each)
    assert {path.name for path in bench.folder.iterdir()} == {"jobs.yaml", "out"}


async def test_the_summary_and_the_manifest_agree_with_the_books(bench: Bench) -> None:
    wanted = [*jobs(8), job("bad", "refuse me")]
    async with sandbox(faults=("400:prompt~refuse", "502:prompt~job-3:first=1")) as provider:
        summary = await bench.run(wanted, provider)
    shown = summary.as_json()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["jobs"] == {"total": 9, "succeeded": 8, "failed": 1, "pending": 0, "unknown": 0, "reused": 0}
    assert shown["requests"] == {"sent": provider.books.requests, "retried": 1, "possibly_billed": 1}
    assert shown["cost_usd"]["actual"] == pytest.approx(provider.books.billed_usd)
    assert shown["cost_usd"]["possibly_billed"] >= 0.0108
    assert shown["errors"] == {"invalid_parameter": 1}
    assert shown["exit_code"] == 1


@pytest.mark.fault(92)
async def test_an_output_that_is_another_job_s_id_takes_nobody_s_place(bench: Bench) -> None:
    wanted = [job("mug"), job("other", output="mug"), job("a:b"), job("third", output="a:b")]
    async with sandbox() as provider:
        assert (await bench.run(wanted, provider)).exit_code == 0
        assert (await bench.run(wanted, provider)).sent == 0
    assert len({row["output_path"] for row in bench.rows()}) == 4
    for each in wanted:
        assert bench.stamp(each["id"]) == sha256_of(each)
