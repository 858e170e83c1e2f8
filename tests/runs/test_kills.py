"""Processes that are killed, interrupted and told to stop: what was paid for is there or known to be unknown."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
from collections import Counter

import pytest
from PIL import Image

from tests.support.bench import KEY, Bench, arrived, job, jobs, sandbox, sha256_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def check_images(bench: Bench) -> None:
    """Every file below images/ is a whole image."""
    for name in bench.files():
        if not name.startswith(".landing/"):
            with Image.open(bench.images / name) as image:
                image.load()


@pytest.mark.fault(75)
async def test_killed_ten_times_no_job_is_lost_and_no_recorded_result_is_paid_twice(
    bench: Bench,
) -> None:
    rng = random.Random(7)
    wanted = jobs(60)
    manifest = bench.write(wanted)
    async with sandbox(latency="0.05-0.15") as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "6")
        kills = 0
        for _ in range(10):
            before = provider.books.requests
            async with bench.started(*arguments) as process:
                await arrived(provider.books, before + rng.randint(1, 6))
                await asyncio.sleep(rng.uniform(0, 0.15))
                process.send(signal.SIGKILL)
                finished = await process.finished()
            kills += finished.code == -signal.SIGKILL
            check_images(bench)
        assert kills == 10
        await provider.books.idle()
        summary = await bench.run(wanted, provider)
    books = provider.books
    assert summary.exit_code == 0
    assert Counter(bench.statuses().values()) == {"succeeded": 60}
    check_images(bench)
    rows = {row["job_id"]: row for row in bench.rows()}
    for each in wanted:
        row, sha256 = rows[each["id"]], sha256_of(each)
        assert bench.stamp(each["id"]) == sha256
        # Every request that was sent is in the ledger; what is there beyond the image is possibly billed.
        assert books.billed_by_body[sha256] <= int(row["attempts"])
        assert int(row["possibly_billed"]) == int(row["attempts"]) - 1
    lost = sum(int(row["possibly_billed"]) for row in rows.values())
    assert books.double_billed <= lost <= 10 * 6
    assert summary.cost.actual is not None
    assert books.billed_usd <= summary.cost.actual + summary.cost.possibly_billed
    assert not any((bench.images / ".landing").iterdir())


@pytest.mark.fault(75)
async def test_a_result_that_was_whole_on_disk_when_the_process_died_is_not_bought_again(
    bench: Bench,
) -> None:
    """What a kill between the image's last byte and the ledger's row leaves is an image and an open attempt."""
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
        image = bench.images / "job-1.png"
        with sqlite3.connect(bench.out / "ledger.sqlite3") as db:
            (fingerprint,) = db.execute("SELECT fingerprint FROM jobs WHERE job_id = 'job-1'").fetchone()
            (attempt_id,) = db.execute(
                "SELECT attempt_id FROM attempts WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
            db.execute("UPDATE attempts SET state = 'sent' WHERE attempt_id = ?", (attempt_id,))
            db.execute("UPDATE requests SET state = 'pending' WHERE fingerprint = ?", (fingerprint,))
            db.execute("UPDATE jobs SET placed_path = NULL, placed_fingerprint = NULL WHERE job_id = 'job-1'")
        db.close()
        image.rename(bench.images / ".landing" / f"{attempt_id}.full")
        summary = await bench.run(jobs(3), provider)
        assert (summary.exit_code, summary.sent, provider.books.requests) == (0, 0, 3)
    assert bench.stamp("job-1") == sha256_of(jobs(3)[1])
    assert bench.row("job-1")["possibly_billed"] == "0"


async def test_images_that_a_run_had_given_new_names_when_it_died_are_found_there(bench: Bench) -> None:
    before = [job("mug"), job("cup")]
    async with sandbox() as provider:
        await bench.run(before, provider)
        (bench.images / "mug.png").rename(bench.images / "new.png")
        summary = await bench.run([job("mug", output="new"), job("cup")], provider)
        assert (summary.exit_code, summary.sent, provider.books.requests) == (0, 0, 2)
    assert bench.row("mug")["output_path"] == "images/new.png"
    assert bench.stamp("mug") == sha256_of(job("mug"))


async def test_a_run_that_died_within_the_making_of_its_ledger_can_be_gone_on_with(bench: Bench) -> None:
    bench.out.mkdir()
    (bench.out / "ledger.sqlite3").touch()
    said = await bench.command("status", bench.out)
    assert (said.code, said.err) == (2, f"error: {bench.out}: no ledger here; expected the output directory of a run\n")
    async with sandbox() as provider:
        assert (await bench.run(jobs(2), provider)).exit_code == 0


async def test_a_run_that_died_within_a_transaction_that_has_reached_the_file_can_be_gone_on_with(bench: Bench) -> None:
    """While a run opens or closes its ledger, the file has no log beside it, and changes in place."""
    die_within = (
        "import os, sqlite3, sys;"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        # More than its memory may hold goes to the file before the end.
        "db.execute('PRAGMA cache_size = 1');"
        "db.execute('BEGIN');"
        "db.execute('UPDATE requests SET params = hex(zeroblob(9999))');"
        "os._exit(0)"
    )
    async with sandbox() as provider:
        await bench.run(jobs(2), provider)
        died = await asyncio.create_subprocess_exec(sys.executable, "-c", die_within, bench.out / "ledger.sqlite3")
        assert await died.wait() == 0
        assert (bench.out / "ledger.sqlite3-journal").exists()
        assert (await bench.command("plan", bench.write(jobs(2)), "-o", bench.out)).code == 0
        assert (await bench.run(jobs(3), provider)).exit_code == 0
        assert provider.books.requests == 3


async def test_a_manifest_that_a_run_had_half_written_when_it_died_does_not_stay(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(2), provider)
        (bench.out / ".manifest.csv.part").write_text("job_id,sta")
        await bench.run(jobs(2), provider)
    assert sorted(path.name for path in bench.out.iterdir()) == [".lock", "images", "ledger.sqlite3", "manifest.csv"]


async def test_a_budget_counts_what_a_killed_run_had_in_flight(bench: Bench) -> None:
    manifest = bench.write(jobs(60))
    async with sandbox(latency="0.05-0.1") as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "8", "--max-cost", "0.7")
        for _ in range(2):
            before = provider.books.requests
            async with bench.started(*arguments) as process:
                await arrived(provider.books, before + 3)
                process.send(signal.SIGKILL)
                await process.finished()
        summary = await bench.run(manifest, provider, concurrency=8, budget__max_cost_usd=0.7)
        await provider.books.idle()
    assert summary.exit_code == 4
    assert provider.books.billed_usd <= 0.7


async def test_what_was_in_flight_is_held_until_somebody_says_that_it_may_be_sent_again(bench: Bench) -> None:
    wanted = jobs(4)
    manifest = bench.write(wanted)
    async with (
        sandbox(latency="0.02", faults=("hang:prompt~job-0", "hang:prompt~job-1")) as provider,
        bench.started(*bench.run_arguments(manifest, provider)) as process,
    ):
        await arrived(provider.books, 4)
        process.send(signal.SIGKILL)
        await process.finished()
    async with sandbox() as provider:
        held = await bench.run(wanted, provider, retry__unknown="hold")
        assert held.exit_code == 1
        assert held.jobs.unknown == 4 - held.jobs.succeeded >= 2
        sent = provider.books.requests
        again = bench.run_arguments(manifest, provider, "--resend-unknown")
        finished = await bench.command(*again)
    assert finished.code == 0
    assert provider.books.requests - sent == held.jobs.unknown


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
@pytest.mark.fault(72, 74)
async def test_one_signal_lets_what_is_in_flight_finish(bench: Bench, number: signal.Signals, code: int) -> None:
    manifest = bench.write(jobs(50))
    async with sandbox(latency="1") as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "5", "--json")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 5)
            await asyncio.sleep(0.2)
            process.send(number)
            finished = await process.finished()
    assert finished.code == code
    assert (provider.books.requests, provider.books.billed) == (5, 5)
    assert f"{number.name}: 5 requests in flight" in finished.err
    assert finished.json["jobs"] == {
        "total": 50,
        "succeeded": 5,
        "failed": 0,
        "pending": 45,
        "unknown": 0,
        "reused": 0,
    }
    assert finished.json["exit_code"] == code
    assert Counter(bench.statuses().values()) == {"succeeded": 5, "pending": 45}
    assert {row["possibly_billed"] for row in bench.rows()} == {"0"}


# How a process comes to ignore a signal from its start.
IGNORING = {
    "nohup": (signal.SIGHUP, 'exec nohup "$@"'),
    "in the background of a script": (signal.SIGINT, '"$@" & wait $!'),
    "by a trap": (signal.SIGTERM, 'trap "" TERM; exec "$@"'),
}


@pytest.mark.parametrize("started", IGNORING)
async def test_a_signal_that_is_ignored_from_the_start_stays_ignored(bench: Bench, started: str) -> None:
    ignored, script = IGNORING[started]
    stopping = signal.SIGINT if ignored is not signal.SIGINT else signal.SIGTERM
    manifest = bench.write(jobs(30))
    async with sandbox(latency="0.5") as provider:
        arguments = [str(each) for each in bench.run_arguments(manifest, provider, "--concurrency", "5")]
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-c", script, "sh", sys.executable, "-m", "batch_editor", *arguments),
            cwd=bench.folder,
            env={**os.environ, "SEGMIND_API_KEY": KEY},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await arrived(provider.books, 5)
        pid = json.loads((bench.out / ".lock").read_bytes())["pid"]
        for _ in range(3):
            os.kill(pid, ignored)
        await arrived(provider.books, 15)
        os.kill(pid, stopping)
        _, err = await shell.communicate()
    assert f"{stopping.name}: 5 requests in flight" in err.decode()
    assert ignored.name not in err.decode()
    assert shell.returncode == (130 if stopping is signal.SIGINT else 143)
    assert Counter(bench.statuses().values()) == {
        "succeeded": provider.books.requests,
        "pending": 30 - provider.books.requests,
    }


@pytest.mark.fault(73)
async def test_a_second_signal_drops_what_is_in_flight_and_says_so(bench: Bench) -> None:
    manifest = bench.write(jobs(20))
    async with sandbox(faults=("hang@4+",)) as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "4")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 7)
            await asyncio.sleep(0.3)
            process.send(signal.SIGINT)
            await asyncio.sleep(0.3)
            # More than two come when somebody leans on the keys.
            for _ in range(3):
                process.send(signal.SIGINT)
            finished = await asyncio.wait_for(process.finished(), 10)
    assert finished.code == 130
    assert "Traceback" not in finished.err
    assert Counter(bench.statuses().values()) == {"succeeded": 3, "pending": 17}
    dropped = [row for row in bench.rows() if row["possibly_billed"] == "1"]
    assert len(dropped) == 4
    assert {row["error_kind"] for row in dropped} == {"interrupted"}
    async with sandbox() as provider:
        summary = await bench.run(manifest, provider)
        assert (summary.exit_code, provider.books.requests) == (0, 17)


async def test_a_signal_while_a_run_waits_out_a_429_ends_it_at_once(bench: Bench) -> None:
    manifest = bench.write(jobs(10))
    async with sandbox(faults=("429@2+:retry-after=300",)) as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "2")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 2)
            await asyncio.sleep(0.3)
            process.send(signal.SIGINT)
            finished = await asyncio.wait_for(process.finished(), 10)
    assert finished.code == 130
    assert bench.statuses()["job-9"] == "pending"
