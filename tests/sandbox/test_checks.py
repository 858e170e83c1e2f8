from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from batch_editor.endpoints import Endpoint, load_endpoint
from tests.support.sandbox_client import ABSENT, KEY, Bench, bench, body, data_link, png

MODEL = "/v1/gpt-image-1.5-edit"


@pytest.fixture
async def lab() -> AsyncIterator[Bench]:
    async with bench(key=KEY) as lab:
        yield lab


async def test_the_sample_of_the_api_page_is_answered_with_an_image(lab: Bench) -> None:
    reply = await lab.edit()
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.image.format == "PNG"


async def test_required_parameters_alone_are_enough(lab: Bench) -> None:
    required = {"prompt": "a mug", "image_urls": [data_link(png())], "mask": None}
    assert (await lab.post(MODEL, json=required)).status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prompt": ABSENT}, "prompt is required"),
        ({"image_urls": ABSENT}, "image_urls is required"),
        ({"mask": ABSENT}, "mask is required"),
        ({"qualty": "high"}, "unknown parameter 'qualty' (did you mean quality?)"),
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": " \n"}, "prompt is empty"),
        ({"prompt": None}, "prompt is null; expected a string"),
        ({"prompt": 7}, "prompt is 7; expected a string"),
        ({"prompt": "x" * 32_001}, "prompt has 32001 characters; expected at most 32000"),
        ({"image_urls": []}, "image_urls is []; expected a list of one link or more"),
        ({"image_urls": "http://a/b.png"}, 'image_urls is "http://a/b.png"; expected a list of one link or more'),
        ({"image_urls": ["photo.png"]}, 'image_urls[0] is "photo.png"; expected a link'),
        ({"image_urls": ["http://a/b.png", None]}, "image_urls[1] is null; expected a link"),
        ({"image_urls": ["ftp://a/b.png"]}, 'image_urls[0] is "ftp://a/b.png"; expected a link'),
        ({"image_urls": ["http:///b.png"]}, 'image_urls[0] is "http:///b.png"; expected a link'),
        ({"image_urls": ["http://[a/"]}, 'image_urls[0] is "http://[a/"; expected a link'),
        ({"image_urls": ["data:text/plain,x"]}, 'image_urls[0] is "data:text/plain,x"; expected a link'),
        ({"image_urls": ["http://a/b"] * 17}, "image_urls has 17 links; expected at most 16"),
        ({"mask": ""}, 'mask is ""; expected a link or null'),
        ({"size": "512x512"}, 'size is "512x512"; expected 1024x1024, 1536x1024, 1024x1536 or auto'),
        ({"size": None}, "size is null; expected a string"),
        ({"quality": "HIGH"}, 'quality is "HIGH"; expected low, medium, high or auto'),
        ({"background": "auto"}, 'background is "auto"; expected transparent or opaque'),
        ({"moderation": "high"}, 'moderation is "high"; expected low or auto'),
        ({"output_compression": 101}, "output_compression is 101; expected at most 100"),
        ({"output_compression": -1}, "output_compression is -1; expected at least 0"),
        ({"output_compression": True}, "output_compression is true; expected an integer"),
        ({"output_compression": 95.0}, "output_compression is 95.0; expected an integer"),
        ({"output_compression": "95"}, 'output_compression is "95"; expected an integer'),
        (
            {"background": "transparent", "output_format": "jpeg"},
            'output_format is "jpeg"; expected png or webp, as jpeg has no transparency',
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_a_faulty_parameter_is_refused_by_name(lab: Bench, changes: dict[str, Any], error: str) -> None:
    reply = await lab.edit(**changes)
    assert (reply.status, reply.error) == (400, error)
    assert lab.books.billed == 0


async def test_a_long_value_is_shown_in_part(lab: Bench) -> None:
    reply = await lab.edit(size="9" * 100)
    assert f'size is "{"9" * 59}…;' in reply.error


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"{", "Invalid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"", "Invalid JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[1]", "Invalid request: the body is [1]; expected a JSON object"),
        (b'{"output_compression": NaN}', "Invalid JSON: NaN is no JSON number"),
        (b'{"prompt": "\\ud800"}', "Invalid JSON: a lone surrogate"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(lab: Bench, data: bytes, error: str) -> None:
    reply = await lab.post(MODEL, data=data, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.error) == (400, error)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_406(lab: Bench, content_type: str) -> None:
    reply = await lab.post(MODEL, data=b"{}", headers={"Content-Type": content_type})
    wanted = f"Invalid content type: {content_type}; expected application/json"
    assert (reply.status, reply.error) == (406, wanted)


async def test_a_charset_beside_the_content_type_is_fine(lab: Bench) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert (await lab.post(MODEL, json=body(), headers=headers)).status == 200


async def test_a_missing_and_a_wrong_key_are_told_apart(lab: Bench) -> None:
    missing = await lab.post(MODEL, json=body(), key=None)
    wrong = await lab.post(MODEL, json=body(), key="SG_ffffffffffffffff")
    assert (missing.status, missing.error) == (401, "Missing API key: send it in the header x-api-key")
    assert (wrong.status, wrong.error) == (401, "Invalid API key")


async def test_without_a_configured_key_any_will_do() -> None:
    async with bench() as lab:
        assert (await lab.post(MODEL, json=body(), key="anything")).status == 200
        assert (await lab.post(MODEL, json=body(), key="")).status == 401


async def test_an_unknown_model_is_404(lab: Bench) -> None:
    reply = await lab.post("/v1/gpt-image-9", json=body())
    assert (reply.status, reply.error) == (404, "Model 'gpt-image-9' not found")


async def test_another_method_is_405_with_a_page(lab: Bench) -> None:
    reply = await lab.get(MODEL)
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")
    assert reply.data.startswith(b"<html>")
    assert lab.books.requests == 0


async def test_checks_come_in_the_order_model_key_content_body(lab: Bench) -> None:
    async def status(path: str, **how: Any) -> int:
        return (await lab.post(path, data=b"{", **how)).status

    assert await status("/v1/nothing", key=None) == 404
    assert await status(MODEL, key=None) == 401
    assert await status(MODEL, headers={"Content-Type": "text/plain"}) == 406
    assert await status(MODEL, headers={"Content-Type": "application/json"}) == 400


async def test_a_sister_endpoint_has_its_own_parameters(lab: Bench) -> None:
    sister = {"prompt": "a mug", "image_urls": [data_link(png())]}
    wide = await lab.post("/v1/nano-banana", json={**sister, "aspect_ratio": "16:9"})
    assert wide.image.size == (68, 38)
    assert wide.headers["x-cost"] == "0.04"
    refused = await lab.post("/v1/nano-banana", json={**sister, "mask": None})
    assert refused.error.startswith("unknown parameter 'mask'")


async def test_an_endpoint_that_is_passed_in_is_served() -> None:
    shipped = load_endpoint("gpt-image-1.5-edit")
    successor = Endpoint.model_validate({**shipped.model_dump(), "name": "next", "path": "gpt-image-2-edit"})
    async with bench(successor) as lab:
        assert (await lab.post("/v1/gpt-image-2-edit", json=body())).status == 200
        assert (await lab.edit()).status == 200


async def test_a_link_that_leads_to_nothing_is_refused(lab: Bench) -> None:
    reply = await lab.edit(image_urls=[f"{lab.sandbox.url}/uploads/nothing.png"])
    assert (reply.status, reply.error) == (400, "could not read image_urls[0]: answered 404")


@pytest.mark.parametrize(
    ("link", "error"),
    [
        (data_link(b"no image"), "could not read image_urls[0]: not an image"),
        (data_link(png()[:-30]), "could not read image_urls[0]: not an image"),
        ("data:image/png;base64,a*b", "could not read image_urls[0]: not base64: "),
    ],
)
async def test_an_input_that_is_no_image_is_refused(lab: Bench, link: str, error: str) -> None:
    reply = await lab.edit(image_urls=[link])
    assert reply.status == 400
    assert reply.error.startswith(error)
    assert lab.books.billed == 0


async def test_an_input_out_of_reach_gives_a_placeholder(lab: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    reply = await lab.edit(image_urls=[f"http://127.0.0.1:{port}/photo.png"])
    assert reply.image.size == (51, 51)


async def test_a_mask_without_alpha_is_refused(lab: Bench) -> None:
    reply = await lab.edit(mask=data_link(png()))
    assert reply.error == "mask has no alpha channel; its alpha marks the area to edit"


async def test_a_mask_of_another_size_is_refused(lab: Bench) -> None:
    reply = await lab.edit(mask=data_link(png((30, 30), (0, 0, 0, 0), "RGBA")))
    assert reply.error == "mask is 30x30; expected 60x40, as the first image"


async def test_a_mask_that_cannot_be_read_is_refused(lab: Bench) -> None:
    reply = await lab.edit(mask=data_link(b"no image"))
    assert reply.error == "could not read mask: not an image"
