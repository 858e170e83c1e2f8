"""What answers to submissions and polls mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_editor.client.pictures import Linked
from batch_editor.client.v2 import Completed, Missing, NotYet, PollRefused, Submitted, progress_of, submitted_in
from batch_editor.endpoints import load_endpoint
from batch_editor.records import Failure

ENDPOINT = load_endpoint("nano-banana")
LINK = "https://cdn.example/a.png"


def said(status: int, document: Any, **headers: str) -> Any:
    return progress_of(status, headers, json.dumps(document).encode(), endpoint=ENDPOINT)


@pytest.mark.parametrize(
    "document",
    [
        {"request_id": "r-1", "status": "QUEUED"},
        {"request_id": "r-1", "status": "processing", "output": None},
        {"request_id": "r-1", "poll_url": "https://api.example/r-1"},
        {"request_id": "r-1", "status": "COMPLETED", "response_url": "https://api.example/r-1"},
    ],
)
def test_an_id_to_ask_by_is_an_acceptance(document: dict[str, Any]) -> None:
    assert submitted_in(json.dumps(document).encode()) == Submitted("r-1")


@pytest.mark.parametrize(
    "document",
    [
        {"request_id": "r-1", "image": LINK},
        {"request_id": "r-1", "status": "COMPLETED", "output": LINK, "response_url": "https://api.example/r-1"},
        {"request_id": "r-1", "error": "no"},
        {"status": "QUEUED"},
        {"request_id": 7, "status": "QUEUED"},
        {"request_id": "..", "status": "QUEUED"},
        {"request_id": "a/b", "status": "QUEUED"},
        {"request_id": "", "status": "QUEUED"},
        [1],
    ],
)
def test_anything_else_is_none(document: Any) -> None:
    assert submitted_in(json.dumps(document).encode()) is None


def test_a_completed_request_has_its_link_and_its_cost() -> None:
    metrics = {"cost": 0.2388, "remaining_credits": 3}
    done = said(200, {"status": "COMPLETED", "images": [{"url": LINK}], "metrics": metrics})
    assert done == Completed(Linked(LINK), 0.2388, 3.0)


@pytest.mark.parametrize("metrics", [None, [], {}, {"cost": "much"}, {"cost": -1}, {"cost": 1e9}])
def test_figures_that_are_none_are_none(metrics: Any) -> None:
    assert said(200, {"status": "COMPLETED", "metrics": metrics}) == Completed(None, None, None)


@pytest.mark.parametrize("status", [200, 422])
def test_a_failed_job_is_final_under_any_status(status: int) -> None:
    failure = said(status, {"status": "FAILED", "error": "no mug"})
    assert failure == Failure("inference_failed", "the provider ran it and it failed: no mug", http_status=422)


def test_a_refusal_of_the_content_is_told_apart() -> None:
    assert said(422, {"status": "FAILED", "error": "flagged by moderation"}).kind == "moderation"


@pytest.mark.parametrize("status", [404, 410])
def test_a_record_that_is_gone_is_missing(status: int) -> None:
    assert said(status, {"error": "not found"}) == Missing()


@pytest.mark.parametrize("status", [400, 408, 409, 425, 500, 502, 503, 504, 520])
def test_a_poll_that_went_wrong_says_nothing_of_the_job(status: int) -> None:
    assert isinstance(said(status, {"error": "oops"}), NotYet)


def test_a_429_says_how_long_polls_should_wait() -> None:
    assert said(429, {}, **{"retry-after": "7"}) == NotYet("HTTP 429", refused=True, retry_after_s=7.0)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_stops_the_run(status: int) -> None:
    failure = said(status, {"error": "no"}).failure
    assert (failure.kind, failure.scope, failure.maybe_billed) == ("auth", "run", False)


def test_a_job_that_failed_for_want_of_money_stops_the_run_and_may_be_sent_again() -> None:
    failure = said(422, {"status": "FAILED", "error": "Insufficient credits"})
    assert failure == Failure(
        "credits",
        "the provider failed it (The account is out of credits, or over its limit): Insufficient credits",
        scope="run",
        http_status=422,
    )


def test_a_job_that_is_under_way_is_so_whatever_is_said_of_the_account_meanwhile() -> None:
    document = {"status": "PROCESSING", "message": "Your account balance is low; top up soon"}
    assert said(200, document) == NotYet("it is PROCESSING")


@pytest.mark.parametrize("status", [200, 402, 429])
def test_a_poll_that_is_refused_for_want_of_money_says_nothing_of_its_job(status: int) -> None:
    refused = said(status, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    assert isinstance(refused, PollRefused)
    assert (refused.failure.kind, refused.failure.scope) == ("credits", "run")


def test_a_job_whose_input_could_not_be_fetched_may_well_succeed_later() -> None:
    failure = said(422, {"status": "FAILED", "error": "Timeout while downloading image"})
    assert (failure.kind, failure.scope, failure.transient) == ("input_unreachable", "request", True)


def test_a_prompt_that_a_failed_job_says_over_again_is_none_of_its_words() -> None:
    document = {"status": "FAILED", "error": "could not draw A sign: insufficient credits"}
    prompt = "A sign: insufficient credits"
    failure = progress_of(422, {}, json.dumps(document).encode(), endpoint=ENDPOINT, prompt=prompt)
    assert isinstance(failure, Failure)
    assert failure.kind == "inference_failed"
