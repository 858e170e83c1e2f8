"""Ledgers that are damaged, gone, locked, newer, or somebody else's; and their remaking from the output manifest."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch_editor import BatchOptions, LedgerError, Selection, UsageError, last_summary, run_batch
from batch_editor.cli.main import main
from batch_editor.ledger import Ledger
from batch_editor.ledger.database import on_network
from batch_editor.recovery.rebuild import rebuild
from batch_editor.runs.progress import Quiet
from tests.support.bench import KEY, Bench, arrived, job, jobs, sandbox, with_options


def set_version(path: Path, version: int) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


def flip_bits(path: Path) -> None:
    """Where pages say what is where in them: only that can be noticed, for SQLite has no checksums."""
    data, rng = bytearray(path.read_bytes()), random.Random(3)
    for page in range(4096, len(data), 4096):
        data[page + rng.randrange(12)] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def swap_letters(path: Path) -> None:
    """A request's name is another one in its row than in its index: it would be sent, and paid, again."""
    with closing(sqlite3.connect(path)) as db:
        (fingerprint,) = db.execute("SELECT fingerprint FROM requests WHERE job_id = 'job-0'").fetchone()
    data = path.read_bytes()
    at = data.index(fingerprint.encode())
    path.write_bytes(data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :])


def anothers(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")


def ledger_of(bench: Bench) -> Path:
    return bench.out / "ledger.sqlite3"


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(b"not a database, " * 1000),
    "pages overwritten": lambda path: path.write_bytes(
        path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096)
    ),
    "bits flipped": flip_bits,
    "a letter swapped": swap_letters,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
}
OTHERS: dict[str, Callable[[Path], object]] = {
    "newer": lambda path: set_version(path, 99),
    "another program's": anothers,
}


@pytest.mark.parametrize("damage", [*DAMAGES.values(), *OTHERS.values()], ids=[*DAMAGES, *OTHERS])
@pytest.mark.fault(89)
async def test_a_ledger_that_cannot_be_read_is_told_and_left_alone(
    bench: Bench, damage: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(5), provider)
        damage(ledger_of(bench))
        before = ledger_of(bench).read_bytes()
        with pytest.raises(LedgerError, match=r"ledger\.sqlite3: the ledger can't be"):
            await bench.run(jobs(6), provider)
    assert provider.books.requests == 5
    assert ledger_of(bench).read_bytes() == before
    assert not list(bench.out.glob("ledger.sqlite3-*"))
    capsys.readouterr()
    for command in (["status", str(bench.out)], ["export", str(bench.out)], ["plan", "jobs.yaml", "-o", "out"]):
        code = await asyncio.to_thread(main, command)
        said = capsys.readouterr()
        assert code in (0, 6), command
        assert "Traceback" not in said.err
        if code == 6:
            assert "ledger.sqlite3: the ledger can't be" in said.err


@pytest.mark.fault(89)
@pytest.mark.slow
async def test_a_damaged_ledger_names_the_way_out(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider)
        flip_bits(ledger_of(bench))
        finished = await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))
    assert finished.code == 6
    assert finished.err.endswith(
        f"; `batch-editor status {bench.out} --rebuild` makes it anew from manifest.csv and the images)\n"
    )


@pytest.mark.parametrize("gone", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["removed", "emptied"])
@pytest.mark.fault(89)
async def test_a_ledger_that_is_gone_is_not_begun_anew_over_images_that_were_paid_for(
    bench: Bench, gone: Callable[[Path], object]
) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
        gone(ledger_of(bench))
        with pytest.raises(LedgerError, match="would be paid for again; `batch-editor status"):
            await bench.run(jobs(3), provider)
        assert provider.books.requests == 3
        (bench.out / "manifest.csv").unlink()
        assert (await bench.run(jobs(3), provider)).exit_code == 0


