"""What is read from an error's words: an account without money, an input that could not be fetched, and neither."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batch_editor.client.wire import error_words, failure_of, unusable_by_words
from batch_editor.endpoints import Endpoint, load_endpoint
from batch_editor.errors import EndpointError
from batch_editor.records import Failure

ENDPOINT = load_endpoint("gpt-image-1.5-edit")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RETRIED = frozenset({408, 429, 502, 503, 504})


def failed(status: int, said: Any, *, endpoint: Endpoint = ENDPOINT, prompt: str = "") -> Failure:
    document = {"error": said} if isinstance(said, str) else said
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    if status == 200:
        found = unusable_by_words(body, endpoint, prompt=prompt)
        return found or Failure("bad_response", "", maybe_billed=True, http_status=200)
    return failure_of(status, {}, body, endpoint=endpoint, retried=RETRIED, now=NOW, prompt=prompt)


# An account without money -------------------------------------------------------------------------------------------

# What providers and gateways write. Under a 400, 402, 422, 429 or 200 all of it means the same.
NO_MONEY = [
    "Insufficient credits",
    "Insufficient Balance",
    "insufficient_quota",
    "Insufficient account balance. Please recharge.",
    "InsufficientFunds",
    "Not enough credits to process the request",
    "You do not have enough credits to run this task.",
    "You don't have any credits left",
    "Your organization does not have enough balance to request this action (need $0.15, have $0)",
    "Your credit balance is too low to access the API. Please go to Plans & Billing to upgrade or purchase credits.",
    "You exceeded your current quota, please check your plan and billing details.",
    "Billing hard limit has been reached",
    "billing_hard_limit_reached",
    "billing_not_active",
    "Your account is not active, please check your billing details on our website.",
    "This API method requires billing to be enabled.",
    "Team spend limit reached",
    "Monthly spend limit reached. Raise it in your settings.",
    "Your team has either used all available credits or reached its monthly spending limit.",
    "You have exceeded your monthly included credits for Inference Providers.",
    "Credit limit exceeded, please navigate to the billing page",
    "You have run out of credits",
    "out of API credits",
    "No credits left",
    "You have 0 credits",
    "Your balance is $0.00",
    "account balance not enough",
    "Resource pack or account balance exhausted",
    "User is locked. Reason: Exhausted balance. Top up your balance at https://fal.ai/dashboard/billing.",
    "credits have been used up",
    "Your credits ran out",
    "Payment required",
    "payment_required",
    "This request requires more credits, or fewer max_tokens.",
    "Your account has an overdue balance",
    "AccountOverdueError",
    "Arrearage",
    "Budget has been exceeded! Current cost: 0.2, Max budget: 0.1",
    "ExceededBudget: User over budget. Spend=1.2, Budget=1.0",
    "Please top up your account",
    "Please top-up to continue",
    "Add credits to your account to go on",
    "Your free trial has expired",
    "Your wallet is empty",
    "You've hit your monthly spend cap",
    "remaining credits: 0",
    "low balance",
    "You have exceeded your budget",
    "Payment method declined",
    "insufficient_user_quota",
    "Monthly quota exceeded",
    "usage_limit_reached",
    "余额不足",
    {"error": {"message": "Request failed", "type": "insufficient_quota", "param": None, "code": None}},
    {"error": {"message": "No.", "type": "invalid_request_error", "code": "billing_hard_limit_reached"}},
    {"code": 1113, "message": "Insufficient balance or no resource package. Please recharge."},
    {"detail": {"status": "balance_exhausted", "message": "no"}},
    {"id": "a1", "name": "payment_required", "errors": ["Your organization does not have enough balance"]},
    {"error": "Error code: 400 - {'error': {'message': 'Billing hard limit has been reached', 'param': None}}"},
    b"<html><h1>Payment Required</h1></html>",
    b"Insufficient credits",
]


@pytest.mark.parametrize("status", [200, 400, 402, 403, 422, 429])
@pytest.mark.parametrize("said", NO_MONEY, ids=str)
def test_an_account_without_money_stops_the_run_whatever_the_words_and_the_status(said: Any, status: int) -> None:
    failure = failed(status, said)
    assert (failure.kind, failure.scope) == ("credits", "run")
    assert (failure.maybe_billed, failure.transient, failure.http_status) == (False, False, status)


PACE = [
    "Rate limit reached for requests",
    "Too many requests",
    "Quota exceeded",
    "Quota exceeded for requests per minute",
    "requests per minute quota exceeded",
    "Quota exceeded for quota metric 'Generate requests' and limit 'Generate requests per minute'",
    """Rate limit reached for gpt-image-1 in organization org-1 on images per min (IPM): Limit 5, Used 5, Requested 1.
    Please try again in 12s. You can increase your rate limit by adding a payment method to your account at
    https://platform.openai.com/account/billing.""",
    """Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute with a burst
    of 1 requests while you have less than $5.0 in credit. Your rate limit resets in ~8s.""",
    """You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric:
    generate_content_free_tier_requests, limit: 10. Please retry in 26.97s.""",
    "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
    "You have exceeded the rate limit of 150 requests within a 10 second period",
    "Requests have exceeded call rate limit of your current S0 pricing tier. Please retry after 5 seconds.",
    "Insufficient capacity, try again later",
    "Too many concurrent requests for your account balance",
    {"error": {"message": "Limit reached: 3 RPM, no credits are taken", "type": "requests"}},
    {},
    b"<html><h1>429 Too Many Requests</h1></html>",
]


