"""Bodies whose disk is behind: in memory is what waits for it, not what the network could bring meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientResponse, ClientSession, web

from batch_editor.client.download import stream
from batch_editor.output import Store, gathered, landing
from batch_editor.output.gathered import Gathered
from batch_editor.records import SavedImage

MIB = 2**20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "WRITING_BYTES", 100)
    monkeypatch.setattr(gathered, "BLOCK_BYTES", 40)
    monkeypatch.setattr(gathered, "SOON_S", 0.05)


async def queued(bodies: Gathered, count: int) -> tuple[list[asyncio.Task[None]], list[int]]:
    """So many that wait for their turn, and who had it, in order."""
    gone_on: list[int] = []

    async def go_on(number: int) -> None:
        await bodies.turn()
        gone_on.append(number)

    turns = [asyncio.create_task(go_on(number)) for number in range(count)]
    await asyncio.sleep(0)
    return turns, gone_on


async def test_bodies_go_on_at_once_while_the_disk_keeps_up() -> None:
    bodies = Gathered()
    with bodies.writing(99):
        _, gone_on = await queued(bodies, 3)
        assert gone_on == [0, 1, 2]


async def test_bodies_wait_in_turn_and_go_on_as_far_as_there_is_room() -> None:
    bodies = Gathered()
    with ExitStack() as disk:
        disk.enter_context(bodies.writing(60))
        with bodies.writing(60):
            turns, gone_on = await queued(bodies, 9)
            assert gone_on == []
            turns[0].cancel()
        await asyncio.sleep(0)
        assert gone_on == [1]  # 60 bytes are on their way, 40 more are expected: that is all
        late = asyncio.create_task(bodies.turn())
        await asyncio.sleep(0)
        assert not late.done()
        for _ in range(3):
            with bodies.writing(1):  # it came, and is written: so another one may
                pass
            await asyncio.sleep(0)
        assert gone_on == [1, 2, 3, 4]


async def test_a_body_that_nothing_comes_for_holds_up_the_next_ones_only_for_a_moment() -> None:
    bodies = Gathered()
    with bodies.writing(100):
        turns, gone_on = await queued(bodies, 9)
    await asyncio.sleep(0)
    assert gone_on == [0, 1, 2]
    async with asyncio.timeout(5):
        await asyncio.gather(*turns)
    assert gone_on == list(range(9))


class Stuck:
    """A sink whose first block doesn't get to the disk until it is told to."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.head = b""
        self.asked_for_room = 0
        self.has_begun = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def write(self, data: bytes) -> None:
        self.size_bytes += len(data)
        self.has_begun.set()
        await self.may_go_on.wait()

    async def room(self) -> None:
        self.asked_for_room += 1

    async def restart(self) -> None:
        raise NotImplementedError

    async def read(self) -> bytes:
        raise NotImplementedError

    async def seal(self) -> SavedImage:
        raise NotImplementedError


@asynccontextmanager
async def answer_of(size_bytes: int) -> AsyncIterator[ClientResponse]:
    """The answer of a server to a request, of so many bytes."""

    async def image(_: web.Request) -> web.Response:
        return web.Response(body=bytes(size_bytes))

    app = web.Application()
    app.router.add_get("/", image)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as response:
            yield response
    finally:
        await runner.cleanup()


async def test_nothing_more_of_a_body_is_read_while_its_part_waits_for_the_disk() -> None:
    sink = Stuck()
    async with answer_of(8 * MIB) as response:
        streaming = asyncio.create_task(stream(response, sink))
        await sink.has_begun.wait()
        await asyncio.sleep(0.2)  # for what would come
        assert response.content.total_bytes == sink.size_bytes < 8 * MIB
        sink.may_go_on.set()
        assert await streaming is None
        assert sink.size_bytes == 8 * MIB
        assert sink.asked_for_room


async def test_a_body_that_is_whole_waits_for_no_room() -> None:
    sink = Stuck()
    sink.may_go_on.set()
    async with answer_of(1000) as response:
        await asyncio.sleep(0.1)  # all of it has come
        assert await stream(response, sink) is None
    assert (sink.size_bytes, sink.asked_for_room) == (1000, 0)


async def test_only_a_body_with_nothing_in_memory_waits_for_room(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    written, gathering = store.landing(1), store.landing(2)
    await written.write(bytes(landing.GATHER_BYTES))
    await gathering.write(b"a part")
    with written._all.writing(100):
        async with asyncio.timeout(5):
            await gathering.room()
        waiting = asyncio.create_task(written.room())
        await asyncio.sleep(0.05)
        assert not waiting.done()
    await waiting
    for each in (written, gathering):
        await each.discard()
    store.close()
