"""Local files as inputs: uploaded once for their content, or sent inline."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from batch_editor import BatchOptions, ManifestError, load_settings, make_plan, run_batch
from batch_editor.planning.catalog import Selection
from batch_editor.runs.progress import Quiet, Snapshot
from tests.support.bench import KEY, Bench, body_of, job, jobs, sandbox, sha256_of
from tests.support.recorder import Recorder, http, png


def photo(folder: Path, name: str, size: tuple[int, int] = (40, 30)) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(size))
    return path


@pytest.mark.parametrize("shape", ["file_urls", "urls"])
async def test_a_file_is_uploaded_once_and_its_link_serves_every_job_and_run(bench: Bench, shape: Any) -> None:
    photo(bench.folder, "mug.png")
    photo(bench.folder, "copies/same.png")
    wanted = [
        *jobs(8, image_urls=["mug.png"]),
        job("copy", image_urls=["copies/same.png"]),
    ]
    async with sandbox(upload_shape=shape, latency="0.02") as provider:
        summary = await bench.run(wanted, provider, concurrency=9)
        assert (summary.exit_code, provider.books.uploads) == (0, 1)
        links = {row["image_urls"] for row in bench.rows()}
        link = bench.row("copy")["image_urls"]
        assert link.startswith(f"{provider.url}/uploads/")
        assert links == {link}
        await bench.run([*wanted, job("new", image_urls=["mug.png"])], provider)
        assert (provider.books.uploads, provider.books.requests) == (1, 10)
    assert bench.stamp("copy") == sha256_of(job("copy"), image_urls=[link])
    assert provider.books.key_leaks == 0


async def test_a_file_with_other_content_is_another_request(bench: Bench) -> None:
    async with sandbox() as provider:
        for side in (30, 31):
            photo(bench.folder, "mug.png", (40, side))
            await bench.run([job("mug", image_urls=["mug.png"])], provider)
    assert (provider.books.uploads, provider.books.requests) == (2, 2)


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_file_with_other_content_of_the_same_size_and_time_is_another_request(
    bench: Bench, replaced: bool
) -> None:
    """As rsync and cp -p leave it. A program that runs batches night after night looks at it in one process."""
    async with sandbox() as provider:
        for colour in ("navy", "maroon"):
            path = bench.folder / ("new.bmp" if replaced else "mug.png")
            image = Image.new("RGB", (40, 30), colour)
            image.save(path, "PNG", compress_level=0)
            os.utime(path, (1e9, 1e9))
            path.replace(bench.folder / "mug.png")
            summary = await bench.run([job("mug", image_urls=["mug.png"])], provider)
            assert summary.exit_code == 0
    assert (provider.books.uploads, provider.books.requests) == (2, 2)


async def test_a_file_that_only_moved_is_the_same_request(bench: Bench) -> None:
    async with sandbox() as provider:
        photo(bench.folder, "mug.png")
        await bench.run([job("mug", image_urls=["mug.png"])], provider)
        photo(bench.folder, "elsewhere/cup.png")
        await bench.run([job("mug", image_urls=["elsewhere/cup.png"])], provider)
    assert (provider.books.uploads, provider.books.requests) == (1, 1)


async def test_a_mask_is_uploaded_too(bench: Bench) -> None:
    photo(bench.folder, "mug.png")
    Image.new("RGBA", (40, 30), (0, 0, 0, 0)).save(bench.folder / "mask.png")
    async with sandbox() as provider:
        summary = await bench.run([job("mug", image_urls=["mug.png"], mask="mask.png")], provider)
    assert (summary.exit_code, provider.books.uploads) == (0, 2)
    assert bench.row("mug")["mask"].startswith(f"{provider.url}/uploads/")


async def test_inline_files_are_sent_within_the_request(bench: Bench, recorder: Recorder) -> None:
    path = photo(bench.folder, "mug.png")
    wanted = job("mug", image_urls=["mug.png"])
    summary = await bench.run([wanted], recorder.base_url, inputs__local_files="inline")
    data = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    (request,) = recorder.requests
    assert request.json == body_of(wanted, image_urls=[data])
    assert summary.exit_code == 0
    assert bench.row("mug")["image_urls"].endswith("mug.png")


async def test_a_missing_file_is_a_fault_before_anything_is_sent(bench: Bench) -> None:
    async with sandbox() as provider:
        with pytest.raises(ManifestError) as caught:
            await bench.run([job("a"), job("b", image_urls=["none.png"]), job("c", image_urls=["nil.png"])], provider)
    assert caught.value.total == 2
    assert "image_urls is 'none.png'; there is no such file" in caught.value.faults[0]
    assert (provider.books.requests, provider.books.uploads) == (0, 0)
    assert not bench.out.exists()


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def grow(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(10**8)  # more than may be sent


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "saved over": (lambda path: photo(path.parent, path.name, (41, 30)), "changed since it was planned; run again"),
    "with the same size": (
        lambda path: path.write_bytes(path.read_bytes()[::-1]),
        "changed since it was planned; run again",
    ),
    "grown": (grow, "changed since it was planned; run again"),
    "emptied": (lambda path: path.write_bytes(b""), "changed since it was planned; run again"),
    "gone": (Path.unlink, "can't be read any more (No such file or directory); put it back, and run again"),
    "no file": (replace_by_fifo, "can't be read any more (a FIFO; expected a file); put it back, and run again"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("parameter", ["image_urls", "mask"])
@pytest.mark.parametrize("how", ["upload", "inline"])
@pytest.mark.slow
async def test_a_file_that_changes_between_planning_and_sending_is_not_sent(
    bench: Bench, change: str, parameter: str, how: str
) -> None:
    original = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    original.save(bench.folder / "mask.png")
    path = photo(bench.folder, "mug.png")
    if parameter == "mask":
        path = bench.folder / "mask.png"
    planned = path.read_bytes()
    wanted = [job("first"), job("second", image_urls=["mug.png"], mask="mask.png"), job("third")]
    deed, words = CHANGES[change]

    class Meddler(Quiet):
        """Who changes the file once the first job is done."""

        changed = False

        def show(self, snapshot: Snapshot) -> None:
            if snapshot.done and not self.changed:
                self.changed = True
                deed(path)

    async with sandbox(latency="0.15") as provider:  # progress is shown ten times a second
        options = BatchOptions(output=bench.out, progress=Meddler())
        settings = bench.settings(provider, concurrency=1, inputs__local_files=how)
        summary = await run_batch([bench.write(wanted)], settings, SecretStr(KEY), options)
        assert (summary.exit_code, provider.books.requests) == (1, 2)
        row = bench.row("second")
        assert (row["status"], row["attempts"], row["error_kind"]) == ("failed", "0", "input_unreachable")
        assert row["error"] == f"{path}: {words}"
        # Once it is what it was again, and once it is another.
        path.unlink(missing_ok=True)
        path.write_bytes(planned)
        for requests in (3, 4):
            again = await bench.run(wanted, provider, inputs__local_files=how)
            assert (again.exit_code, provider.books.requests) == (0, requests)
            Image.new("RGBA", original.size, (9, 9, 9, 9)).save(path)
    links = [bench.row("second")[name] for name in ("image_urls", "mask")]
    if how == "upload":
        assert bench.stamp("second") == sha256_of(job("second"), image_urls=links[:1], mask=links[1])


async def test_a_file_that_changes_between_two_attempts_is_not_sent_again(bench: Bench, recorder: Recorder) -> None:
    path = photo(bench.folder, "mug.png")

    async def answer(writer: Any) -> None:
        photo(bench.folder, "mug.png", (41, 30))
        writer.write(http(b"busy", status="503 Busy"))

    recorder.answer = answer
    summary = await bench.run([job("a", image_urls=["mug.png"])], recorder.base_url, inputs__local_files="inline")
    assert (summary.exit_code, len(recorder.requests)) == (1, 1)
    assert bench.row("a")["error"] == f"{path}: changed since it was planned; run again"


async def test_an_upload_that_fails_transiently_is_tried_again_and_costs_nothing(
    bench: Bench, recorder: Recorder
) -> None:
    photo(bench.folder, "mug.png")
    replies = itertools.chain(
        [http(b"busy", status="503 Busy"), http(b"slow down", status="429 Too Many Requests")],
        itertools.repeat(http(b'{"file_urls": ["https://files.example/mug.png"]}', content_type="application/json")),
    )

    async def upload(writer: Any) -> None:
        writer.write(next(replies))

    recorder.answers["/upload-asset"] = upload
    summary = await bench.run(jobs(3, image_urls=["mug.png"]), recorder.base_url, concurrency=1)
    assert (summary.exit_code, summary.sent, summary.possibly_billed) == (0, 3, 0)
    assert [row["attempts"] for row in bench.rows()] == ["1"] * 3
    uploads = [request for request in recorder.requests if request.path == "/upload-asset"]
    assert len(uploads) == 3


async def test_an_upload_that_is_refused_for_the_key_stops_the_run(bench: Bench, recorder: Recorder) -> None:
    photo(bench.folder, "mug.png")
    recorder.answers["/upload-asset"] = http(b'{"error": "no"}', status="401 Unauthorized")
    summary = await bench.run([job("a", image_urls=["mug.png"]), *jobs(3)], recorder.base_url, concurrency=1)
    assert (summary.exit_code, summary.sent) == (3, 0)
    assert set(bench.statuses().values()) == {"pending"}


async def test_without_an_upload_url_the_key_stays_with_the_api_that_was_named(
    bench: Bench, recorder: Recorder
) -> None:
    photo(bench.folder, "mug.png")
    recorder.answers["/upload-asset"] = http(b'{"urls": ["https://files.example/mug.png"]}')
    await bench.run([job("a", image_urls=["mug.png"])], recorder.base_url)
    assert [request.path for request in recorder.requests] == ["/upload-asset", "/v1/gpt-image-1.5-edit"]
    assert recorder.requests[1].json["image_urls"] == ["https://files.example/mug.png"]


ONE_LINK = """\
name: mine
path: mine
parameters:
  prompt: {type: string, required: true, role: prompt}
  image: {type: link, required: true, role: images}