@pytest.mark.parametrize("said", PACE, ids=str)
def test_a_429_that_speaks_of_pace_is_waited_for(said: Any) -> None:
    failure = failed(429, said)
    assert (failure.kind, failure.scope, failure.transient) == ("rate_limited", "rate", True)


ONE_JOB_S = [
    "invalid parameter prompt: 'insufficient light'",
    "invalid parameter prompt: 'insufficient funds'",
    'The prompt contains "out of credits", which is not understood',
    "“Insufficient credits” is not a valid value for style",
    "Invalid value: 'top up'. Supported values are: 'low', 'high'",
    "prompt: insufficient detail",
    "Insufficient image resolution: at least 256 pixels a side",
    "Insufficient light in the input image",
    "insufficient permissions to read the image",
    "The white balance is too low",
    "Prompt exceeds the token budget of 4,000",
    "quality 0.5 is out of range",
    "The image has low contrast",
    "payment terminals are not allowed in images",
    "image_urls has too many items",
    "The image shows a credit card",
    "Not enough contrast",
    "No image credited",
    "Bad size: the limit is 4096 pixels",
    "Your request was rejected by our safety system: 'not enough credits'",
    {"detail": [{"loc": ["body", "size"], "msg": "unexpected value", "input": "insufficient credits"}]},
    {"error": "bad request", "request": {"prompt": "a sign: insufficient credits"}},
    {"error": "could not fetch https://shop.example/insufficient-credits.png?payment=required"},
    {},
    b"<html>Bad Request</html>",
]


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("said", ONE_JOB_S, ids=str)
def test_a_refusal_of_one_job_that_only_has_such_words_stops_nothing(said: Any, status: int) -> None:
    failure = failed(status, said)
    assert failure.scope == "request"
    assert failure.kind in ("invalid_parameter", "moderation", "input_unreachable")


@pytest.mark.parametrize(
    "said",
    [
        "refused: Draw a poster that says insufficient credits, please top up",
        "refused: Draw a poster that says insufficient credits, ple…",
        "Draw a poster that says insufficient credits is too odd; Draw a poster that says insufficient credits",
    ],
)
def test_the_prompt_that_is_said_over_again_is_no_word_of_the_provider_s(said: str) -> None:
    prompt = "Draw a poster  that says insufficient credits, please top up"
    assert failed(400, said).scope == "run"
    assert failed(400, said, prompt=prompt).scope == "request"


