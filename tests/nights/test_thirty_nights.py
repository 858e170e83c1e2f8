"""Thirty nights of a shop, as its schedule runs them: what happens to unattended runs happens to some of these."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from batch_editor.ledger import JobChanges
from tests.nights.shop import ZONE, Heard, Shop
from tests.support import clock, system_calls
from tests.support.bench import LOW_USD, arrived, sandbox
from tests.support.disk import Disk
from tests.support.durability import Desk, RunServer, look, stamp_of
from tests.support.needs import need_root
from tests.support.recorder import Recorder, http
from tests.support.system_calls import RENAME, Death

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

FIRST = datetime(2026, 10, 1, 2, 30, tzinfo=ZoneInfo(ZONE))
NIGHTS = 30
KILLED = -9


@pytest.fixture
async def shop(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Shop]:
    need_root()
    recorder.answer = http(b"ok", content_type="text/plain")
    desk = Desk(tmp_path / "shop")
    disk = Disk(desk.disk)
    disk.mount(48_000)
    libraries = (clock.build(tmp_path), system_calls.build(tmp_path))
    async with AsyncExitStack() as stack:
        stack.callback(disk.unmount)
        servers = [await stack.enter_async_context(RunServer.started(*libraries)) for _ in range(2)]
        # The usual one, one that takes its time, and one whose account has money for two images.
        kinds: list[dict[str, Any]] = [{"latency": "0.03"}, {"latency": "1"}, {"credits_usd": 2.5 * LOW_USD}]
        providers = [await stack.enter_async_context(sandbox(**kind)) for kind in kinds]
        yield Shop(desk, servers, providers, recorder)


async def plain(shop: Shop, now: datetime) -> int:
    """A night like most."""
    return await shop.night(now)


async def by_hand(shop: Shop, now: datetime) -> int:
    """The first run, which finds no ledger; one of the schedule's would buy nothing."""
    assert await shop.night(now) == 2
    assert "has no ledger yet, which --expect-ledger expects" in one_message(shop, 2)
    assert shop.arrived().total() == 0
    return await shop.night(now, *(word for word in shop.command if word != "--expect-ledger"))


async def killed_with_requests_in_flight(shop: Shop, now: datetime) -> int:
    return await shop.night(now, death=Death(RENAME, "*.full", after=True, nth=2))


async def killed_at_the_end(shop: Shop, now: datetime) -> int:
    return await shop.night(now, death=Death(RENAME, "*/manifest.csv", after=False, nth=1))


async def overlapping(shop: Shop, now: datetime) -> int:
    slow = shop.providers[1]
    first = asyncio.ensure_future(shop.night(now, base_url=slow.base_url))
    await arrived(slow.books, 1)
    assert await shop.night(now + timedelta(seconds=1), beside=True) == 5
    assert "at work here" in one_message(shop, 5, started=2)
    return await first


