from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batch_editor.errors import LedgerError
from batch_editor.ledger import FILE_NAME, Ledger, LedgerWriter


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = await asyncio.to_thread(Ledger, tmp_path / FILE_NAME)
    yield ledger
    await asyncio.to_thread(ledger.close)


async def test_an_operation_that_fails_leaves_nothing_behind_and_fails_alone(ledger: Ledger) -> None:
    writer, begun, go = LedgerWriter(ledger), threading.Event(), threading.Event()
    db = ledger.connection

    def wait() -> None:
        begun.set()
        go.wait(10)

    def note(name: str) -> str:
        db.execute("INSERT INTO columns VALUES (?, '')", (name,))
        return name

    def refuse() -> None:
        note("half of it")
        raise ValueError("no")

    def clash() -> None:
        note("another half")
        note("first")

    first = asyncio.create_task(writer.do(wait))
    await asyncio.to_thread(begun.wait)
    operations = [writer.do(note, "first"), writer.do(refuse), writer.do(clash), writer.do(note, "last")]
    group = asyncio.gather(*operations, return_exceptions=True)
    await asyncio.sleep(0)
    go.set()
    await first
    one, refused, clashed, last = await group
    await asyncio.to_thread(writer.close)
    assert (one, last) == ("first", "last")
    assert isinstance(refused, ValueError)
    assert isinstance(clashed, LedgerError)
    assert "UNIQUE constraint failed" in str(clashed)
    names = await asyncio.to_thread(lambda: db.execute("SELECT name FROM columns ORDER BY rowid").fetchall())
    assert names == [("first",), ("last",)]
