from __future__ import annotations

import asyncio
import io
import re
import time

import aiohttp
import pytest
from PIL import Image, ImageChops

from batch_editor.sandbox import FAULT_HELP, parse_fault, read_stamp
from batch_editor.sandbox.faults import Sent, first_fault
from tests.support.sandbox_client import Reply, bench, data_link


def sent(*, number: int = 1, attempt: int = 1, body: str = "b", prompt: str = "") -> Sent:
    return Sent(number=number, attempt=attempt, body_sha256=body, prompt=prompt)


@pytest.mark.parametrize(
    ("spec", "hit"),
    [("504@3", {3}), ("504@3-5", {3, 4, 5}), ("504@3+", {3, 4, 5, 6}), ("504", {1, 2, 3, 4, 5, 6})],
)
def test_numbers_select_by_the_order_of_arrival(spec: str, hit: set[int]) -> None:
    fault = parse_fault(spec)
    assert {n for n in range(1, 7) if first_fault([fault], sent(number=n), seed=0)} == hit


def test_a_probability_is_the_share_of_requests_that_are_hit() -> None:
    fault = parse_fault("502:0.2")
    hits = sum(first_fault([fault], sent(body=str(n)), seed=0) is not None for n in range(5000))
    assert 900 < hits < 1100


def test_draws_depend_on_seed_body_and_attempt_but_not_on_the_order() -> None:
    def hits(seed: int, numbers: range) -> list[bool]:
        fault = parse_fault("502:0.5")
        requests = zip(range(64), numbers, strict=True)
        return [first_fault([fault], sent(body=str(b), number=n), seed=seed) is not None for b, n in requests]

    assert hits(0, range(64)) == hits(0, range(64, 0, -1))
    assert hits(0, range(64)) != hits(1, range(64))


def test_the_first_fault_that_fires_wins() -> None:
    faults = [parse_fault("400:prompt~mug"), parse_fault("502:0"), parse_fault("503")]
    assert first_fault(faults, sent(prompt="a mug"), seed=0) is faults[0]
    assert first_fault(faults, sent(prompt="a cup"), seed=0) is faults[2]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "rest:0.1",
            (
                "fault 'rest:0.1' has the kind 'rest'; expected a status from 400 to 599, reset, hang, "
                "truncate, slow, html, empty, garbage, json-error, redirect, wrong-format, corrupt, cut-inside, "
                "wrong-size, blank, opaque, unchanged, failed or lost "
                "(did you mean reset?)"
            ),
        ),
        ("504@0", "fault '504@0' selects '0'; expected @N, @N-M or @N+"),
        (
            "502:1.5",
            "fault '502:1.5' has '1.5'; expected a probability from 0 to 1 or an option of 502",
        ),
        (
            "hang:close=1",
            "fault 'hang:close=1' has 'close=1'; expected a probability from 0 to 1 or an option of hang",
        ),
        (
            "502:first=0",
            "fault '502:first=0' has 'first=0'; expected a probability from 0 to 1 or an option of 502",
        ),
    ],
)
def test_a_spec_outside_the_grammar_is_refused(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_fault(spec)


def test_the_help_has_examples_that_parse() -> None:
    *_, examples = FAULT_HELP.splitlines()
    specs = examples.removeprefix("Examples: ").split()
    assert len(specs) == 7
    for spec in specs:
        parse_fault(spec)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("400:text=Safety system", "Safety system"),
        ("401", "Missing or invalid API key"),
        ("403", "Insufficient permissions for this model"),
        ("406:text=Team spend limit reached", "Team spend limit reached"),
        ("410", "The model has been retired"),
        ("422", "The request could not be processed"),
        ("500", "Internal server error"),
        ("502:text=upstream", "upstream"),
        ("418", "I'm a Teapot"),
        ("499", "Unknown Error"),
    ],
)
async def test_the_api_words_its_errors_in_json(spec: str, error: str) -> None:
    async with bench(faults=(spec,)) as lab:
        reply = await lab.edit()
        assert (str(reply.status), reply.error) == (spec[:3], error)
        assert lab.books.billed == 0


