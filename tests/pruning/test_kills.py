"""`prune` dies at any call: what the ledger says of an image is true all the same, or too modest."""

from __future__ import annotations

import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.bench import job
from tests.support.durability import Desk, RunServer, SandboxServer
from tests.support.system_calls import LINK, RENAME, UNLINK, WRITE, Death, build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

FIRST = [job("a", "one"), job("b", "one more"), job("g")]
SECOND = [job("a", "two"), job("b", "two more")]
DEATHS = [
    *((UNLINK, "*/.history/*", after, nth) for after in (False, True) for nth in (1, 2)),
    *((WRITE, "*/ledger.sqlite3*", True, nth) for nth in (1, 3, 5)),
]


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[RunServer]:
    async with RunServer.started(build(tmp_path)) as started:
        yield started


def former(desk: Desk) -> set[str]:
    """The first digits of the SHA-256 of what is in the history."""
    return {path.name.split(".")[-2] for path in (desk.images / ".history").rglob("*.png")}


async def test_killed_anywhere_no_image_is_lost_and_once_more_it_comes_to_the_same(
    runs: RunServer, tmp_path: Path
) -> None:
    done, desk = Desk(tmp_path / "done"), Desk(tmp_path / "desk")
    async with SandboxServer.started() as provider:
        for jobs in (FIRST, SECOND):
            done.write(jobs)
            assert await runs.run(done, done.arguments(provider.base_url)) == 0, done.said()
        assert len(former(done)) == 3
        died = 0
        for kinds, pattern, after, nth in DEATHS:
            shutil.rmtree(desk.disk)
            shutil.copytree(done.disk, desk.disk)
            prune = ["prune", str(desk.out), "--keep", "0d"]
            died += await runs.run(desk, prune, death=Death(kinds, pattern, after=after, nth=nth)) == -signal.SIGKILL
            left = len(former(desk))
            if nth == 1:  # the next night comes before the next prune
                desk.write(FIRST)
                await provider.reset()
                assert await runs.run(desk, desk.arguments(provider.base_url)) == 0, desk.said()
                assert {row["status"] for row in desk.rows()} == {"succeeded"}
                assert (await provider.books()).arrived.total() >= 3 - left
            assert await runs.run(desk, prune) == 0, desk.said()
            desk.write(FIRST if nth == 1 else SECOND)
            await provider.reset()
            assert await runs.run(desk, desk.arguments(provider.base_url)) == 0, desk.said()
            assert {row["status"] for row in desk.rows()} == {"succeeded"}
            assert (await provider.books()).arrived.total() == 0
            # What a job took back from there is still there as well.
            assert former(desk) <= {row["sha256"][:12] for row in desk.rows()}
        assert died >= len(DEATHS) - 1


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_what_a_run_that_died_was_about_to_take_from_the_history_stays(
    runs: RunServer, tmp_path: Path, nth: int
) -> None:
    desk = Desk(tmp_path / "desk")
    async with SandboxServer.started() as provider:
        for jobs in (FIRST, SECOND):
            desk.write(jobs)
            assert await runs.run(desk, desk.arguments(provider.base_url)) == 0, desk.said()
        desk.write(FIRST)
        death = Death(LINK, "*/images/*.png", after=False, nth=nth)
        assert await runs.run(desk, desk.arguments(provider.base_url), death=death) == -signal.SIGKILL
        assert await runs.run(desk, ["prune", str(desk.out), "--keep", "0d"]) == 0, desk.said()
        await provider.reset()
        assert await runs.run(desk, desk.arguments(provider.base_url)) == 0, desk.said()
        assert (await provider.books()).arrived.total() == 0
        assert {row["status"] for row in desk.rows()} == {"succeeded"}


async def test_what_manifest_csv_names_stays_where_a_run_died_before_it_wrote_another(
    runs: RunServer, tmp_path: Path
) -> None:
    desk = Desk(tmp_path / "desk")
    async with SandboxServer.started() as provider:
        desk.write(FIRST)
        assert await runs.run(desk, desk.arguments(provider.base_url)) == 0, desk.said()
        desk.write(SECOND)
        death = Death(RENAME, "*/manifest.csv", after=False, nth=1)
        assert await runs.run(desk, desk.arguments(provider.base_url), death=death) == -signal.SIGKILL
        assert await runs.run(desk, ["prune", str(desk.out), "--keep", "0d"]) == 0, desk.said()
        assert former(desk) == {row["sha256"][:12] for row in desk.rows()}
        # And the next run's end lets them go.
        assert await runs.run(desk, desk.arguments(provider.base_url)) == 0, desk.said()
        assert await runs.run(desk, ["prune", str(desk.out), "--keep", "0d"]) == 0, desk.said()
        assert former(desk) == set()