@pytest.mark.fault(89)
async def test_a_folder_or_a_link_in_the_ledgers_place_is_no_ledger(bench: Bench) -> None:
    ledger_of(bench).mkdir(parents=True)
    async with sandbox() as provider:
        with pytest.raises(LedgerError, match=r"ledger\.sqlite3: .*a folder; expected a file"):
            await bench.run(jobs(1), provider)
        ledger_of(bench).rmdir()
        elsewhere = bench.folder / "elsewhere.sqlite3"
        ledger_of(bench).symlink_to(elsewhere)
        with pytest.raises(LedgerError, match=r"ledger\.sqlite3: .*a link; expected a file"):
            await bench.run(jobs(1), provider)
        assert not elsewhere.exists()
    assert provider.books.requests == 0


@pytest.mark.fault(89)
@pytest.mark.slow
async def test_a_ledger_that_another_program_locks_ends_the_run_with_nothing_lost(bench: Bench) -> None:
    manifest = bench.write(jobs(12))
    async with sandbox(latency="0.5") as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "4")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 4)
            with closing(sqlite3.connect(ledger_of(bench), isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                while "another program has it open, close that" not in (line := await process.error_line()):
                    assert line, "it ended without a word of the lock"
                other.execute("ROLLBACK")
            finished = await process.finished()
        assert finished.code == 6
        assert (await bench.run(manifest, provider)).exit_code == 0
        assert {row["possibly_billed"] for row in bench.rows()} == {"0"}
        assert (provider.books.requests, provider.books.double_billed) == (12, 0)


@pytest.mark.fault(80)
def test_on_a_network_s_file_system_the_journal_needs_no_shared_memory(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    share = tmp_path / "a share"
    share.mkdir()
    escaped = str(share).replace(" ", "\\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nnas:/catalog {escaped} nfs4 rw,relatime 0 0\n")
    assert on_network(share / "ledger.sqlite3", mounts)
    assert not on_network(tmp_path / "ledger.sqlite3", mounts)
    assert not on_network(share / "ledger.sqlite3", tmp_path / "none")
    for folder, journal, synchronous in ((share, "delete", 3), (tmp_path, "wal", 2)):
        with closing(Ledger(folder / "ledger.sqlite3", mounts=mounts)) as ledger:
            assert ledger.connection.execute("PRAGMA journal_mode").fetchone() == (journal,)
            assert ledger.connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)


@pytest.mark.parametrize("kind", ["garbage", "a letter swapped"])
@pytest.mark.fault(89)
async def test_a_ledger_rebuilt_from_the_manifest_sends_nothing_again(bench: Bench, kind: str) -> None:
    wanted = [
        *jobs(6, quality="medium"),
        job("same", "edit job-1", quality="medium"),
        job("=formula", output_format="jpeg", output_compression=80),
        job("folders", output="deep/er/name"),
    ]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        before = bench.rows()
        DAMAGES[kind](ledger_of(bench))
        damaged = ledger_of(bench).read_bytes()
        finished = await bench.command("status", bench.out, "--rebuild", "--json")
        assert finished.code == 0, finished.err
        (kept,) = bench.out.glob("ledger.sqlite3.damaged-*")
        assert kept.read_bytes() == damaged
        assert f"The damaged ledger is kept: {kept}" in finished.err
        assert finished.json["jobs"]["succeeded"] == len(wanted)
        assert finished.json["cost_usd"]["estimated"] == pytest.approx(
            sum(float(row["estimated_cost_usd"]) for row in before)
        )
        sent = provider.books.requests
        summary = await bench.run(wanted, provider)
        assert (summary.exit_code, summary.sent, provider.books.requests) == (0, 0, sent)
        assert bench.rows() == before
        changed = [{**wanted[0], "prompt": "something else"}, *wanted[1:]]
        assert (await bench.run(changed, provider)).sent == 1


@pytest.mark.fault(89)
async def test_cells_that_the_csv_module_finds_too_long_come_back(bench: Bench) -> None:
    body = "<p>" + 'a "long", one\n' * 20_000
    manifest = bench.folder / "jobs.yaml"
    entry = {"id": "a", "prompt": "edit", "image_urls": ["http://127.0.0.1:9/mug.png"], "rows": [{"body": body}]}
    manifest.write_text(json.dumps({"jobs": [entry]}), encoding="utf-8")
    limit = csv.field_size_limit()
    async with sandbox() as provider:
        await bench.run(manifest, provider)
        before = (bench.out / "manifest.csv").read_bytes()
        assert len(before) > 2 * limit
        ledger_of(bench).unlink()
        assert rebuild(bench.out).jobs == 1
        summary = await bench.run(manifest, provider)
    assert (summary.exit_code, summary.sent) == (0, 0)
    assert (bench.out / "manifest.csv").read_bytes() == before
    assert csv.field_size_limit() == limit


@pytest.mark.fault(89)
async def test_a_rebuilt_ledger_counts_a_job_whose_image_s_first_owner_is_gone(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("a", "same"), job("b", "same"), job("c")], provider)
    ledger_of(bench).unlink()
    manifest = bench.out / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if not line.startswith("a,")), encoding="utf-8")
    rebuild(bench.out)
    counts = last_summary(bench.out).jobs
    assert (counts.total, counts.succeeded, counts.reused) == (2, 2, 0)