@pytest.mark.parametrize("status", [502, 503, 504, 520])
async def test_a_gateway_answers_with_a_page(status: int) -> None:
    async with bench(faults=(str(status),)) as lab:
        reply = await lab.edit()
        assert (reply.status, reply.headers["Content-Type"]) == (status, "text/html; charset=utf-8")


async def test_a_status_brings_the_retry_after_it_is_given() -> None:
    async with bench() as lab:
        assert (await lab.edit("429:retry-after=7")).headers["Retry-After"] == "7"
        assert "Retry-After" not in (await lab.edit("429")).headers


async def test_a_lost_answer_can_be_charged() -> None:
    async with bench() as lab:
        assert (await lab.edit("504:billed=1")).status == 504
        assert lab.books.billed == 1


async def test_a_spoiled_answer_can_be_free() -> None:
    async with bench() as lab:
        assert (await lab.edit("empty:billed=0")).headers["x-cost"] == "0.0"
        assert lab.books.billed == 0


async def test_first_fails_each_body_once() -> None:
    async with bench(faults=("502:first=1",)) as lab:
        assert [(await lab.edit(prompt="a")).status for _ in range(3)] == [502, 200, 200]
        assert [(await lab.edit(prompt="b")).status for _ in range(2)] == [502, 200]


async def test_a_refused_attempt_is_none_of_the_first() -> None:
    async with bench(faults=("502:first=1",), rate_limit="1/h") as lab:
        assert [(await lab.edit(prompt="a")).status for _ in range(2)] == [502, 429]
        refused = await lab.edit(prompt="b")
        await lab.post("/_sandbox/reset")
        assert (refused.status, (await lab.edit(prompt="b")).status) == (429, 502)


async def test_prompts_select() -> None:
    async with bench(faults=("400:prompt~mug",)) as lab:
        assert (await lab.edit(prompt="a red mug")).status == 400
        assert (await lab.edit(prompt="a red cup")).status == 200


async def test_a_request_may_ask_for_a_fault_and_errs_aloud() -> None:
    async with bench(faults=("502",)) as lab:
        assert (await lab.edit("503")).status == 503
        assert (await lab.edit("rest")).error.startswith("x-sandbox-fault: fault 'rest' has the kind 'rest';")


async def test_gateway_refusals_come_at_once_and_lost_jobs_after_the_latency() -> None:
    async def seconds(spec: str) -> float:
        begun = time.monotonic()
        await lab.edit(spec)
        return time.monotonic() - begun

    async with bench(latency="0.3") as lab:
        assert await seconds("429") < 0.3
        assert await seconds("504") >= 0.3


async def test_reset_is_a_reset_connection() -> None:
    async with bench() as lab:
        with pytest.raises(aiohttp.ClientOSError) as caught:
            await lab.edit("reset")
        assert isinstance(caught.value, ConnectionResetError) or "reset by peer" in str(caught.value)
        await asyncio.wait_for(lab.books.idle(), 2)
        assert (lab.books.billed, lab.books.answered) == (1, {})


async def test_hang_lasts_until_the_client_leaves() -> None:
    async with bench() as lab:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lab.edit("hang"), 0.3)
        await asyncio.wait_for(lab.books.idle(), 2)
        assert (lab.books.billed, lab.books.answered) == (1, {})


async def test_truncate_ends_before_the_promised_length() -> None:
    async with bench() as lab:
        with pytest.raises(aiohttp.ClientPayloadError):
            await lab.edit("truncate")
        assert (lab.books.billed, lab.books.answered) == (1, {200: 1})


