"""Spending in a database: the same as in a file, whoever dies."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batch_editor import LedgerError
from batch_editor.ledger import Ledger
from batch_editor.money import ApprovedAmount, AttemptToken, Spending, SpendingDatabase, SpendingFile, charge_left_open
from batch_editor.money.shared_budget import SharedBudget
from batch_editor.postgres import Database, read_database_address
from tests.servers.postgres.conftest import Shared
from tests.support.command import ROOT

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400
MODELS = ("gpt-image-1.5-edit", "nano-banana")


@contextmanager
def opened(url: str, owner: str = "here", *, wait_s: float = 5.0, **limits: Any) -> Iterator[SpendingDatabase]:
    with spent_in(database_at(url, wait_s=wait_s), owner, **limits) as spending:
        yield spending


def database_at(url: str, *, wait_s: float, say: Callable[[str], None] = lambda _: None) -> Database:
    return Database(read_database_address(url), wait_s=wait_s, say=say)


@contextmanager
def spent_in(database: Database, owner: str, **limits: Any) -> Iterator[SpendingDatabase]:
    chosen = {"per_day_usd": None, "per_month_usd": None, **limits}
    spending = SpendingDatabase(database, owner, **chosen)
    try:
        spending.prove(time.time())
        yield spending
    finally:
        spending.close()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_in_whichever_order_a_database_answers_as_a_file_does(
    shared: Shared, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    limits: list[dict[str, Any]] = [
        {"per_day_usd": 1.0, "per_month_usd": 1.6},
        {"per_day_usd": 1.0, "approval": ApprovedAmount("a1", 1.5)},
        {"per_day_usd": None, "approval": ApprovedAmount("a2", 0.8)},
    ]
    with ExitStack() as stack:
        pairs: list[tuple[Spending, Spending]] = []
        for number, chosen in enumerate(limits):
            in_a_file = SpendingFile(tmp_path / "s", f"o{number}", **{"per_month_usd": None, **chosen})
            stack.callback(in_a_file.close)
            pairs.append((in_a_file, stack.enter_context(opened(shared.url, f"o{number}", **chosen))))
        for _ in range(150):
            both = file, database = pairs[rng.randrange(3)]
            answers: list[object] = [None, None]
            attempt, now = f"a{rng.randrange(12)}", NOON + rng.choice([0, 200, DAY_S, 2 * DAY_S])
            usd, step = round(rng.uniform(0.01, 0.5), 3), rng.randrange(9)
            steady = rng.choice([None, usd / 2])
            if step < 3:
                model = rng.choice(MODELS)
                answers = [s.reserve(attempt, usd, now, steady_usd=steady, endpoint=model) for s in both]
            elif step < 5:
                charged = rng.choice([0.0, usd])
                for each in both:
                    each.charge(attempt, charged)
            elif step < 7:
                for each in both:
                    (each.keep if step == 5 else each.reopen)(attempt)
            elif step == 7:
                answers = [s.exhausted(usd, now) for s in both]
            else:
                assert set(file.open_attempts()) == set(database.open_attempts())
                answers = [s.room(now)[1] for s in both]
            assert answers[0] == answers[1]
            assert file.left_usd(now) == pytest.approx(database.left_usd(now), abs=1e-9)


# What four processes at once do to one database, each as fast as it can; those that are killed leave what they held.
WORKER = """
import random, sys, time
from batch_editor.money import SpendingDatabase
from batch_editor.postgres import Database, read_database_address
url, owner, now = sys.argv[1], sys.argv[2], float(sys.argv[3])
database = Database(read_database_address(url), wait_s=20, say=lambda text: None)
spending = SpendingDatabase(database, owner, per_day_usd=2.0, per_month_usd=None)
rng = random.Random(owner)
for number in range(200):
    attempt, usd = str(number), rng.uniform(0.01, 0.05)
    if spending.patiently(lambda: spending.reserve(attempt, usd, now, steady_usd=None, endpoint="a")):
        charged = rng.choice([0.0, usd / 2, usd])
        print(f"{usd} {charged}", flush=True)
        spending.patiently(lambda: spending.charge(attempt, charged))
