"""`prune`: what goes, what stays, and that nothing which it removed is missed or lost."""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batch_editor.pruning import prune_output
from batch_editor.verdicts import FILE_NAME as VERDICTS
from batch_editor.verdicts import Picture, Verdicts
from tests.support.bench import Bench, job, sandbox, with_options
from tests.support.page import reviewed

FIRST = [job("a", "one"), job("b"), job("g")]
AGAIN = "a job that asks for it again is made, and paid, again"
SECOND = [job("a", "two"), job("b")]


@pytest.fixture
async def changed(bench: Bench) -> Bench:
    """Of three jobs one has changed and one is gone: two former images."""
    async with sandbox() as provider:
        await bench.run(FIRST, provider)
        await bench.run(SECOND, provider)
    return bench


async def money(bench: Bench) -> Any:
    """What `status` and the ledger have of it."""
    return (await bench.command("status", bench.out, "--json")).json["cost_usd"]


def pruned(bench: Bench, keep: timedelta = timedelta(), **how: Any) -> Any:
    """The `--json` of a prune in this process."""
    return prune_output(bench.out, keep, dry_run=False, say=print, **how).as_json()


async def test_it_says_what_it_would_remove_and_then_removes_that(changed: Bench) -> None:
    (changed.images / ".rejected").mkdir()
    (changed.images / ".rejected/b.attempt-1.0123456789ab.bin").write_bytes(b"no image")
    (changed.out / ".review/ab").mkdir(parents=True)
    (changed.out / ".review/ab/0123").write_bytes(b"x" * 1_560_000)
    before, manifest = changed.files(), (changed.out / "manifest.csv").read_bytes()
    cost = await money(changed)

    said = await changed.command("prune", changed.out, "--keep", "0d", "--dry-run")
    assert said.code == 0
    assert said.out == (
        "images/.history: 2 former images would be removed, 0.0 MB\n"
        "images/.rejected: 1 answer without a result would be removed, 0.0 MB\n"
        ".review: 1 file of the review page's cache would be removed, 1.6 MB\n"
        f"2 done requests of former manifests would have no image any more: {AGAIN}\n"
    )
    younger = await changed.command("prune", changed.out, "--keep", "8w", "--json")
    assert [each["files"] for each in younger.json["removed"].values()] == [0, 0, 0]
    assert changed.files() == before

    said = await changed.command("prune", changed.out, "--keep", "0d")
    assert said.code == 0
    assert said.out == (
        "images/.history: 2 former images removed, 0.0 MB\n"
        "images/.rejected: 1 answer without a result removed, 0.0 MB\n"
        ".review: 1 file of the review page's cache removed, 1.6 MB\n"
        f"2 done requests of former manifests have no image any more: {AGAIN}\n"
    )
    assert changed.files() == ["a.png", "b.png"]
    assert not (changed.out / ".review/ab/0123").exists()
    assert (changed.out / "manifest.csv").read_bytes() == manifest
    assert await money(changed) == cost
    again = await changed.command("prune", changed.out, "--keep", "0d", "--json")
    assert again.json == {
        "output": str(changed.out),
        "exit_code": 0,
        "dry_run": False,
        "keep_s": 0.0,
        "requests": 0,
        "removed": {name: {"files": 0, "bytes": 0} for name in ("history", "rejected", "cache")},
    }


@pytest.mark.slow
async def test_what_was_pruned_is_made_again_where_it_is_asked_for_and_is_never_lost(changed: Bench) -> None:
    assert pruned(changed)["requests"] == 2
    async with sandbox() as provider:
        # Nothing that the manifest has is missed.
        await changed.run(SECOND, provider)
        assert (provider.books.requests, changed.statuses()) == (0, {"a": "succeeded", "b": "succeeded"})

        manifest = changed.write(FIRST)
        planned = await changed.command("plan", manifest, "-o", changed.out, key=None)
        assert "  would be made again: 2 requests whose former image was pruned" in planned.out.splitlines()
        planned = await changed.command("plan", manifest, "-o", changed.out, "--json", key=None)
        assert [planned.json[name] for name in ("pruned", "requests", "done")] == [2, 2, 1]

        done = await changed.run(FIRST, provider)
        assert (done.exit_code, provider.books.requests) == (0, 2)
        assert set(changed.statuses().values()) == {"succeeded"}
        # From now on it is known as any other.
        assert changed.plan(SECOND).changes.pruned == changed.plan(FIRST).changes.pruned == 0
        exported = await changed.command("export", changed.out, "--format", "jsonl", "--to", "-")
        assert exported.out.count('"status":"succeeded"') == 3

        (changed.out / "ledger.sqlite3").unlink()
        assert (await changed.command("status", changed.out, "--rebuild")).code == 0
        await changed.run(FIRST, provider)
        assert (provider.books.requests, set(changed.statuses().values())) == (2, {"succeeded"})


