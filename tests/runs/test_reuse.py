"""Images that another output directory has paid for are taken from there: whole, with their verdicts, for nothing."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batch_editor.ledger.migrations import M_REUSE, MIGRATIONS
from batch_editor.recovery.rebuild import rebuild
from batch_editor.verdicts import FILE_NAME, Picture, Verdicts
from tests.support.bench import REHEARSAL, Bench, Job, jobs, sandbox, with_options

THREE = jobs(3)


def renamed(wanted: list[Job]) -> list[Job]:
    """The same requests under other ids and outputs."""
    return [{**each, "id": f"other-{each['id']}", "output": f"deep/{each['id']}"} for each in wanted]


async def planned(bench: Bench, manifest: Path, out: Path, *more: str | Path) -> dict[str, Any]:
    found = await bench.command("plan", manifest, "-o", out, "--json", *more, key=None)
    assert found.code == 0, found.err
    return found.json


async def test_finished_requests_are_taken_with_their_verdicts_whatever_the_jobs_are_called(bench: Bench) -> None:
    there, here = bench.folder / "trial", bench.folder / "catalog"
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=there)
        first = bench.rows(there)[0]
        given = Verdicts(there / FILE_NAME)
        given.give([Picture(first["fingerprint"], first["sha256"])], verdict="approved", note="so", by="Ada", now=7.0)
        given.close()
        before = {path: path.stat().st_mtime_ns for path in there.rglob("*")}

        manifest = bench.write(renamed(jobs(4)))
        plan = await planned(bench, manifest, here, "--reuse", there)
        assert (plan["requests"], plan["reused"], plan["done"], plan["taken"]) == (1, 3, 0, {"trial": 3})
        told = await bench.command("plan", manifest, "-o", here, "--reuse", there, key=None)
        assert "to send 1, sharing another's image 0, done 0\n" in told.out
        assert "  taken from trial, for nothing: 3 images\n" in told.out

        summary = await bench.run(manifest, provider, out=here, options=with_options(reuse=[there]))
        assert (provider.books.requests, summary.exit_code, summary.jobs.reused) == (4, 0, 3)
        assert summary.cost.estimated == pytest.approx(0.0108)
    rows = bench.rows(here)
    assert [row["reused_from"] for row in rows] == ["trial/job-0", "trial/job-1", "trial/job-2", ""]
    assert [(row["estimated_cost_usd"], row["actual_cost_usd"], row["attempts"]) for row in rows[:3]] == [
        ("0.0", "0.0", "0")
    ] * 3
    assert [row["verdict"] + row["verdict_note"] for row in rows] == ["approvedso", "", "", ""]
    for row, origin in zip(rows[:3], bench.rows(there), strict=True):
        assert row["output_path"] == f"images/deep/{origin['job_id']}.png"
        assert (here / row["output_path"]).read_bytes() == (there / origin["output_path"]).read_bytes()
        assert row["sha256"] == origin["sha256"]
    # The directory that they come from is only read.
    assert {path: path.stat().st_mtime_ns for path in there.rglob("*")} == before


async def test_a_run_looks_into_its_own_comparison_unasked(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=bench.folder / "out-compare")
        assert (await planned(bench, bench.write(THREE), bench.out))["reused"] == 3
        await bench.run(THREE, provider)
        assert provider.books.requests == 3
        # Again: they are this directory's own by now.
        plan = await planned(bench, bench.write(THREE), bench.out)
        assert (plan["done"], plan["reused"]) == (3, 0)
    assert {row["reused_from"] for row in bench.rows()} == {f"out-compare/job-{n}" for n in range(3)}


async def test_nothing_is_taken_from_a_rehearsal(bench: Bench) -> None:
    trial = bench.folder / "trial"
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=trial, options=REHEARSAL)
        found = await bench.command(*bench.run_arguments(bench.write(THREE), provider, "--reuse", trial))
        assert (found.code, provider.books.requests) == (0, 6)
    assert f"warning: {trial}: holds a rehearsal, from which no image is taken\n" in found.err


async def test_another_request_is_not_taken_and_one_that_must_be_made_again_neither(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=bench.folder / "out-compare")
        await bench.run(jobs(3, quality="medium"), provider)
        assert provider.books.requests == 6
        await bench.run(THREE, provider, options=with_options(redo=["all"]))
        assert provider.books.requests == 9


async def test_done_jobs_that_ask_for_what_is_elsewhere_are_not_bought_again(bench: Bench) -> None:
    """Jobs that changed to what was compared: nothing is paid, so nothing is asked about."""
    many = jobs(25)
    async with sandbox() as provider:
        await bench.run(jobs(25, quality="medium"), provider)
        await bench.run(many, provider, out=bench.folder / "out-compare")
        plan = await planned(bench, bench.write(many), bench.out)
        assert (plan["requests"], plan["reused"], plan["remade"], plan["asks"]) == (0, 25, 0, [])
        await bench.run(many, provider)
        assert provider.books.requests == 50
    assert len([path for path in bench.files() if path.startswith(".history/")]) == 25


@pytest.mark.parametrize("how", ["gone", "other"])
async def test_an_image_that_is_no_longer_what_it_was_is_paid_for_and_said(bench: Bench, how: str) -> None:
    trial = bench.folder / "trial"
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=trial)
        path = trial / "images" / "job-1.png"
        content = path.read_bytes()
        path.unlink()
        if how == "other":
            path.write_bytes(content + b"x")
        found = await bench.command(*bench.run_arguments(bench.write(THREE), provider, "--reuse", trial))
        assert (found.code, provider.books.requests) == (0, 4)
    is_found_late = how == "other"  # a plan looks for names alone
    assert ("warning: 1 more are no longer there as they were; their requests are sent and paid\n" in found.err) == (
        is_found_late
    )
    assert [row["reused_from"] for row in bench.rows()] == ["trial/job-0", "", "trial/job-2"]


async def test_images_that_left_the_comparison_are_taken_from_its_history(bench: Bench) -> None:
    there = bench.folder / "out-compare"
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=there)
        await bench.run(THREE[:1], provider, out=there)
        await bench.run(THREE, provider)
        assert provider.books.requests == 3


async def test_a_job_that_failed_here_for_good_takes_what_is_done_elsewhere(bench: Bench) -> None:
    async with sandbox(faults=("400:1",)) as provider:
        assert (await bench.run(THREE, provider)).exit_code == 1
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=bench.folder / "out-compare")
        assert (await bench.run(THREE, provider)).exit_code == 0
        assert provider.books.requests == 3
    assert {row["error"] for row in bench.rows()} == {""}


async def test_a_directory_without_a_ledger_is_refused_before_anything_is_sent(bench: Bench) -> None:
    async with sandbox() as provider:
        found = await bench.command(*bench.run_arguments(bench.write(THREE), provider, "--reuse", "nowhere"))
        assert (found.code, provider.books.requests) == (2, 0)
    assert found.err == "error: --reuse nowhere: no ledger here; expected the output directory of a run\n"


async def test_a_rebuilt_ledger_knows_what_was_taken(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=bench.folder / "out-compare")
        await bench.run(THREE, provider)
        before = bench.rows()
        (bench.out / "ledger.sqlite3").unlink()
        shutil.rmtree(bench.folder / "out-compare")
        rebuild(bench.out)
        summary = await bench.run(THREE, provider)
        assert (provider.books.requests, summary.cost.estimated) == (3, 0.0)
    assert bench.rows() == before


def take_back(db: sqlite3.Connection, version: int) -> None:
    """Leave of a ledger what the first steps of its schema have made."""
    with closing(sqlite3.connect(":memory:")) as former:
        for step in MIGRATIONS[:version]:
            former.executescript(step)
        for kind in ("index", "table"):
            named = "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite%'"
            for (name,) in {*db.execute(named, (kind,))} - {*former.execute(named, (kind,))}:
                db.execute(f"DROP {kind} {name}")
        columns = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
        for table, column in {*db.execute(columns)} - {*former.execute(columns)}:
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    db.execute(f"PRAGMA user_version = {version}")


async def test_what_an_earlier_schema_has_finished_is_taken(bench: Bench) -> None:
    there = bench.folder / "out-compare"
    async with sandbox() as provider:
        await bench.run(THREE, provider, out=there)
        with closing(sqlite3.connect(there / "ledger.sqlite3")) as db:
            take_back(db, MIGRATIONS.index(M_REUSE))
            # As if it had been hashed by another version of the endpoint's file.
            db.execute("UPDATE columns SET value = '{}' WHERE name = 'hashed_by'")
            db.execute("UPDATE requests SET fingerprint = 'x' || fingerprint")
            db.execute("UPDATE jobs SET fingerprint = 'x' || fingerprint, placed_fingerprint = 'x' || fingerprint")
            db.commit()
        await bench.run(THREE, provider)
        assert provider.books.requests == 3


@pytest.mark.slow
@pytest.mark.parametrize("after", range(0, 60, 12))
async def test_killed_while_it_takes_them_it_leaves_no_half_image_and_the_next_run_buys_nothing(
    bench: Bench, after: int
) -> None:
    many = jobs(60)
    there = bench.folder / "trial"
    async with sandbox() as provider:
        await bench.run(many, provider, out=there)
        manifest = bench.write(many)
        arguments = bench.run_arguments(manifest, provider, "--reuse", there)
        async with bench.started(*arguments) as process:
            ended = asyncio.create_task(process.ended())
            while not ended.done() and len(list(bench.images.glob("*.png"))) <= after:  # noqa: ASYNC110
                await asyncio.sleep(0.0005)
            process.kill()
            await ended
        for path in bench.images.glob("*.png"):
            assert path.read_bytes() == (there / "images" / path.name).read_bytes()
        assert (await bench.command(*arguments)).code == 0
        assert provider.books.requests == 60
    assert [row["reused_from"] for row in bench.rows()] == [f"trial/{each['id']}" for each in many]
    assert [path for path in bench.files() if "." in Path(path).stem] == []
