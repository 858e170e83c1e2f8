"""`reconcile`: what may have been billed is settled by the provider's history, and nothing is guessed."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from contextlib import closing
from typing import Any

import aiohttp
import pytest
from PIL import Image

from batch_editor import LockedError, UsageError
from batch_editor.errors import HistoryError, LedgerError
from batch_editor.output import Store, locked
from batch_editor.recovery.reconcile import reconcile
from batch_editor.recovery.reconciliation import Reconciliation
from batch_editor.sandbox import Sandbox
from tests.support.bench import KEY, KEYS, Bench, job, jobs, sandbox, sha256_of
from tests.support.recorder import Recorder, http

pytestmark = pytest.mark.timeout(120)

# An attempt is settled for good this long after it was sent, with the time-out of these runs.
LATER_S = 2000.0
ONCE: dict[str, Any] = {"retry__max_attempts": 1}


async def settled(bench: Bench, provider: Sandbox | str, *, later_s: float = LATER_S, **flags: Any) -> Reconciliation:
    settings = bench.settings(provider, **flags)
    return await reconcile(bench.out, settings, KEYS, say=print, clock=lambda: time.time() + later_s)


def outcomes(found: Reconciliation) -> dict[str, list[str]]:
    by_job: dict[str, list[str]] = {}
    for finding in found.findings:
        by_job.setdefault(finding.job_id, []).append(finding.outcome)
    return by_job


async def test_a_billed_and_lost_image_is_fetched_and_placed(bench: Bench) -> None:
    async with sandbox(faults=("reset:prompt~job-1", "504:billed=1:prompt~job-2")) as provider:
        summary = await bench.run(jobs(4), provider, **ONCE)
        assert (summary.exit_code, summary.jobs.unknown) == (1, 2)
        found = await settled(bench, provider)
        books = provider.books
        assert outcomes(found) == {"job-1": ["image"], "job-2": ["image"]}
        assert (found.exit_code, found.open_usd, books.key_leaks) == (0, 0, 0)
        for each in jobs(4):
            assert bench.stamp(each["id"]) == sha256_of(each)
        row = bench.row("job-1")
        assert (row["status"], row["possibly_billed"], row["error"]) == ("succeeded", "0", "")
        assert sum(float(row["actual_cost_usd"]) for row in bench.rows()) == pytest.approx(books.billed_usd)
        again = await bench.run(jobs(4), provider)
        assert (again.exit_code, books.requests, again.cost.possibly_billed) == (0, 4, 0)
        assert (await settled(bench, provider)).findings == ()


async def test_what_was_not_billed_is_pending_again_and_free(bench: Bench) -> None:
    async with sandbox(faults=("504:prompt~job-1",)) as provider:
        await bench.run(jobs(3), provider, **ONCE)
        assert bench.statuses()["job-1"] == "unknown"
        found = await settled(bench, provider)
        assert (outcomes(found), found.exit_code) == ({"job-1": ["not_billed"]}, 0)
        assert (bench.statuses()["job-1"], bench.row("job-1")["possibly_billed"]) == ("pending", "0")
    async with sandbox() as provider:
        summary = await bench.run(jobs(3), provider)
        assert (summary.exit_code, provider.books.requests) == (0, 1)


async def test_absence_means_nothing_too_early(bench: Bench) -> None:
    async with sandbox(faults=("504:prompt~job-1",)) as provider:
        await bench.run(jobs(2), provider, **ONCE)
        found = await settled(bench, provider, later_s=0)
        assert (outcomes(found), found.exit_code) == ({"job-1": ["open"]}, 1)
        assert "too recent" in found.findings[0].message
        assert found.open_usd > 0
        assert bench.statuses()["job-1"] == "unknown"


async def test_absence_means_nothing_where_a_known_charge_is_absent_as_well(bench: Bench) -> None:
    async with sandbox(faults=("504:prompt~job-1",)) as provider:
        await bench.run(jobs(3), provider, **ONCE)
    async with sandbox() as other:
        found = await settled(bench, other)
        assert outcomes(found) == {"job-1": ["open"]}
        assert "absence proves nothing" in found.findings[0].message


async def test_an_image_that_is_gone_leaves_its_cost(bench: Bench, recorder: Recorder) -> None:
    async with sandbox(faults=("reset",)) as provider:
        await bench.run(jobs(1), provider, **ONCE)
        [row] = await _history(provider)
    row["generation_url"] = f"{recorder.url}/gone.png"
    _answer_history(recorder, [[row]])
    recorder.answers["/gone.png"] = http(b"", status="404 Not Found")
    found = await settled(bench, recorder.base_url)
    assert (outcomes(found), found.exit_code, found.unknown) == ({"job-0": ["charged"]}, 1, 1)
    cells = bench.row("job-0")
    assert (cells["status"], cells["error_kind"], cells["possibly_billed"]) == ("unknown", "result_lost", "1")
    assert f"billed $0.0108 as {row['request_id']}; its image can't be had" in cells["error"]
    assert (await settled(bench, recorder.base_url)).findings == ()
    gone = [each for each in recorder.requests if each.path == "/gone.png"]
    assert gone
    assert not any("x-api-key" in each.headers for each in gone)


@pytest.mark.parametrize("settles", ["reconcile", "run"])
async def test_who_dies_between_the_ledger_and_what_runs_share_leaves_it_to_the_next(
    bench: Bench, settles: str
) -> None:
    flags: dict[str, Any] = {"budget__ledger": bench.folder / "spent", "budget__per_day_usd": 10.0, **ONCE}

    def ask_spent(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(bench.folder / "spent", isolation_level=None)) as db:
            return db.execute(query).fetchall()

    async with sandbox(faults=("504:billed=1",)) as provider:
        await bench.run(jobs(1), provider, **flags)
        asked: list[float] = []

        def clock() -> float:
            asked.append(time.time() + LATER_S)
            if len(asked) == 2:  # the first was on opening; the ledger takes the image now
                ask_spent("ALTER TABLE spending RENAME TO away")
            return asked[-1]

        with pytest.raises(LedgerError, match="no such table"):
            await reconcile(bench.out, bench.settings(provider, **flags), KEYS, say=print, clock=clock)
        ask_spent("ALTER TABLE away RENAME TO spending")
        if settles == "run":
            assert (await bench.run(jobs(1), provider, **flags)).exit_code == 0
        else:
            assert (await settled(bench, provider, **flags)).findings == ()
        assert provider.books.requests == 1
        [(usd, is_open, in_vain)] = ask_spent("SELECT usd, open, in_vain FROM spending")
        assert (usd, is_open, in_vain) == (pytest.approx(provider.books.billed_usd), 0, 0)
        assert ask_spent("SELECT usd, open_usd FROM days") == [(pytest.approx(usd), pytest.approx(0))]


async def test_variants_are_settled_by_count_and_no_row_twice(bench: Bench) -> None:
    """Four times the same body: one image came, one was lost and billed, two were never billed."""
    wanted = [job("mug", variants=4)]
    async with sandbox(faults=("504@2", "reset@3", "504@4")) as provider:
        await bench.run(wanted, provider, concurrency=1, **ONCE)
        assert Counter(bench.statuses().values()) == {"succeeded": 1, "unknown": 3}
        found = await settled(bench, provider)
    assert Counter(finding.outcome for finding in found.findings) == {"image": 1, "not_billed": 2}
    assert Counter(bench.statuses().values()) == {"succeeded": 2, "pending": 2}
    ids = [row["request_id"] for row in bench.rows() if row["status"] == "succeeded"]
    assert len(set(ids)) == 2


async def test_a_row_an_output_is_one_request_and_one_charge(bench: Bench) -> None:
    async with sandbox(faults=("reset@1", "504@2"), history_rows=3) as provider:
        await bench.run([job("mug", variants=3)], provider, concurrency=1, **ONCE)
        found = await settled(bench, provider)
        assert Counter(finding.outcome for finding in found.findings) == {"image": 1, "not_billed": 1}
        costs = [float(row["actual_cost_usd"]) for row in bench.rows() if row["actual_cost_usd"]]
        assert sum(costs) == pytest.approx(provider.books.billed_usd)


@pytest.mark.slow
async def test_the_history_is_read_to_its_last_page(bench: Bench) -> None:
    async with sandbox(faults=("reset@120",)) as provider:
        await bench.run(jobs(130), provider, concurrency=1, **ONCE)
        found = await settled(bench, provider)
        assert [finding.outcome for finding in found.findings] == ["image"]


async def test_pages_may_be_shorter_than_asked_for(bench: Bench, recorder: Recorder) -> None:
    async with sandbox(faults=("reset",)) as provider:
        await bench.run(jobs(3), provider, **ONCE)
        rows = await _history(provider)
    for row in rows:
        row["generation_url"] = None
        row["request_body"] = json.dumps(row["request_body"])
    _answer_history(recorder, [rows[:1], rows[1:2], rows[2:]])
    found = await settled(bench, recorder.base_url)
    assert Counter(finding.outcome for finding in found.findings) == {"charged": 3}


async def test_a_lost_attempt_of_a_job_that_has_its_image_is_a_cost_alone(bench: Bench) -> None:
    async with sandbox(faults=("502:first=1:billed=1:prompt~job-0", "502:first=1:prompt~job-1")) as provider:
        summary = await bench.run(jobs(2), provider)
        assert (summary.exit_code, summary.possibly_billed) == (0, 2)
        found = await settled(bench, provider)
        assert outcomes(found) == {"job-0": ["charged"], "job-1": ["not_billed"]}
        assert found.exit_code == 0
        status = await bench.command("status", bench.out, "--json")
    money = status.json["cost_usd"]
    assert money["actual"] + money["possibly_billed"] == pytest.approx(provider.books.billed_usd)
    assert [row["possibly_billed"] for row in bench.rows()] == ["1", "0"]


async def test_what_a_kill_left_is_settled_without_a_run(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(2), provider)
        with sqlite3.connect(bench.out / "ledger.sqlite3") as db:
            db.execute("UPDATE attempts SET state = 'sent', request_id = NULL, cost_usd = NULL WHERE attempt_id = 1")
            db.execute("UPDATE requests SET state = 'pending' WHERE job_id = 'job-0'")
            db.execute("UPDATE jobs SET placed_path = NULL, placed_fingerprint = NULL WHERE job_id = 'job-0'")
        db.close()
        (bench.images / "job-0.png").unlink()
        found = await settled(bench, provider)
        assert outcomes(found) == {"job-0": ["image"]}
        assert (await bench.run(jobs(2), provider)).sent == 0
    assert provider.books.requests == 2


async def test_local_files_are_known_by_their_content(bench: Bench) -> None:
    Image.new("RGB", (80, 60), "navy").save(bench.folder / "mug.png")
    wanted = [job("a", image_urls=["mug.png"]), job("b", image_urls=["mug.png"])]
    async with sandbox(faults=("reset:prompt~edit b",)) as provider:
        await bench.run(wanted, provider, **ONCE)
        found = await settled(bench, provider)
        assert outcomes(found) == {"b": ["image"]}


@pytest.mark.slow
async def test_a_submitted_request_is_left_to_the_run_until_it_is_done(bench: Bench) -> None:
    async with sandbox(latency="3") as provider:
        await bench.run(jobs(1), provider, api__version="v2", api__timeout_s=0.3)
        early = await settled(bench, provider)
        assert outcomes(early) == {"job-0": ["open"]}
        await provider.books.idle()
        found = await settled(bench, provider)
        assert outcomes(found) == {"job-0": ["image"]}
        assert (await bench.run(jobs(1), provider, api__version="v2")).sent == 0
    assert provider.books.requests == 1


async def test_an_expired_record_is_found_in_the_history(bench: Bench) -> None:
    async with sandbox(faults=("lost",)) as provider:
        await bench.run(jobs(1), provider, api__version="v2")
        assert bench.row("job-0")["error_kind"] == "result_lost"
        found = await settled(bench, provider, later_s=0)
        assert outcomes(found) == {"job-0": ["image"]}
        assert bench.stamp("job-0") == sha256_of(jobs(1)[0])


@pytest.mark.slow
async def test_the_command_says_what_it_settled(bench: Bench) -> None:
    async with sandbox(faults=("reset:prompt~job-1",)) as provider:
        await bench.run(jobs(2), provider, **ONCE)
        arguments = ("reconcile", bench.out, "--base-url", provider.base_url)
        text = await bench.command(*arguments)
        json_ = await bench.command(*arguments, "--json")
    assert (text.code, json_.code) == (0, 0)
    assert "job-1, attempt 1: billed $0.0108 as" in text.out
    assert "Resolved: 1 image found, 0 charged in vain, 0 not billed" in text.out
    assert json_.json["settled"] == {"image": 0, "charged": 0, "not_billed": 0}
    assert KEY not in text.out + text.err


async def test_a_history_that_cannot_be_read_settles_nothing(bench: Bench, recorder: Recorder) -> None:
    async with sandbox(faults=("reset",)) as provider:
        await bench.run(jobs(1), provider, **ONCE)
    for answer in (http(b'{"error": "no"}', status="403 Forbidden"), http(b"<html>"), http(b"{}")):
        recorder.answer = answer
        with pytest.raises(HistoryError):
            await settled(bench, recorder.base_url)
    assert bench.row("job-0")["possibly_billed"] == "1"


async def test_it_needs_a_ledger_and_its_lock(bench: Bench) -> None:
    with pytest.raises(UsageError, match="no ledger here"):
        await settled(bench, "http://127.0.0.1:9/v1")
    async with sandbox() as provider:
        await bench.run(jobs(1), provider)
        store = Store(bench.out)
        try:
            with locked(store.root), pytest.raises(LockedError):
                await settled(bench, provider)
        finally:
            store.close()


async def _history(provider: Sandbox) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(provider.history_url, headers={"x-api-key": KEY}, params={"per_page": 100}) as response,
    ):
        rows: list[dict[str, Any]] = (await response.json())["data"]
        return rows


def _answer_history(recorder: Recorder, pages: list[list[dict[str, Any]]]) -> None:
    """Answers by page; whatever else the query says."""

    class Paged(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            if not path.startswith("/inference-request/request-history"):
                return super().get(path, default)
            page = int(path.partition("page=")[2].partition("&")[0])
            rows = pages[page - 1] if page <= len(pages) else []
            return http(json.dumps({"data": rows}).encode(), content_type="application/json")

    recorder.answers = Paged(recorder.answers)
