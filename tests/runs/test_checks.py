"""Results are checked before they count: what is rejected is kept, told exactly, and paid for once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from PIL import Image

from batch_editor.processes import PROCESSES
from batch_editor.sandbox import Sandbox, SandboxOptions, read_stamp
from tests.support.bench import KEY, RETRY_FAILED, Bench, Job, arrived, job, jobs, requests_of, sandbox, sha256_of
from tests.support.decoders import children, hanging
from tests.support.recorder import Recorder, http

PHOTOS = Path(__file__).parents[2] / "jobs/photos"
FULL: dict[str, Any] = {"checks": "full"}


def lifesize(**options: Any) -> Sandbox:
    """A sandbox that makes images of the size that is asked for."""
    return Sandbox(SandboxOptions(**{"key": KEY, **options}))


def local(bench: Bench) -> Path:
    """A photograph beside the manifest."""
    path = bench.folder / "mug.jpg"
    path.write_bytes((PHOTOS / "coffee.jpg").read_bytes())
    return path


def rejected(bench: Bench) -> list[str]:
    return [name for name in bench.files() if name.startswith(".rejected/")]


WRONG: list[tuple[str, Job, str]] = [
    ("wrong-size", {}, "asked for 1024x1024, got 512x512"),
    ("wrong-format", {}, "asked for png, got jpeg"),
    ("blank", {}, "blank: every pixel is #ffffff"),
    ("unchanged", {}, "the input came back unchanged"),
    ("unchanged", {"output_format": "jpeg", "output_compression": 80}, "the input came back unchanged"),
    (
        "opaque",
        {"background": "transparent", "output_format": "webp"},
        "asked for a transparent background, got no alpha channel",
    ),
    ("cut-inside", {}, "a png that does not decode: "),
]


@pytest.mark.parametrize(("fault", "asked", "said"), WRONG, ids=[f"{fault}-{len(asked)}" for fault, asked, _ in WRONG])
@pytest.mark.fault(47, 48, 49)
@pytest.mark.slow
async def test_what_is_not_what_was_asked_for_is_rejected_and_counted_as_billed(
    bench: Bench, fault: str, asked: Job, said: str
) -> None:
    local(bench)
    wanted = [job("mug", image_urls=["mug.jpg"], **asked), job("cup", image_urls=["mug.jpg"], **asked)]
    async with lifesize(faults=(f"{fault}:prompt~mug",)) as provider:
        summary = await bench.run(wanted, provider, **FULL)
        row = bench.row("mug")
        assert (row["status"], row["attempts"], row["possibly_billed"]) == ("unknown", "1", "1")
        assert (row["error_kind"], row["http_status"], row["output_path"]) == ("bad_response", "200", "")
        assert row["error"].startswith(said)
        assert bench.row("cup")["status"] == "succeeded"
        (kept,) = rejected(bench)
        assert kept.startswith(".rejected/mug.attempt-1.")
        if fault != "cut-inside":
            assert read_stamp(bench.images / kept)[:12] == row["request_id"][:12]
        assert (summary.exit_code, summary.errors[0].kind, summary.errors[0].error) == (1, "bad_response", row["error"])
        assert (provider.books.requests, provider.books.billed) == (2, 2)
        assert summary.cost.actual is not None
        assert summary.cost.actual + summary.cost.possibly_billed == pytest.approx(provider.books.billed_usd)
        again = await bench.run(wanted, provider, **FULL)
        assert (again.sent, provider.books.requests) == (0, 2)
        assert bench.row("mug")["error"] == row["error"]


@pytest.mark.parametrize("fault", sorted({fault for fault, _, _ in WRONG}))
async def test_by_the_header_alone_every_whole_image_is_a_result(bench: Bench, fault: str) -> None:
    local(bench)
    async with lifesize(faults=(fault,)) as provider:
        summary = await bench.run([job("mug", image_urls=["mug.jpg"], background="transparent")], provider)
    assert summary.exit_code == 0
    assert rejected(bench) == []


@pytest.mark.slow
async def test_what_is_as_asked_is_accepted(bench: Bench) -> None:
    local(bench)
    wanted = [
        *(job(each, image_urls=["mug.jpg"], output_format=each) for each in ("png", "jpeg", "webp")),
        job("tall", size="1024x1536"),
        job("any", size="auto"),
        job("cut-out", image_urls=["mug.jpg"], background="transparent"),
    ]
    async with lifesize() as provider:
        summary = await bench.run(wanted, provider, **FULL)
    assert (summary.exit_code, summary.jobs.succeeded) == (0, 6)
    for each in wanted[:3]:
        assert bench.row(each["id"])["format"] == each["output_format"]
    assert children() == []


@pytest.mark.fault(48, 49)
@pytest.mark.slow
async def test_another_size_or_format_is_warned_of_by_the_header(bench: Bench) -> None:
    manifest = bench.write([job("mug", output_format="png")])
    async with sandbox(size_scale=0.5, faults=("wrong-format",)) as provider:
        log = bench.folder / "log.jsonl"
        finished = await bench.command(*bench.run_arguments(manifest, provider, "--log-file", log))
    said = "asked for png, got jpeg; asked for 1024x1024, got 512x512"
    assert f"warning: 1 image is other than asked, for example mug: {said}; `checks: full`" in finished.err
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (event,) = [event for event in events if event["event"] == "other than asked"]
    assert (event["job_id"], event["difference"], event["level"]) == ("mug", said, "warning")
    assert (finished.code, bench.row("mug")["output_path"]) == (0, "images/mug.jpg")


# Money ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["blank", "corrupt", "json-error", "garbage"])
@pytest.mark.slow
async def test_an_answer_that_is_no_result_is_bought_again_only_where_that_is_allowed(bench: Bench, fault: str) -> None:
    async with lifesize(faults=(f"{fault}:first=1",)) as provider:
        summary = await bench.run([job("mug")], provider, **FULL)
        assert (summary.jobs.unknown, provider.books.requests) == (1, 1)
        summary = await bench.run([job("cup")], provider, **FULL, retry__bad_response=True)
        assert (summary.jobs.succeeded, provider.books.requests) == (1, 3)
    row = bench.row("cup")
    assert (row["attempts"], row["possibly_billed"]) == ("2", "1")
    assert len(rejected(bench)) == 2
    assert summary.cost.actual is not None
    if fault != "json-error":  # which names no charge, and so counts at its max price
        assert summary.cost.actual + summary.cost.possibly_billed == pytest.approx(2 * 0.0108)
    assert summary.cost.actual + summary.cost.possibly_billed >= 2 * 0.0108 - 1e-9
    assert provider.books.billed_usd == pytest.approx(3 * 0.0108)


@pytest.mark.slow
async def test_it_is_bought_again_as_often_as_possibly_billed_attempts_may_be_made(bench: Bench) -> None:
    async with lifesize(faults=("blank",)) as provider:
        summary = await bench.run([job("mug")], provider, **FULL, retry__bad_response=True)
        assert (provider.books.requests, bench.row("mug")["possibly_billed"]) == (3, "3")
        assert (bench.row("mug")["status"], summary.exit_code) == ("unknown", 1)
        # The same bytes came twice: each attempt's are there, and those of a fourth that is asked for.
        await bench.run([job("mug")], provider, **FULL, options=RETRY_FAILED)
    assert [name[: len(".rejected/mug.attempt-1")] for name in rejected(bench)] == [
        f".rejected/mug.attempt-{number}" for number in (1, 2, 3, 4)
    ]


async def test_a_rejected_image_counts_at_its_dearest_where_the_provider_names_no_charge(
    bench: Bench, recorder: Recorder
) -> None:
    recorder.answer = http(b"\x89PNG\r\n\x1a\n of sorts")
    summary = await bench.run(jobs(3), recorder.base_url, concurrency=1, budget__max_cost_usd=0.25)
    (max_usd,) = {summary.cost.possibly_billed / summary.possibly_billed}
    assert max_usd > 0.0108
    assert len(recorder.requests) == summary.possibly_billed == len(rejected(bench)) > 0
    assert summary.cost.possibly_billed <= 0.25


@pytest.mark.parametrize(
    ("fault", "ending"), [("html", ".bin"), ("truncate", ".png"), ("truncate:close=1", ".png"), ("corrupt", ".png")]
)
async def test_every_byte_that_was_paid_for_is_kept_whatever_is_checked(bench: Bench, fault: str, ending: str) -> None:
    async with sandbox(faults=(fault,)) as provider:
        await bench.run([job("a/b", output="deep/mug")], provider)
    assert len(rejected(bench)) == provider.books.requests
    for number, name in enumerate(rejected(bench), start=1):
        assert name.startswith(f".rejected/deep/mug.attempt-{number}.")
        assert name.endswith(ending)
        assert (bench.images / name).stat().st_size > 50


async def test_a_key_in_what_is_kept_is_replaced_and_every_other_byte_is_as_received(
    bench: Bench, recorder: Recorder
) -> None:
    recorder.answer = http(b"\xff\x00" + KEY.encode() + "– ü\r\n".encode())
    await bench.run([job("mug")], recorder.base_url)
    (kept,) = rejected(bench)
    assert (bench.images / kept).read_bytes() == b"\xff\x00[key]" + "– ü\r\n".encode()


async def test_an_empty_answer_leaves_nothing(bench: Bench) -> None:
    async with sandbox(faults=("empty",)) as provider:
        await bench.run([job("mug")], provider)
    assert bench.files() == []


# Processes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, "unchanged"])
@pytest.mark.slow
async def test_killed_during_a_check_an_image_is_checked_again_and_not_bought_again(
    bench: Bench, fault: str | None
) -> None:
    path = local(bench)
    wanted = job("mug", image_urls=["mug.jpg"])
    manifest = bench.write([wanted])
    async with lifesize(latency="0.5", faults=(fault,) if fault else ()) as provider:
        arguments = bench.run_arguments(manifest, provider)
        async with bench.started(*arguments, environment={"BATCH_EDITOR_CHECKS": "full"}) as process:
            await arrived(provider.books, 1)
            with hanging(path) as picture:
                await picture.reader()
                process.send(signal.SIGKILL)
                assert (await process.finished()).code == -signal.SIGKILL
        local(bench)
        summary = await bench.run(manifest, provider, **FULL)
        assert (summary.sent, provider.books.requests, provider.books.billed) == (0, 1, 1)
    row = bench.row("mug")
    assert not any((bench.images / ".landing").iterdir())
    assert row["request_id"].startswith(provider.books.log[0].body_sha256[:12])
    if fault is None:
        assert (row["status"], row["possibly_billed"], summary.exit_code) == ("succeeded", "0", 0)
        assert float(row["actual_cost_usd"]) == pytest.approx(provider.books.billed_usd)
    else:
        assert (row["status"], row["possibly_billed"], summary.exit_code) == ("unknown", "1", 1)
        assert (row["error_kind"], row["error"]) == ("bad_response", "the input came back unchanged")
        assert len(rejected(bench)) == 1
        # What the provider said, not what was set aside, though another run has settled it.
        assert summary.cost.possibly_billed == pytest.approx(provider.books.billed_usd)


@pytest.mark.fault(88)
@pytest.mark.slow
async def test_an_image_over_which_the_check_dies_twice_is_kept_and_never_bought_again(bench: Bench) -> None:
    path = local(bench)
    wanted = [job("mug", image_urls=["mug.jpg"]), *jobs(6)]
    async with lifesize(latency="0.3") as provider:
        run = asyncio.create_task(bench.run(wanted, provider, **FULL, retry__bad_response=True))
        await arrived(provider.books, len(wanted))
        with hanging(path) as picture:
            for _ in range(2):
                os.kill(await picture.reader(), signal.SIGKILL)
            summary = await run
    assert provider.books.requests == len(wanted)
    row = bench.row("mug")
    assert (row["status"], row["error_kind"], row["possibly_billed"]) == ("unknown", "unchecked", "1")
    assert row["error"].startswith("paid, but it could not be checked: its process ended")
    (kept,) = rejected(bench)
    with Image.open(bench.images / kept) as image:
        image.load()
    assert (
        read_stamp(bench.images / kept)
        == provider.books.log[[entry.prompt for entry in provider.books.log].index("edit mug")].body_sha256
    )
    # The others are none the worse for it.
    assert (summary.jobs.succeeded, summary.exit_code) == (6, 1)
    assert children() == []


@pytest.mark.fault(88)
@pytest.mark.slow
async def test_a_check_that_hangs_holds_up_neither_the_loop_nor_the_other_images(bench: Bench) -> None:
    path = local(bench)
    wanted = [job("mug", image_urls=["mug.jpg"]), *jobs(12), job("last")]
    async with lifesize(latency="0.3") as provider:
        run = asyncio.create_task(bench.run(wanted, provider, **FULL, concurrency=6))
        await arrived(provider.books, 6)
        with hanging(path) as picture:
            await picture.reader()
            with blockbuster_ctx("batch_editor", excluded_modules=["batch_editor.sandbox"]):
                while requests_of(provider.books, wanted[-1]) == 0:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            # Processes are bounded, whatever there is to check.
            assert 1 <= len(children()) <= PROCESSES
        summary = await run
    assert (summary.jobs.succeeded, summary.exit_code) == (14, 0)
    assert bench.stamp("last") == sha256_of(wanted[-1])


async def test_a_body_that_was_kept_when_the_process_died_is_not_asked_for_again(bench: Bench) -> None:
    """What a kill between a broken image's last byte and the ledger's row leaves is a body and an open attempt."""
    async with sandbox(faults=("corrupt:first=1",)) as provider:
        await bench.run([job("mug")], provider)
        (kept,) = rejected(bench)
        with sqlite3.connect(bench.out / "ledger.sqlite3") as db:
            db.execute("UPDATE attempts SET state = 'sent', possibly_billed = 0")
            db.execute("UPDATE requests SET state = 'pending', possibly_billed = 0")
            (attempt_id,) = db.execute("SELECT attempt_id FROM attempts").fetchone()
        db.close()
        (bench.images / kept).rename(bench.images / ".landing" / f"{attempt_id}.bad")
        summary = await bench.run([job("mug")], provider)
        assert (summary.sent, provider.books.requests) == (0, 1)
    row = bench.row("mug")
    assert (row["status"], row["error_kind"], row["possibly_billed"]) == ("unknown", "bad_response", "1")
    assert rejected(bench) == [kept]


@pytest.mark.slow
async def test_an_image_that_has_its_name_stays_accepted_when_the_checks_change(bench: Bench) -> None:
    """A kill between the image's name and the ledger's last row, and a config that was changed after it."""
    async with lifesize(faults=("blank",)) as provider:
        await bench.run([job("mug")], provider)
        with sqlite3.connect(bench.out / "ledger.sqlite3") as db:
            db.execute("UPDATE attempts SET state = 'received'")
            db.execute("UPDATE requests SET state = 'pending'")
            (attempt_id,) = db.execute("SELECT attempt_id FROM attempts").fetchone()
        db.close()
        os.link(bench.images / "mug.png", bench.images / ".landing" / f"{attempt_id}.full")
        summary = await bench.run([job("mug")], provider, **FULL)
    assert (summary.exit_code, summary.sent, provider.books.requests) == (0, 0, 1)
    assert bench.files() == ["mug.png"]
