"""Shards of a manifest, each by a process of its own: every job is made once, and the limits hold over all of them."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_editor import Selection, UsageError
from batch_editor.ledger.migrations import M_SHARD, MIGRATIONS
from batch_editor.output import locked
from batch_editor.sandbox import Sandbox
from batch_editor.shard import Shard
from tests.support.bench import LOW_USD, REHEARSAL, Bench, Job, arrived, job, sandbox, sha256_of, with_options

COUNT = 4
SHARDS = [Shard(number, COUNT) for number in range(COUNT)]


def shop(count: int, *, prompt: str = "On white") -> list[Job]:
    """Jobs of different pictures; at every tenth place one that asks for the same as the one before."""
    return [job(f"j-{n}", prompt, image_urls=[f"http://127.0.0.1:9/{n - (n % 10 == 9)}.png"]) for n in range(count)]


def out(bench: Bench, shard: Shard) -> Path:
    return bench.folder / f"out{shard.ending}"


async def run(bench: Bench, jobs: Sequence[Job], provider: Sandbox, shard: Shard | None, **options: Any) -> Any:
    directory = options.pop("out", bench.out if shard is None else out(bench, shard))
    flags = options.pop("flags", {})
    chosen = replace(with_options(selection=Selection(shard=shard)), **options)
    return await bench.run(jobs, provider, options=chosen, out=directory, **flags)


def arguments(bench: Bench, manifest: Path, provider: Sandbox, shard: Shard, *more: str) -> list[str | Path]:
    where = bench.run_arguments(manifest, provider, "--shard", str(shard), "--yes", out=out(bench, shard))
    return [*where, *more]


def machine(bench: Bench, shard: Shard) -> dict[str, str]:
    """A shard's own machine has its own record of when the key's next request may leave."""
    return {"XDG_STATE_HOME": str(bench.folder / f"machine-{shard.number}")}


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_four_processes_make_every_job_once_within_the_rate_and_the_budget_though_one_is_killed(
    bench: Bench,
) -> None:
    rng, wanted = random.Random(5), shop(80)
    manifest = bench.write(wanted)
    limits = ("--rate", "40/s", "--max-cost", str(round(200 * LOW_USD, 4)), "--max-failures", "8", "--concurrency", "8")
    async with sandbox(latency="0.2-0.5") as provider:

        async def do(shard: Shard) -> int:
            finished = await bench.command(
                *arguments(bench, manifest, provider, shard, *limits), environment=machine(bench, shard)
            )
            return finished.code

        async def die(shard: Shard) -> None:
            async with bench.started(
                *arguments(bench, manifest, provider, shard, *limits), environment=machine(bench, shard)
            ) as process:
                await arrived(provider.books, 20)
                await asyncio.sleep(rng.uniform(0, 0.2))
                process.send(signal.SIGKILL)
                assert (await process.finished()).code == -signal.SIGKILL

        *codes, _ = await asyncio.gather(*map(do, SHARDS[:-1]), die(SHARDS[-1]))
        codes.append(await do(SHARDS[-1]))
        await provider.books.idle()
    books = provider.books
    assert codes == [0] * COUNT
    rows = [row for shard in SHARDS for row in bench.rows(out(bench, shard))]
    assert Counter(row["job_id"] for row in rows) == Counter(each["id"] for each in wanted)
    assert {row["status"] for row in rows} == {"succeeded"}
    # What was in flight when a process was killed may be billed twice, and its row says so.
    lost = sum(int(row["possibly_billed"]) for row in rows)
    assert books.double_billed <= lost <= 8
    assert set(books.billed_by_body) == {sha256_of(each) for each in wanted}
    assert books.most_in_window(1.0) <= 40
    again = [row for row in rows if row["reused_from"]]
    assert len(again) == 8  # a tenth asks for what another one does, and that is in the same shard


async def test_the_budgets_of_all_shards_come_to_what_was_given(bench: Bench) -> None:
    async with sandbox() as provider:
        wanted, budget = shop(60), {"budget__max_cost_usd": 20 * LOW_USD}
        summaries = [await run(bench, wanted, provider, shard, flags=budget) for shard in SHARDS]
    assert 12 * LOW_USD <= provider.books.billed_usd <= 20 * LOW_USD
    assert {summary.exit_code for summary in summaries} == {4}
    assert all(summary.cost.actual <= 5 * LOW_USD + 1e-9 for summary in summaries)


async def test_a_new_prompt_is_sent_by_the_shard_that_had_the_job_and_nothing_is_gone(bench: Bench) -> None:
    async with sandbox() as provider:
        for prompt in ("On white", "In a forest"):
            wanted = shop(12, prompt=prompt)
            for shard in SHARDS:
                summary = await run(bench, wanted, provider, shard)
                assert summary.exit_code == 0
                assert summary.changes is not None
                assert summary.changes.gone == 0
        rows = [row for shard in SHARDS for row in bench.rows(out(bench, shard))]
    assert {row["prompt"] for row in rows} == {"In a forest"}
    assert provider.books.double_billed == 0


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ("0/4", "0/8", "has shard 0 of 4, and this is shard 0 of 8; expected --shard 0/4, or"),
        ("0/4", "1/4", "has shard 0 of 4, and this is shard 1 of 4; expected --shard 0/4, or"),
        ("0/4", None, "has shard 0 of 4, and this is the whole manifest; expected --shard 0/4, or"),
        (None, "0/4", "has the whole manifest, and this is shard 0 of 4; expected no --shard, or"),
    ],
)
async def test_an_output_directory_stays_with_its_shard(
    bench: Bench, before: str | None, now: str | None, message: str
) -> None:
    shard, other = (None if text is None else Shard.parse(text) for text in (before, now))
    wanted = shop(6)
    async with sandbox() as provider:
        await run(bench, wanted, provider, shard, out=bench.out)
        sent = provider.books.requests
        said = f"{bench.out}: {message} another output directory. --reuse {bench.out} takes what is paid for over into"
        with pytest.raises(UsageError) as planned:
            bench.plan(wanted, selection=Selection(shard=other))
        with pytest.raises(UsageError) as refused:
            await run(bench, wanted, provider, other, out=bench.out)
        assert str(planned.value) == str(refused.value) == f"{said} that one, for nothing"
        assert provider.books.requests == sent
        await run(bench, wanted, provider, shard, out=bench.out)
    assert provider.books.requests == sent


async def test_what_was_made_whole_is_taken_over_by_shards_for_nothing(bench: Bench) -> None:
    async with sandbox() as provider:
        await run(bench, shop(12), provider, None)
        sent = provider.books.requests
        for shard in SHARDS:
            assert (await run(bench, shop(12), provider, shard, reuse=[bench.out])).exit_code == 0
    assert provider.books.requests == sent


@pytest.mark.slow
async def test_shards_on_one_machine_have_the_whole_rate_together(bench: Bench) -> None:
    manifest, limit = bench.write(shop(44)), ("--rate", "20/s")
    async with sandbox() as provider:
        processes = [bench.command(*arguments(bench, manifest, provider, shard, *limit)) for shard in SHARDS]
        assert [done.code for done in await asyncio.gather(*processes)] == [0] * COUNT
    books = provider.books
    assert books.most_in_window(1.0) <= 20
    # At one shard's part, 5/s, these 40 requests would take 8 s.
    assert books.log[-1].at - books.log[0].at < 6


async def test_shards_take_over_what_a_comparison_of_the_manifest_has_made(bench: Bench) -> None:
    async with sandbox() as provider:
        await run(bench, shop(6), provider, None, out=bench.folder / "out-compare")
        sent = provider.books.requests
        for shard in SHARDS:
            assert (await run(bench, shop(6), provider, shard)).exit_code == 0
    assert provider.books.requests == sent


async def test_a_rebuilt_ledger_is_of_the_shard_that_runs_next(bench: Bench) -> None:
    shard = SHARDS[0]
    async with sandbox() as provider:
        await run(bench, shop(12), provider, shard, out=bench.out)
        sent = provider.books.requests
        (bench.out / "ledger.sqlite3").unlink()
        assert (await bench.command("status", bench.out, "--rebuild")).code == 0
        assert (await run(bench, shop(12), provider, shard, out=bench.out)).exit_code == 0
        with pytest.raises(UsageError, match="has shard 0 of 4, and this is shard 1 of 4"):
            await run(bench, shop(12), provider, SHARDS[1], out=bench.out)
    assert provider.books.requests == sent


async def test_a_rehearsal_keeps_no_output_directory_for_its_shard(bench: Bench) -> None:
    async with sandbox() as provider:
        await run(bench, shop(4), provider, Shard(0, 8), out=bench.out, sandbox=True)
        with pytest.raises(UsageError):
            await bench.run(shop(4), provider, options=REHEARSAL)
        assert (await run(bench, shop(4), provider, Shard(0, 4), out=bench.out)).exit_code == 0
        with pytest.raises(UsageError):
            await run(bench, shop(4), provider, Shard(0, 8), out=bench.out)


def test_a_ledger_of_an_earlier_version_has_the_whole_manifest(bench: Bench) -> None:
    before = MIGRATIONS.index(M_SHARD)
    bench.out.mkdir()
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db:
        for step in MIGRATIONS[:before]:
            db.executescript(step)
        db.execute(
            "INSERT INTO runs (run_id, budget_id, sandbox, started_at, host, pid, plan_requests, plan_usd, plan_s)"
            " VALUES ('r', 'r', 0, 1, 'host', 1, 1, 1, 1)"
        )
        db.execute(f"PRAGMA user_version = {before}")
        db.commit()
    with pytest.raises(UsageError, match="has the whole manifest, and this is shard 0 of 4"):
        bench.plan(shop(4), selection=Selection(shard=SHARDS[0]))
    assert bench.plan(shop(4)).jobs == 4


async def test_a_second_process_of_a_shard_ends_at_once_and_sends_nothing(bench: Bench) -> None:
    manifest, shard = bench.write(shop(8)), SHARDS[0]
    async with sandbox(latency="1") as provider, bench.started(*arguments(bench, manifest, provider, shard)) as first:
        await arrived(provider.books, 1)
        second = await bench.command(*arguments(bench, manifest, provider, shard))
        assert second.code == 5
        assert f"{out(bench, shard)}: process {first.pid}" in second.err
        assert (await first.finished()).code == 0
    assert provider.books.double_billed == 0


async def test_a_shard_without_jobs_ends_with_0_and_can_be_asked_for_its_status(bench: Bench) -> None:
    manifest = bench.write(shop(1))
    async with sandbox() as provider:
        done = [await bench.command(*arguments(bench, manifest, provider, shard)) for shard in SHARDS]
        assert [each.code for each in done] == [0] * COUNT
        empty = [n for n, each in enumerate(done) if "0 of 1 jobs, so that there is nothing to do" in each.err]
        assert len(empty) == COUNT - 1
        status = await bench.command("status", out(bench, SHARDS[empty[0]]), "--json")
    assert status.json["jobs"]["total"] == 0


@pytest.mark.slow
async def test_a_job_with_other_inputs_goes_to_their_shard_and_its_image_to_the_history(bench: Bench) -> None:
    wanted = shop(40)
    async with sandbox() as provider:
        for shard in SHARDS:
            await run(bench, wanted, provider, shard)
        own = {row["job_id"] for row in bench.rows(out(bench, SHARDS[0]))}
        for number, each in enumerate(wanted):
            each["image_urls"] = [f"http://127.0.0.1:9/new-{number}.png"]
        plan = bench.plan(wanted, selection=Selection(shard=SHARDS[0]), out=out(bench, SHARDS[0]))
        kept = plan.known["changed"]
        assert (plan.changes.gone, plan.changes.moved) == (0, len(own) - kept)
        assert f"  in another shard by their new inputs: {plan.changes.moved} jobs; that one makes them anew" in [
            *plan.lines()
        ]
        for shard in SHARDS:
            assert (await run(bench, wanted, provider, shard)).exit_code == 0
    rows = [row for shard in SHARDS for row in bench.rows(out(bench, shard))]
    assert sorted(row["job_id"] for row in rows) == sorted(each["id"] for each in wanted)
    history = list((out(bench, SHARDS[0]) / "images" / ".history").glob("*.png"))
    assert len(history) == len(own)


@pytest.mark.slow
async def test_many_done_jobs_that_would_move_to_other_shards_are_asked_about(bench: Bench) -> None:
    wanted, pair = shop(110), [Shard(0, 2), Shard(1, 2)]
    async with sandbox() as provider:
        for shard in pair:
            await run(bench, wanted, provider, shard)
        sent = provider.books.requests
        for each in wanted:
            each["identity"] = each["id"]
        for shard in pair:
            with pytest.raises(UsageError, match="jobs of this output directory have other inputs, and are in another"):
                await run(bench, wanted, provider, shard, yes=False)
    assert provider.books.requests == sent


async def test_a_held_output_directory_is_told_of_before_a_shard_is_noted(bench: Bench) -> None:
    async with sandbox() as provider:
        bench.out.mkdir()
        with locked(bench.out):
            process = await bench.command(*arguments(bench, bench.write(shop(2)), provider, SHARDS[0]), "-o", bench.out)
    assert process.code == 5
