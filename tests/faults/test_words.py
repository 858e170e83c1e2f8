"""What an error's words say of the account and of the inputs, judged by the provider's own books."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.support.bench import Bench, job, jobs, requests_of, sandbox
from tests.support.fates import edits, failed, fate, stopped, succeeded
from tests.support.recorder import Recorder, http

LOW_USD = 0.0108

EMPTY = [
    "429:text=insufficient_quota",
    "429:text=You exceeded your current quota, please check your plan and billing details.",
    "429:text=Your credit balance is too low:retry-after=30",
    "400:text=Billing hard limit has been reached",
    "400:text=Insufficient credits",
    "422:text=Not enough credits",
    "403:text=Exhausted balance. Top up your balance",
    "500:text=Out of credits",
    "json-error:billed=0:text=Insufficient credits",
    "json-error:billed=0:text=Payment required",
]


@pytest.mark.parametrize("fault", EMPTY)
async def test_an_account_that_is_empty_from_the_start_costs_one_request_and_no_job(bench: Bench, fault: str) -> None:
    async with sandbox(faults=(fault,)) as provider:
        assert await fate(bench, provider) == stopped("credits", 200 if "json" in fault else int(fault[:3]))
        assert (provider.books.requests, provider.books.billed_usd) == (1, 0)
    assert bench.files() == []
    async with sandbox() as provider:
        summary = await bench.run([job("mug")], provider)
        assert (summary.exit_code, provider.books.requests, bench.row("mug")["attempts"]) == (0, 1, "2")


# That each of the words is understood is shown above; v2 hears them by the same function.
@pytest.mark.parametrize(
    ("fault", "version"),
    [*((fault, "v1") for fault in EMPTY), *((EMPTY[number], "v2") for number in (0, 3, 8))],
)
@pytest.mark.slow
async def test_an_account_that_runs_empty_stops_the_run_and_loses_no_job(
    bench: Bench, fault: str, version: str
) -> None:
    kind, _, options = fault.partition(":")
    async with sandbox(faults=(f"{kind}@4+:{options}",), latency="0.02") as provider:
        first = await bench.run(jobs(10), provider, concurrency=3, api__version=version)
        await provider.books.idle()
        done, arrived = provider.books.billed, provider.books.requests
    assert (first.exit_code, first.possibly_billed, first.cost.possibly_billed) == (3, 0, 0)
    assert arrived <= 3 + 3
    assert Counter(bench.statuses().values()) == {"succeeded": done, "pending": 10 - done}
    async with sandbox() as provider:
        second = await bench.run(jobs(10), provider, api__version=version)
        assert (second.exit_code, provider.books.billed) == (0, 10 - done)


async def test_a_v2_job_that_fails_for_want_of_money_is_sent_again_by_the_next_run(bench: Bench) -> None:
    async with sandbox(faults=("failed:text=Insufficient credits",)) as provider:
        first = await bench.run(jobs(3), provider, concurrency=1, api__version="v2")
        assert (first.exit_code, provider.books.requests, provider.books.billed) == (3, 1, 0)
    assert set(bench.statuses().values()) == {"pending"}
    row = bench.row("job-0")
    assert (row["error_kind"], row["http_status"], row["possibly_billed"]) == ("credits", "422", "0")
    async with sandbox() as provider:
        second = await bench.run(jobs(3), provider, api__version="v2")
        assert (second.exit_code, provider.books.requests, provider.books.billed) == (0, 3, 3)


@pytest.mark.parametrize("fault", ["poll-402:text=Payment required", "poll-429:text=insufficient_quota"])
async def test_a_poll_that_is_refused_for_want_of_money_stops_the_run_and_its_job_is_collected_later(
    bench: Bench, fault: str
) -> None:
    async with sandbox(faults=(f"{fault}:first=1",)) as provider:
        first = await bench.run(jobs(1), provider, api__version="v2")
        assert (first.exit_code, bench.statuses()) == (3, {"job-0": "pending"})
        second = await bench.run(jobs(1), provider, api__version="v2")
        assert (second.exit_code, provider.books.requests, provider.books.billed) == (0, 1, 1)


async def test_a_200_whose_words_are_of_its_prompt_stops_nothing(bench: Bench, recorder: Recorder) -> None:
    prompt = "a sign that says: insufficient credits, please top up"
    recorder.answer = http(f'{{"error": "could not draw {prompt}"}}'.encode(), content_type="application/json")
    summary = await bench.run([job("a", prompt), job("b")], recorder.base_url, concurrency=1)
    assert (summary.exit_code, len(edits(recorder))) == (3, 2)  # the second one's prompt is another
    assert bench.row("a")["status"] == "unknown"


async def test_a_429_that_speaks_of_pace_is_waited_for_as_ever(bench: Bench) -> None:
    faults = ("429@1-3:text=Quota exceeded for requests per minute",)
    async with sandbox(faults=faults) as provider:
        assert await fate(bench, provider) == succeeded(sent=4)


async def test_a_400_about_a_prompt_with_such_words_fails_its_own_job_alone(bench: Bench) -> None:
    faults = ("400:prompt~<odd>:text=invalid parameter prompt 'insufficient light'",)
    async with sandbox(faults=faults) as provider:
        summary = await bench.run([job("odd", "<odd>"), *jobs(3)], provider, concurrency=1)
        assert (summary.exit_code, provider.books.billed) == (1, 3)
    assert bench.row("odd")["error_kind"] == "invalid_parameter"


# Inputs that the provider could not fetch ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    "fault",
    ["400:text=Timeout while downloading image", "422:text=failed to fetch image", "500:text=could not load url"],
)
async def test_an_input_that_could_not_be_fetched_is_tried_again_for_nothing(
    bench: Bench, fault: str, version: str
) -> None:
    async with sandbox(faults=(f"{fault}:first=2",)) as provider:
        assert await fate(bench, provider, api__version=version) == succeeded(sent=3)
        assert provider.books.billed_usd == LOW_USD


@pytest.mark.parametrize("fault", ["400", "failed"])
async def test_an_input_that_can_never_be_fetched_fails_its_job_after_all_attempts_and_no_other(
    bench: Bench, fault: str
) -> None:
    flags: dict[str, Any] = {"retry__max_attempts": 4, "api__version": "v2" if fault == "failed" else "v1"}
    lost = [job(f"lost-{n}", f"<lost> {n}") for n in range(6)]  # more than the failures in a row of an outage
    async with sandbox(faults=(f"{fault}:prompt~<lost>:text=failed to download image",)) as provider:
        summary = await bench.run([*lost, *jobs(2)], provider, concurrency=8, **flags)
        assert (summary.exit_code, summary.possibly_billed) == (1, 0)
        assert [requests_of(provider.books, each) for each in lost] == [4] * 6
        assert provider.books.billed == 2
    rows = [row for row in bench.rows() if row["job_id"].startswith("lost")]
    assert {(row["status"], row["error_kind"], row["estimated_cost_usd"]) for row in rows} == {
        ("failed", "input_unreachable", "0.0")
    }
    async with sandbox() as provider:
        again = await bench.run([*lost, *jobs(2)], provider)
        assert (again.exit_code, provider.books.billed) == (0, 6)


@pytest.mark.parametrize("text", ["could not fetch image 404 Not Found", "failed to load image unsupported format"])
async def test_an_input_that_is_gone_or_no_image_is_not_tried_again(bench: Bench, text: str) -> None:
    async with sandbox(faults=(f"400:text={text}",)) as provider:
        assert await fate(bench, provider) == failed("invalid_parameter", 400)
