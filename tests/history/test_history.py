"""`history`: every run is on record, with the provider's own figures, and a thousand of them list at once."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch_editor.cli.main import main
from batch_editor.errors import StorageError
from batch_editor.history import History, history_of
from batch_editor.history.moments import zones
from batch_editor.ledger import FILE_NAME, Counts, Expected, JobChanges, Ledger
from batch_editor.runs.summary import last_summary
from batch_editor.verdicts import FILE_NAME as VERDICTS
from batch_editor.verdicts import Picture, Verdicts
from tests.support.bench import LOW_USD, UTC_TIME, Bench, arrived, job, jobs, sandbox, with_options

BEGAN_AT = 1_792_000_000.0


def reject(bench: Bench, job_id: str) -> None:
    row = bench.row(job_id)
    with closing(Verdicts(bench.out / VERDICTS)) as verdicts:
        picture = Picture(row["fingerprint"], row["sha256"])
        verdicts.give([picture], verdict="rejected", note="too dark", by="Ann", now=time.time())


async def test_each_run_is_told_with_its_jobs_money_plan_and_end(bench: Bench) -> None:
    """A kill, a stop at the budget, the rest, a rejected picture made again, and a manifest that changed."""
    async with sandbox(latency="0.2") as provider:
        books, manifest = provider.books, bench.write(jobs(8))
        async with bench.started(*bench.run_arguments(manifest, provider, "--concurrency", "2")) as process:
            await arrived(books, 3)
            process.kill()
            await process.ended()
        await asyncio.sleep(0.5)  # what is in flight is made, and billed
        billed = [books.billed_usd]
        for budget_usd in (books.billed_usd + 3.5 * LOW_USD, 100.0):
            await bench.run(manifest, provider, concurrency=1, budget__max_cost_usd=budget_usd)
            billed.append(books.billed_usd)
        await asyncio.to_thread(reject, bench, "job-7")
        await bench.run(manifest, provider, options=with_options(redo=["rejected"]))
        billed.append(books.billed_usd)
        await bench.run([*jobs(8)[2:], job("job-1", "another prompt"), job("late")], provider)
        billed.append(books.billed_usd)
    told = (await asyncio.to_thread(history_of, bench.out)).as_json()["runs"]
    killed, stopped, _, redo, changed = told
    assert [(run["state"], run["exit_code"], run["stopped_by"]) for run in told] == [
        ("died", None, None),
        ("ended", 4, "budget"),
        *[("ended", 0, None)] * 3,
    ]
    assert killed["jobs"] is None
    assert killed["changes"] == {"new": 8, "changed": 0, "links_alone": 0, "unchanged": 0, "gone": 0, "behind_links": 0}
    assert stopped["jobs"]["pending"] > 0
    assert stopped["why"].startswith("the budget has no room ")
    assert redo["plan"]["requests"] == {"expected": 1, "actual": 1}
    assert changed["changes"] == {
        "new": 1,
        "changed": 1,
        "links_alone": 0,
        "unchanged": 6,
        "gone": 1,
        "behind_links": 0,
    }
    assert changed["jobs"] == {"total": 8, "succeeded": 8, "failed": 0, "pending": 0, "unknown": 0, "reused": 0}
    # One more where the kill came between an attempt's record and its first byte.
    assert 0 <= sum(run["requests"]["sent"] for run in told) - books.requests <= 1
    # What each run cost is what the provider has billed from its start to the next one's.
    for run, before, after in zip(told, [0.0, *billed], billed, strict=False):
        cost = run["cost_usd"]
        assert cost["confirmed"] - 1e-9 <= after - before <= cost["confirmed"] + cost["possibly_billed"] + 1e-9
        assert run["plan"]["cost_usd"]["actual"] == pytest.approx(cost["confirmed"] + cost["possibly_billed"])
        assert UTC_TIME.fullmatch(run["started_at"])


async def test_a_run_that_is_at_work_is_told_as_such(bench: Bench) -> None:
    async with sandbox(latency="30") as provider:
        async with bench.started(*bench.run_arguments(bench.write(jobs(1)), provider)) as process:
            await arrived(provider.books, 1)
            (run,) = (await asyncio.to_thread(history_of, bench.out)).as_json()["runs"]
            process.kill()
            await process.ended()
        (dead,) = (await asyncio.to_thread(history_of, bench.out)).as_json()["runs"]
    assert (run["state"], dead["state"]) == ("at work", "died")
    assert run["cost_usd"]["reserved"] > 0
    assert (run["requests"], run["exit_code"], run["ended_at"]) == (
        {"sent": 1, "possibly_billed": 0, "open": 1},
        None,
        None,
    )


async def test_a_run_that_the_disk_ends_before_it_sends_is_told_with_its_exit_code(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("a", output="shelf/a"), job("b")], provider)
        (bench.images / ".history" / "shelf").write_text("in the way of a job's image that has left the manifest")
        with pytest.raises(StorageError) as caught:
            await bench.run([job("b"), job("c")], provider)
        assert provider.books.requests == 2
    told = (await asyncio.to_thread(history_of, bench.out)).as_json()["runs"][-1]
    assert (told["state"], told["exit_code"], told["stopped_by"]) == ("ended", 6, "machine")
    assert told["why"] == str(caught.value)


def many_runs(out: Path, *, runs: int, attempts: int) -> None:
    """A ledger of so many nights, made by statements of SQL."""
    out.mkdir()
    with closing(Ledger(out / FILE_NAME)) as ledger, ledger.transaction():
        for number in range(runs):
            at, run_id = BEGAN_AT + number * 86_400, f"night-{number}"
            changes = JobChanges(new=45, changed=143, links_alone=12, unchanged=9_812, gone=12)
            expected = Expected(attempts, attempts * LOW_USD, 60.0, changes)
            ledger.runs.begin(run_id, now=at, sandbox=False, expected=expected)
            jobs = Counts(total=10_000, succeeded=9_999, failed=1, pending=0, unknown=0, reused=0)
            ledger.runs.end(run_id, now=at + 65, exit_code=1, stop=None, jobs=jobs)
        each = f"FROM json_each('[{','.join(map(str, range(attempts)))}]') j CROSS JOIN runs r"
        ledger.connection.execute(
            "INSERT INTO requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd)"
            f" SELECT run_id || '-' || j.value, 'e', '{{}}', '{{}}', 'j', 'succeeded', {LOW_USD}, {LOW_USD} {each}"
        )
        ledger.connection.execute(
            "INSERT INTO attempts (fingerprint, run_id, number, state, sent_at, ended_at, charged_usd)"
            f" SELECT run_id || '-' || j.value, run_id, 1, 'succeeded', started_at, started_at + 9, {LOW_USD} {each}"
        )


def test_a_thousand_runs_list_in_under_a_second(tmp_path: Path) -> None:
    many_runs(tmp_path / "out", runs=1_000, attempts=60)
    began = time.process_time()
    told = history_of(tmp_path / "out")
    lines = list(told.lines())
    assert time.process_time() - began < 1.0
    assert len(told.runs) == 1_000
    assert lines[0].startswith(f"{tmp_path / 'out'}: 1,000 runs, $648.00 confirmed; times in ")


@pytest.mark.parametrize(
    ("zone", "name", "at"), [("Europe/Berlin", "CEST", "2026-10-14 19:46"), ("UTC", "UTC", "2026-10-14 17:46")]
)
def test_people_get_local_time_and_programs_utc(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    zone: str,
    name: str,
    at: str,
) -> None:
    many_runs(tmp_path / "out", runs=1, attempts=60)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert main(["history", "out"]) == 0
        shown = capsys.readouterr().out
        assert main(["history", "out", "--json"]) == 0
    finally:
        monkeypatch.undo()
        time.tzset()
    assert shown.splitlines() == [
        f"out: 1 run, $0.65 confirmed; times in {name}",
        f"{at}  exit 1    9,999 of 10,000 jobs done, 1 failed",
        "                  new 45, changed 143, gone 12",
        "                  12 of the changed in their links alone",
        "                  60 images of 60 planned, $0.65 of $0.65, 1m 5s of 1m 0s",
    ]
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert output["runs"][0]["started_at"] == "2026-10-14T17:46:40.000Z"


@pytest.mark.parametrize(
    ("days", "named"), [([0], "CEST"), ([0, 1], "CEST and CET"), ([0, 1, 160, 161], "CEST and CET"), ([1, 2], "CET")]
)
def test_times_on_both_sides_of_summer_time_are_named(
    monkeypatch: pytest.MonkeyPatch, days: list[int], named: str
) -> None:
    before = datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp()
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert zones(before + day * 86_400 for day in days) == named
    finally:
        monkeypatch.undo()
        time.tzset()


def test_several_outputs_stand_one_after_another(tmp_path: Path) -> None:
    for name in ("first", "second"):
        many_runs(tmp_path / name, runs=1, attempts=1)
    told = History([history_of(tmp_path / "first"), history_of(tmp_path / "second")])
    assert [each["output"] for each in told.as_json()["outputs"]] == [
        str(tmp_path / "first"),
        str(tmp_path / "second"),
    ]
    assert list(told.lines())[5:7] == ["", next(told.outputs[1].lines())]


async def test_runs_follow_one_another_though_the_clock_was_put_back(bench: Bench) -> None:
    async with sandbox() as provider:
        stopped = await bench.run(jobs(8), provider, concurrency=1, budget__max_cost_usd=7.5 * LOW_USD)
        with closing(sqlite3.connect(bench.out / FILE_NAME)) as db:  # it was a year ahead then
            db.execute("UPDATE runs SET started_at = started_at + 3e7, ended_at = ended_at + 3e7")
            db.commit()
        resumed = await bench.run(jobs(8), provider, budget__max_cost_usd=100.0)
        afresh = await bench.run(jobs(9), provider, budget__max_cost_usd=100.0)
    assert [summary.exit_code for summary in (stopped, resumed, afresh)] == [4, 0, 0]
    made = [
        (summary.comparison.images, summary.comparison.before_usd)
        for summary in (resumed, afresh)
        if summary.comparison
    ]
    assert made == [(8 - stopped.jobs.succeeded, pytest.approx(stopped.jobs.succeeded * LOW_USD)), (1, 0)]
    assert (await asyncio.to_thread(last_summary, bench.out)).run_id == afresh.run_id
    told = (await asyncio.to_thread(history_of, bench.out)).as_json()["runs"]
    assert [run["run_id"] for run in told] == [stopped.run_id, resumed.run_id, afresh.run_id]