prices: {table: 0.02, input_image: {expected: 0.01, high: 0.03}}
"""


@pytest.mark.slow
async def test_an_endpoint_that_takes_one_link_has_one_input_in_every_price(bench: Bench, recorder: Recorder) -> None:
    """The list's, the ledger's and that of what was charged; not one for each character of the link."""
    (bench.folder / "mine.yaml").write_text(ONE_LINK)
    manifest = bench.folder / "m.csv"
    rows = (f"{name},edit {name},https://example.com/{name}.png" for name in "abcdef")
    manifest.write_text("\n".join(["id,prompt,image", *rows]))
    settings = load_settings(
        flags={"endpoint": str(bench.folder / "mine.yaml"), "api": {"base_url": recorder.base_url}}
    )
    recorder.answer = http(png(), more="x-cost: 0.025\r\n")
    by_list = make_plan([manifest], settings, output=bench.out)
    options = BatchOptions(output=bench.out, selection=Selection(limit=5))
    summary = await run_batch([manifest], settings, SecretStr(KEY), options)
    charged = make_plan([manifest], settings, output=bench.out)
    assert (by_list.cost.expected_usd, by_list.cost.max_usd) == pytest.approx((6 * 0.03, 6 * 0.05))
    assert [group.inputs for group in by_list.groups] == [1]
    assert summary.jobs.succeeded == 5
    assert charged.cost.expected_usd == pytest.approx(0.025)
    assert [(group.source, group.charges) for group in charged.groups] == [("charged for the same", 5)]
