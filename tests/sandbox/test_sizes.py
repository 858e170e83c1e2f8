"""The sandbox serves models whose sizes are a pattern: it makes what is asked, bills by the list, refuses the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_editor.endpoints import Endpoint, load_endpoint
from tests.support.sandbox_client import ABSENT, bench, data_link, png

NAMES = ["gpt-image-2.5-sunburst", "gpt-image-2.5-flare"]
RULE = (
    "expected auto or WIDTHxHEIGHT with sides divisible by 16, at most 3:1, at most 3840 a side,"
    " 65,536 to 8,294,400 pixels in all"
)
PROMPT = "Put the mug on a pure white background. " * 8  # 320 characters, about 80 tokens
TEXT_USD = 320 / 4 * 0.000005


def order(**changes: Any) -> dict[str, Any]:
    sample = {
        "prompt": PROMPT,
        "image_urls": [data_link(png())],
        "size": "1024x1024",
        "quality": "low",
        "output_format": "png",
    }
    return {name: value for name, value in {**sample, **changes}.items() if value is not ABSENT}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("changes", "size", "usd"),
    [
        ({}, (1024, 1024), 0.0059),
        ({"size": "1536x1024", "quality": "medium"}, (1536, 1024), 0.0103),
        ({"size": "1536x1536", "quality": "high"}, (1536, 1536), 0.0527 + 1.25 / 3 * 0.0544),
        ({"size": "256x272"}, (256, 272), 0.0059),
        ({"size": "768x256"}, (768, 256), 0.0047),  # 3:1; the widest of the table is 16:9
        ({"size": "auto"}, (1536, 1024), 0.0048),  # the input is 60x40
        ({"size": ABSENT}, (1536, 1024), 0.0048),
    ],
)
async def test_pictures_have_the_size_asked_for_and_are_billed_by_the_list(
    name: str, changes: dict[str, Any], size: tuple[int, int], usd: float
) -> None:
    async with bench(size_scale=1.0) as lab:
        reply = await lab.post(f"/v1/{name}", json=order(**changes))
        assert reply.status == 200, reply.error
        assert reply.image.size == size
        assert float(reply.headers["x-cost"]) == pytest.approx((usd + 0.0082 + TEXT_USD) * 1.25, abs=1e-6)


async def test_each_input_is_billed() -> None:
    async with bench() as lab:
        inputs = [data_link(png(colour=colour)) for colour in ("navy", "red", "green")]
        reply = await lab.post(f"/v1/{NAMES[0]}", json=order(image_urls=inputs))
        assert float(reply.headers["x-cost"]) == pytest.approx((0.0059 + 3 * 0.0082 + TEXT_USD) * 1.25, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"mask": None}, "mask is null; expected a link"),
        ({"background": None}, "background is null; expected a string"),
        ({"output_compression": None}, "output_compression is null; expected an integer"),
        ({"moderation": "none"}, 'moderation is "none"; expected low or auto'),
        ({"quality": "ultra"}, 'quality is "ultra"; expected low, medium, high, xhigh, max or auto'),
        ({"size": "1000x1000"}, f'size is "1000x1000"; {RULE}'),
        ({"size": "3840x1264"}, f'size is "3840x1264"; {RULE}'),
        ({"size": "3856x2160"}, f'size is "3856x2160"; {RULE}'),
        ({"size": "3840x3840"}, f'size is "3840x3840"; {RULE}'),
        ({"size": "1024X1024"}, f'size is "1024X1024"; {RULE}'),
        ({"size": 1024}, "size is 1024; expected a string"),
        ({"size": None}, "size is null; expected a string"),
        ({"n": 1}, "unknown parameter 'n'"),
        ({"prompt": ABSENT}, "prompt is required"),
        (
            {"background": "transparent", "output_format": "jpeg"},
            'output_format is "jpeg"; expected png or webp, as jpeg has no transparency',
        ),
    ],
)
async def test_what_the_endpoint_file_does_not_allow_is_refused_and_not_billed(
    name: str, changes: dict[str, Any], error: str
) -> None:
    async with bench() as lab:
        reply = await lab.post(f"/v1/{name}", json=order(**changes))
        assert (reply.status, reply.error) == (400, error)
        assert lab.books.billed_usd == 0


async def test_what_is_sent_only_when_set_is_taken_when_it_is() -> None:
    async with bench() as lab:
        mask = data_link(png(mode="RGBA", colour=(0, 0, 0, 0)))
        more = {
            "mask": mask,
            "background": "auto",
            "moderation": "low",
            "output_format": "webp",
            "output_compression": 0,
        }
        reply = await lab.post(f"/v1/{NAMES[0]}", json=order(**more))
        assert reply.status == 200, reply.error
        assert reply.image.format == "WEBP"


async def test_a_model_of_any_size_without_a_list_of_sizes_chooses_by_the_input() -> None:
    shipped = load_endpoint(NAMES[0]).model_dump()
    flat = Endpoint.model_validate({**shipped, "name": "flat", "path": "flat", "prices": {"table": 0.01}})
    async with bench(flat, size_scale=1.0) as lab:
        reply = await lab.post("/v1/flat", json=order(size="auto"))
        assert reply.image.size == (1254, 836)  # a megapixel in the shape of 60x40
        assert reply.headers["x-cost"] == "0.01"


@pytest.mark.parametrize("name", NAMES)
async def test_v2_serves_them_alike(name: str) -> None:
    async with bench(size_scale=1.0) as lab:
        reply = await lab.post(f"/v2/{name}", json=order(size="512x512"))
        submitted = json.loads(reply.data)
        await lab.books.idle()
        result = (await lab.get(f"/v2/requests/{submitted['request_id']}")).json()
        assert result["metrics"]["cost"] == pytest.approx((0.0059 + 0.0082 + TEXT_USD) * 1.25, abs=1e-6)
        refused = await lab.post(f"/v2/{name}", json=order(mask=None))
        assert (refused.status, refused.error) == (400, "mask is null; expected a link")


async def test_roles_say_which_parameter_means_what() -> None:
    own = {
        "name": "own",
        "path": "own",
        "parameters": {
            "instruction": {"type": "string", "required": True, "role": "prompt"},
            "photo": {"type": "link", "required": True, "role": "images"},
            "image_format": {"type": "string", "choices": ["jpg", "webp"], "role": "format"},
            "ground": {"type": "string", "choices": ["transparent", "white"], "role": "background"},
        },
        "prices": {"table": 0.0, "prompt_character": {"expected": 0.001}, "input_image": {"expected": 0.01}},
    }
    async with bench(Endpoint.model_validate(own)) as lab:
        sent = {"instruction": "x" * 10, "photo": data_link(png()), "image_format": "jpg"}
        plain = await lab.post("/v1/own", json=sent)
        assert (plain.headers["x-cost"], plain.image.format) == ("0.02", "JPEG")
        cut = await lab.post("/v1/own", json={**sent, "image_format": "webp", "ground": "transparent"})
        assert (cut.image.format, cut.image.mode) == ("WEBP", "RGBA")
