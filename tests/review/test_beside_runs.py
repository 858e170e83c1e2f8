"""Review beside runs: none is ever held up or refused by it, and each sees what the other has done."""

from __future__ import annotations

import asyncio
import csv
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batch_editor.errors import LedgerError, MachineError, UsageError
from batch_editor.ledger import FILE_NAME, Ledger, readings, review_readings
from batch_editor.output import holder_of, locked
from batch_editor.review.index import NETWORK, Index
from batch_editor.review.server import Review, ReviewOptions
from batch_editor.review.serving import record_verdicts
from tests.support.bench import Bench, jobs, sandbox
from tests.support.made_output import MadeOutput
from tests.support.page import Page, reviewed

pytestmark = pytest.mark.slow  # runs and locks are waited for


@contextmanager
def looked_at(output: Path, *, threads: int = 2) -> Iterator[list[MachineError]]:
    """Within the block the ledger is read over and over; yields what went wrong with that."""
    over, errors = threading.Event(), list[MachineError]()

    def look() -> None:
        while not over.is_set():
            try:
                Index(output).snapshot()
            except MachineError as error:
                errors.append(error)

    looking = [threading.Thread(target=look) for _ in range(threads)]
    for each in looking:
        each.start()
    try:
        yield errors
    finally:
        over.set()
        for each in looking:
            each.join()


async def test_a_run_is_seen_while_it_is_at_work(bench: Bench) -> None:
    async with sandbox(latency="0.3") as provider:
        await bench.run(jobs(1), provider)
        async with reviewed(bench.out) as page:
            assert (await page.get("/api/overview"))["running"] is False
            version = (await page.get("/api/overview"))["version"]
            run = asyncio.create_task(bench.run(jobs(12), provider, concurrency=2))
            seen = set()
            while not run.done():
                await asyncio.sleep(0.1)
                found = await page.get("/api/overview")
                seen.add((found["running"], found["jobs"]["succeeded"] > 1))
            assert (await run).exit_code == 0
            assert (True, True) in seen
            async with asyncio.timeout(20):
                while (found := await page.get("/api/overview"))["running"]:  # noqa: ASYNC110  # as pages do
                    await asyncio.sleep(0.1)
            assert found["jobs"]["succeeded"] == found["jobs"]["total"] == 12
            assert (await page.get(f"/api/changes?since={version}"))["changed"] is True
            cards = await page.jobs()
            assert [(await page.ask(card["thumb"])).status for card in cards] == [200] * 12


async def test_runs_begin_and_end_beside_whoever_looks(bench: Bench) -> None:
    """Six of them, over a ledger that is opened, written, and left in its quiet mode each time."""
    async with sandbox() as provider:
        await bench.run(jobs(20), provider)
        with looked_at(bench.out):
            for count in range(21, 27):
                assert (await bench.run(jobs(count), provider)).exit_code == 0
        assert provider.books.requests == 26


def test_a_ledger_is_left_as_one_file_though_a_page_reads_it_just_then(made: MadeOutput) -> None:
    ledger = Ledger(made.path / FILE_NAME)
    with ledger.transaction():
        ledger.connection.execute("UPDATE jobs SET position = position")
    with readings.reading(made.path) as db:
        assert len(list(review_readings.review_rows(db))) == 100
        closing_it = threading.Thread(target=ledger.close)
        closing_it.start()
        closing_it.join(0.3)  # meanwhile the reading is open
        assert closing_it.is_alive()
    closing_it.join()
    assert [path.name for path in made.path.glob(f"{FILE_NAME}*")] == [FILE_NAME]


def test_a_writer_of_a_finished_ledger_is_never_refused(made: MadeOutput) -> None:
    """It is in the mode in which a reader keeps writers out for as long as it reads."""
    with closing(sqlite3.connect(made.path / FILE_NAME, isolation_level=None, timeout=2)) as writer:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        with looked_at(made.path) as errors:
            for number in range(100):
                writer.execute("UPDATE jobs SET position = position WHERE position = ?", (number,))
        assert errors == []


def test_between_two_rows_nothing_is_held(made: MadeOutput) -> None:
    with (
        readings.reading(made.path) as db,
        closing(sqlite3.connect(made.path / FILE_NAME, isolation_level=None, timeout=0)) as writer,
    ):
        for row in review_readings.review_rows(db):
            writer.execute("UPDATE jobs SET position = position WHERE position = ?", (row.position,))
        for each in (
            review_readings.former_pictures(db),
            review_readings.attempts_of(db, row.fingerprint),
            review_readings.job_files(db, row.job_id, []),
            review_readings.places_of(db, row.fingerprint),
        ):
            assert each is not None
            writer.execute("UPDATE jobs SET position = position")


def test_a_ledger_of_many_jobs_is_read_in_pages(made: MadeOutput) -> None:
    with closing(sqlite3.connect(made.path / FILE_NAME, isolation_level=None)) as db:
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(jobs)")]
        kept = ", ".join(name for name in columns if name not in ("job_id", "position"))
        db.execute(
            f"WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 30)"
            f" INSERT INTO jobs (job_id, position, {kept})"
            f" SELECT job_id || '-' || value, position + 100 * value, {kept} FROM jobs JOIN n WHERE active"
        )
    with readings.reading(made.path) as db:
        statements: list[str] = []
        db.set_trace_callback(statements.append)
        rows = list(review_readings.review_rows(db))
    assert len(rows) == 3100
    assert [row.position for row in rows] == list(range(3100))
    assert len([each for each in statements if "LIMIT 500" in each]) >= 3100 // 500 + 1