"""


@pytest.mark.slow
@pytest.mark.fault(110, 111)
def test_processes_that_are_killed_and_a_server_that_crashes_never_pass_the_limit(shared: Shared) -> None:
    with opened(shared.url):
        pass
    command = [sys.executable, "-c", WORKER, shared.url]
    workers = [
        subprocess.Popen([*command, f"w{number}", str(NOON)], cwd=ROOT, stdout=subprocess.PIPE) for number in range(4)
    ]
    try:
        for number in range(3):
            time.sleep(0.7)
            shared.server.restart()
            if number == 1:
                workers[0].kill()
        said = [worker.communicate(timeout=40)[0].decode() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL, 0, 0, 0]
    charged = sum(float(line.split()[1]) for text in said for line in text.splitlines())
    spent, is_open = shared.sums()
    assert 0.5 < spent <= 2.0 + 1e-9
    assert is_open <= 1, "only what the killed one held"
    # Where its last charge was on its way, the reservation counts: up to that more.
    assert charged - 0.05 - 1e-9 <= spent <= charged + 0.05 + 1e-9
    ((of_days,),) = shared.server.ask(shared.name, "SELECT sum(usd) FROM batch_editor_days")
    assert of_days == pytest.approx(spent)


@pytest.mark.slow
@pytest.mark.fault(112)
def test_who_stands_still_in_the_middle_keeps_the_others_for_seconds_only(shared: Shared) -> None:
    with opened(shared.url, "one", per_day_usd=1.0) as one, opened(shared.url, "two", per_day_usd=1.0) as two:

        def in_the_middle() -> None:
            with one.transaction():
                one.reserve("a", 0.4, NOON, steady_usd=None, endpoint="a")
                began_at = time.monotonic()
                assert two.reserve("b", 0.9, NOON, steady_usd=None, endpoint="a")
                assert 3 < time.monotonic() - began_at < 15

        with pytest.raises(LedgerError):
            in_the_middle()
        assert one.reserve("c", 0.1, NOON, steady_usd=None, endpoint="a")
        assert one.left_usd(NOON) == pytest.approx(0.0)


@pytest.mark.fault(110, 112)
def test_what_a_dead_run_left_is_charged_once_a_server_that_was_restarted_answers(
    shared: Shared, tmp_path: Path
) -> None:
    attempt = str(AttemptToken("20261127T051112-a1b2c3", "f00d", 1))
    with opened(shared.url, wait_s=30) as spending, closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        assert spending.reserve(attempt, 0.24, NOON, steady_usd=None, endpoint=MODELS[0])
        shared.server.stop()
        starting = threading.Timer(2.0, shared.server.start)
        starting.start()
        try:
            charge_left_open(spending, ledger)
        finally:
            starting.join()
        assert spending.open_attempts() == []
    assert shared.sums() == (0.24, 0)  # of a run that this ledger has no word of


@pytest.mark.fault(110)
def test_a_standby_is_waited_for_until_it_takes_over(shared: Shared) -> None:
    said: list[str] = []
    with spent_in(database_at(shared.url, wait_s=30, say=said.append), "here", per_day_usd=1.0) as spending:
        shared.server.stop()
        shared.server.start_as_standby()
        taking_over = threading.Timer(1.0, shared.server.take_over)
        taking_over.start()
        try:
            assert spending.patiently(lambda: spending.reserve("a", 0.4, NOON, steady_usd=None, endpoint="a"))
        finally:
            taking_over.join()
        assert spending.left_usd(NOON) == pytest.approx(0.6)
    where = f"budget.ledger postgresql://postgres@127.0.0.1:{shared.server.port}/{shared.name}"
    away = f"{where}: is read-only (cannot execute SELECT FOR UPDATE in a read-only transaction)"
    held = "a standby becomes writable once it has taken over; nothing new is sent until it answers, for up to 30s"
    assert said == [f"warning: {away}; {held}", f"{where} answers again; resuming"]


async def test_who_only_looks_waits_for_nobody(shared: Shared) -> None:
    with opened(shared.url, "one", per_day_usd=1.0) as one, opened(shared.url, "two", per_day_usd=1.0) as two:
        budget = SharedBudget(two)
        assert await budget.reserve("a", 0.4, NOON, steady_usd=None, endpoint="a")
        with one.transaction():
            began_at = time.monotonic()
            looks = await asyncio.gather(*(budget.room(NOON) for _ in range(50)))
            assert time.monotonic() - began_at < 3
        assert looks == [pytest.approx((0.6, True))] * 50
        await asyncio.to_thread(budget.close)


@pytest.mark.slow
async def test_a_server_that_hangs_is_not_waited_for_by_who_is_to_end(shared: Shared) -> None:
    database = database_at(shared.url, wait_s=60)
    with spent_in(database, "here", per_day_usd=1.0) as spending:
        budget = SharedBudget(spending)
        assert await budget.reserve("a", 0.4, NOON, steady_usd=None, endpoint="a")
        with shared.server.frozen():
            budget.charge("a", 0.1)
            database.hurry()
            began_at = time.monotonic()
            budget.close()
            assert time.monotonic() - began_at < 10
        assert spending.open_attempts() == ["a"]
