"""This machine in the way: locks, directories, disks, ledgers."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from run_bench import KEY, Bench, arrived, jobs, requests_of, sandbox, sha256_of
from run_recorder import Recorder, http

from batch_editor import LedgerError, LockedError, StorageError
from batch_editor.cli import main


async def test_fault_078_a_second_process_ends_at_once_and_names_the_first(bench: Bench) -> None:
    manifest = bench.write(jobs(2))
    async with sandbox(faults=("hang",)) as provider:
        arguments = bench.run_arguments(manifest, provider)
        async with bench.started(*arguments) as first:
            await arrived(provider.books, 2)
            second = await bench.command(*arguments)
            assert second.code == 5
            assert f"process {first.pid} on " in second.err
            assert "is at work here" in second.err
            assert second.out == ""
            with pytest.raises(LockedError):
                await bench.run(manifest, provider)
            first.send(signal.SIGKILL)
            await first.finished()
        assert provider.books.requests == 2
    async with sandbox() as provider:
        assert (await bench.run(manifest, provider)).exit_code == 0


@pytest.mark.parametrize("place", ["is-a-file", "is-a-file/below"])
async def test_fault_069_an_output_directory_that_cannot_be_is_told_before_anything_is_sent(
    bench: Bench, place: str
) -> None:
    (bench.folder / "is-a-file").write_text("here")
    async with sandbox() as provider:
        with pytest.raises(StorageError, match="choose another directory with --output"):
            await bench.run(jobs(2), provider, out=bench.folder / place)
    assert provider.books.requests == 0


async def test_fault_069_a_read_only_output_directory_is_told_before_anything_is_sent(bench: Bench) -> None:
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


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not a database, " * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096)),
        lambda path: _set_version(path, 99),
    ],
    ids=["garbage", "pages-overwritten", "newer"],
)
async def test_fault_089_a_ledger_that_cannot_be_read_is_told_and_left_alone(
    bench: Bench, damage: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(damage)
    async with sandbox() as provider:
        await bench.run(jobs(5), provider)
        damage(bench.out / "ledger.sqlite3")
        before = (bench.out / "ledger.sqlite3").read_bytes()
        with pytest.raises(LedgerError, match=r"ledger\.sqlite3: the ledger can't be"):
            await bench.run(jobs(6), provider)
    assert provider.books.requests == 5
    assert (bench.out / "ledger.sqlite3").read_bytes() == before
    capsys.readouterr()
    for command in (["status", str(bench.out)], ["export", str(bench.out)], ["plan", "jobs.yaml", "-o", "out"]):
        code = await asyncio.to_thread(main, command)
        said = capsys.readouterr()
        assert code in (0, 6), command
        assert "Traceback" not in said.err
        if code == 6:
            assert "ledger.sqlite3: the ledger can't be" in said.err


def _set_version(path: Path, version: int) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = DELETE")  # so that all of it is in one file
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


async def test_fault_067_when_files_cannot_grow_the_run_stops_and_sends_no_more(
    bench: Bench, recorder: Recorder
) -> None:
    """RLIMIT_FSIZE stands in for a full disk: the ledger still fits, an image doesn't."""
    manifest = bench.write(jobs(12))
    recorder.answer = http(noise())
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY));"
        "from batch_editor.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "run", manifest, "-o", bench.out, "--base-url", recorder.base_url),
        *("--concurrency", "2", "--progress", "none"),
        cwd=bench.folder,
        env={**os.environ, "SEGMIND_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 6, err.decode()
    assert b"Traceback" not in err
    assert b"can't be written (File too large)" in out
    # Those beside the first that could not be saved are finished; nothing is drawn after it.
    sent = len(recorder.requests)
    assert sent <= 3
    assert Counter(row["possibly_billed"] for row in bench.rows())["1"] == sent
    summary = await bench.run(manifest, recorder.base_url)
    assert (summary.exit_code, len(recorder.requests)) == (0, 12 + sent)


def noise() -> bytes:
    """A PNG of 3 MB, for noise can't be compressed."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (1000, 1000), random.Random(0).randbytes(3_000_000)).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


async def test_an_image_that_finds_its_place_taken_stops_the_run_and_the_others_in_flight_are_kept(
    bench: Bench,
) -> None:
    wanted = jobs(30)
    taken = bench.images / "job-2.png"
    taken.mkdir(parents=True)
    async with sandbox(latency="0.5") as provider:
        summary = await bench.run(wanted, provider, concurrency=10)
        assert summary.exit_code == 6
        assert summary.stop is not None
        assert "job-2.png: something other than a file stands where an image belongs" in summary.stop.message
        assert provider.books.requests <= 20
        requests = provider.books.requests
        # Every image that was paid for is under its name, but for the one; nothing is possibly billed.
        assert Counter(bench.statuses().values())["succeeded"] == requests - 1
        assert {row["possibly_billed"] for row in bench.rows()} == {"0"}
        taken.rmdir()
        again = await bench.run(wanted, provider)
    assert again.exit_code == 0
    assert provider.books.requests == 30
    assert requests_of(provider.books, wanted[2]) == 1
    assert bench.stamp("job-2") == sha256_of(wanted[2])
