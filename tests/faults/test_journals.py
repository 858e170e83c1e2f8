"""Journals that a killed process left beside its ledger: taken back where that is sound, else moved away with it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from batch_editor.recovery.rebuild import rebuild
from batch_editor.sandbox import Sandbox
from tests.support.bench import Bench, jobs, sandbox

pytestmark = pytest.mark.slow

# A writer whose memory is too small for its transaction: what doesn't fit goes into the ledger's file before the end,
# and what stood there into the journal.
WRITER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = DELETE")
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN")
db.execute("UPDATE requests SET params = hex(zeroblob(9999))")
print("within", flush=True)
time.sleep(60)
"""
JOURNAL = "ledger.sqlite3-journal"


async def kill_a_writer(bench: Bench) -> Path:
    """The journal of a process that was killed within a transaction."""
    ledger, journal = bench.out / "ledger.sqlite3", bench.out / JOURNAL
    before = ledger.read_bytes()
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, ledger, stdout=asyncio.subprocess.PIPE)
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"within\n"
    writer.kill()
    assert await writer.wait() == -signal.SIGKILL
    assert ledger.read_bytes() != before
    # Hot: of a journal that counts the first eight bytes say what it is.
    assert journal.read_bytes()[:8] == bytes.fromhex("d9d505f920a163d7")
    return journal


@asynccontextmanager
async def left_by_a_run(bench: Bench) -> AsyncIterator[Sandbox]:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
        yield provider


def is_sound(bench: Bench) -> bool:
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


@pytest.mark.parametrize("command", ["run", "plan", "status", "export", "reconcile"])
@pytest.mark.fault(89)
async def test_every_command_takes_back_what_a_killed_process_left_half_done(bench: Bench, command: str) -> None:
    async with left_by_a_run(bench) as provider:
        rows = bench.rows()
        journal = await kill_a_writer(bench)
        manifest = bench.write(jobs(3))
        arguments: dict[str, list[str | Path]] = {
            "run": bench.run_arguments(manifest, provider),
            "plan": ["plan", manifest, "-o", bench.out],
            "reconcile": ["reconcile", bench.out, "--base-url", provider.base_url],
        }
        finished = await bench.command(*arguments.get(command, [command, bench.out]))
        assert finished.code == 0, finished.err
        assert not journal.exists()
        assert is_sound(bench)
        assert (await bench.run(jobs(3), provider)).sent == 0
    assert bench.rows() == rows


@pytest.mark.fault(89)
async def test_a_ledger_with_a_journal_is_sound_and_not_rebuilt(bench: Bench) -> None:
    async with left_by_a_run(bench):
        await kill_a_writer(bench)
        finished = await bench.command("status", bench.out, "--rebuild")
    assert finished.code == 2
    assert finished.err.endswith("this ledger is sound; there is nothing to rebuild\n")
    assert is_sound(bench)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"not a database, " * 4000),
    "pages overwritten": lambda path: path.write_bytes(
        path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096)
    ),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:5000]),
}


@pytest.mark.parametrize("side", ["-journal", "-wal", "-shm"])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.fault(89)
async def test_nothing_of_a_damaged_ledger_gets_into_the_one_that_is_rebuilt(
    bench: Bench, damage: str, side: str
) -> None:
    async with left_by_a_run(bench) as provider:
        rows = bench.rows()
        journal = await kill_a_writer(bench)
        if side != "-journal":
            journal.rename(bench.out / f"ledger.sqlite3{side}")
        DAMAGES[damage](bench.out / "ledger.sqlite3")
        for left in ("", "-journal", "-wal"):
            (bench.out / f"ledger.sqlite3.new{left}").write_bytes(b"of a rebuilding that died")
        rebuilt = rebuild(bench.out)
        assert (rebuilt.jobs, rebuilt.images) == (3, 3)
        assert is_sound(bench)
        assert not [path for ending in ("-journal", "-wal", "-shm") for path in bench.out.glob(f"*.sqlite3{ending}")]
        summary = await bench.run(jobs(3), provider)
        assert (summary.exit_code, summary.sent, provider.books.requests) == (0, 0, 3)
    assert bench.rows() == rows


@pytest.mark.fault(89)
async def test_a_journal_that_outlived_its_ledger_is_kept_with_what_is_left_of_it(bench: Bench) -> None:
    async with left_by_a_run(bench):
        journal = await kill_a_writer(bench)
        hot = journal.read_bytes()
        (bench.out / "ledger.sqlite3").unlink()
        rebuild(bench.out)
    (kept,) = bench.out.glob("ledger.sqlite3.damaged-*")
    assert kept.name.endswith("-journal")
    assert kept.read_bytes() == hot