@pytest.mark.fault(89)
async def test_rebuilding_carries_failures_attempts_and_costs_over(bench: Bench) -> None:
    wanted = jobs(8)
    async with sandbox(faults=("422@2", "502@4+")) as provider:
        summary = await bench.run(wanted, provider, concurrency=1, max_failures="3", retry__max_possibly_billed=1)
        assert summary.exit_code == 4
        before = bench.rows()
        assert {row["status"] for row in before} >= {"succeeded", "failed", "unknown", "pending"}
        ledger_of(bench).unlink()
        rebuilt = rebuild(bench.out)
        assert (rebuilt.jobs, rebuilt.images, rebuilt.kept) == (8, 2, None)
    async with sandbox() as provider:
        summary = await bench.run(wanted, provider)
        sent = [row for row in before if row["status"] == "pending"]
        assert provider.books.requests == len(sent)
        assert summary.exit_code == 1
    after = {row["job_id"]: row for row in bench.rows()}
    for row in before:
        if row["status"] != "pending":
            assert after[row["job_id"]] == row
    # What was spent counts on, for the run before had not finished.
    assert rebuilt.counted_usd > 0.05


@pytest.mark.fault(89)
async def test_an_image_that_changed_or_went_is_no_image(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(4), provider)
        shutil.copy(bench.images / "job-0.png", bench.images / "job-1.png")
        (bench.images / "job-2.png").unlink()
        ledger_of(bench).unlink()
        rebuilt = rebuild(bench.out)
        assert (rebuilt.images, rebuilt.missing) == (2, 2)
        summary = await bench.run(jobs(4), provider)
        assert (summary.exit_code, provider.books.requests) == (1, 4)
    assert bench.statuses() == {"job-0": "succeeded", "job-1": "unknown", "job-2": "unknown", "job-3": "succeeded"}
    assert {bench.row(id)["error_kind"] for id in ("job-1", "job-2")} == {"result_lost"}


@pytest.mark.fault(89)
async def test_images_of_a_run_that_died_are_neither_paid_again_nor_taken_for_what_they_may_not_be(
    bench: Bench,
) -> None:
    """The manifest is of the run before: it knows nothing of them."""
    async with sandbox() as provider:
        await bench.run(jobs(3), provider, options=with_options(selection=Selection(limit=1)))
        left = [id for id, status in bench.statuses().items() if status == "pending"]
        shutil.copy(bench.images / "job-0.png", bench.images / f"{left[0]}.png")
        landing = bench.images / ".landing"
        shutil.copy(bench.images / "job-0.png", landing / "77.full")
        (landing / "78.full").write_bytes(b"half of one")
        ledger_of(bench).write_bytes(b"")
        rebuilt = rebuild(bench.out)
        assert (rebuilt.newer, rebuilt.unclaimed) == (1, 1)
        before = provider.books.requests
        summary = await bench.run(jobs(3), provider)
        assert summary.exit_code == 1
        assert provider.books.requests == before + len(left) - 1
    assert bench.row(left[0])["status"] == "unknown"
    assert "is newer than the manifest" in bench.row(left[0])["error"]
    assert [name for name in bench.files() if "unclaimed" in name]


