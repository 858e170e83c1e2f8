"""Disks that are full, read-only, gone or broken. The full ones are real file systems of a few MB."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from PIL import Image

from batch_editor import StorageError
from batch_editor.errors import MachineError
from batch_editor.images import BadImage
from batch_editor.output import DiskRetry, StagedFile, Store
from batch_editor.recovery.reconcile import reconcile
from tests.support.bench import KEY, KEYS, Bench, arrived, job, jobs, sandbox, sha256_of
from tests.support.command import Process
from tests.support.disk import MB, Disk
from tests.support.needs import need_root
from tests.support.recorder import Recorder, http

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(bench: Bench) -> Iterator[Disk]:
    """What the bench writes goes to a disk that is not there before `mount`."""
    need_root()
    disk = Disk(bench.folder / "disk")
    bench.out = disk.place / "out"
    bench.images = bench.out / "images"
    yield disk
    disk.unmount()


def noise(megabytes: float) -> bytes:
    """A PNG of that size, for noise can't be compressed."""
    side = int((megabytes * MB / 3) ** 0.5)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(0).randbytes(3 * side * side)).save(
        buffer, "PNG", compress_level=0
    )
    return buffer.getvalue()


def run_of(bench: Bench, recorder: Recorder, manifest: Path, *more: str) -> list[str | Path]:
    return [
        *("run", manifest, "-o", bench.out, "--base-url", recorder.base_url),
        *("--rate", "1000/s", "--progress", "plain", *more),
    ]


def billed(bench: Bench) -> int:
    return sum(int(row["possibly_billed"]) for row in bench.rows())


async def said(process: Process, *words: str) -> str:
    """Wait for a line of standard error with these words."""
    while line := await process.error_line():
        if all(word in line for word in words):
            return line
    raise AssertionError(f"nothing about {words}")


@pytest.mark.parametrize("kilobytes", [24_000, 26_500])
@pytest.mark.fault(67)
async def test_on_a_full_disk_what_is_in_flight_is_saved_in_the_room_set_aside(
    bench: Bench, disk: Disk, recorder: Recorder, kilobytes: int
) -> None:
    """What the disk can't take first (a part, the ledger) differs with its size; what comes of it does not."""
    disk.mount(kilobytes)
    manifest = bench.write(jobs(12))
    recorder.answer = http(noise(2.7), more="x-cost: 0.01\r\n")
    finished = await bench.command(*run_of(bench, recorder, manifest, "--concurrency", "4"))
    assert finished.code == 6, finished.err
    assert f"Stopped: {bench.out}" in finished.out
    assert "No space left on device" in finished.out or "disk is full" in finished.out
    assert "Traceback" not in finished.err
    sent = len(recorder.requests)
    assert sent < 12
    assert Counter(bench.statuses().values()) == {"succeeded": sent, "pending": 12 - sent}
    assert (billed(bench), {row["actual_cost_usd"] for row in bench.rows()}) == (0, {"0.01", ""})
    disk.change("size=200m")
    summary = await bench.run(manifest, recorder.base_url)
    assert (summary.exit_code, len(recorder.requests), billed(bench)) == (0, 12, 0)


@pytest.mark.fault(67)
async def test_what_finds_no_room_waits_in_memory_until_there_is_some(
    bench: Bench, disk: Disk, recorder: Recorder
) -> None:
    disk.mount(20_000)
    manifest = bench.write(jobs(8))
    recorder.answer = http(noise(8))
    async with bench.started(*run_of(bench, recorder, manifest, "--concurrency", "4")) as process:
        await said(process, "can't be written (No space left on device)", "requests in flight are paid for")
        disk.change("size=200m")
        finished = await process.finished()
    assert finished.code == 6
    sent = len(recorder.requests)
    assert 4 <= sent < 8
    assert Counter(bench.statuses().values()) == {"succeeded": sent, "pending": 8 - sent}
    assert billed(bench) == 0
    assert (await bench.run(manifest, recorder.base_url)).exit_code == 0
    assert (len(recorder.requests), billed(bench)) == (8, 0)


