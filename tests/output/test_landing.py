from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_editor.images import BadImage
from batch_editor.output import Landing, Store, gathered
from batch_editor.output import landing as landing_module
from batch_editor.records import SavedImage

KIB = 2**10


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    store.prepare()
    yield store
    store.close()


def png(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(buffer, "PNG")
    return buffer.getvalue()


def part(store: Store, number: int) -> Path:
    return store.root / f"images/.landing/{number}.part"


def test_what_is_wrong_with_one_body_is_nothing_to_the_others_of_its_group(store: Store) -> None:
    bodies = [png(8), b"<html>no image", png(9)[:-4], png(400)]

    async def sealed(landing: Landing, body: bytes) -> SavedImage:
        await landing.write(body)
        return await landing.seal()

    async def all_sealed() -> list[SavedImage | BaseException]:
        landings = [store.landing(number) for number in range(len(bodies))]
        together = (sealed(each, body) for each, body in zip(landings, bodies, strict=True))
        return await asyncio.gather(*together, return_exceptions=True)

    small, page, cut, large = asyncio.run(all_sealed())
    assert isinstance(small, SavedImage)
    assert isinstance(large, SavedImage)
    assert Path(small.path).read_bytes() == bodies[0]
    assert Path(large.path).read_bytes() == bodies[3]
    assert (large.width, large.height, large.size_bytes) == (400, 400, len(bodies[3]))
    assert isinstance(page, BadImage)
    assert isinstance(cut, BadImage)
    assert "cut short" in str(cut)


def test_many_bodies_at_once_are_not_gathered_beyond_what_all_may_take(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "ALL_BYTES", 256 * KIB)

    async def arrive() -> None:
        first, second, third = (store.landing(number) for number in range(3))
        await first.write(bytes(200 * KIB))
        assert not part(store, 0).exists()
        await second.write(bytes(32 * KIB))
        await second.write(bytes(32 * KIB))
        assert part(store, 1).stat().st_size == 64 * KIB
        await first.discard()
        await third.write(bytes(200 * KIB))
        assert not part(store, 2).exists()
        await second.discard()
        await third.restart()
        await third.write(bytes(200 * KIB))
        assert not part(store, 2).exists()

    asyncio.run(arrive())


def test_a_body_of_many_pieces_lands_as_it_came(store: Store) -> None:
    body = png(700)

    async def arrive() -> SavedImage:
        landing = store.landing(1)
        for at in range(0, len(body), 999):
            await landing.write(body[at : at + 999])
        return await landing.seal()

    image = asyncio.run(arrive())
    assert Path(image.path).read_bytes() == body


def dropped_during(call: str, store: Store, monkeypatch: pytest.MonkeyPatch, *, before: bytes) -> list[Any]:
    """Drop a body while a thread is in that call, which ends only then; return what the calls gave or raised."""
    reached, go_on = threading.Event(), threading.Event()
    outcomes: list[Any] = []
    really = getattr(os, call)

    def slowly(*arguments: Any) -> Any:
        reached.set()
        go_on.wait(5)
        try:
            outcomes.append(really(*arguments))
        except OSError as error:
            outcomes.append(error)
            raise
        return outcomes[-1]

    async def drop() -> None:
        landing = store.landing(1)
        await landing.write(before)
        monkeypatch.setattr(os, call, slowly)
        writes = asyncio.ensure_future(landing.write(bytes(landing_module.GATHER_BYTES)))
        await asyncio.to_thread(reached.wait, 5)
        writes.cancel()
        dropped = asyncio.ensure_future(landing.discard())
        await asyncio.wait([dropped], timeout=0.2)
        go_on.set()
        await dropped

    asyncio.run(drop())
    monkeypatch.undo()
    return outcomes


def test_a_body_that_is_discarded_while_a_thread_writes_it_keeps_its_file_until_the_thread_is_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the thread would write to whatever file has got the number since: the ledger, for one."""
    written = dropped_during("writev", store, monkeypatch, before=bytes(landing_module.GATHER_BYTES))
    assert written == [landing_module.GATHER_BYTES]
    assert not part(store, 1).exists()


def test_a_body_that_is_kept_outlives_a_folder_that_could_not_be_made_durable_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError(errno.EIO, "Input/output error")]
    fsync = os.fsync

    def failing_once(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode) and failures:
            raise failures.pop()
        fsync(file)

    async def arrive() -> None:
        monkeypatch.setattr(os, "fsync", failing_once)
        landing = store.landing(1)
        await landing.write(b"<html>paid for")
        await landing.keep(passing=False)
        await landing.discard()

    asyncio.run(arrive())
    assert not failures
    assert (store.root / "images/.landing/1.bad").read_bytes() == b"<html>paid for"


def test_a_body_that_is_dropped_while_its_file_is_being_opened_leaves_no_file_open(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (opened,) = dropped_during("open", store, monkeypatch, before=b"a")
    store.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened)
    assert not part(store, 1).exists()


@pytest.mark.parametrize("side", [8, 400])
def test_an_image_that_is_dropped_while_it_is_sealed_is_sealed_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    """It is whole, and paid for: the run's end finds it."""
    sealing, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slowly(file: int) -> None:
        sealing.set()
        go_on.wait(5)
        fsync(file)

    async def drop() -> None:
        first, second = store.landing(1), store.landing(2)
        await first.write(png(8))
        await second.write(png(side))
        monkeypatch.setattr(os, "fsync", slowly)
        others = asyncio.ensure_future(first.seal())
        await asyncio.to_thread(sealing.wait, 5)
        seals = asyncio.ensure_future(second.seal())
        await asyncio.wait([seals], timeout=0.2)
        seals.cancel()
        await asyncio.wait([seals])
        await second.discard()
        go_on.set()
        await others
        await asyncio.to_thread(store.close)

    asyncio.run(drop())
    assert store.landed(2) is not None
    assert not part(store, 2).exists()
