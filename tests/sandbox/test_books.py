from __future__ import annotations

import asyncio
import io
import math
from datetime import UTC, datetime

import pytest

from batch_editor.sandbox import Books, body_sha256, read_stamp
from batch_editor.sandbox.rates import Rate, SlidingWindow
from tests.support.sandbox_client import bench, body


async def test_the_books_add_up() -> None:
    async with bench() as lab:
        for prompt in ("a", "a", "b"):
            await lab.edit(prompt=prompt)
        await lab.edit(prompt="")
        await lab.post("/v1/nothing", json={})
        a, b, empty = (body_sha256(body(prompt=prompt)) for prompt in ("a", "b", ""))
        assert (await lab.get("/_sandbox/books")).json() == {
            "requests": 5,
            "in_flight": 0,
            "peak_in_flight": 1,
            "answered": {"200": 3, "400": 1, "404": 1},
            "billed": 3,
            "billed_usd": 0.7164,
            "double_billed": 1,
            "window_s": 60.0,
            "most_in_window": 5,
            "polls": 0,
            "uploads": 0,
            "key_leaks": 0,
            "arrived_by_body": {a: 2, b: 1, empty: 1, body_sha256({}): 1},
            "billed_by_body": {a: 2, b: 1},
        }


async def test_the_log_has_a_row_a_request() -> None:
    async with bench() as lab:
        await lab.edit(prompt="a mug")
        await lab.edit(prompt="x" * 300, mask="")
        first, second = (await lab.get("/_sandbox/requests")).json()
        at = [first.pop("at"), second.pop("at")]
        assert at == sorted(at)
        assert first == {
            "number": 1,
            "body_sha256": body_sha256(body(prompt="a mug")),
            "prompt": "a mug",
            "status": 200,
            "billed_usd": 0.2388,
            "provider": "segmind",
        }
        assert (second["prompt"], second["status"], second["billed_usd"]) == ("x" * 200, 400, None)


async def test_reset_empties_the_books() -> None:
    async with bench(rate_limit="1/h", credits_usd=0.3) as lab:
        assert (await lab.edit()).status == 200
        assert (await lab.edit()).status == 429
        await lab.post("/_sandbox/reset")
        assert (lab.books.requests, lab.books.billed_usd) == (0, 0.0)
        assert (await lab.edit()).status == 200


async def test_a_job_whose_client_left_is_charged() -> None:
    async with bench(latency="0.3") as lab:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lab.edit(), 0.1)
        assert (lab.books.in_flight, lab.books.billed) == (1, 0)
        await asyncio.wait_for(lab.books.idle(), 2)
        assert (lab.books.requests, lab.books.billed) == (1, 1)


@pytest.mark.slow
async def test_hundreds_of_requests_in_flight_each_get_their_own_image() -> None:
    async def matches(number: int) -> bool:
        reply = await lab.edit(prompt=f"job {number}")
        return read_stamp(io.BytesIO(reply.data)) == body_sha256(body(prompt=f"job {number}"))

    async with bench(latency="1", size_scale=0.02) as lab:
        assert all(await asyncio.gather(*(matches(number) for number in range(400))))
        assert lab.books.peak_in_flight == 400
        assert lab.books.double_billed == 0


def test_most_in_window_looks_at_every_window_and_not_at_fixed_ones() -> None:
    instants = iter([0.0, *(1.0, 8.0, 9.0, 10.0, 11.0, 18.0)])
    books = Books(clock=lambda: next(instants))
    for _ in range(6):
        books.arrive()
    assert books.most_in_window(1) == 1
    assert books.most_in_window(1.5) == 2
    assert books.most_in_window(3.5) == 4
    # 1 and 11 are exactly ten apart: they never share a window of ten.
    assert books.most_in_window(10) == 4
    assert books.most_in_window(100) == 6


def test_no_books_no_window() -> None:
    assert Books().most_in_window(60) == 0


def test_a_window_slides_and_refusals_leave_no_trace() -> None:
    window = SlidingWindow(Rate(2, window_s=10))
    waits = [window.admit("k", now) for now in (0, 9, 9.5, 9.9, 10, 10.5, 19)]
    assert waits == pytest.approx([0, 0, 0.5, 0.1, 0, 8.5, 0])


def test_each_key_has_a_window_of_its_own() -> None:
    window = SlidingWindow(Rate(1, window_s=10))
    assert [window.admit(key, 0) for key in "aba"] == [0, 0, 10]


async def test_over_the_limit_is_429_with_a_time_to_come_back() -> None:
    async with bench(rate_limit="2/min") as lab:
        assert [(await lab.edit()).status for _ in range(2)] == [200, 200]
        refused = await lab.edit()
        assert (refused.status, refused.error) == (429, "Too many requests: over 2 in 60 s")
        assert refused.headers["Retry-After"] in ("59", "60")
        reset_at = datetime.fromisoformat(refused.headers["x-rate-limit-reset-at-utc"])
        assert 50 < (reset_at - datetime.now(UTC)).total_seconds() <= 60
        assert (lab.books.requests, lab.books.billed) == (3, 2)
        assert lab.books.as_json()["most_in_window"] == 3


@pytest.mark.slow
async def test_after_retry_after_a_request_is_let_in() -> None:
    async with bench(rate_limit="1/s") as lab:
        assert (await lab.edit()).status == 200
        refused = await lab.edit()
        assert refused.headers["Retry-After"] == "1"
        await asyncio.sleep(math.ceil(int(refused.headers["Retry-After"])))
        assert (await lab.edit()).status == 200


async def test_credits_run_out() -> None:
    async with bench(credits_usd=0.25) as lab:
        assert (await lab.edit()).headers["x-remaining-credits"] == "0.0112"
        assert (await lab.get("/v1/get-user-credits")).json() == {"credits": 0.0112, "free-credits": 0.0}
        assert (await lab.edit(quality="low", size="1024x1024")).status == 200
        refused = await lab.edit(quality="low", size="1024x1024")
        assert refused.status == 406
        assert refused.error == "Insufficient credits: not enough credits to process the request"


async def test_credits_without_end_start_at_a_million() -> None:
    async with bench() as lab:
        assert (await lab.get("/v1/get-user-credits")).json()["credits"] == 1_000_000.0
        assert (await lab.get("/v1/get-user-credits", key=None)).status == 401


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        ({"quality": "low", "size": "1024x1024"}, "0.0108"),
        ({"quality": "medium", "size": "1024x1536"}, "0.06"),
        ({"quality": "high", "size": "1024x1536"}, "0.24"),
        ({"quality": "high", "size": "1536x1024"}, "0.2388"),
        ({"quality": "high", "size": "auto"}, "0.2388"),
    ],
)
async def test_the_price_is_that_of_the_size_and_quality_made(changes: dict[str, str], cost: str) -> None:
    async with bench() as lab:
        assert (await lab.edit(**changes)).headers["x-cost"] == cost


async def test_auto_quality_is_chosen_by_the_body_and_stays_so() -> None:
    async with bench() as lab:
        costs = [
            [(await lab.edit(quality="auto", prompt=f"p {number}")).headers["x-cost"] for number in range(12)]
            for _ in range(2)
        ]
    assert costs[0] == costs[1]
    assert set(costs[0]) == {"0.0156", "0.06", "0.2388"}
