from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from PIL import Image

from batch_editor.errors import MachineError
from batch_editor.images import BadImage
from batch_editor.output import DiskRetry, StagedFile, Store
from batch_editor.output.staged_file import BODY_BYTES, PART_BYTES

KIB = 2**10

Stage = Callable[[int], StagedFile]


def fail(error: MachineError) -> None:
    raise error


def staging(store: Store) -> Stage:
    disk_retry = DiskRetry(5, make_room=store.make_room, on_trouble=fail)
    return lambda number: store.staged_file(number, disk_retry)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path, memory_bytes=256 * KIB)
    await asyncio.to_thread(store.prepare)
    yield store
    await asyncio.to_thread(store.close)


@pytest.fixture
def stage(store: Store) -> Stage:
    return staging(store)


def png(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(buffer, "PNG")
    return buffer.getvalue()


def part(store: Store, number: int) -> Path:
    return store.root / f"images/.landing/{number}.part"


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"<html>no image", "not an image"), (png(9)[:-4], "cut short"), (b"", "an empty body")],
    ids=["html", "cut", "empty"],
)
async def test_what_is_no_whole_image_is_not_committed(store: Store, stage: Stage, body: bytes, message: str) -> None:
    staged = stage(1)
    await staged.write(body)
    with pytest.raises(BadImage, match=message):
        await staged.commit()
    await staged.discard()
    assert list((store.root / "images/.landing").iterdir()) == []


@pytest.mark.parametrize("side", [8, 300, 700], ids=["held", "near the limit", "streamed"])
async def test_a_body_of_many_pieces_is_committed_as_it_came(store: Store, stage: Stage, side: int) -> None:
    body, staged = png(side), stage(1)
    for at in range(0, len(body), 999):
        await staged.write(body[at : at + 999])
    assert part(store, 1).exists() == (len(body) > 256 * KIB)
    assert await staged.read() == body
    image = await staged.commit()
    await staged.discard()
    assert await asyncio.to_thread(Path(image.path).read_bytes) == body
    assert (image.width, image.height, image.size_bytes) == (side, side, len(body))


async def test_many_bodies_together_hold_no_more_in_memory_than_all_may(store: Store, stage: Stage) -> None:
    first, second, third = map(stage, range(3))
    await first.write(bytes(200 * KIB))
    assert not part(store, 0).exists()
    await second.write(bytes(32 * KIB))
    await second.write(bytes(32 * KIB))
    assert part(store, 1).stat().st_size == PART_BYTES
    await first.discard()
    await third.write(bytes(200 * KIB))
    assert not part(store, 2).exists()
    await second.discard()
    await third.restart()
    await third.write(bytes(200 * KIB))
    assert not part(store, 2).exists()


async def test_a_committed_body_leaves_the_memory_to_others(store: Store, stage: Stage) -> None:
    for number in range(4):
        staged = stage(number)
        await staged.write(png(250))
        assert not part(store, number).exists()
        await staged.commit()
        await staged.discard()


async def test_a_very_long_body_streams_although_there_is_memory(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    staged = staging(store)(1)
    await staged.write(bytes(BODY_BYTES))
    assert not part(store, 1).exists()
    await staged.write(b"more")
    assert part(store, 1).stat().st_size == BODY_BYTES + 4
    await staged.discard()
    assert not part(store, 1).exists()
    store.close()


async def test_a_body_that_is_no_image_is_kept_without_keys(store: Store, stage: Stage) -> None:
    staged = stage(1)
    await staged.write(b"<html>paid for with SG_0123456789abcdef")
    await staged.keep(transient=False)
    await staged.discard()
    kept = (store.root / "images/.landing/1.bad").read_bytes()
    assert kept.startswith(b"<html>paid for with ")
    assert b"0123456789abcdef" not in kept


async def test_a_cancelled_commit_ends_all_the_same(
    store: Store, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is whole, and paid for: the run's end finds it."""
    committing, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slowly(file: int) -> None:
        committing.set()
        go_on.wait(5)
        fsync(file)

    staged = stage(1)
    await staged.write(png(8))
    monkeypatch.setattr(os, "fsync", slowly)
    commit = asyncio.ensure_future(staged.commit())
    await asyncio.to_thread(committing.wait, 5)
    commit.cancel()
    await asyncio.wait([commit], timeout=0.1)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await commit
    await staged.discard()
    assert await asyncio.to_thread(store.staged_image, 1) is not None


async def test_a_cancelled_write_ends_before_its_file_is_closed(
    store: Store, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the thread would write to whatever file has got the number since: the ledger, for one."""
    writing, go_on = threading.Event(), threading.Event()
    written: list[int] = []
    write = os.write

    def slowly(file: int, data: bytes) -> int:
        writing.set()
        go_on.wait(5)
        written.append(write(file, data))
        return written[-1]

    staged = stage(1)
    monkeypatch.setattr(os, "write", slowly)
    task = asyncio.ensure_future(staged.write(bytes(300 * KIB)))
    await asyncio.to_thread(writing.wait, 5)
    task.cancel()
    await asyncio.wait([task], timeout=0.1)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    await staged.discard()
    assert written == [300 * KIB]
    assert not part(store, 1).exists()