@pytest.mark.fault(67)
async def test_what_can_be_saved_nowhere_is_named_and_may_have_been_billed(
    bench: Bench, disk: Disk, recorder: Recorder
) -> None:
    disk.mount(20_000)
    manifest = bench.write(jobs(8))
    recorder.answer = http(noise(8))
    finished = await bench.command(
        *run_of(bench, recorder, manifest, "--concurrency", "4"), environment={"BATCH_EDITOR_OUTPUTS__WAIT_S": "3"}
    )
    assert finished.code == 6
    unsaved = [line for line in finished.err.splitlines() if "could not be saved and may have been billed" in line]
    sent, saved = len(recorder.requests), Counter(bench.statuses().values())["succeeded"]
    # 20 MB hold two of them beside the ledger. Nothing half written has a name.
    assert (saved, len(unsaved)) == (2, sent - 2)
    assert {len(path.read_bytes()) for path in bench.images.glob("*.png")} == {len(noise(8))}
    assert billed(bench) == len(unsaved)
    disk.change("size=200m")
    summary = await bench.run(manifest, recorder.base_url)
    assert (summary.exit_code, len(recorder.requests), billed(bench)) == (0, 8 + len(unsaved), len(unsaved))


@pytest.mark.fault(67)
async def test_a_disk_without_room_for_what_would_be_in_flight_is_told_before_anything_is_sent(
    bench: Bench, disk: Disk, recorder: Recorder
) -> None:
    disk.mount(8_000)
    finished = await bench.command(*run_of(bench, recorder, bench.write(jobs(3)), "--concurrency", "2"))
    assert finished.code == 6
    assert finished.err == (
        f"error: {bench.out}: No space left on device; 2 requests in flight need 10 MiB free for what comes back."
        " Make room, lower --concurrency, or choose another directory with --output\n"
    )
    assert recorder.requests == []
    finished = await bench.command(*run_of(bench, recorder, bench.write(jobs(3)), "--concurrency", "1"))
    assert finished.code == 0, finished.err
    finished = await bench.command(*run_of(bench, recorder, bench.write(jobs(6)), "--concurrency", "2"))
    assert finished.err.endswith(
        " Make room, lower --concurrency, or see to the disk: in another directory everything would be bought again\n"
    )
    assert sorted(path.name for path in bench.out.iterdir()) == [".lock", "images", "ledger.sqlite3", "manifest.csv"]


@pytest.mark.fault(67)
async def test_a_ledger_without_room_for_a_page_sends_nothing_more(bench: Bench, disk: Disk) -> None:
    disk.mount(24_000)
    manifest = bench.write(jobs(150))
    async with sandbox(latency="0.05") as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "4")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 8)
            disk.fill()
            finished = await process.finished()
        assert finished.code == 6
        assert "(database or disk is full)" in finished.out or "(No space left on device)" in finished.out
        sent = provider.books.requests
        assert sent < 150
        assert (Counter(bench.statuses().values())["succeeded"], billed(bench)) == (sent, 0)
        disk.change("size=200m")
        assert (await bench.run(manifest, provider)).exit_code == 0
        assert (provider.books.requests, provider.books.double_billed) == (150, 0)


@pytest.mark.fault(67)
async def test_reconcile_waits_for_room_as_long_as_is_set_and_says_so(bench: Bench, disk: Disk) -> None:
    disk.mount(64_000)
    said: list[str] = []
    (bench.folder / "mug.png").write_bytes(noise(2))
    async with sandbox(faults=("reset@1",), size_scale=1.0) as provider:
        await bench.run(jobs(1, image_urls=["mug.png"]), provider, retry__max_attempts=1)
        disk.fill()
        # Room for the ledger, and not for an image.
        os.truncate(disk.place / "filler", (disk.place / "filler").stat().st_size - 400_000)
        settings = bench.settings(provider, outputs__wait_s=2)
        began_at = time.monotonic()
        with pytest.raises(StorageError, match="No space left on device"):
            await reconcile(bench.out, settings, KEYS, say=said.append)
        assert time.monotonic() - began_at < 20
        assert len(said) == 1
        assert said[0].endswith(
            ": can't be written (No space left on device); what is fetched is saved as soon as this machine lets it,"
            " within 2s"
        )
        (disk.place / "filler").unlink()
        found = await reconcile(bench.out, settings, KEYS, say=said.append)
    assert [finding.outcome for finding in found.findings] == ["image"]


