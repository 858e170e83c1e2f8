"""One output directory, jobs at several endpoints."""

from __future__ import annotations

import csv
import json

from tests.support.bench import INPUT, Bench, sandbox

NEW, NANO = "gpt-image-2.5-sunburst", "nano-banana"
OWN = """\
name: studio
path: studio-v3
parameters:
  prompt: {type: string, required: true, role: prompt}
  photo: {type: link, required: true, role: images}
prices: {table: 0.01}
"""


def matrix_of(bench: Bench, *endpoints: str) -> str:
    """A manifest of 3 jobs by endpoints and 2 qualities; one of its endpoints is a file beside it."""
    (bench.folder / "studio.yaml").write_text(OWN, encoding="utf-8")
    entry = {
        "id": "{{ sku }}-{{ endpoint }}-{{ quality }}",
        "rows": [{"sku": "a"}, {"sku": "b"}, {"sku": "c"}],
        "matrix": {"endpoint": list(endpoints), "quality": ["low", "high"]},
        "prompt": "edit {{ sku }}",
        "image_urls": [INPUT],
        "quality": "{{ quality }}",
    }
    path = bench.folder / "jobs.yaml"
    path.write_text(json.dumps({"defaults": {"size": "1024x1024"}, "jobs": [entry]}), encoding="utf-8")
    return path.name


async def test_a_matrix_of_endpoints_is_planned_sent_and_written_as_one(bench: Bench) -> None:
    manifest = matrix_of(bench, "gpt-image-1.5-edit", NEW)
    plan = await bench.command("plan", manifest, "--json", key=None)
    assert (plan.json["jobs"], plan.json["requests"]) == (12, 12)
    groups = {(group["endpoint"], group["quality"]): group["requests"] for group in plan.json["groups"]}
    assert groups == {(name, quality): 3 for name in ("gpt-image-1.5-edit", NEW) for quality in ("low", "high")}
    async with sandbox() as provider:
        arguments = bench.run_arguments(bench.folder / manifest, provider)
        assert (await bench.command(*arguments)).code == 0
        assert provider.books.requests == 12
        assert (await bench.command(*arguments)).code == 0
        assert (provider.books.requests, provider.books.double_billed) == (12, 0)
    rows = {row["job_id"]: row for row in bench.rows()}
    assert len({row["fingerprint"] for row in rows.values()}) == 12
    assert {row["endpoint"] for row in rows.values()} == {"gpt-image-1.5-edit", NEW}
    assert rows[f"a-{NEW}-high"]["row.endpoint"] == NEW
    # A column that one endpoint has is blank for the other.
    with (bench.out / "manifest.csv").open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    assert columns[columns.index("prompt") :][:9] == [
        *("prompt", "image_urls", "mask", "size", "quality"),
        *("background", "output_compression", "output_format", "moderation"),
    ]
    assert rows[f"a-{NEW}-high"]["background"] == ""


async def test_what_comes_to_one_request_is_sent_once_and_a_file_of_ones_own_is_rehearsed(bench: Bench) -> None:
    manifest = matrix_of(bench, NEW, NANO, "studio.yaml")
    done = await bench.command("run", manifest, "-o", "out", "--sandbox", "--progress", "none", "--json", key=None)
    assert done.code == 0, done.err
    assert done.json["jobs"] | {"total": 18, "succeeded": 18, "reused": 6} == done.json["jobs"]
    assert done.json["requests"]["sent"] == 12
    assert f"warning: jobs.yaml: quality of gpt-image-1.5-edit has no place in {NANO} and is left out" in done.err
    rows = {row["job_id"]: row for row in bench.rows()}
    assert rows["b-studio.yaml-high"]["reused_from"] == "b-studio.yaml-low"
    assert {row["endpoint"] for row in rows.values()} == {NEW, NANO, "studio"}


async def test_a_key_of_a_job_stays_where_another_endpoint_is_named_for_the_run(bench: Bench) -> None:
    jobs = [{"id": id, "prompt": f"edit {id}", "image_urls": [INPUT]} for id in ("a", "b")]
    manifest = bench.folder / "jobs.yaml"
    manifest.write_text(json.dumps({"jobs": [jobs[0], {**jobs[1], "endpoint": NANO}]}), encoding="utf-8")
    plan = await bench.command("plan", manifest, "--json", "--endpoint", NEW, key=None)
    assert sorted(group["endpoint"] for group in plan.json["groups"]) == [NEW, NANO]


async def test_each_endpoint_that_ends_is_warned_of(bench: Bench) -> None:
    manifest = matrix_of(bench, "gpt-image-1.5-edit", NEW)
    plan = await bench.command(
        "plan", manifest, "--endpoint", NEW, key=None, environment={"BATCH_EDITOR_TODAY": "2026-11-27"}
    )
    assert "warning: gpt-image-1.5-edit retires on 2026-12-01, in 4 days; move to its successor" in plan.err