async def test_a_truncation_may_go_unnoticed_by_http() -> None:
    async with bench() as lab:
        whole = await lab.edit()
        half = await lab.edit("truncate:close=1")
    assert "Content-Length" not in half.headers
    assert "Transfer-Encoding" not in half.headers
    assert half.headers["x-cost"] == whole.headers["x-cost"]
    assert half.data == whole.data[: len(whole.data) // 2]


async def test_slow_drips_the_whole_image() -> None:
    async with bench() as lab:
        whole = await lab.edit()
        begun = time.monotonic()
        slow = await lab.edit("slow:over=0.4")
        assert time.monotonic() - begun >= 0.4
        assert slow.data == whole.data


@pytest.mark.parametrize(
    ("spec", "content_type"),
    [
        ("html", "text/html; charset=utf-8"),
        ("empty", "image/png"),
        ("garbage", "image/png"),
        ("json-error", "application/json; charset=utf-8"),
        ("corrupt", "image/png"),
        ("cut-inside", "image/png"),
    ],
)
async def test_a_200_without_an_image_is_charged_like_one(spec: str, content_type: str) -> None:
    async with bench() as lab:
        reply = await lab.edit(spec)
        assert (reply.status, reply.headers["Content-Type"]) == (200, content_type)
        assert not is_image(reply)
        assert lab.books.billed == 1


async def test_wrong_format_is_a_good_image_under_a_wrong_label() -> None:
    async with bench() as lab:
        labelled_png = await lab.edit("wrong-format")
        labelled_webp = await lab.edit("wrong-format", output_format="webp")
    assert (labelled_png.headers["Content-Type"], labelled_png.image.format) == ("image/png", "JPEG")
    assert (labelled_webp.headers["Content-Type"], labelled_webp.image.format) == ("image/webp", "PNG")


async def test_wrong_size_is_half_the_size() -> None:
    async with bench(size_scale=0.1) as lab:
        assert (await lab.edit("wrong-size", size="1536x1024")).image.size == (77, 51)


async def test_blank_is_of_one_colour_and_carries_the_request_all_the_same() -> None:
    async with bench() as lab:
        reply = await lab.edit("blank")
    assert reply.image.getextrema() == ((255, 255),) * 3
    assert read_stamp(io.BytesIO(reply.data))


@pytest.mark.parametrize("output_format", ["png", "webp"])
async def test_opaque_paints_where_transparency_was_asked_for(output_format: str) -> None:
    async with bench() as lab:
        asked = {"background": "transparent", "output_format": output_format}
        right, painted = await lab.edit(**asked), await lab.edit("opaque", **asked)
    assert right.image.mode == "RGBA"
    assert (painted.status, painted.image.mode) == (200, "RGB")
    assert len(painted.image.getcolors(maxcolors=2**16) or []) > 1


async def test_unchanged_is_the_input_in_the_size_asked_for() -> None:
    source = Image.linear_gradient("L").convert("RGB")
    buffer = io.BytesIO()
    source.save(buffer, "PNG")
    async with bench() as lab:
        reply = await lab.edit("unchanged", image_urls=[data_link(buffer.getvalue())], size="1024x1024")
    difference = ImageChops.difference(reply.image.convert("L"), source.convert("L").resize(reply.image.size))
    low, high = difference.getextrema()
    assert (low, high) <= (0, 8)


@pytest.mark.parametrize("output_format", ["png", "webp"])
async def test_cut_inside_has_an_end_and_is_found_by_decoding_alone(output_format: str) -> None:
    async with bench(size_scale=0.2) as lab:
        reply = await lab.edit("cut-inside", output_format=output_format)
    with Image.open(io.BytesIO(reply.data)) as image:
        image.verify()
    assert not is_image(reply)


async def test_a_redirect_that_is_followed_leaks_the_key() -> None:
    async with bench() as lab:
        reply = await lab.edit("redirect")
        assert reply.status == 307
        assert lab.books.key_leaks == 0
        assert (await lab.post(reply.headers["Location"])).status == 404
        assert (lab.books.key_leaks, lab.books.billed) == (1, 0)


def is_image(reply: Reply) -> bool:
    try:
        Image.open(io.BytesIO(reply.data)).load()
    except (OSError, SyntaxError):
        return False
    return True