@pytest.mark.parametrize("prompt", ["", "a", "credits", "edit", "Draw a cup"])
def test_any_other_prompt_takes_no_word_away(prompt: str) -> None:
    assert failed(400, "Insufficient credits", prompt=prompt).scope == "run"


@pytest.mark.parametrize("said", ["no image today", {"status": "COMPLETED", "prompt": "insufficient credits"}, {}])
def test_a_200_without_such_words_may_have_been_billed_as_ever(said: Any) -> None:
    assert failed(200, said).maybe_billed


# An input that could not be fetched ---------------------------------------------------------------------------------

UNFETCHED = [
    "Timeout while downloading image",
    "failed to fetch image",
    "Failed to download the file. Please check if the URL is accessible and try again.",
    "Error while downloading https://shop.example/404/format.png.",
    "error while downloading https://a.example/x.png",
    "Could not fetch the image",
    "could not download the url",
    "Couldn't load the image",
    "Could not retrieve the input image",
    "Unable to download all specified images",
    "cannot access image_urls[0]",
    "Failed to retrieve file from link",
    "The image could not be downloaded",
    "image_urls[0] could not be fetched",
    "Image download failed",
    "file_download_error",
    "Image fetch timed out",
    "Downloading the image https://a.example/x.png timed out",
    "The input URL is unreachable",
    {"error": {"message": "Error while downloading https://a.example/x.jpg.", "code": "invalid_image_url"}},
    {"detail": [{"loc": ["body", "image_url"], "msg": "Failed to download the file.", "type": "file_download_error"}]},
]


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize("said", UNFETCHED, ids=str)
def test_an_input_that_the_provider_could_not_fetch_just_now_is_tried_again_for_nothing(said: Any, status: int) -> None:
    failure = failed(status, said)
    assert (failure.kind, failure.scope) == ("input_unreachable", "request")
    assert (failure.transient, failure.maybe_billed) == (True, False)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "said",
    [
        "Failed to download image: 404 Not Found",
        "Could not fetch the image: HTTP 403",
        "could not download image: no such file",
        "Failed to load image: unsupported format",
        "Failed to load image: not an image",
        "Could not load the image: it is truncated",
        "Failed to download the image: it is too large",
        "Unsupported image format",
        "Invalid image file",
        "Failed to process the image",
        "Timed out while generating the image",
        "Failed to load model file",
        "image_urls is required",
        "could not read image_urls[0]: not an image",
    ],
)
def test_an_input_that_is_gone_or_no_image_fails_its_job_for_good(said: str, status: int) -> None:
    failure = failed(status, said)
    assert (failure.kind, failure.scope, failure.transient) == ("invalid_parameter", "request", False)


# Words as data ------------------------------------------------------------------------------------------------------

OWN = """\
name: mine
path: mine
parameters: {prompt: {type: string, role: prompt}}
prices: {table: 1}
"""


def own(folder: Path, words: str) -> Endpoint:
    path = folder / "mine.yaml"
    path.write_text(OWN + words)
    return load_endpoint(str(path))


def test_an_endpoint_file_without_words_has_those_of_every_endpoint(tmp_path: Path) -> None:
    endpoint = own(tmp_path, "")
    assert endpoint.error_words == ()
    assert failed(429, "insufficient_quota", endpoint=endpoint).kind == "credits"
    assert failed(400, "failed to fetch image", endpoint=endpoint).kind == "input_unreachable"


