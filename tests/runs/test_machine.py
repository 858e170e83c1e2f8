"""This machine in the way: locks, directories, disks, ledgers."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from pydantic import SecretStr

from batch_editor import BatchOptions, LockedError, MachineError, run_batch
from batch_editor.runs.progress import Quiet, Snapshot
from tests.support.bench import KEY, Bench, arrived, jobs, requests_of, sandbox, sha256_of


@pytest.mark.fault(78)
@pytest.mark.slow
async def test_a_second_process_ends_at_once_and_names_the_first(bench: Bench) -> None:
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


class LastSeen(Quiet):
    def show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


DISK_TROUBLE: dict[str, Callable[[Bench], object]] = {
    "an image's place taken": lambda bench: (bench.images / "job-2.png").mkdir(),
    "the output directory removed": lambda bench: shutil.rmtree(bench.out),
    "the ledger removed": lambda bench: (bench.out / "ledger.sqlite3").unlink(),
}


@pytest.mark.parametrize("trouble", DISK_TROUBLE)
@pytest.mark.slow
async def test_what_the_disk_got_in_the_way_of_is_in_flight_no_longer(bench: Bench, trouble: str) -> None:
    progress = LastSeen()
    async with sandbox(latency="0.5") as provider:
        settings = bench.settings(provider, concurrency=4, outputs__wait_s=0.5)
        options = BatchOptions(output=bench.out, progress=progress)
        run = asyncio.create_task(run_batch([bench.write(jobs(8))], settings, SecretStr(KEY), options))
        await arrived(provider.books, 4)
        DISK_TROUBLE[trouble](bench)
        with suppress(MachineError):  # where even the end can't be recorded
            assert (await run).exit_code == 6
    assert progress.snapshot.in_flight == 0


@pytest.mark.slow
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
