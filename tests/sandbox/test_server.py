from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import random
import re
import statistics
import time
from typing import Any

import aiohttp
import pytest
from blockbuster import blockbuster_ctx

from batch_editor.sandbox import Sandbox, SandboxOptions
from batch_editor.sandbox.options import parse_latency
from tests.support.sandbox_client import bench, body, data_link, png


async def test_a_success_says_what_it_cost_and_took() -> None:
    async with bench(latency="0.2", rate_limit="60/min") as lab:
        headers = (await lab.edit()).headers
    assert headers["x-cost"] == "0.2388"
    assert headers["x-remaining-credits"] == "999999.7612"
    assert headers["x-request-id"].endswith("-1")
    assert float(headers["x-generation-time"]) >= 0.2
    assert "x-rate-limit-reset-at-utc" in headers


async def test_base64_and_raw_answers_hold_the_same_image() -> None:
    async with bench() as raw, bench(answer="base64") as lab:
        reply = await lab.edit()
        assert reply.headers["Content-Type"] == "application/json"
        assert base64.b64decode(reply.json()["image"]) == (await raw.edit()).data


async def test_a_result_link_is_public_and_notices_a_key_that_comes_along() -> None:
    async with bench() as raw, bench(answer="url") as lab:
        [image] = (await lab.edit(output_format="webp")).json()["images"]
        assert image["url"].endswith(".webp")
        fetched = await lab.get(image["url"], key=None)
        assert (fetched.status, fetched.headers["Content-Type"]) == (200, "image/webp")
        assert fetched.data == (await raw.edit(output_format="webp")).data
        assert lab.books.key_leaks == 0
        await lab.get(image["url"])
        assert lab.books.key_leaks == 1


@pytest.mark.parametrize("shape", ["file_urls", "urls"])
async def test_an_upload_becomes_a_public_link_that_a_model_can_read(shape: str) -> None:
    async with bench(upload_shape=shape) as lab:
        links = (await lab.post("/upload-asset", json={"data_urls": [data_link(png())]})).json()[shape]
        name = hashlib.sha256(png()).hexdigest()
        assert links == [f"{lab.sandbox.url}/uploads/{name}.png"]
        assert (await lab.get(links[0], key=None)).data == png()
        assert (await lab.edit(image_urls=links)).status == 200
        assert (lab.books.uploads, lab.books.key_leaks) == (1, 0)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({}, 'expected {"data_urls": [link, …]} with one link or more'),
        ({"data_urls": []}, 'expected {"data_urls": [link, …]} with one link or more'),
        ({"data_urls": ["x"], "more": 1}, 'expected {"data_urls": [link, …]} with one link or more'),
        ({"data_urls": [data_link(b""), "http://a"]}, "data_urls[1] is not a data:image/…;base64, link"),
    ],
)
async def test_a_faulty_upload_is_refused(sent: dict[str, Any], error: str) -> None:
    async with bench() as lab:
        reply = await lab.post("/upload-asset", json=sent)
        assert (reply.status, reply.error) == (400, error)
        assert lab.books.uploads == 0


async def test_an_upload_needs_a_key_and_json() -> None:
    async with bench() as lab:
        assert (await lab.post("/upload-asset", json={}, key=None)).status == 401
        assert (await lab.post("/upload-asset", data=b"{}")).status == 406


@pytest.mark.slow
async def test_a_body_of_many_megabytes_is_taken() -> None:
    noise = random.Random(0).randbytes(12_000_000)
    sent = json.dumps(body(image_urls=[data_link(png()), *[data_link(noise)] * 5])).encode()
    assert len(sent) > 80_000_000
    async with bench() as lab:
        headers = {"Content-Type": "application/json"}
        reply = await lab.post("/v1/gpt-image-1.5-edit", data=io.BytesIO(sent), headers=headers)
    assert reply.status == 200


async def test_a_client_that_leaves_in_the_midst_of_its_body_is_logged_in_the_books_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bench() as lab:
        _, writer = await asyncio.open_connection("127.0.0.1", int(lab.sandbox.url.rpartition(":")[2]))
        writer.write(b"POST /v1/gpt-image-1.5-edit HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(lab.books.idle(), 2)
        assert (lab.books.requests, lab.books.answered, lab.books.billed) == (1, {}, 0)
    assert not caplog.records


async def test_stopping_does_not_wait_for_a_job_that_hangs() -> None:
    async with aiohttp.ClientSession() as http:
        async with Sandbox(SandboxOptions(faults=("hang",), size_scale=0.05)) as sandbox:
            url = f"{sandbox.base_url}/gpt-image-1.5-edit"
            post = asyncio.create_task(http.post(url, json=body(), headers={"x-api-key": "k"}).__aenter__())
            await asyncio.sleep(0.3)
            assert sandbox.books.billed == 1
            begun = time.monotonic()
        assert time.monotonic() - begun < 1
        with pytest.raises(aiohttp.ClientError):
            await post


async def test_a_sandbox_tells_its_addresses() -> None:
    async with Sandbox() as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert sandbox.base_url == f"{sandbox.url}/v1"
        assert sandbox.upload_url == f"{sandbox.url}/upload-asset"


async def test_serve_forever_ends_when_cancelled() -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sandbox.serve_forever(), 0.05)


async def test_a_taken_port_is_an_error_that_leaves_nothing_open() -> None:
    async with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await Sandbox(SandboxOptions(port=port)).__aenter__()


async def test_the_event_loop_is_never_blocked() -> None:
    with blockbuster_ctx():
        async with bench() as lab:
            assert (await lab.edit()).status == 200
            assert (await lab.edit("truncate:close=1")).status == 200


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"latency": "fast"},
            "latency is 'fast'; expected seconds such as 2, a range such as 1-3, or lognormal:MEAN,SIGMA",
        ),
        ({"rate_limit": "60/day"}, "rate_limit is '60/day'; expected COUNT/UNIT such as 60/min, 10/s or 100/h"),
        ({"answer": "gif"}, "answer is 'gif'; expected image, base64 or url"),
        ({"upload_shape": "links"}, "upload_shape is 'links'; expected file_urls or urls"),
        ({"size_scale": 0.0}, "size_scale is 0; expected more than 0, at most 1"),
        ({"credits_usd": -1.0}, "credits_usd is -1; expected 0 or more"),
        ({"faults": ("502@x",)}, "fault '502@x' selects 'x'; expected @N, @N-M or @N+"),
    ],
)
def test_an_option_that_is_not_understood_is_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SandboxOptions(**option)


@pytest.mark.parametrize("text", ["", "-1", "3-1", "1-2-3", "nan", "inf", "lognormal:", "lognormal:0,1", "lognormal:5"])
def test_a_latency_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^latency is "):
        parse_latency(text)


def test_latencies_have_the_mean_that_was_asked_for() -> None:
    draw = random.Random(0)
    means = {
        text: statistics.fmean(parse_latency(text)(draw) for _ in range(20_000))
        for text in ("2", "1-3", "lognormal:57,0.3")
    }
    assert means == {"2": 2.0, "1-3": pytest.approx(2, rel=0.01), "lognormal:57,0.3": pytest.approx(57, rel=0.01)}