def test_an_endpoint_s_own_words_come_first_and_the_first_that_fits_counts(tmp_path: Path) -> None:
    words = """\
error_words:
  - {statuses: [400], words: [brownie points], kind: credits, reach: run, meaning: Out of points}
  - {statuses: [400], words: ['credits? of the film'], kind: invalid_parameter, reach: job, meaning: Of a film}
  - {statuses: [409], words: [busy], unless: [for good], kind: rate_limited, reach: pace, transient: true, meaning: B}
"""
    endpoint = own(tmp_path, words)
    no_points = failed(400, "Too few BROWNIE points", endpoint=endpoint)
    assert (no_points.kind, no_points.scope, no_points.message) == (
        "credits",
        "run",
        "HTTP 400 (Out of points): Too few BROWNIE points",
    )
    assert failed(422, "Too few brownie points", endpoint=endpoint).scope == "request"
    assert failed(400, "Insufficient credits of the film", endpoint=endpoint).scope == "request"
    assert failed(400, "Insufficient credits", endpoint=endpoint).scope == "run"
    busy = failed(409, "busy", endpoint=endpoint)
    assert (busy.scope, busy.transient) == ("rate", True)
    assert failed(409, "busy for good", endpoint=endpoint).scope == "request"


def test_a_status_s_own_meaning_may_be_transient_as_well(tmp_path: Path) -> None:
    meaning = "{kind: server_error, reach: job, billed: false, transient: true, meaning: Warming up}"
    endpoint = own(tmp_path, f"errors: {{409: {meaning}}}\n")
    failure = failed(409, "cold", endpoint=endpoint)
    assert (failure.kind, failure.transient, failure.message) == ("server_error", True, "HTTP 409 (Warming up): cold")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "{statuses: [400], words: ['in('], kind: credits, reach: run, meaning: m}",
            "error_words.0.words.0: 'in(' is no regular expression (missing ), unterminated subpattern at position 2)",
        ),
        (
            "{statuses: [400], words: ['a*'], kind: credits, reach: run, meaning: m}",
            "error_words.0.words.0: 'a*' is found in every text; expected words",
        ),
        (
            "{statuses: [400], words: [a], unless: ['['], kind: credits, reach: run, meaning: m}",
            "error_words.0.unless.0: '[' is no regular expression (unterminated character set at position 0)",
        ),
        (
            "{statuses: [], words: [a], kind: credits, reach: run, meaning: m}",
            "error_words.0.statuses: is empty; expected one or more",
        ),
        (
            "{statuses: [4000], words: [a], kind: credits, reach: run, meaning: m}",
            "error_words.0.statuses.0: Input should be less than or equal to 599",
        ),
        (
            "{statuses: [400], words: [], kind: credits, reach: run, meaning: m}",
            "error_words.0.words: is empty; expected one or more",
        ),
        (
            "{statuses: [400], words: [a], kind: credits, reach: all, meaning: m}",
            "error_words.0.reach: Input should be 'job', 'run' or 'pace'",
        ),
        ("{statuses: [400], words: [a], kind: credits, reach: run}", "error_words.0.meaning: Field required"),
        (
            "{statuses: [400], words: [a], kind: k, reach: run, meaning: m, word: b}",
            "error_words.0.word: Extra inputs are not permitted",
        ),
    ],
)
def test_words_that_are_none_are_told_when_the_file_is_loaded(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(EndpointError) as caught:
        own(tmp_path, f"error_words:\n  - {entry}\n")
    assert str(caught.value) == f"{tmp_path / 'mine.yaml'}: {message}"


def test_words_are_looked_for_in_an_error_s_own_fields_alone() -> None:
    document = {
        "error": {"message": "No", "code": "NoMoneyLeft", "details": [{"reason": "r", "prompt": "p"}]},
        "request": {"message": "mine"},
        "message": "see https://a.example/b?c=d.",
    }
    assert error_words(json.dumps(document).encode()) == "No No Money Left r see https://"


def test_words_of_a_body_without_end_are_bounded() -> None:
    assert len(error_words(json.dumps({"error": "x " * 10**6}).encode())) <= 2000
    assert len(error_words(b"x " * 10**6)) <= 500
