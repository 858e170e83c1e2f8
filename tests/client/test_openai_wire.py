"""OpenAI's wire: what is sent, the image within the JSON of an answer, and what its tokens and headers say."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from batch_editor.client.openai_wire import EmbeddedImage, request_body
from batch_editor.client.waits import rate_said
from batch_editor.client.wire import failure_of
from batch_editor.config import RetrySettings
from batch_editor.endpoints import Endpoint, load_endpoint
from batch_editor.records import RateSaid, SavedImage
from tests.support.sandbox_client import png

FLARE = load_endpoint("openai-gpt-image-2.5-flare")
USAGE = {
    "input_tokens": 1100,
    "input_tokens_details": {"image_tokens": 1000, "text_tokens": 100},
    "output_tokens": 200,
    "total_tokens": 1300,
}


class Kept:
    """A sink that keeps what it is given, part by part."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size_bytes = 0
        self.head = b""

    async def write(self, data: bytes) -> None:
        self.parts.append(data)

    async def restart(self) -> None:
        self.parts.clear()

    async def read(self) -> bytes:
        return b"".join(self.parts)

    async def commit(self) -> SavedImage:
        raise NotImplementedError


async def taken(answer: bytes, *, step: int) -> tuple[bytes, object, int]:
    """What is in the sink of an answer that comes in parts of `step` bytes, its usage, and its longest part."""
    sink = Kept()
    embedded = EmbeddedImage(sink)
    for start in range(0, len(answer), step):
        await embedded.write(answer[start : start + step])
    await embedded.end()
    assert embedded.size_bytes == len(answer)
    return b"".join(sink.parts), embedded.usage(), max(map(len, sink.parts), default=0)


def answer_of(image: bytes, **more: Any) -> bytes:
    said = {"created": 1, "data": [{"b64_json": base64.b64encode(image).decode()}], "usage": USAGE, **more}
    return json.dumps(said).encode()


def test_pictures_are_objects_constants_are_sent_and_what_is_not_set_is_left_out() -> None:
    params = {"prompt": "a mug", "image_urls": ["https://x.com/a.jpg", "data:image/png;base64,aGk="], "size": "auto"}
    assert request_body(FLARE, params) == {
        "model": "gpt-image-2.5-flare",
        "n": 1,
        "prompt": "a mug",
        "images": [{"image_url": "https://x.com/a.jpg"}, {"image_url": "data:image/png;base64,aGk="}],
        "size": "auto",
    }
    assert request_body(FLARE, {"mask": "https://x.com/m.png"})["mask"] == {"image_url": "https://x.com/m.png"}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 100_000])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 191, 192, 5000])
async def test_an_image_is_decoded_as_it_comes_and_the_rest_is_read(step: int, size: int) -> None:
    image = bytes(number * 37 % 256 for number in range(size))
    assert (await taken(answer_of(image), step=step))[:2] == (image, USAGE)


@pytest.mark.parametrize("step", [1, 5, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "iVBORw0KGgo-_w==",
        "iVBORw0KGgo+\\/w==",
        "iVBORw0KGgo+/w",
        "iVBO\\nRw0K\\r\\nGgo+/w==",
        "data:image/png;base64,iVBORw0KGgo+/w==",
        "iVBORw0KGgo\\u002B/w==",
        "iVBORw0KGgo\\u002b\\u002Fw\\u003D\\u003d",
    ],
)
async def test_base64_is_understood_in_each_way_that_it_is_written(text: str, step: int) -> None:
    answer = b'\xef\xbb\xbf {"usage": null, "data": [{"b64_json" :\n"' + text.encode() + b'"}]}'
    assert (await taken(answer, step=step))[:2] == (base64.b64decode("iVBORw0KGgo+/w=="), None)


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"  ",
        png(),
        b'{"error": {"message": "no"}}',
        b'{"data": [{"url": "https://x.com/a.png", "b64_json": null}]}',
        b'{"prompt": "say \\"b64_json\\":\\"aGk=\\""}',
        b'{"a": "' + b"x" * 100_000 + b'"}',
    ],
)
async def test_an_answer_without_an_image_in_json_stays_as_it_came(answer: bytes, step: int) -> None:
    assert (await taken(answer, step=step))[:2] == (answer, None)


async def test_no_part_of_an_image_is_held_back_until_its_end() -> None:
    image, usage, longest = await taken(answer_of(bytes(3_000_000)), step=65_536)
    assert (len(image), usage) == (3_000_000, USAGE)
    assert longest <= 65_536


async def test_of_an_image_that_was_cut_off_as_much_is_there_as_came() -> None:
    whole = answer_of(b"x" * 3000)
    image, usage, _ = await taken(whole[:2000], step=100)
    assert b"x" * len(image) == image
    assert len(image) > 1400
    assert usage is None