@pytest.mark.fault(68)
async def test_a_disk_that_turns_read_only_and_back_loses_nothing(bench: Bench, disk: Disk) -> None:
    bench.out = bench.folder / "out"
    bench.images = bench.out / "images"
    disk.mount(64_000, at=bench.images)
    manifest = bench.write(jobs(12))
    async with sandbox(latency="1") as provider:
        async with bench.started(*bench.run_arguments(manifest, provider, "--concurrency", "4")) as process:
            await arrived(provider.books, 4)
            disk.change("ro")
            await said(process, "images/.landing/", "can't be written (Read-only file system)")
            disk.change("rw")
            finished = await process.finished()
        assert finished.code == 6, finished.err
        assert "Traceback" not in finished.err
        assert (provider.books.requests, Counter(bench.statuses().values())["succeeded"]) == (4, 4)
        assert (await bench.run(manifest, provider)).exit_code == 0
        assert (provider.books.requests, billed(bench)) == (12, 0)


def landed(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store.root / "images/.landing").iterdir()}


class Staging:
    """Staged files of a store, whose errors are heard. With `streams` nothing is held in memory."""

    def __init__(self, folder: Path, *, streams: bool) -> None:
        self.heard: list[MachineError] = []
        self.store = Store(folder, memory_bytes=0) if streams else Store(folder)
        self.store.prepare()

    def file(self) -> StagedFile:
        retry = DiskRetry(5, make_room=self.store.make_room, on_trouble=self.heard.append)
        return self.store.staged_file(1, retry)


class MakeStaging(Protocol):
    def __call__(self, *, streams: bool) -> Staging: ...


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[MakeStaging]:
    made: list[Staging] = []

    def make(*, streams: bool) -> Staging:
        made.append(Staging(tmp_path, streams=streams))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


@pytest.mark.parametrize("streams", [False, True], ids=["held", "streamed"])
@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT, errno.ENOSPC], ids=errno.errorcode.get)
@pytest.mark.fault(68)
async def test_an_fsync_that_failed_is_not_tried_again_on_the_same_file(
    staging: MakeStaging, monkeypatch: pytest.MonkeyPatch, code: int, streams: bool
) -> None:
    """After a failed fsync the kernel may have dropped the pages, and a second one would succeed for nothing."""
    place, real, failures = staging(streams=streams), os.fsync, [code, code]
    failed: list[int] = []

    def fsync(file: int) -> None:
        if failures:
            failed.append(os.fstat(file).st_ino)
            # Held open, so that its number isn't given to the next file.
            os.dup(file)
            raise OSError(failures.pop(), os.strerror(code))
        assert os.fstat(file).st_ino not in failed
        real(file)

    image = noise(1)
    staged = place.file()
    for start in range(0, len(image), 50_000):
        await staged.write(image[start : start + 50_000])
    assert (place.store.root / "images/.landing/1.part").exists() == streams
    monkeypatch.setattr(os, "fsync", fsync)
    saved = await staged.commit()
    await staged.discard()
    assert (len(set(failed)), len(place.heard)) == (2, 2)
    assert f"1.part: can't be written ({os.strerror(code)})" in str(place.heard[0])
    assert landed(place.store) == {"1.full": image}
    assert (saved.sha256, saved.size_bytes) == (hashlib.sha256(image).hexdigest(), len(image))


