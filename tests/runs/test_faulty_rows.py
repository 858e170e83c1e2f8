"""A faulty row does not cost the night: it is left out, its job keeps what it has, and the run says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_editor.recovery.rebuild import rebuild
from tests.support.bench import INPUT, Bench, sandbox

pytestmark = pytest.mark.slow

HEADER = "id,prompt,image_urls,quality,size,note"


def table(bench: Bench, *rows: str) -> Path:
    path = bench.folder / "jobs.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def sound(id: str) -> str:
    return f"{id},edit {id},{INPUT},low,1024x1024,n-{id}"


def faulty(id: str) -> str:
    return f"{id},edit {id},{INPUT},hgih,1024x1024,n-{id}"


REASON = "quality is 'hgih'; expected low, medium, high or auto (did you mean high?)"


async def test_without_the_flag_a_faulty_row_refuses_the_manifest(bench: Bench) -> None:
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(table(bench, sound("a"), faulty("b")), provider))
        assert (done.code, provider.books.requests) == (2, 0)
    assert done.err.splitlines()[-1] == f"error: {bench.folder}/jobs.csv:3: job b: {REASON}"


async def test_a_faulty_row_fails_unsent_and_is_mended_later(bench: Bench) -> None:
    async with sandbox() as provider:
        rows = table(bench, sound("a"), faulty("b"), sound("c"))
        done = await bench.command(*bench.run_arguments(rows, provider), "--skip-faulty", "--json")
        assert (done.code, provider.books.requests) == (1, 2)
        assert done.json["jobs"] == {
            "total": 3,
            "succeeded": 2,
            "failed": 1,
            "pending": 0,
            "unknown": 0,
            "reused": 0,
        }
        assert done.json["errors"] == {"invalid_row": 1}
        assert bench.statuses() == {"a": "succeeded", "b": "failed", "c": "succeeded"}
        row = bench.row("b")
        assert (row["error_kind"], row["error"], row["row.note"]) == ("invalid_row", REASON, "n-b")
        assert (row["attempts"], row["estimated_cost_usd"], row["output_path"]) == ("0", "0.0", "")
        # Neither again, nor with --retry-failed: nothing about the row has changed.
        again = await bench.command(*bench.run_arguments(rows, provider), "--skip-faulty", "--retry-failed")
        assert (again.code, provider.books.requests) == (1, 2)
        assert again.out.splitlines()[-1].startswith("Mend the row with faults, then: batch-editor run ")
        shown = (await bench.command("status", bench.out)).out
        assert "    once mended, to send just these: batch-editor run " in shown
        mended = table(bench, sound("a"), sound("b"), sound("c"))
        assert (await bench.command(*bench.run_arguments(mended, provider))).code == 0
        assert provider.books.requests == 3
    assert list(bench.statuses()) == ["a", "b", "c"]


@pytest.mark.parametrize("rebuilt", [False, True])
async def test_a_done_job_keeps_its_image_while_its_row_is_faulty(bench: Bench, rebuilt: bool) -> None:
    async with sandbox() as provider:
        await bench.run(table(bench, sound("a"), sound("b")), provider)
        before = bench.row("b")
        rows = table(bench, faulty("b"), sound("a"))
        done = await bench.command(*bench.run_arguments(rows, provider), "--skip-faulty")
        assert (done.code, provider.books.requests) == (1, 2)
        assert list(bench.statuses().items()) == [("b", "failed"), ("a", "succeeded")]
        row = bench.row("b")
        assert (row["error_kind"], row["error"]) == ("invalid_row", REASON)
        assert {name: row[name] for name in ("output_path", "sha256", "fingerprint", "prompt", "row.note")} == {
            name: before[name] for name in ("output_path", "sha256", "fingerprint", "prompt", "row.note")
        }
        assert (bench.out / row["output_path"]).is_file()
        if rebuilt:
            (bench.out / "ledger.sqlite3").unlink()
            rebuild(bench.out)
        mended = table(bench, sound("a"), sound("b"))
        assert (await bench.command(*bench.run_arguments(mended, provider))).code == 0
        assert provider.books.requests == 2
    assert (bench.out / bench.row("b")["output_path"]).is_file()


async def test_a_row_whose_id_is_another_s_is_called_by_its_line(bench: Bench) -> None:
    async with sandbox() as provider:
        rows = table(
            bench, sound("a"), f"a,other,{INPUT},low,1024x1024,", faulty("a"), f" ,x,{INPUT},hgih,,", sound("b")
        )
        done = await bench.command(*bench.run_arguments(rows, provider), "--skip-faulty")
        assert (done.code, provider.books.requests) == (1, 2)
    assert bench.statuses() == {
        "a": "succeeded",
        "jobs-row-3": "failed",
        "jobs-row-4": "failed",
        "jobs-4": "failed",  # without an id of its own it has its number, as ever
        "b": "succeeded",
    }
    duplicate = f"duplicate id 'a', first used at {bench.folder}/jobs.csv:2"
    assert bench.row("jobs-row-3")["error"] == duplicate
    assert bench.row("jobs-row-4")["error"] == f"{REASON}; {duplicate}"
    assert bench.files() == ["a.png", "b.png"]


async def test_all_rows_faulty_is_a_refusal(bench: Bench) -> None:
    async with sandbox() as provider:
        rows = table(bench, faulty("a"), faulty("b"))
        done = await bench.command(*bench.run_arguments(rows, provider), "--skip-faulty")
        assert (done.code, provider.books.requests) == (2, 0)
    assert not bench.out.exists()


async def test_a_faulty_row_that_is_not_chosen_counts_for_nothing_and_keeps_its_image(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(table(bench, sound("a"), sound("b")), provider)
        rows = table(bench, sound("a"), faulty("b"), sound("c"), sound("a"))
        done = await bench.command(*bench.run_arguments(rows, provider), "--only", "c")
        assert (done.code, provider.books.requests) == (0, 3)
        assert bench.row("b")["output_path"] == "images/b.png"
        refused = await bench.command(*bench.run_arguments(rows, provider), "--only", "[ab]")
        assert refused.code == 2
    assert refused.err.splitlines()[-2:] == [
        f"error: {bench.folder}/jobs.csv:3: job b: {REASON}",
        f"error: {bench.folder}/jobs.csv:5: duplicate id 'a', first used at {bench.folder}/jobs.csv:2",
    ]


async def test_faulty_rows_do_not_count_as_failures_that_stop_a_run(bench: Bench) -> None:
    async with sandbox() as provider:
        rows = table(bench, *(faulty(f"f{n}") for n in range(30)), *(sound(f"s{n}") for n in range(5)))
        done = await bench.command(*bench.run_arguments(rows, provider), "--skip-faulty", "--max-failures", "1")
        assert (done.code, provider.books.requests) == (1, 5)


async def test_a_plan_counts_rows_that_are_left_out_and_ends_with_1(bench: Bench) -> None:
    rows = table(bench, sound("a"), faulty("b"))
    planned = await bench.command("plan", str(rows), "--skip-faulty", "--json", key=None)
    assert planned.code == 1
    assert (planned.json["jobs"], planned.json["requests"], planned.json["faulty"]) == (2, 1, 1)
    (bench.folder / "config.yaml").write_text("rows: {faulty: skip}\n", encoding="utf-8")
    shown = await bench.command("plan", "jobs.csv", key=None)
    assert shown.code == 1
    assert "  left out: 1 row with faults, to fail unsent" in shown.out.splitlines()