async def test_of_several_images_the_first_counts() -> None:
    several = {"data": [{"b64_json": "aGk="}, {"b64_json": "eW91"}], "usage": USAGE}
    assert (await taken(json.dumps(several).encode(), step=3))[:2] == (b"hi", USAGE)


async def test_text_that_is_no_base64_ends_the_image_there() -> None:
    assert (await taken(b'{"data": [{"b64_json": "aGkh!!!!aGkh"}]}', step=1))[0] in (b"", b"hi!")


def test_an_answer_costs_its_tokens_at_the_file_s_prices_times_its_factor() -> None:
    assert FLARE.cost_of_usage(USAGE) == pytest.approx(1000 * 8e-6 + 100 * 5e-6 + 200 * 30e-6)
    half = FLARE.model_copy(update={"prices": FLARE.prices.model_copy(update={"factor": 0.5})})
    assert half.cost_of_usage(USAGE) == pytest.approx(0.00725)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        {**USAGE, "input_tokens_details": None},
        {**USAGE, "output_tokens": -1},
        {**USAGE, "output_tokens": "200"},
        {**USAGE, "output_tokens": True},
        {**USAGE, "output_tokens": 10**12},
        {**USAGE, "input_tokens_details": {"image_tokens": 1}},
    ],
)
def test_usage_that_says_too_little_or_what_can_t_be_has_no_cost(usage: object) -> None:
    assert FLARE.cost_of_usage(usage) is None
    assert load_endpoint("gpt-image-1.5-edit").cost_of_usage(USAGE) is None


def failure(endpoint: Endpoint, status: int, code: str | None, message: str = "No.", type: str = "x") -> Any:
    body = json.dumps({"error": {"message": message, "type": type, "param": None, "code": code}}).encode()
    return failure_of(status, {}, body, endpoint=endpoint, retried=RetrySettings().statuses, now=datetime.now(UTC))


@pytest.mark.parametrize("name", ["sunburst", "flare"])
@pytest.mark.parametrize(
    ("status", "code", "kind", "scope", "transient", "billed"),
    [
        (429, "insufficient_quota", "credits", "run", False, False),
        (400, "billing_hard_limit_reached", "credits", "run", False, False),
        (429, "billing_not_active", "credits", "run", False, False),
        (429, "rate_limit_exceeded", "rate_limited", "rate", True, False),
        (400, "moderation_blocked", "moderation", "request", False, False),
        (401, "invalid_api_key", "auth", "run", False, False),
        (401, None, "auth", "run", False, False),
        (403, None, "auth", "run", False, False),
        (404, "model_not_found", "not_found", "run", False, False),
        (403, "model_not_found", "not_found", "run", False, False),
        (400, "invalid_value", "invalid_parameter", "request", False, False),
        (400, "unknown_parameter", "invalid_parameter", "request", False, False),
        (500, None, "server_error", "request", True, True),
        (503, None, "server_error", "request", True, True),
        (504, None, "timeout", "request", True, True),
    ],
)
def test_the_codes_of_errors_say_what_they_are(
    name: str, status: int, code: str | None, kind: str, scope: str, transient: bool, billed: bool
) -> None:
    found = failure(load_endpoint(f"openai-gpt-image-2.5-{name}"), status, code)
    assert (found.kind, found.scope, found.transient, found.maybe_billed) == (kind, scope, transient, billed)


def test_a_rate_limit_s_advice_to_pay_for_more_is_still_pace() -> None:
    said = (
        "Rate limit reached for gpt-image-2.5-flare in organization org-1 on images per min (IPM): Limit 5, Used 5,"
        " Requested 1. Please try again in 12s. You can increase your rate limit by adding a payment method to your"
        " account at https://platform.openai.com/account/billing."
    )
    assert failure(FLARE, 429, "rate_limit_exceeded", said).scope == "rate"
    assert failure(FLARE, 429, None, said).scope == "rate"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, None),
        ({"limit": "50"}, RateSaid(50, None, None)),
        ({"limit": "60", "remaining": "59", "reset": "1s"}, RateSaid(60, 59, 1.0)),
        ({"limit": "60", "remaining": "0", "reset": "6m0s"}, RateSaid(60, 0, 360.0)),
        ({"limit": "0", "remaining": "soon"}, RateSaid(None, None, None)),
        ({"limit": "many"}, None),
    ],
)
def test_what_headers_say_of_the_rate_limit(headers: dict[str, str], said: RateSaid | None) -> None:
    named = {f"x-ratelimit-{name}-requests": value for name, value in headers.items()}
    assert rate_said(named, now=datetime.now(UTC)) == said