async def test_a_review_page_shows_no_former_picture_that_is_gone_and_explain_says_so(changed: Bench) -> None:
    async with reviewed(changed.out) as page:
        assert len((await page.job("a"))["former"]) == 1
    pruned(changed)
    async with reviewed(changed.out) as page:
        assert (await page.job("a"))["former"] == []
    explained = await changed.command("explain", changed.out, "a", "--json")
    assert [(each["kind"], each["path"]) for each in explained.json["files"]] == [
        ("picture", "images/a.png"),
        ("former picture", None),
    ]
    assert ", pruned 20" in explained.json["files"][1]["about"]


@pytest.mark.slow
async def test_a_rejected_picture_stays_until_another_one_has_taken_its_place(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(SECOND, provider)
        row = bench.row("a")
        with closing(Verdicts(bench.out / VERDICTS)) as verdicts:
            picture = Picture(row["fingerprint"], row["sha256"])
            verdicts.give([picture], verdict="rejected", note="sharper", by="ann", now=time.time())
        assert pruned(bench)["removed"]["history"]["files"] == 0
        await bench.run(SECOND, provider, options=with_options(redo=["rejected"]))
        assert len(bench.files()) == 3
        found = pruned(bench)
        assert (found["removed"]["history"]["files"], found["requests"]) == (1, 0)
        assert bench.files() == ["a.png", "b.png"]
        cost = await money(bench)
        await bench.run(SECOND, provider)
        assert (provider.books.requests, await money(bench)) == (3, cost)


@pytest.mark.slow
async def test_a_former_image_is_as_old_as_its_place_in_the_history(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("a", "one")], provider)
        await bench.run([job("a", "two")], provider)
        await asyncio.sleep(0.05)
        between = time.time()
        await asyncio.sleep(0.05)
        await bench.run([job("a", "three")], provider)
        assert pruned(bench, timedelta(days=30), now=between + timedelta(days=30).total_seconds())["requests"] == 1
        assert len(bench.files()) == 2
        back = await bench.run([job("a", "two")], provider)
        assert (back.exit_code, provider.books.requests) == (0, 3)
        await bench.run([job("a", "one")], provider)
        assert provider.books.requests == 4


@pytest.mark.slow
async def test_an_image_that_any_job_has_stays_in_the_history_too(bench: Bench) -> None:
    shared = [job("a", "one"), job("b", "one")]
    async with sandbox() as provider:
        await bench.run(shared, provider)
        await bench.run([job("a", "two"), job("b", "one")], provider)
        assert pruned(bench)["removed"]["history"]["files"] == 0
        (bench.images / "b.png").unlink()
        await bench.run(shared, provider)
        assert (provider.books.requests, set(bench.statuses().values())) == (2, {"succeeded"})


def links(bench: Bench) -> list[Path]:
    """A history that has a link to a folder elsewhere, and files that this program doesn't name so."""
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    (bench.images / ".history/shared").symlink_to(elsewhere)
    (bench.images / ".history/mine.0123456789ac.png").symlink_to(bench.images / "a.png")
    kept = [elsewhere / "x.0123456789ab.png", bench.images / ".history/notes.txt", bench.images / ".history/old.png"]
    for path in kept:
        path.write_bytes(b"x")
    return [*kept, bench.images / ".history/mine.0123456789ac.png"]


def linked_history(bench: Bench) -> list[Path]:
    """A history that is itself a link to elsewhere."""
    moved = (bench.images / ".history").rename(bench.folder / "moved")
    (bench.images / ".history").symlink_to(moved)
    return list(moved.iterdir())


@pytest.mark.parametrize("prepare", [links, linked_history])
async def test_what_is_none_of_this_program_s_files_stays(
    changed: Bench, prepare: Callable[[Bench], list[Path]]
) -> None:
    kept = prepare(changed)
    pruned(changed)
    assert kept
    assert all(path.is_file() for path in kept)
    assert changed.files()[-2:] == ["a.png", "b.png"]


@pytest.mark.parametrize("age", ["30", "soon", "", "-3d", "1d2w", "99999999999w"])
async def test_an_age_that_is_none_is_refused(changed: Bench, age: str) -> None:
    said = await changed.command("prune", changed.out, f"--keep={age}")
    assert (said.code, said.err) == (2, f"error: --keep is {age!r}; expected an age such as 30d, 12h or 8w\n")


async def test_it_waits_for_nobody_who_is_at_work_there_and_for_a_run_s_directory(changed: Bench) -> None:
    before = changed.files()
    with (changed.out / ".lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = await changed.command("prune", changed.out, "--keep", "0d")
        assert (said.code, changed.files()) == (5, before)
        assert (await changed.command("prune", changed.out, "--keep", "0d", "--dry-run")).code == 0
    said = await changed.command("prune", changed.folder, "--keep", "0d")
    assert (said.code, said.err) == (
        2,
        f"error: {changed.folder}: no ledger here; expected the output directory of a run\n",
    )
    (changed.out / "manifest.csv").write_text('job_id,sha256\na,"\n')
    said = await changed.command("prune", changed.out, "--keep", "0d")
    assert said.code == 6
    assert said.err == (
        f"error: {changed.out}/manifest.csv: can't be read as an output manifest (line 2 opens a quote that is never"
        " closed); a run writes it anew\n"
    )
