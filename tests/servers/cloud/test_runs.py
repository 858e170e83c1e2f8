"""Runs whose pictures go to a bucket."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image

from batch_editor.buckets import open_bucket, read_address
from batch_editor.errors import UsageError
from batch_editor.ledger import readings
from batch_editor.output import picture_store
from batch_editor.recovery.rebuild import rebuild
from batch_editor.runs.stops import StopReason
from tests.support.bench import REHEARSAL, RETRY_FAILED, Bench, job, jobs, sandbox
from tests.support.page import reviewed
from tests.support.s3_server import S3, Fault, Request


def images(s3: S3) -> str:
    return f"s3://{s3.bucket}/shop"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def expect_whole(bench: Bench, s3: S3) -> dict[str, bytes]:
    """Every row's picture is in the bucket, as the row says; return what is there."""
    found = s3.objects("shop/out/")
    for row in bench.rows():
        if row["output_path"]:
            assert digest(found[row["output_path"]]) == row["sha256"]
    assert found["manifest.csv"] == (bench.out / "manifest.csv").read_bytes()
    return found


async def test_pictures_and_the_manifest_are_in_the_bucket_as_they_would_be_below_the_output_directory(
    bench: Bench, s3: S3
) -> None:
    async with sandbox() as provider:
        summary = await bench.run(jobs(3), provider, outputs__images=images(s3))
    assert summary.exit_code == 0
    found = expect_whole(bench, s3)
    assert sorted(found) == [".batch-editor.json", *(f"images/job-{n}.png" for n in range(3)), "manifest.csv"]
    assert len(list(csv.DictReader(io.StringIO(found["manifest.csv"].decode())))) == 3
    head = s3.client.head_object(Bucket=s3.bucket, Key="shop/out/images/job-0.png")
    assert (head["ContentType"], head["Metadata"]) == ("image/png", {"sha256": bench.row("job-0")["sha256"]})
    assert bench.files() == []
    assert json.loads((bench.out / ".bucket.json").read_text()) == {"images": f"{images(s3)}/out"}


async def test_a_run_that_resumes_sends_no_picture_again(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider, outputs__images=images(s3))
        before = len(s3.puts())
        await bench.run(jobs(4), provider, outputs__images=images(s3))
        assert provider.books.requests == 4
    assert [path for path in s3.puts()[before:] if "images/" in path] == ["shop/out/images/job-3.png"]
    expect_whole(bench, s3)


