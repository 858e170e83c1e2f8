"""A catalog moves to another model, and what is done is not bought again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch_editor.recovery.rebuild import rebuild
from tests.support.bench import Bench, jobs, sandbox
from tests.support.bench import job as job_of

pytestmark = pytest.mark.slow

FORMER, NEW = "gpt-image-1.5-edit", "nano-banana"


def table(bench: Bench, *ids: str, prompt: str = "edit") -> Path:
    """A manifest that names no endpoint, and nothing that only one of the two has."""
    path = bench.folder / "jobs.csv"
    rows = [f"{id},{prompt} {id},http://127.0.0.1:9/{id}.png" for id in ids]
    path.write_text("\n".join(["id,prompt,image_urls", *rows]) + "\n", encoding="utf-8")
    return path


IDS = [f"job-{n:02}" for n in range(30)]


async def planned(bench: Bench, manifest: Path, *more: str) -> dict[str, Any]:
    found = await bench.command("plan", manifest, "-o", "out", "--json", *more, key=None)
    assert found.code == 0, found.err
    return found.json


async def ran(bench: Bench, manifest: Path, provider: Any, *more: str) -> int:
    """The requests that a run sends."""
    before = provider.books.requests
    done = await bench.command(*bench.run_arguments(manifest, provider), *more)
    assert done.code == 0, done.err
    return int(provider.books.requests - before)


@pytest.mark.parametrize("rebuilt", [False, True])
async def test_done_jobs_keep_their_images_and_new_ones_go_to_the_new_endpoint(bench: Bench, rebuilt: bool) -> None:
    async with sandbox() as provider:
        assert await ran(bench, table(bench, *IDS), provider) == 30
        before = {row["job_id"]: row for row in bench.rows()}
        if rebuilt:
            (bench.out / "ledger.sqlite3").unlink()
            rebuild(bench.out)
        more = table(bench, *IDS, "new-1", "new-2")
        plan = await planned(bench, more, "--endpoint", NEW)
        assert (plan["requests"], plan["kept"], plan["remade"]) == (2, {FORMER: 30}, 0)
        assert [group["endpoint"] for group in plan["groups"]] == [NEW]
        assert await ran(bench, more, provider, "--endpoint", NEW) == 2
        rows = {row["job_id"]: row for row in bench.rows()}
        assert {rows[id]["endpoint"] for id in IDS} == {FORMER}
        assert {rows[id]["endpoint"] for id in ("new-1", "new-2")} == {NEW}
        assert all(rows[id]["sha256"] == before[id]["sha256"] for id in IDS)
        # Its row shows the request that made the image.
        assert (rows[IDS[0]]["quality"], rows[IDS[0]]["fingerprint"]) == ("high", before[IDS[0]]["fingerprint"])
        # Again, and back, cost nothing.
        assert await ran(bench, more, provider, "--endpoint", NEW) == 0
        assert await ran(bench, more, provider, "--endpoint", FORMER) == 0
        assert {row["job_id"]: row["endpoint"] for row in bench.rows()}["new-1"] == NEW


async def test_a_plan_says_that_the_prompt_changed_and_not_the_endpoint_alone(bench: Bench) -> None:
    async with sandbox() as provider:
        await ran(bench, table(bench, *IDS), provider)
    text = table(bench, *IDS).read_text(encoding="utf-8").replace("edit job-00", "edit anew job-00")
    (bench.folder / "jobs.csv").write_text(text, encoding="utf-8")
    plan = await bench.command("plan", "jobs.csv", "-o", "out", "--endpoint", NEW, key=None)
    assert "  made again: 1 done job, different in endpoint (1), prompt (1)\n" in plan.out


async def test_redo_endpoint_makes_all_of_them_with_the_new_one(bench: Bench) -> None:
    async with sandbox() as provider:
        assert await ran(bench, table(bench, *IDS), provider) == 30
        more = table(bench, *IDS, "new-1")
        assert (await planned(bench, more, "--endpoint", NEW, "--redo", "endpoint"))["requests"] == 31
        assert await ran(bench, more, provider, "--endpoint", NEW, "--redo", "endpoint") == 31
        assert {row["endpoint"] for row in bench.rows()} == {NEW}
        assert len(list((bench.images / ".history").glob("job-*"))) == 30


async def test_the_setting_is_asked_about_where_it_would_buy_a_catalog_again(bench: Bench) -> None:
    (bench.folder / "config.yaml").write_text("redo: {endpoint: true}\n", encoding="utf-8")
    async with sandbox() as provider:
        assert await ran(bench, table(bench, *IDS), provider) == 30
        refused = await bench.command(*bench.run_arguments(table(bench, *IDS), provider), "--endpoint", NEW)
        assert (refused.code, provider.books.requests) == (2, 30)
        assert "30 of 30 done jobs would be made, and paid, again: they differ in endpoint (30)" in refused.err
        assert await ran(bench, table(bench, *IDS), provider, "--endpoint", NEW, "--yes") == 30


async def test_another_prompt_or_input_goes_to_the_new_endpoint(bench: Bench) -> None:
    async with sandbox() as provider:
        assert await ran(bench, table(bench, "a", "b"), provider) == 2
        assert (await planned(bench, table(bench, "a", "b", prompt="other"), "--endpoint", NEW))["requests"] == 2


async def test_what_was_not_finished_goes_to_the_new_endpoint(bench: Bench) -> None:
    async with sandbox(faults=("400:1",)) as provider:
        failed = await bench.command(*bench.run_arguments(table(bench, "a", "b"), provider))
        assert failed.code == 1
    async with sandbox() as provider:
        assert await ran(bench, table(bench, "a", "b"), provider, "--endpoint", NEW) == 2
    assert {row["endpoint"] for row in bench.rows()} == {NEW}


async def test_the_flag_takes_the_place_of_what_a_manifest_names(bench: Bench) -> None:
    manifest = bench.folder / "jobs.yaml"
    text = f"endpoint: {FORMER}\njobs:\n  - {{id: a, prompt: x, image_urls: ['http://127.0.0.1:9/a.png']}}\n"
    manifest.write_text(text, encoding="utf-8")
    assert [group["endpoint"] for group in (await planned(bench, manifest))["groups"]] == [FORMER]
    assert [group["endpoint"] for group in (await planned(bench, manifest, "--endpoint", NEW))["groups"]] == [NEW]


async def test_redo_all_makes_every_chosen_job_again_once_that_is_confirmed(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(4), provider)
        former = {row["job_id"]: row["sha256"] for row in bench.rows()}
        arguments = bench.run_arguments(bench.write(jobs(4)), provider)
        refused = await bench.command(*arguments, "--redo", "all")
        assert (refused.code, provider.books.requests) == (2, 4)
        assert "error: 4 done jobs would be made, and paid, again" in refused.err.splitlines()
        done = await bench.command(*arguments, "--redo", "all", "--only", "job-[01]", "--yes")
        assert (done.code, provider.books.requests) == (0, 6)
        assert {row["job_id"]: row["sha256"] for row in bench.rows()}.keys() == former.keys()
        assert bench.statuses() == dict.fromkeys(former, "succeeded")
        assert bench.row("job-0")["attempts"] == "2"


async def test_redo_failed_and_unknown_are_apart(bench: Bench) -> None:
    async with sandbox(faults=("400:1",)) as provider:
        await bench.command(*bench.run_arguments(bench.write([job_of("a")]), provider))
        assert provider.books.requests == 1
    async with sandbox() as provider:
        again = bench.run_arguments(bench.write([job_of("a")]), provider)
        assert (await bench.command(*again, "--redo", "unknown")).code == 1
        assert provider.books.requests == 0
        assert (await bench.command(*again, "--redo", "failed")).code == 0
        assert provider.books.requests == 1
