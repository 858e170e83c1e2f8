"""OpenAI's image edits as the sandbox serves them: to its own package, which nobody here wrote, and to the letter."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest
from PIL import Image

from batch_editor.endpoints import load_endpoint
from batch_editor.sandbox import Sandbox, SandboxOptions, body_sha256, read_stamp
from tests.support.sandbox_client import png

KEY = "sk-test-0123456789"
MODEL = "gpt-image-2.5-flare"
FLARE = load_endpoint(f"openai-{MODEL}")
BODY: dict[str, Any] = {
    "model": MODEL,
    "prompt": "make it blue",
    "images": [{"image_url": f"data:image/png;base64,{base64.b64encode(png()).decode()}"}],
    "size": "1024x1024",
    "quality": "low",
}


def sandbox(**options: Any) -> Sandbox:
    return Sandbox(SandboxOptions(size_scale=0.05, key=KEY, **options))


@asynccontextmanager
async def client_of(sandbox: Sandbox, *, key: str = KEY) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=sandbox.base_url, api_key=key, max_retries=0) as client:
        yield client


def edited(answer: openai.types.ImagesResponse) -> Image.Image:
    assert answer.data is not None
    assert answer.data[0].b64_json is not None
    image = Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json)))
    image.load()
    return image


async def test_the_official_package_edits_files_and_parses_the_answer() -> None:
    async with sandbox() as standing_in, client_of(standing_in) as client:
        answer = await client.images.edit(
            model=MODEL,
            image=[("mug.png", png(), "image/png"), ("cup.png", png(), "image/png")],
            mask=("mask.png", png(mode="RGBA"), "image/png"),
            prompt="make it blue",
            size="1024x1536",
            quality="medium",
            output_format="webp",
            output_compression=80,
            background="opaque",
            n=1,
        )
        books = standing_in.books
    assert edited(answer).format == "WEBP"
    assert (answer.size, answer.quality, answer.output_format, answer.background) == (
        *("1024x1536", "medium"),
        *("webp", "opaque"),
    )
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.image_tokens == 2 * 1025
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert books.billed_usd == pytest.approx(FLARE.cost_of_usage(answer.usage.model_dump()))
    assert books.billed_usd == pytest.approx(0.0103 + 2 * 0.0082 + 3 * 0.000005, rel=0.01)


def test_the_official_package_does_so_from_code_that_does_not_wait() -> None:
    def ask(url: str) -> openai.types.ImagesResponse:
        with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
            return client.images.edit(model=MODEL, image=("mug.png", png(), "image/png"), prompt="make it blue")

    async def served() -> openai.types.ImagesResponse:
        async with sandbox() as standing_in:
            return await asyncio.to_thread(ask, standing_in.base_url)

    answer = asyncio.run(served())
    assert edited(answer).format == "PNG"
    assert answer.quality in ("low", "medium", "high", "xhigh", "max")
    assert answer.background == "opaque"


@pytest.mark.parametrize(
    ("fault", "kind", "status", "code"),
    [
        ("400:text=moderation_blocked", openai.BadRequestError, 400, "moderation_blocked"),
        ("400:text=billing_hard_limit_reached", openai.BadRequestError, 400, "billing_hard_limit_reached"),
        ("401", openai.AuthenticationError, 401, "invalid_api_key"),
        ("403:text=No access", openai.PermissionDeniedError, 403, None),
        ("404", openai.NotFoundError, 404, "model_not_found"),
        ("429", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("429:text=insufficient_quota", openai.RateLimitError, 429, "insufficient_quota"),
        ("500", openai.InternalServerError, 500, None),
        ("503", openai.InternalServerError, 503, None),
        ("reset", openai.APIConnectionError, None, None),
    ],
)
async def test_each_fault_is_the_error_that_the_official_package_has_for_it(
    fault: str, kind: type[openai.APIError], status: int | None, code: str | None
) -> None:
    async with sandbox(faults=(fault,)) as standing_in, client_of(standing_in) as client:
        with pytest.raises(kind) as raised:
            await client.images.edit(model=MODEL, image=("mug.png", png(), "image/png"), prompt="x")
    assert raised.value.code == code
    if isinstance(raised.value, openai.APIStatusError):
        assert raised.value.status_code == status
        assert raised.value.request_id is not None
        assert raised.value.request_id.startswith("req_")


async def test_a_wrong_key_an_unknown_model_and_a_bad_parameter_are_refused_in_the_api_s_words() -> None:
    image = ("mug.png", png(), "image/png")
    async with sandbox() as standing_in:
        async with client_of(standing_in, key="sk-wrong-0123456789") as client:
            with pytest.raises(openai.AuthenticationError, match=r"Incorrect API key provided: sk-\*{8}6789\."):
                await client.images.edit(model=MODEL, image=image, prompt="x")
        async with client_of(standing_in) as client:
            with pytest.raises(openai.NotFoundError, match="The model 'gpt-image-9' does not exist") as unknown:
                await client.images.edit(model="gpt-image-9", image=image, prompt="x")
            with pytest.raises(openai.BadRequestError, match='quality is "best"; expected low') as value:
                await client.images.edit(model=MODEL, image=image, prompt="x", quality="best")  # type: ignore[call-overload]
            with pytest.raises(openai.BadRequestError, match="unsupported mimetype") as file:
                await client.images.edit(model=MODEL, image=png(), prompt="x")
        assert standing_in.books.billed == 0
    errors = [error.value for error in (unknown, value, file)]
    assert [(error.code, error.param, error.type) for error in errors] == [
        ("model_not_found", None, "invalid_request_error"),
        ("invalid_value", "quality", "invalid_request_error"),
        ("unsupported_file_mimetype", "image", "invalid_request_error"),
    ]


@pytest.mark.parametrize("prompt", ["42", "007", "true", "false", "1e3"])
async def test_a_form_s_prompt_is_text_whatever_it_looks_like(prompt: str) -> None:
    async with sandbox() as standing_in, client_of(standing_in) as client:
        image = ("mug.png", png(), "image/png")
        edit = client.images.edit(model=MODEL, image=image, prompt=prompt, n=1, output_compression=50, quality="low")
        assert edited(await edit).size == (77, 51)
        (entry,) = standing_in.books.log
    assert entry.prompt == prompt


async def test_refusals_call_pictures_as_the_request_does() -> None:
    async with sandbox() as standing_in, client_of(standing_in) as client:
        with pytest.raises(openai.BadRequestError, match=r" image has 17 links; expected at most 16"):
            await client.images.edit(model=MODEL, image=[("mug.png", png(), "image/png")] * 17, prompt="x")
        _, said, _ = await post(standing_in, {**BODY, "images": []})
        assert said["error"]["message"] == "images is []; expected a list of one link or more"
        _, said, _ = await post(standing_in, {**BODY, "images": [{"image_url": "data:image/png;base64,aGk="}]})
        assert said["error"]["message"] == "could not read images[0]: not an image"


async def test_the_official_package_waits_as_long_as_it_is_told_and_tries_again() -> None:
    image = ("mug.png", png(), "image/png")
    async with (
        sandbox(faults=("429@1:retry-after=0.2",)) as standing_in,
        openai.AsyncOpenAI(base_url=standing_in.base_url, api_key=KEY, max_retries=1) as client,
    ):
        await client.images.edit(model=MODEL, image=image, prompt="x")
        first, second = standing_in.books.log
    assert (first.status, second.status) == (429, 200)
    assert 0.2 <= second.at - first.at < 1.0


async def post(sandbox: Sandbox, body: Any, **headers: str) -> tuple[int, Any, Any]:
    given = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **headers}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/images/edits", data=data, headers=given) as response,
    ):
        return response.status, await response.json(), response.headers


async def test_json_gives_what_a_form_with_the_same_file_gives() -> None:
    async with sandbox() as standing_in, client_of(standing_in) as client:
        status, said, headers = await post(standing_in, BODY)
        answer = await client.images.edit(
            model=MODEL,
            image=("mug.png", png(), "image/png"),
            prompt="make it blue",
            size="1024x1024",
            quality="low",
        )
        books = standing_in.books
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert answer.data is not None
    assert said["data"] == [{"b64_json": answer.data[0].b64_json}]
    assert said["usage"] == {
        "input_tokens": 1028,
        "input_tokens_details": {"image_tokens": 1025, "text_tokens": 3},
        "output_tokens": 196,
        "output_tokens_details": {"image_tokens": 196, "text_tokens": 0},
        "total_tokens": 1224,
    }
    assert [entry.provider for entry in books.log] == ["openai", "openai"]
    body = {"n": 1, **BODY, "image_urls": [BODY["images"][0]["image_url"]]}
    del body["images"]
    stamp = body_sha256(body)
    assert [entry.body_sha256 for entry in books.log] == [stamp, stamp]
    assert read_stamp(io.BytesIO(base64.b64decode(said["data"][0]["b64_json"]))) == stamp


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in BODY.items() if key != name}


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        (b"{", 400, None, None),
        (b"[]", 400, None, None),
        (without("prompt"), 400, "prompt", "missing_required_parameter"),
        (without("images"), 400, "images", "missing_required_parameter"),
        (without("model"), 400, "model", "missing_required_parameter"),
        ({**BODY, "model": "dall-e-9"}, 404, None, "model_not_found"),
        ({**BODY, "image_urls": ["https://x.com/a.png"]}, 400, "image_urls", "unknown_parameter"),
        ({**BODY, "image": "https://x.com/a.png"}, 400, "image", "unknown_parameter"),
        ({**BODY, "qualty": "low"}, 400, "qualty", "unknown_parameter"),
        ({**BODY, "quality": "best"}, 400, "quality", "invalid_value"),
        ({**BODY, "size": "1000x1000"}, 400, "size", "invalid_value"),
        ({**BODY, "n": "1"}, 400, "n", "invalid_value"),
        ({**BODY, "n": 2}, 400, "n", "invalid_value"),
        ({**BODY, "stream": True}, 400, "stream", "invalid_value"),
        ({**BODY, "images": "https://x.com/a.png"}, 400, "images", "invalid_type"),
        ({**BODY, "images": []}, 400, "images", "invalid_value"),
        ({**BODY, "images": ["https://x.com/a.png"]}, 400, "images[0]", "invalid_type"),
        ({**BODY, "images": [{"url": "https://x.com/a.png"}]}, 400, "images[0].url", "unknown_parameter"),
        ({**BODY, "images": [{"image_url": 3}]}, 400, "images[0].image_url", "invalid_type"),
        ({**BODY, "images": [{"file_id": "file-1"}]}, 400, "images[0].file_id", "invalid_value"),
        ({**BODY, "images": BODY["images"] * 17}, 400, "images", "array_above_max_length"),
        ({**BODY, "mask": "https://x.com/a.png"}, 400, "mask", "invalid_type"),
        ({**BODY, "prompt": " "}, 400, "prompt", "empty_string"),
        ({**BODY, "background": "transparent", "output_format": "jpeg"}, 400, "output_format", "invalid_value"),
    ],
)
async def test_a_body_that_is_not_to_the_letter_is_refused(
    body: Any, status: int, param: str | None, code: str | None
) -> None:
    async with sandbox() as standing_in:
        found, said, _ = await post(standing_in, body)
        assert standing_in.books.billed == 0
    assert (found, said["error"]["param"], said["error"]["code"]) == (status, param, code)
    assert list(said) == ["error"]
    assert list(said["error"]) == ["message", "type", "param", "code"]
    assert said["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": ""}, 401, None),
        ({"Authorization": KEY}, 401, None),
        ({"Authorization": "", "x-api-key": KEY}, 401, None),
        ({"Authorization": "Bearer sk-other"}, 401, "invalid_api_key"),
        ({"Content-Type": "text/plain"}, 400, "unsupported_content_type"),
    ],
)
async def test_the_key_is_a_bearer_s_and_the_body_json_or_a_form(
    headers: dict[str, str], status: int, code: str | None
) -> None:
    async with sandbox() as standing_in:
        found, said, _ = await post(standing_in, BODY, **headers)
    assert (found, said["error"]["code"]) == (status, code)
    assert KEY not in json.dumps(said)


@pytest.mark.parametrize("extra", [{"stream": False}, {"user": "me"}, {"background": None}, {"partial_images": 0}])
async def test_what_changes_nothing_is_taken(extra: dict[str, Any]) -> None:
    async with sandbox() as standing_in:
        assert (await post(standing_in, {**BODY, **extra}))[0] == 200


async def test_answers_say_the_rate_limit_and_what_is_over_it_is_refused_with_a_time() -> None:
    async with sandbox(rate_limit="2/min") as standing_in:
        answers = [await post(standing_in, BODY) for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert [headers["x-ratelimit-limit-requests"] for _, _, headers in answers] == ["2", "2", "2"]
    assert [headers["x-ratelimit-remaining-requests"] for _, _, headers in answers] == ["1", "0", "0"]
    _, said, headers = answers[2]
    assert said["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(headers["retry-after-ms"]) <= 1000 * int(headers["retry-after"]) <= 60_000
    assert 0 < float(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60


async def test_each_provider_has_a_rate_limit_of_its_own_also_for_one_key() -> None:
    rates = {"openai": "1/min", "segmind": "2/min"}
    async with sandbox(provider_rates=rates) as standing_in, aiohttp.ClientSession() as session:
        assert [(await post(standing_in, BODY))[0] for _ in range(2)] == [200, 429]
        url = f"{standing_in.base_url}/gpt-image-1.5-edit"
        statuses = []
        for _ in range(3):
            async with session.post(url, json={}, headers={"x-api-key": KEY}) as response:
                statuses.append(response.status)
        books = standing_in.books
    assert statuses == [400, 400, 429]
    assert (books.most_in_window(60, provider="openai"), books.most_in_window(60, provider="segmind")) == (2, 3)


async def test_an_empty_account_is_a_429_of_quota() -> None:
    async with sandbox(credits_usd=0.0) as standing_in:
        status, said, _ = await post(standing_in, BODY)
    assert (status, said["error"]["type"], said["error"]["code"]) == (429, "insufficient_quota", "insufficient_quota")


@pytest.mark.parametrize("ask", [aiohttp.ClientSession.get, aiohttp.ClientSession.put])
async def test_other_methods_are_not_allowed(ask: Callable[..., Any]) -> None:
    async with (
        sandbox() as standing_in,
        aiohttp.ClientSession() as session,
        ask(session, f"{standing_in.base_url}/images/edits") as response,
    ):
        assert (response.status, (await response.json())["error"]["code"]) == (405, "method_not_supported")