@pytest.mark.fault(68)
async def test_a_name_that_could_not_be_made_durable_is_made_again_with_a_new_file(
    staging: MakeStaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync of a folder, the next one may succeed without having written the name."""
    place, real = staging(streams=False), os.fsync
    files: list[int] = []

    def fsync(file: int) -> None:
        status = os.fstat(file)
        if stat.S_ISDIR(status.st_mode) and len(files) == 1:
            files.append(0)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if stat.S_ISREG(status.st_mode):
            files.append(status.st_ino)
        real(file)

    staged = place.file()
    await staged.write(noise(1))
    monkeypatch.setattr(os, "fsync", fsync)
    await staged.commit()
    await staged.discard()
    assert len(set(files)) == 3
    assert landed(place.store) == {"1.full": noise(1)}


@pytest.mark.fault(68)
async def test_pages_that_a_failed_fsync_dropped_are_no_image_of_a_body_that_streamed(
    staging: MakeStaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = staging(streams=True)

    def fsync(file: int) -> None:
        os.ftruncate(file, 4096)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    staged = place.file()
    await staged.write(noise(1))
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(BadImage, match="this machine's disk took and did not give back"):
        await staged.commit()
    await staged.discard()
    assert landed(place.store) == {}


@pytest.mark.parametrize("streams", [False, True], ids=["held", "streamed"])
@pytest.mark.fault(68)
async def test_what_is_fetched_again_after_that_is_taken_for_what_it_is(
    staging: MakeStaging, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    place, image, fsync = staging(streams=streams), noise(1), os.fsync

    def failing_once(file: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        os.ftruncate(file, 4096)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    staged = place.file()
    await staged.write(image)
    monkeypatch.setattr(os, "fsync", failing_once)
    if streams:
        with pytest.raises(BadImage):
            await staged.commit()
    else:
        await staged.commit()
    await staged.restart()
    await staged.write(image)
    assert (await staged.commit()).sha256 == hashlib.sha256(image).hexdigest()
    await staged.discard()
    assert landed(place.store) == {"1.full": image}


@pytest.mark.fault(68)
async def test_disk_retries_end_for_all_at_the_same_time() -> None:
    room_made: list[int] = []
    retry = DiskRetry(1.0, make_room=lambda: room_made.append(1), on_trouble=lambda error: None)
    tries = Counter[str]()

    def never(name: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            tries[name] += 1
            raise StorageError(name)

        return work

    for name in ("first", "second"):
        with pytest.raises(StorageError, match=name):
            await retry.persist(never(name))
    assert tries["second"] <= 2 < tries["first"]
    assert len(room_made) == tries.total()


@pytest.mark.fault(67)
async def test_those_who_try_again_do_not_take_the_room_from_one_another() -> None:
    retry = DiskRetry(2.0, make_room=lambda: None, on_trouble=lambda error: None)
    writing = 0

    async def work() -> str:
        nonlocal writing
        writing += 1
        finds_others = writing > 1
        try:
            await asyncio.sleep(0.01)
            if finds_others or writing > 1:
                raise StorageError("room for one only")
            return "saved"
        finally:
            writing -= 1

    assert await asyncio.gather(*(retry.persist(work) for _ in range(4))) == ["saved"] * 4


@pytest.mark.parametrize("place", ["is-a-file", "is-a-file/below"])
@pytest.mark.fault(69)
async def test_an_output_directory_that_cannot_be_is_told_before_anything_is_sent(bench: Bench, place: str) -> None:
    (bench.folder / "is-a-file").write_text("here")
    async with sandbox() as provider:
        with pytest.raises(StorageError, match="choose another directory with --output"):
            await bench.run(jobs(2), provider, out=bench.folder / place)
    assert provider.books.requests == 0


@pytest.mark.fault(69)
async def test_a_read_only_output_directory_is_told_before_anything_is_sent(bench: Bench) -> None:
    manifest = bench.write(jobs(2))
    bench.out.mkdir(mode=0o500)
    # Root may write anywhere, unless it gives that up.
    humbly = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    async with sandbox() as provider:
        process = await asyncio.create_subprocess_exec(
            *(*humbly, sys.executable, "-m", "batch_editor", *map(str, bench.run_arguments(manifest, provider))),
            cwd=bench.folder,
            env={**os.environ, "SEGMIND_API_KEY": KEY},
            stderr=subprocess.PIPE,
        )
        _, err = await process.communicate()
    message = f"error: {bench.out}: can't be written (Permission denied); choose another directory with --output\n"
    assert (process.returncode, err.decode()) == (6, message)
    assert provider.books.requests == 0


@pytest.mark.fault(69)
async def test_an_output_directory_that_is_removed_stops_the_run_and_names_what_is_lost(
    bench: Bench,
) -> None:
    manifest = bench.write(jobs(12))
    async with sandbox(latency="1") as provider:
        async with bench.started(
            *bench.run_arguments(manifest, provider, "--concurrency", "4"),
            environment={"BATCH_EDITOR_OUTPUTS__WAIT_S": "1"},
        ) as process:
            await arrived(provider.books, 4)
            shutil.rmtree(bench.out)
            finished = await process.finished()
        assert finished.code == 6, finished.err
        assert provider.books.requests == 4
    assert "Traceback" not in finished.err
    assert finished.err.count("could not be saved and may have been billed") == 4
    assert "(No such file or directory)" in finished.err
    assert not bench.out.exists()


@pytest.mark.fault(69)
async def test_an_images_folder_that_is_removed_is_made_again_for_what_is_in_flight(bench: Bench) -> None:
    manifest = bench.write(jobs(12))
    async with sandbox(latency="1") as provider:
        async with bench.started(*bench.run_arguments(manifest, provider, "--concurrency", "4")) as process:
            await arrived(provider.books, 4)
            shutil.rmtree(bench.images)
            finished = await process.finished()
        assert finished.code == 6
        assert Counter(bench.statuses().values()) == {"succeeded": 4, "pending": 8}
        assert (await bench.run(manifest, provider)).exit_code == 0
        assert (provider.books.requests, billed(bench)) == (12, 0)


@pytest.mark.fault(71)
async def test_images_cross_to_another_file_system_by_a_copy(bench: Bench, disk: Disk) -> None:
    bench.out = bench.folder / "out"
    bench.images = bench.out / "images"
    disk.mount(64_000, at=bench.images / ".landing")
    async with sandbox() as provider:
        assert (await bench.run(jobs(5), provider)).exit_code == 0
    assert bench.files() == [f"job-{number}.png" for number in range(5)]
    assert bench.stamp("job-3") == sha256_of(job("job-3"))


@pytest.mark.parametrize("kilobytes", [16, 400])
async def test_temporary_files_without_room_are_told_before_anything_is_sent(
    bench: Bench, disk: Disk, kilobytes: int
) -> None:
    disk.mount(kilobytes)
    manifest = bench.write(jobs(2000))
    out = bench.folder / "elsewhere"
    async with sandbox() as provider:
        for command in ("plan", "run"):
            arguments = (command, manifest, "-o", out, "--base-url", provider.base_url)
            ended = await bench.command(*arguments, environment={"TMPDIR": str(disk.place)})
            assert ended.code == 6
            assert "the directory for temporary files can't be used (" in ended.err
            assert ended.err.rstrip().endswith("Make room, or let TMPDIR name another one")
    assert provider.books.requests == 0
    assert not out.exists()


@pytest.mark.fault(67)
async def test_finished_files_for_which_there_is_no_room_cost_no_picture_and_are_made_later(
    bench: Bench, disk: Disk, recorder: Recorder
) -> None:
    disk.mount(30_000)
    recorder.answer = http(noise(1))
    manifest = bench.write(jobs(4))
    assert (await bench.run(manifest, recorder.base_url)).exit_code == 0
    disk.fill()
    os.truncate(disk.place / "filler", (disk.place / "filler").stat().st_size - 2_000_000)
    large = bench.write(jobs(4), name="large.yaml", finish={"web": {"size": "900x900", "format": "png"}})
    finished = await bench.command(*run_of(bench, recorder, large))
    assert (finished.code, len(recorder.requests)) == (6, 4), finished.err
    (why,) = [line for line in finished.out.splitlines() if "not all finished files could be made" in line]
    assert "No space left on device" in why
    assert set(bench.statuses().values()) == {"succeeded"}
    refused = await bench.command("finish", bench.out)
    assert refused.code == 6
    assert "No space left on device" in refused.err
    disk.change("size=200m")
    again = await bench.command("finish", bench.out, "--json")
    assert (again.code, again.json["finished"]["web"]["made"]) == (0, 4)
