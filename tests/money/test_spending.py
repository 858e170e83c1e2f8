"""The file of spending that runs share: days, months, processes, and runs that died."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor import BatchOptions, LedgerError
from batch_editor.ledger import FILE_NAME, Ledger
from batch_editor.money import ApprovedAmount, SpendingFile
from batch_editor.runs.progress import Quiet, Snapshot
from tests.support.bench import LOW_USD, Bench, arrived, job, jobs, sandbox

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
MODEL = "gpt-image-1.5-edit"


@contextmanager
def opened(
    path: Path, owner: str = "here", *, day: float | None = None, month: float | None = None, **how: Any
) -> Iterator[SpendingFile]:
    spending = SpendingFile(path, owner, per_day_usd=day, per_month_usd=month, **how)
    try:
        yield spending
    finally:
        spending.close()


def room(found: tuple[float, bool]) -> tuple[float, bool]:
    return round(found[0], 9), found[1]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_two_that_share_a_file_share_its_limits(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "spending.sqlite3"
    with opened(file, "one", day=1.0) as one, opened(file, "two", day=1.0) as two:
        assert one.reserve("a", 0.6, NOON, steady_usd=None, endpoint=MODEL)
        assert not two.reserve("a", 0.6, NOON, steady_usd=None, endpoint=MODEL)
        assert two.left_usd(NOON) == pytest.approx(0.4)
        one.charge("a", 0.1)
        assert two.reserve("a", 0.6, NOON, steady_usd=None, endpoint=MODEL)
        assert one.left_usd(NOON) == pytest.approx(0.3)


def test_the_smaller_of_day_and_month_holds(tmp_path: Path) -> None:
    with opened(tmp_path / "s", day=5.0, month=1.0) as spending:
        assert spending.reserve("a", 0.9, NOON, steady_usd=None, endpoint=MODEL)
        assert not spending.reserve("b", 0.2, NOON, steady_usd=None, endpoint=MODEL)
        assert spending.left_usd(NOON) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("day", "month", "before", "after", "room"),
    [
        (1.0, None, "2026-11-22T23:59:59.999", "2026-11-23T00:00:00", True),
        (1.0, None, "2026-11-22T00:00:00", "2026-11-22T23:59:59.999", False),
        (None, 1.0, "2026-11-30T23:59:59.999", "2026-12-01T00:00:00", True),
        (None, 1.0, "2026-11-01T00:00:00", "2026-11-30T23:59:59.999", False),
        (None, 1.0, "2026-12-31T23:59:59.999", "2027-01-01T00:00:00", True),
        (None, 1.0, "2028-02-01T00:00:00", "2028-02-29T23:59:59.999", False),
    ],
)
def test_days_and_months_begin_at_midnight_of_utc(
    tmp_path: Path, day: float | None, month: float | None, before: str, after: str, room: bool
) -> None:
    with opened(tmp_path / "s", day=day, month=month) as spending:
        assert spending.reserve("a", 0.8, at(before), steady_usd=None, endpoint=MODEL)
        spending.charge("a", 0.8)
        assert spending.reserve("b", 0.8, at(after), steady_usd=None, endpoint=MODEL) is room


def test_what_cost_nothing_leaves_nothing_behind(tmp_path: Path) -> None:
    with opened(tmp_path / "s", day=1.0) as spending:
        spending.reserve("a", 0.8, NOON, steady_usd=None, endpoint=MODEL)
        spending.charge("a", 0.0)
        assert spending.left_usd(NOON) == 1.0
        assert spending.open_attempts() == []


def test_what_is_reserved_again_counts_once_and_by_its_own_day(tmp_path: Path) -> None:
    with opened(tmp_path / "s", day=1.0) as spending:
        spending.reserve("a", 0.4, NOON, steady_usd=None, endpoint=MODEL)
        spending.reserve("a", 0.5, NOON, steady_usd=None, endpoint=MODEL)
        assert spending.left_usd(NOON) == pytest.approx(0.5)
        spending.reserve("a", 0.3, NOON + 86_400, steady_usd=None, endpoint=MODEL)
        assert [spending.left_usd(NOON + 86_400 * day) for day in (0, 1)] == pytest.approx([1.0, 0.7])
        spending.charge("a", 0.1)
        assert [spending.left_usd(NOON + 86_400 * day) for day in (0, 1)] == pytest.approx([1.0, 0.9])


def test_only_ones_own_reservations_are_left_behind(tmp_path: Path) -> None:
    with opened(tmp_path / "s", "one", day=1.0) as one, opened(tmp_path / "s", "two", day=1.0) as two:
        one.reserve("a", 0.1, NOON, steady_usd=None, endpoint=MODEL)
        two.reserve("b", 0.1, NOON, steady_usd=None, endpoint=MODEL)
        assert (one.open_attempts(), two.open_attempts()) == (["a"], ["b"])
        one.keep("a")
        assert one.open_attempts() == []
        assert one.left_usd(NOON) == pytest.approx(0.8)


def test_a_steady_price_takes_the_rest_when_nothing_is_in_flight_anywhere(tmp_path: Path) -> None:
    with opened(tmp_path / "s", "one", day=1.0) as one, opened(tmp_path / "s", "two", day=1.0) as two:
        two.reserve("b", 0.7, NOON, steady_usd=None, endpoint=MODEL)
        assert not one.reserve("a", 0.5, NOON, steady_usd=0.1, endpoint=MODEL)
        assert room(one.room(NOON)) == (0.3, True)
        two.charge("b", 0.7)
        assert room(one.room(NOON)) == (0.3, False)
        assert one.reserve("a", 0.5, NOON, steady_usd=0.1, endpoint=MODEL)
        assert one.left_usd(NOON) == pytest.approx(0.0)


def test_nobody_waits_for_a_run_that_died_longer_than_an_attempt_takes(tmp_path: Path) -> None:
    with opened(tmp_path / "s", day=1.0, attempt_s=60.0) as spending:
        spending.reserve("a", 0.7, NOON, steady_usd=None, endpoint=MODEL)
        # What it had set aside counts all the same.
        assert room(spending.room(NOON + 59)) == (0.3, True)
        assert room(spending.room(NOON + 61)) == (0.3, False)


def test_a_price_is_out_of_reach_only_if_nothing_in_flight_could_make_room(tmp_path: Path) -> None:
    with opened(tmp_path / "s", day=1.0) as spending:
        spending.reserve("a", 0.7, NOON, steady_usd=None, endpoint=MODEL)
        assert not spending.exhausted(0.5, NOON)
        spending.charge("a", 0.7)
        assert spending.exhausted(0.5, NOON)


def test_a_file_that_is_none_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("not a database, but long enough to be looked at as one" * 20)
    said = r"/s: budget\.ledger can't be used \(file is not a database\)"
    with pytest.raises(LedgerError, match=said) as caught:
        SpendingFile(tmp_path / "s", "here", per_day_usd=1.0, per_month_usd=None)
    links = list(Path("/proc/self/fd").iterdir())
    assert tmp_path / "s" not in [link.readlink() for link in links if link.is_symlink()], "it is closed again"
    del caught  # by whose traceback the object is still there


def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as db:
        before = list(db.execute("SELECT * FROM sqlite_master"))
        said = f"{path}: budget.ledger can't be used (a database of something else; expected a file of its own)"
        with pytest.raises(LedgerError) as error:
            SpendingFile(path, "here", per_day_usd=1.0, per_month_usd=None)
        assert str(error.value) == said
        assert list(db.execute("SELECT * FROM sqlite_master")) == before


def test_an_approved_amount_is_spent_once_over_days_and_output_directories(tmp_path: Path) -> None:
    approved = ApprovedAmount("a1b2", 1.0)
    with (
        opened(tmp_path / "s", "one", approval=approved) as one,
        opened(tmp_path / "s", "two", approval=approved) as two,
        opened(tmp_path / "s", "three", approval=ApprovedAmount("c3d4", 1.0)) as of_another,
        opened(tmp_path / "s", "four") as of_none,
    ):
        assert one.reserve("a", 0.6, NOON, steady_usd=None, endpoint=MODEL)
        assert not two.reserve("a", 0.6, NOON + 86_400, steady_usd=None, endpoint=MODEL)
        assert of_another.reserve("a", 0.6, NOON, steady_usd=None, endpoint=MODEL)
        assert of_none.reserve("a", 99.0, NOON, steady_usd=None, endpoint=MODEL)
        assert not two.exhausted(0.6, NOON)
        one.charge("a", 0.5)
        assert two.exhausted(0.6, NOON)
        assert two.left_usd(NOON + 40 * 86_400) == pytest.approx(0.5)
        two.reserve("b", 0.3, NOON, steady_usd=None, endpoint=MODEL)
        two.reserve("b", 0.4, NOON, steady_usd=None, endpoint=MODEL)
        assert room(one.room(NOON)) == (0.1, True)
        two.charge("b", 0.0)
        assert one.left_usd(NOON) == pytest.approx(0.5)


def test_the_least_of_day_and_approved_amount_holds(tmp_path: Path) -> None:
    with opened(tmp_path / "s", day=0.5, approval=ApprovedAmount("a1b2", 1.0)) as spending:
        assert not spending.reserve("a", 0.6, NOON, steady_usd=None, endpoint=MODEL)
        assert [
            spending.reserve(f"b{day}", 0.4, NOON + day * 86_400, steady_usd=None, endpoint=MODEL) for day in (0, 1)
        ]
        assert spending.left_usd(NOON + 3 * 86_400) == pytest.approx(0.2)


# As the first version made it: a sum for the day that its rows don't add up to is kept.
FORMER_SCHEMA = """
CREATE TABLE spending (
    owner TEXT NOT NULL, attempt TEXT NOT NULL, at REAL NOT NULL, usd REAL NOT NULL, open INTEGER NOT NULL,
    PRIMARY KEY (owner, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX spending_by_time ON spending (at, usd);
CREATE TABLE days (day INTEGER PRIMARY KEY, usd REAL NOT NULL, open_usd REAL NOT NULL) STRICT;
"""


def test_a_file_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s")) as db:
        db.executescript(FORMER_SCHEMA)
        db.execute("INSERT INTO spending VALUES ('here', 'a', ?, 0.3, 0), ('here', 'b', ?, 0.4, 1)", (NOON, NOON))
        db.execute("INSERT INTO days VALUES (?, 0.7, 0.4)", (NOON // 86_400,))
        db.commit()
    for _ in range(2):
        with opened(tmp_path / "s", day=1.0, approval=ApprovedAmount("a1b2", 1.0)) as spending:
            assert spending.left_usd(NOON) == pytest.approx(0.3)
            assert spending.open_attempts() == ["b"]
    with opened(tmp_path / "s", day=1.0, approval=ApprovedAmount("a1b2", 1.0)) as spending:
        assert spending.reserve("c", 0.1, NOON, steady_usd=None, endpoint=MODEL)
    with closing(sqlite3.connect(tmp_path / "s")) as db:
        found = db.execute("SELECT attempt, endpoint, approval FROM spending ORDER BY attempt").fetchall()
    assert found == [("a", None, None), ("b", None, None), ("c", MODEL, "a1b2")]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(0.01, 0.5), st.floats(0, 1), st.booleans()), min_size=1, max_size=40
    )
)
def test_any_order_of_two_connections_keeps_the_limit(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float, float, bool]]
) -> None:
    file = tmp_path_factory.mktemp("spending") / "s"
    with opened(file, "a", day=1.0) as first, opened(file, "b", day=1.0) as second:
        owners, held, spent = {"a": first, "b": second}, dict[tuple[str, str], float](), 0.0
        for number, (owner, usd, share, charged) in enumerate(steps):
            fits = usd <= 1.0 - spent - sum(held.values()) + 1e-9
            assert owners[owner].reserve(str(number), usd, NOON, steady_usd=None, endpoint=MODEL) is fits
            if fits:
                held[owner, str(number)] = usd
            if charged and held:
                (who, name), reserved = held.popitem()
                owners[who].charge(name, reserved * share)
                spent += reserved * share
            assert first.left_usd(NOON) == pytest.approx(second.left_usd(NOON))
            assert first.left_usd(NOON) >= -1e-6


# What four processes at once do to one file, each as fast as it can.
WORKER = """
import random, sys, time
from batch_editor.money import SpendingFile
from pathlib import Path
owner, rng, now = sys.argv[2], random.Random(sys.argv[2]), float(sys.argv[3])
spending = SpendingFile(Path(sys.argv[1]), owner, per_day_usd=2.0, per_month_usd=3.0)
billed = 0.0
for number in range(100):
    usd = rng.uniform(0.01, 0.1)
    if spending.reserve(str(number), usd, now, steady_usd=None, endpoint="a"):
        charged = usd * rng.choice([0.0, 0.3, 1.0])
        billed += charged
        spending.charge(str(number), charged)
print(billed)
spending.close()
"""


@pytest.mark.slow
def test_processes_at_the_same_time_never_pass_a_limit_together(tmp_path: Path) -> None:
    file = tmp_path / "spending.sqlite3"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(file), name, str(NOON)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for name in "abcd"
    ]
    outcomes = [worker.communicate(timeout=50) for worker in workers]
    assert [err for _, err in outcomes] == [b""] * 4
    billed = sum(float(out) for out, _ in outcomes)
    # Each of the four had wanted about 2.4 dollars' worth.
    assert 1.9 < billed <= 2.0
    with opened(file, day=2.0) as spending:
        assert spending.left_usd(NOON) == pytest.approx(2.0 - billed)


# Files that are all new, each opened by every process at the same instant.
OPENER = """
import sys, time
from batch_editor.money import SpendingFile
from pathlib import Path
for number in range(30):
    while time.time() < float(sys.argv[3]) + 0.03 * number:
        pass
    SpendingFile(Path(sys.argv[1]) / str(number), sys.argv[2], per_day_usd=1.0, per_month_usd=None).close()
"""


@pytest.mark.slow
def test_processes_that_start_together_open_a_new_file_together(tmp_path: Path) -> None:
    at_once = str(time.time() + 1.5)
    openers = [
        subprocess.Popen([sys.executable, "-c", OPENER, str(tmp_path), name, at_once], stderr=subprocess.PIPE)
        for name in "abcd"
    ]
    assert [opener.communicate(timeout=50)[1] for opener in openers] == [b""] * 4


def shared(ledger: Path, **limits: float) -> dict[str, Any]:
    return {"budget__ledger": ledger, **{f"budget__{name}": usd for name, usd in limits.items()}}


@pytest.mark.slow
async def test_a_day_is_used_up_over_directories_and_no_further(bench: Bench) -> None:
    flags = shared(bench.folder / "spending", per_day_usd=0.3)
    async with sandbox() as provider:
        first = await bench.run(jobs(10, name="a"), provider, out=bench.folder / "one", **flags)
        second = await bench.run(jobs(40, name="b"), provider, out=bench.folder / "two", concurrency=8, **flags)
    assert (first.exit_code, second.exit_code) == (0, 4)
    assert 0.95 * 0.3 <= provider.books.billed_usd <= 0.3
    assert second.stop is not None
    assert second.stop.message == (
        f"the budget has no room for the max price of any request that is left: {second.jobs.pending} requests, about"
        f" ${second.jobs.pending * LOW_USD:,.2f}. Raise --max-cost, or the limits per day and month"
    )


@pytest.mark.slow
async def test_a_day_without_room_ends_a_run_at_once_however_many_jobs_it_has(bench: Bench) -> None:
    flags = shared(bench.folder / "spending", per_day_usd=0.04)
    async with sandbox() as provider:
        summary = await bench.run(jobs(2_000), provider, concurrency=50, **flags)
    assert (summary.exit_code, provider.books.requests) == (4, 0)
    assert summary.elapsed_s < 10


@pytest.mark.slow
async def test_two_processes_at_once_keep_a_day_between_them(bench: Bench) -> None:
    config = bench.folder / "config.yaml"
    config.write_text(json.dumps({"budget": {"per_day_usd": 0.5, "ledger": "spending"}}), encoding="utf-8")
    async with sandbox(latency="0.02-0.1") as provider:
        manifests = [bench.write(jobs(60, name=name), name=f"{name}.yaml") for name in ("a", "b")]
        arguments = [
            bench.run_arguments(manifest, provider, "--concurrency", "6", out=bench.folder / manifest.stem)
            for manifest in manifests
        ]
        async with bench.started(*arguments[0]) as first, bench.started(*arguments[1]) as second:
            codes = [(await process.finished()).code for process in (first, second)]
    assert codes == [4, 4]
    assert 0.95 * 0.5 <= provider.books.billed_usd <= 0.5


@pytest.mark.slow
async def test_what_a_killed_run_had_set_aside_is_charged_by_the_run_that_resumes(bench: Bench) -> None:
    ledger = bench.folder / "spending"
    config = bench.folder / "config.yaml"
    config.write_text(json.dumps({"budget": {"per_day_usd": 2, "ledger": str(ledger)}}), encoding="utf-8")
    manifest = bench.write(jobs(6))
    async with sandbox(latency="0.4") as provider:
        async with bench.started(*bench.run_arguments(manifest, provider, "--concurrency", "3")) as process:
            await arrived(provider.books, 2)
            process.kill()
            await process.finished()
        await provider.books.idle()
        left_open = rows(ledger)
        assert {row["open"] for row in left_open} == {1}
        assert sum(row["usd"] for row in left_open) >= provider.books.billed_usd
        await bench.run(manifest, provider, **shared(ledger, per_day_usd=2.0))
    charged = rows(ledger)
    assert {row["open"] for row in charged} == {0}
    # The killed attempts stay counted at their max price, the six good ones at what they cost.
    assert len(charged) == 6 + len(left_open)
    assert provider.books.billed_usd <= sum(row["usd"] for row in charged)


def replace(path: Path) -> None:
    with opened(path.with_name("other"), day=1.0) as other:
        other.left_usd(NOON)
    path.with_name("other").replace(path)


REMOVALS: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "moved": lambda path: path.rename(path.with_name("moved")),
    "replaced": replace,
    "its folder moved": lambda path: path.parent.rename(path.parent.with_name("moved")),
    "its log removed": lambda path: path.with_name(f"{path.name}-wal").unlink(),
    "its link led elsewhere": lambda path: replace(path.with_name("link")),
}


@pytest.mark.parametrize("removal", REMOVALS)
async def test_a_file_that_is_removed_while_a_run_is_on_stops_it(bench: Bench, removal: str) -> None:
    """Who went on with it would pass every limit together with those who find another one there, or none."""
    file = bench.folder / "shared" / "spending"
    file.parent.mkdir()
    link = file.with_name("link")
    link.symlink_to(file)
    named = link if "link" in removal else file
    flags = shared(named, per_day_usd=10.0)

    class Meddler(Quiet):
        meddled = False

        def show(self, snapshot: Snapshot) -> None:
            if snapshot.done and not self.meddled:
                self.meddled = True
                REMOVALS[removal](file)

    async with sandbox(latency="0.3") as provider:
        options = BatchOptions(progress=Meddler())
        summary = await bench.run(jobs(30), provider, options=options, concurrency=2, **flags)
        assert summary.exit_code == 6
        assert summary.stop is not None
        assert summary.stop.message.startswith(
            f"{named}: budget.ledger was removed or replaced while this run was on ("
        )
        assert summary.stop.message.endswith(
            "), and what was spent is no longer known. Put it back, or run again to begin anew"
        )
        # What was in flight is paid for and saved.
        assert provider.books.billed == summary.jobs.succeeded <= 6
        assert summary.possibly_billed == 0


async def test_what_was_spent_stays_spent_when_an_output_directory_is_deleted(bench: Bench) -> None:
    flags = shared(bench.folder / "spending", per_day_usd=1.0)
    async with sandbox() as provider:
        await bench.run([job("a")], provider, **flags)
        shutil.rmtree(bench.out)
        await bench.run([job("a")], provider, **flags)
    assert provider.books.billed == 2
    assert sum(row["usd"] for row in rows(bench.folder / "spending")) == pytest.approx(2 * LOW_USD)


async def test_limits_without_a_file_to_share_are_a_mistake(bench: Bench) -> None:
    bench.write(jobs(1))
    refused = await bench.command("plan", "jobs.yaml", environment={"BATCH_EDITOR_BUDGET__PER_DAY_USD": "5"})
    assert refused.code == 2
    assert "per_day_usd and per_month_usd need budget.ledger, which the runs share" in refused.err


def rows(ledger: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(ledger)) as db:
        cursor = db.execute("SELECT attempt, usd, open FROM spending ORDER BY at")
        return [dict(zip(("attempt", "usd", "open"), row, strict=True)) for row in cursor]