def mounts(tmp_path: Path, kind: str) -> Path:
    """A list of mounts by which all of the folder lies on a file system of that kind."""
    path = tmp_path / "mounts"
    path.write_text(f"server:/x {tmp_path} {kind} rw 0 0\n", encoding="utf-8")
    return path


async def test_beside_a_run_on_a_network_s_file_system_it_refuses(made: MadeOutput, tmp_path: Path) -> None:
    options = ReviewOptions(made.path, "ann", mounts=mounts(tmp_path, "nfs4"))
    with locked(made.path):
        with pytest.raises(UsageError) as caught:
            async with Review(options):
                pass
        assert str(caught.value) == (
            f"{made.path}: a run is at work here, and the ledger lies on a network's file system, where a page that"
            " reads it would hold up the run; wait for the run's end"
        )
        async with reviewed(made.path, mounts=mounts(tmp_path, "ext4")) as page:
            assert (await page.get("/api/overview"))["running"] is True
    async with Review(options) as server, Page(server.url) as page:
        assert len(await page.jobs()) == 100


def test_a_run_that_begins_on_a_network_s_file_system_is_left_alone(made: MadeOutput, tmp_path: Path) -> None:
    index = Index(made.path, mounts=mounts(tmp_path, "nfs"))
    assert index.snapshot().outdated is None
    with locked(made.path), closing(sqlite3.connect(made.path / FILE_NAME, isolation_level=None)) as run:
        run.execute("BEGIN EXCLUSIVE")  # whoever read the ledger now would fail
        index.expire()
        snapshot = index.snapshot()
        assert (snapshot.is_running, snapshot.outdated, len(snapshot.jobs)) == (
            True,
            f"{NETWORK}; what is shown is older",
            100,
        )
    index.expire()
    assert index.snapshot().outdated is None


def test_a_ledger_that_is_locked_for_a_while_is_shown_as_it_was(made: MadeOutput) -> None:
    index = Index(made.path)
    before = index.snapshot()
    with closing(sqlite3.connect(made.path / FILE_NAME, isolation_level=None)) as run:
        run.execute("UPDATE jobs SET position = position")
        run.execute("BEGIN EXCLUSIVE")
        index.expire()
        assert index.snapshot().jobs == before.jobs


async def test_who_holds_a_directory_is_known_without_taking_its_lock(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    with locked(tmp_path):
        said = holder_of(tmp_path)
        assert said is not None
        assert said.startswith("process ")
    assert holder_of(tmp_path) is None
    # A process that died left its word.
    died = {"pid": 999_999_999, "host": socket.gethostname(), "since": "2026-11-27T13:26:32+00:00"}
    (tmp_path / ".lock").write_text(json.dumps(died), encoding="utf-8")
    assert holder_of(tmp_path) is None
    (tmp_path / ".lock").write_text(json.dumps(died | {"pid": 1, "host": "another"}), encoding="utf-8")
    assert holder_of(tmp_path) == "process 1 on another (since 2026-11-27 13:26:32 UTC)"


async def judged(output: Path) -> str:
    """The first job of an output directory that has a picture, which was rejected."""
    async with reviewed(output) as page:
        card = next(card for card in await page.jobs() if card["sha256"])
        picture = {"fingerprint": card["fingerprint"], "sha256": card["sha256"]}
        await page.post("/api/verdicts", {"pictures": [picture], "verdict": "rejected", "note": "=cut off"})
    job_id: str = card["job_id"]
    return job_id


def rows(output: Path) -> dict[str, dict[str, str]]:
    with (output / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return {row["job_id"]: row for row in csv.DictReader(file)}


async def test_verdicts_are_in_the_output_manifest_afterwards(made: MadeOutput) -> None:
    job_id = await judged(made.path)
    assert await asyncio.to_thread(record_verdicts, made.path) == f"The verdicts are in {made.path / 'manifest.csv'}"
    row = rows(made.path)[job_id]
    assert (row["verdict"], row["verdict_note"]) == ("rejected", "'=cut off")


async def test_beside_a_run_the_output_manifest_is_left_to_it(made: MadeOutput) -> None:
    job_id = await judged(made.path)
    with locked(made.path):
        said = await asyncio.to_thread(record_verdicts, made.path)
    assert said == "A run is at work here; it writes the verdicts into manifest.csv at its end."
    assert rows(made.path)[job_id]["verdict"] == ""


async def test_a_run_keeps_what_was_said(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
        job_id = await judged(bench.out)
        await bench.run(jobs(3), provider)
        assert provider.books.requests == 3
    assert bench.row(job_id)["verdict"] == "rejected"


async def test_a_directory_without_a_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no ledger here; expected the output directory of a run$"):
        async with Review(ReviewOptions(tmp_path, "ann")):
            pass


async def test_a_ledger_that_is_damaged_is_refused(made: MadeOutput) -> None:
    with closing(sqlite3.connect(made.path / FILE_NAME)) as db:
        db.execute("DROP TABLE jobs")
    with pytest.raises(LedgerError, match=r"the ledger can't be used"):
        async with Review(ReviewOptions(made.path, "ann")):
            pass