async def test_changed_moved_and_gone_jobs_leave_their_pictures_in_the_history(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run([job("a"), job("b"), job("c")], provider, outputs__images=images(s3))
        former = {row["job_id"]: row["sha256"] for row in bench.rows()}
        changed = [job("a", "another edit"), job("b", output="shelf/b")]
        summary = await bench.run(changed, provider, outputs__images=images(s3))
        assert (summary.exit_code, provider.books.requests) == (0, 4)
        found = expect_whole(bench, s3)
        assert sorted(path for path in found if path.startswith("images/")) == [
            f"images/.history/a.{former['a'][:12]}.png",
            f"images/.history/c.{former['c'][:12]}.png",
            "images/a.png",
            "images/shelf/b.png",
        ]
        assert digest(found[f"images/.history/a.{former['a'][:12]}.png"]) == former["a"]
        await bench.run([job("a"), job("b"), job("c")], provider, outputs__images=images(s3))
        assert provider.books.requests == 4  # what comes back is found in the history
    assert {row["job_id"]: row["sha256"] for row in bench.rows()} == former
    expect_whole(bench, s3)


@pytest.mark.fault(108)
async def test_another_output_directory_of_that_name_is_refused_before_money(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider, outputs__images=images(s3))
        other = bench.folder / "elsewhere" / "out"
        with pytest.raises(UsageError, match="holds the pictures of another output directory than"):
            await bench.run(jobs(2), provider, out=other, outputs__images=images(s3))
        assert provider.books.requests == 1
    assert not (other / ".bucket.json").exists()


async def test_a_bucket_that_is_set_later_gets_the_pictures_that_are_there(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
        assert await bench.run(jobs(4), provider, outputs__images=images(s3))
        assert provider.books.requests == 4
    expect_whole(bench, s3)
    assert bench.files() == [f"job-{n}.png" for n in range(3)]


async def test_without_the_bucket_that_has_its_pictures_a_run_is_refused(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider, outputs__images=images(s3))
        with pytest.raises(UsageError, match=f"its images are in {images(s3)}/out, and outputs.images is not set"):
            await bench.run(jobs(2), provider)
        assert provider.books.requests == 1


async def test_a_lost_ledger_is_made_anew_from_the_bucket_and_stays_its_owner(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(4), provider, outputs__images=images(s3))
        s3.client.delete_object(Bucket=s3.bucket, Key="shop/out/images/job-1.png")
        for path in bench.out.glob("ledger.sqlite3*"):
            path.unlink()
        rebuilt = rebuild(bench.out)
        assert (rebuilt.jobs, rebuilt.images, rebuilt.missing) == (4, 3, 1)
        summary = await bench.run(jobs(4), provider, outputs__images=images(s3))
        assert (summary.exit_code, provider.books.requests) == (1, 4)
        assert bench.statuses()["job-1"] == "unknown"
        await bench.run(jobs(4), provider, options=RETRY_FAILED, outputs__images=images(s3))
        assert provider.books.requests == 5
    expect_whole(bench, s3)


async def test_review_shows_pictures_of_a_bucket_and_fetches_each_once(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run([job("a")], provider, outputs__images=images(s3))
        former = bench.row("a")
        await bench.run([job("a", "another edit")], provider, outputs__images=images(s3))
    row, found = bench.row("a"), s3.objects("shop/out/")
    async with reviewed(bench.out) as page:
        for each, path in ((row, "images/a.png"), (former, f"images/.history/a.{former['sha256'][:12]}.png")):
            for _ in range(2):
                answer = await page.ask(f"/image/{each['fingerprint']}/{each['sha256']}")
                assert (answer.status, answer.body) == (200, found[path])
            assert (await page.ask(f"/thumb/{each['fingerprint']}/{each['sha256']}")).status == 200
    read = [each.path for each in s3.requests if each.method == "GET" and each.path.endswith(".png")]
    assert len(read) == 2


async def test_an_answer_that_is_no_image_is_set_aside_in_the_bucket(bench: Bench, s3: S3) -> None:
    async with sandbox(faults=["html:1.0"]) as provider:
        await bench.run([job("a")], provider, outputs__images=images(s3))
    rejected = [path.partition(".attempt-") for path in s3.objects("shop/out/") if "/.rejected/" in path]
    assert rejected
    assert {output for output, _, _ in rejected} == {"images/.rejected/a"}


async def test_readers_open_pictures_wherever_they_are(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider, outputs__images=images(s3))
        await bench.run(jobs(1), provider, out=bench.folder / "local")
    for out in (bench.out, bench.folder / "local"):
        store = picture_store(out)
        found = store.open("images/job-0.png")
        assert found is not None
        with found:
            assert digest(found.read()) == bench.rows(out)[0]["sha256"]
        store.close()


async def test_a_rehearsal_leaves_nothing_of_memory_behind(bench: Bench) -> None:
    async with sandbox() as provider:
        summary = await bench.run(jobs(2), provider, options=REHEARSAL, outputs__images="memory://")
        assert summary.exit_code == 0
        assert not (bench.out / ".bucket.json").exists()
        assert (await bench.run(jobs(2), provider)).exit_code == 0
    assert bench.files() == ["job-0.png", "job-1.png"]


@pytest.mark.fault(106, 107)
async def test_a_burst_of_refusals_is_waited_for_and_stops_nothing(bench: Bench, s3: S3) -> None:
    burst = [
        Fault("refused", 503, "SlowDown"),
        Fault("refused", 500, "InternalError"),
        Fault("refused", 400, "IncompleteBody"),
        Fault("reset"),
        Fault("lost"),
    ] * 3
    of_copies = [Fault("refused", 200, "InternalError")]  # as S3 says of a copy that it had begun

    def fault_of(request: Request) -> Fault | None:
        if request.method == "PUT" and "images/.history" in request.path:
            return of_copies.pop() if of_copies else None
        return burst.pop() if burst and "images/job" in request.path else None

    s3.fault_of = fault_of
    async with sandbox() as provider:
        summary = await bench.run(jobs(6), provider, outputs__images=images(s3))
        assert (summary.exit_code, provider.books.requests) == (0, 6)
        summary = await bench.run([job("job-0", "another edit"), *jobs(6)[1:]], provider, outputs__images=images(s3))
        assert (summary.exit_code, provider.books.requests) == (0, 7)
    assert burst == of_copies == []
    expect_whole(bench, s3)


@pytest.mark.fault(106)
async def test_a_store_that_is_away_stops_the_run_and_the_next_one_pays_nothing_again(bench: Bench, s3: S3) -> None:
    def fault_of(request: Request) -> Fault | None:
        return Fault("reset") if request.method == "PUT" and "images/job" in request.path else None

    async with sandbox() as provider:
        s3.fault_of = fault_of
        summary = await bench.run(jobs(5), provider, concurrency=2, outputs__images=images(s3), outputs__wait_s=0.3)
        paid = provider.books.requests
        assert summary.exit_code == 6
        assert paid < 5
        assert summary.stop is not None
        assert summary.stop.message.startswith(f"{images(s3)}/out/images/job-")
        s3.fault_of = lambda _: None
        assert (await bench.run(jobs(5), provider, outputs__images=images(s3))).exit_code == 0
        assert provider.books.requests == 5
    expect_whole(bench, s3)


async def test_a_bucket_that_is_gone_meanwhile_keeps_what_was_paid_for(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        s3.fault_of = lambda each: Fault("refused", 404, "NoSuchBucket") if "images/job" in each.path else None
        summary = await bench.run(jobs(1), provider, outputs__images=images(s3), outputs__wait_s=0.3)
        assert summary.exit_code == 6
        s3.fault_of = lambda _: None
        assert (await bench.run(jobs(1), provider, outputs__images=images(s3))).exit_code == 0
        assert provider.books.requests == 1
    expect_whole(bench, s3)


async def test_a_slow_bucket_slows_the_drawing_of_requests(bench: Bench, s3: S3) -> None:
    s3.fault_of = lambda each: Fault("slow", seconds=0.4) if "images/job" in each.path else None
    async with sandbox() as provider:
        summary = await bench.run(jobs(8), provider, concurrency=2, outputs__images=images(s3))
    assert summary.exit_code == 0
    assert summary.elapsed_s > 1.4  # eight pictures, two at a time, while no more than two requests are in flight
    expect_whole(bench, s3)


@pytest.mark.slow
def test_a_listing_goes_on_where_it_was_refused(s3: S3) -> None:
    client = s3.client
    for number in range(1100):
        client.put_object(Bucket=s3.bucket, Key=f"shop/images/{number:04}.png", Body=b"")
    faults = {0: Fault("reset"), 2: Fault("refused", 503), 3: Fault("reset")}
    s3.fault_of = lambda each: faults.get(each.number)
    bucket = open_bucket(read_address(f"s3://{s3.bucket}/shop"))
    assert list(bucket.paths("images")) == [f"images/{number:04}.png" for number in range(1100)]
    assert len(s3.requests) == 5  # two pages, and three that failed


@pytest.mark.fault(108)
async def test_what_another_program_put_there_is_kept_in_the_history(bench: Bench, s3: S3) -> None:
    key = "shop/out/images/job-0.png"
    theirs = b"somebody's"
    s3.client.put_object(Bucket=s3.bucket, Key=key, Body=theirs)
    async with sandbox() as provider:
        await bench.run(jobs(1), provider, outputs__images=images(s3))
    found = expect_whole(bench, s3)
    # Not one of ours: nothing says what it is, so it was read.
    assert found[f"images/.history/job-0.{digest(theirs)[:12]}.png"] == theirs


async def test_a_manifest_that_the_bucket_refuses_is_told_and_written_by_the_next_run(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        s3.fault_of = lambda each: Fault("refused", 403, "AccessDenied") if "manifest" in each.path else None
        summary = await bench.run(jobs(1), provider, outputs__images=images(s3))
        said = f"{images(s3)}/out/manifest.csv: refused by the store (AccessDenied: said by a test)"
        assert summary.stop == StopReason("machine", said)
        assert (summary.exit_code, summary.jobs.succeeded) == (6, 1)
        with readings.reading(bench.out) as db:
            assert db.execute("SELECT exit_code, stop_kind FROM runs").fetchall() == [(6, "machine")]
        s3.fault_of = lambda _: None
        await bench.run(jobs(1), provider, outputs__images=images(s3))
        assert provider.books.requests == 1
    expect_whole(bench, s3)


async def test_a_directory_that_was_moved_finds_its_pictures(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider, outputs__images=images(s3))
        moved = Path(shutil.move(bench.out, bench.folder / "renamed"))
        assert (await bench.run(jobs(2), provider, out=moved, outputs__images=images(s3))).exit_code == 0
        assert provider.books.requests == 2
    assert sorted(s3.objects("shop/")) == [
        f"out/{path}" for path in (".batch-editor.json", "images/job-0.png", "images/job-1.png", "manifest.csv")
    ]


async def test_a_report_shows_pictures_of_a_bucket(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(2), provider, outputs__images=images(s3))
    ended = await bench.command("report", bench.out, environment=s3.environment)
    assert ended.code == 0, ended.err
    assert (bench.out / "report.html").read_text().count("data:image/webp;base64") >= 2


async def test_finished_files_are_in_the_bucket_and_made_again_without_a_request(bench: Bench, s3: S3) -> None:
    finish = {"web": {"size": "16x12", "fit": "cover", "format": "jpeg"}}
    manifest = bench.write([job("a"), job("b", output="shelf/b")], finish=finish)
    async with sandbox() as provider:
        assert (await bench.run(manifest, provider, outputs__images=images(s3))).exit_code == 0
        found = expect_whole(bench, s3)
        assert [bench.row(name)["finished"] for name in "ab"] == ["finished/web/a.jpg", "finished/web/shelf/b.jpg"]
        for path in ("finished/web/a.jpg", "finished/web/shelf/b.jpg"):
            with Image.open(io.BytesIO(found[path])) as image:
                assert (image.size, image.format) == ((16, 12), "JPEG")
        s3.client.delete_object(Bucket=s3.bucket, Key="shop/out/finished/web/a.jpg")
        ended = await bench.command("finish", bench.out, environment=s3.environment)
        assert ended.code == 0, ended.err
        assert provider.books.requests == 2
        assert s3.objects("shop/out/")["finished/web/a.jpg"] == found["finished/web/a.jpg"]
        await bench.run(bench.write([job("a")]), provider, outputs__images=images(s3))
    assert not [path for path in expect_whole(bench, s3) if path.startswith("finished/")]


async def test_a_second_signal_does_not_wait_for_a_store_that_is_away(bench: Bench, s3: S3) -> None:
    (bench.folder / "config.yaml").write_text(f"outputs: {{images: '{images(s3)}'}}")
    refused = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fault_of(request: Request) -> Fault | None:
        if request.method == "PUT" and "images/job" in request.path:
            loop.call_soon_threadsafe(refused.set)
            return Fault("reset")
        return None

    async with sandbox() as provider:
        arguments = bench.run_arguments(bench.write(jobs(1)), provider)
        s3.fault_of = fault_of
        async with bench.started(*arguments, environment=s3.environment) as process:
            await refused.wait()
            process.send(signal.SIGINT)
            await process.error_line()  # it has heard
            process.send(signal.SIGINT)
            async with asyncio.timeout(30):  # a minute is what a store is waited for otherwise
                assert (await process.finished()).code == 130
        paid = provider.books.requests
        s3.fault_of = lambda _: None
        assert (await bench.command(*arguments, environment=s3.environment)).code == 0
        assert (paid, provider.books.requests) == (1, 1)
    expect_whole(bench, s3)


async def test_old_former_pictures_are_pruned_in_the_bucket_and_made_again_where_they_are_asked_for(
    bench: Bench, s3: S3
) -> None:
    async with sandbox() as provider:
        for prompt in ("one", "two"):
            await bench.run([job("a", prompt), job("b")], provider, outputs__images=images(s3))
        before = set(expect_whole(bench, s3))
        younger = await bench.command("prune", bench.out, "--keep", "1d", "--json")
        assert (younger.json["requests"], set(expect_whole(bench, s3))) == (0, before)
        gone = await bench.command("prune", bench.out, "--keep", "0d", "--json")
        assert (gone.code, gone.json["removed"]["history"]["files"], gone.json["requests"]) == (0, 1, 1)
        left = before - set(expect_whole(bench, s3))
        assert [path.rpartition("/")[0] for path in left] == ["images/.history"]
        planned = bench.plan([job("a", "one"), job("b")])
        assert (planned.changes.pruned, planned.requests) == (1, 1)
        summary = await bench.run([job("a", "one"), job("b")], provider, outputs__images=images(s3))
        assert (summary.exit_code, provider.books.requests) == (0, 4)
    expect_whole(bench, s3)