@pytest.mark.fault(89)
async def test_what_cannot_be_rebuilt_is_said(bench: Bench) -> None:
    with pytest.raises(UsageError, match=r"no manifest\.csv here"):
        rebuild(bench.out)
    async with sandbox() as provider:
        await bench.run(jobs(1), provider)
    with pytest.raises(UsageError, match="this ledger is sound; there is nothing to rebuild"):
        rebuild(bench.out)
    set_version(ledger_of(bench), 99)
    with pytest.raises(LedgerError, match="its schema is version 99"):
        rebuild(bench.out)
    ledger_of(bench).unlink()
    whole = (bench.out / "manifest.csv").read_text().rstrip("\n")
    (bench.out / "manifest.csv").write_text("id,prompt\n1,hello\n")
    with pytest.raises(LedgerError, match="not an output manifest"):
        rebuild(bench.out)
    (bench.out / "manifest.csv").write_text(whole + ",one more\n")
    with pytest.raises(LedgerError, match=r"manifest\.csv: can't be read .*line 2 has more cells than the header"):
        rebuild(bench.out)


class Meddler(Quiet):
    """Somebody who breaks into what a run does when it first says something."""

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__()
        self._deed: Callable[[], object] | None = deed

    def say(self, line: str) -> None:
        super().say(line)
        if self._deed is not None:
            deed, self._deed = self._deed, None
            deed()


@pytest.mark.fault(89)
async def test_a_ledger_that_breaks_while_inputs_are_checked_is_told_as_such(bench: Bench) -> None:
    def spoil() -> None:
        with closing(sqlite3.connect(ledger_of(bench))) as other:
            other.execute("DROP TABLE requests")

    async with sandbox() as provider:
        settings = bench.settings(provider, inputs__allow_private_links=True)
        options = BatchOptions(output=bench.out, check_inputs=True, progress=Meddler(spoil))
        with pytest.raises(LedgerError, match=r"the ledger can't be used \(no such table: requests"):
            await run_batch([bench.write(jobs(1))], settings, SecretStr(KEY), options)
    assert provider.books.requests == 0


@pytest.mark.fault(89)
async def test_a_ledger_that_breaks_before_the_first_request_leaves_no_file_open(bench: Bench) -> None:
    def spoil() -> None:
        with closing(sqlite3.connect(ledger_of(bench))) as other:
            other.execute("ALTER TABLE attempts RENAME COLUMN sent_at TO left_at")

    def schedules() -> list[str]:
        state = os.environ["XDG_STATE_HOME"]
        files = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
        return [path for file in files if (path := str(file.readlink())).startswith(state)]

    async with sandbox() as provider:
        wanted = bench.write(jobs(2))
        await bench.run(wanted, provider, options=with_options(selection=Selection(limit=1)))
        (bench.images / "job-0.png").unlink()
        options = BatchOptions(output=bench.out, progress=Meddler(spoil))
        summary = await run_batch([wanted], bench.settings(provider), SecretStr(KEY), options)
    assert summary.exit_code == 6
    assert schedules() == []


@pytest.mark.fault(67)
@pytest.mark.slow
async def test_a_disk_in_the_way_at_a_run_s_end_is_told_rather_than_the_budget(bench: Bench) -> None:
    async with sandbox(latency="0.2") as provider:
        settings = bench.settings(provider, concurrency=1, budget__max_cost_usd=0.1)
        # What nobody can clear away: a folder where only files land.
        obstacle = bench.out / "images" / ".landing" / "obstacle"
        ending = asyncio.ensure_future(
            run_batch([bench.write(jobs(20))], settings, SecretStr(KEY), BatchOptions(output=bench.out))
        )
        await arrived(provider.books, 1)
        obstacle.mkdir()
        summary = await ending
    assert summary.stop is not None
    assert (summary.exit_code, summary.stop.kind) == (6, "machine")
    assert 0 < summary.jobs.succeeded < 20