async def without_network(shop: Shop, now: datetime) -> int:
    """The machine slept until shortly before the deadline, and has no network yet."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and doesn't listen
        return await shop.night(
            now.replace(hour=5, minute=59, second=55), base_url=f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        )


async def full_disk(shop: Shop, now: datetime) -> int:
    slow, disk = shop.providers[1], Disk(shop.desk.disk)
    count = slow.books.requests
    night = asyncio.ensure_future(shop.night(now, base_url=slow.base_url))
    await arrived(slow.books, count + 2)
    disk.fill()
    code = await night
    disk.empty()
    return code


async def empty_account(shop: Shop, now: datetime) -> int:
    return await shop.night(now, base_url=shop.providers[2].base_url)


async def summer_time_ends(shop: Shop, now: datetime) -> int:
    """02:30 comes twice, and the deadline is 4.5 hours after the first of them."""
    plan = await shop.said(now, "plan", "jobs.yaml", "-o", "disk/runs/out")
    assert plan.splitlines()[-1] == "Deadline: 2026-10-25 06:00 fits"
    return await shop.night(now)


@dataclass(frozen=True)
class Night:
    """One that isn't like most: what happens, the exit code, a word of its message, and how the catalog changed.

    started: how many runs are heard to begin after `happens` looked last.
    """

    happens: Callable[[Shop, datetime], Awaitable[int]]
    code: int
    words: str
    changes: dict[str, Any] = field(default_factory=dict)
    started: int = 1


OFFLINE = Night(without_network, 4, " left")
USUAL = {"new": 2, "titles": 2, "links": 1, "gone": 1}
NOTHING = {"new": 0}
PLAIN = Night(plain, 0, " jobs done")
SPECIAL = {
    1: Night(by_hand, 0, "40 images made for $0.43, all 40 jobs done", {"new": 40}),
    5: Night(killed_with_requests_in_flight, KILLED, "", {**USUAL, "new": 6}),
    8: Night(plain, 0, "nothing to do, all ", NOTHING),
    9: Night(overlapping, 0, " jobs done", started=0),
    12: OFFLINE,
    16: Night(killed_at_the_end, KILLED, ""),
    18: Night(plain, 0, " jobs done", {**USUAL, "back": True}),
    19: Night(full_disk, 6, " left", {"new": 20}),
    23: Night(empty_account, 3, " left", {**USUAL, "new": 4}),
    25: Night(summer_time_ends, 0, " jobs done"),
}


def one_message(shop: Shop, code: int, *, started: int = 1) -> str:
    """The one that came since the last, with its pings."""
    heard = shop.heard()
    assert heard.pings == [*["/start"] * started, f"/{code}"]
    (message,) = heard.messages
    return message


async def test_in_thirty_nights_each_change_is_made_once_and_each_night_is_told_and_on_record(shop: Shop) -> None:
    doubtful: set[str] = set()
    told: list[tuple[datetime, int, JobChanges]] = []
    for number in range(1, NIGHTS + 1):
        night, now = SPECIAL.get(number, PLAIN), FIRST + timedelta(days=number - 1)
        arrived_before, made_before = shop.arrived(), shop.made()
        changes = shop.catalog.change(made_before, **(night.changes or USUAL))
        if number == 1:
            await shop.open()
        shop.catalog.write(shop.desk.folder)
        code = await night.happens(shop, now)
        await shop.idle()
        assert code == night.code, (number, shop.desk.said())
        if code == KILLED:
            assert shop.heard() == Heard([], ["/start"])
            doubtful |= set(shop.arrived() - arrived_before) - finished(shop)
        else:
            assert night.words in one_message(shop, code, started=night.started).splitlines()[0]
            assert shop.metric("last_run_exit_code") == code
            assert not set(shop.desk.out.glob("images/.landing/*"))
        told.append((now, code, changes))
        if code == 0:
            assert {row["status"] for row in shop.desk.rows()} == {"succeeded"}
            assert {row["job_id"] for row in shop.desk.rows()} == set(shop.catalog.products)
            assert set(map(shop.catalog.request, shop.catalog.products)) <= set(shop.made())

    assert set(shop.arrived()) <= shop.catalog.asked
    # Made twice is only what was in flight when its run was killed: nobody could know what became of it.
    assert {request for request, times in shop.made().items() if times > 1} == doubtful
    assert 0 < len(doubtful) <= 3
    assert set(shop.made().values()) == {1, 2}
    for row in shop.desk.rows():
        assert stamp_of((shop.desk.out / row["output_path"]).read_bytes()) == shop.catalog.request(row["job_id"])
    await history_has(shop, told)


def finished(shop: Shop) -> set[str]:
    """The requests whose image the ledger or the disk has, before anybody puts it in order."""
    left, wrong = look(shop.desk)
    assert wrong == []
    return set(left.stamps)


async def history_has(shop: Shop, told: list[tuple[datetime, int, JobChanges]]) -> None:
    """Every night, with how it ended and what it was about; in local time for people."""
    last, *_ = told[-1]
    (found,) = json.loads(await shop.said(last, "history", "disk/runs/out", "--json"))["outputs"]
    assert len(found["runs"]) == NIGHTS
    for run, (now, code, changes) in zip(found["runs"], told, strict=True):
        began_at = datetime.fromisoformat(run["started_at"])
        assert timedelta(0) <= began_at - now < timedelta(hours=4)
        assert (run["state"], run["exit_code"]) == (("died", None) if code == KILLED else ("ended", code))
        assert JobChanges(**run["changes"]) == changes
    head, *lines = (await shop.said(last, "history", "disk/runs/out")).splitlines()
    assert head.endswith("; times in CEST and CET")
    nights = [line[:16] for line in lines if not line.startswith(" ")]
    late = [
        f"{now:%F} {'05:59' if SPECIAL.get(number) is OFFLINE else '02:30'}" for number, (now, *_) in enumerate(told, 1)
    ]
    assert nights == late
