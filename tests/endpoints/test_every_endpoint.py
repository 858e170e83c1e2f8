"""Every shipped endpoint of the provider, from `init` to a price that was learned, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from batch_editor import BatchOptions, Plan, load_settings, make_plan, run_batch
from batch_editor.cli.main import main
from batch_editor.endpoints import TODAY, load_endpoint, shipped_endpoints
from batch_editor.recovery.rebuild import rebuild
from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.support.bench import KEY
from tests.support.sandbox_client import Bench, bench, data_link, png

NAMES = [name for name in shipped_endpoints() if not name.startswith("openai-")]
PROMPT = "Put the mug on a pure white background, keep its print. " * 5  # about 70 tokens
# What a job asks for beside its prompt and picture, and the picture that comes: the smallest that there is.
ASKED: dict[str, tuple[dict[str, Any], str, tuple[int, int]]] = {
    "gpt-image-1.5-edit": ({"quality": "low", "size": "1024x1024", "output_format": "webp"}, "webp", (1024, 1024)),
    "gpt-image-2": ({"quality": "low", "size": "1024x640", "output_format": "jpeg"}, "jpeg", (1024, 640)),
    "gpt-image-2.5-flare": ({"quality": "max", "size": "512x256"}, "png", (512, 256)),
    "gpt-image-2.5-sunburst": ({"quality": "xhigh", "size": "512x256"}, "png", (512, 256)),
    "nano-banana": ({"aspect_ratio": "16:9"}, "png", (1365, 768)),
    "nano-banana-2": ({"output_resolution": "512px", "seed": 7, "thinking_level": "high"}, "jpeg", (512, 512)),
    "nano-banana-pro": (
        {"output_resolution": "2K", "aspect_ratio": "3:2", "output_format": "jpg"},
        "jpeg",
        (2508, 1672),
    ),
    "seedream-4.5": ({"size": "custom", "width": 1024, "height": 1536}, "png", (1024, 1536)),
}


def manifest_of(folder: Path, name: str, *, count: int = 1, **values: Any) -> Path:
    endpoint = load_endpoint(name)
    images = endpoint.images
    assert images is not None
    Image.linear_gradient("L").resize((64, 48)).save(folder / "mug.png")
    picture: Any = ["mug.png"] if endpoint.parameters[images].type == "links" else "mug.png"
    jobs = [{"id": f"job-{n}", "prompt": f"{PROMPT}{n}", images: picture, **values} for n in range(count)]
    path = folder / "jobs.yaml"
    path.write_text(json.dumps({"endpoint": name, "jobs": jobs}), encoding="utf-8")
    return path


def test_each_is_asked_for_something() -> None:
    assert sorted(ASKED) == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_job_is_planned_sent_checked_to_the_pixel_and_charged_as_planned(
    tmp_path: Path, name: str, version: str
) -> None:
    asked, format, size = ASKED[name]
    manifest, out = manifest_of(tmp_path, name, **asked), tmp_path / "out"
    async with Sandbox(SandboxOptions(rate_limit="1000/s")) as sandbox:
        api = {"base_url": sandbox.base_url, "upload_url": sandbox.upload_url, "version": version}
        settings = load_settings(flags={"api": api, "checks": "full", "rate_limit": "60/s"})
        planned = make_plan([manifest], settings, output=out)
        summary = await run_batch([manifest], settings, SecretStr(KEY), BatchOptions(output=out))
        assert summary.exit_code == 0, summary.errors
        assert sandbox.books.billed_usd == pytest.approx(planned.cost.expected_usd, abs=1e-5)
        assert planned.cost.min_usd <= sandbox.books.billed_usd <= planned.cost.max_usd
    with Image.open(out / f"images/job-0{'.jpg' if format == 'jpeg' else '.' + format}") as image:
        assert (image.format, image.size) == (format.upper(), size)
    again = make_plan([manifest], settings, output=out)
    assert (again.requests, again.done) == (0, 1)
    (out / "ledger.sqlite3").unlink()
    rebuild(out)
    again = make_plan([manifest], settings, output=out)
    assert (again.requests, again.done) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_prices_are_learned_from_three_charges(tmp_path: Path, name: str) -> None:
    manifest, out = manifest_of(tmp_path, name, count=3), tmp_path / "out"
    async with Sandbox(SandboxOptions(rate_limit="1000/s", size_scale=0.02)) as sandbox:
        api = {"base_url": sandbox.base_url, "upload_url": sandbox.upload_url}
        settings = load_settings(flags={"api": api, "rate_limit": "60/s"})
        assert (await run_batch([manifest], settings, SecretStr(KEY), BatchOptions(output=out))).exit_code == 0
    more = make_plan([manifest_of(tmp_path, name, count=4)], settings, output=out, rehearsal=True)
    assert [(group.requests, group.charges) for group in more.groups] == [(1, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_pictures_is_begun_with(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TODAY, "2026-10-15")
    (tmp_path / "photos").mkdir()
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"photos/{colour}.png")
    (tmp_path / "config.yaml").write_text(f"endpoint: {name}\n", encoding="utf-8")
    assert main(["init", "photos"]) == 0
    assert main(["plan", "jobs/photos.yaml"]) == 0
    assert main(["plan", "photos", "--set", "prompt=Put it on white"]) == 0


def planned(folder: Path, name: str, **values: Any) -> Plan:
    return make_plan([manifest_of(folder, name, **values)], load_settings(), output=folder / "out")


@pytest.mark.parametrize(
    ("name", "values", "usd"),
    [
        ("gpt-image-2", {"quality": "low"}, 0.0067),
        ("gpt-image-2", {"quality": "low", "size": "1536x1024"}, 0.0048 + 0.0009),
        ("gpt-image-2", {"quality": "medium"}, 0.0527 + 0.0009),
        ("gpt-image-2", {}, 0.2108 + 0.0009),
        ("nano-banana", {}, 0.04),
        ("nano-banana-pro", {}, 0.15),
        ("nano-banana-pro", {"output_resolution": "2K"}, 0.15),
        ("nano-banana-pro", {"output_resolution": "4K"}, 0.25),
        ("nano-banana-2", {"output_resolution": "512px"}, 0.06),
        ("nano-banana-2", {}, 0.08),
        ("nano-banana-2", {"output_resolution": "2K"}, 0.12),
        ("nano-banana-2", {"output_resolution": "4K"}, 0.16),
        ("seedream-4.5", {"size": "4K"}, 0.04),
        ("gpt-image-2.5-flare", {"quality": "low", "size": "1024x1024"}, 0.0181),
    ],
)
def test_an_image_is_listed_at_its_price(tmp_path: Path, name: str, values: dict[str, Any], usd: float) -> None:
    assert planned(tmp_path, name, **values).cost.expected_usd == pytest.approx(usd, rel=0.02)


def test_a_plan_shows_the_parameter_that_says_the_size(tmp_path: Path) -> None:
    (group,) = planned(tmp_path, "nano-banana-2", output_resolution="4K").as_json()["groups"]
    assert (group["size"], group["unit_usd"]) == ("4K", 0.16)


@pytest.fixture
async def lab() -> AsyncIterator[Bench]:
    async with bench(key=KEY) as lab:
        yield lab


SQUARE = data_link(png((40, 40)))
BODIES: dict[str, dict[str, Any]] = {
    "gpt-image-2": {"image": SQUARE},
    "nano-banana": {"image_urls": [SQUARE]},
    "nano-banana-pro": {"image_urls": [SQUARE]},
    "nano-banana-2": {"image_urls": [SQUARE]},
    "seedream-4.5": {"image_input": [SQUARE]},
}


WRONG: dict[str, dict[str, Any]] = {
    "gpt-image-2": {"quality": "xhigh", "size": "1024x1000", "output_format": "jpg", "image": [SQUARE]},
    "nano-banana": {"aspect_ratio": "1:2", "response_modalities": "TEXT"},
    "nano-banana-pro": {"output_resolution": "512px", "output_format": "jpeg", "aspect_ratio": None},
    "nano-banana-2": {"output_resolution": "8K", "safety_tolerance": 7, "web_search": "false", "seed": 0.5},
    "seedream-4.5": {"size": "2048x2048", "max_images": 2, "sequential_image_generation": "auto", "width": 99},
}


@pytest.mark.parametrize("name", BODIES)
async def test_the_sandbox_refuses_what_the_endpoint_does_not_take(name: str, lab: Bench) -> None:
    sound = {"prompt": "x", **BODIES[name]}
    (images,) = BODIES[name]
    wrong: list[dict[str, Any]] = [
        {key: value for key, value in sound.items() if key != "prompt"},
        {**sound, "quality_": "low"},
        {**sound, "mask": None},
        {**sound, images: {}},
        {**sound, images: ["file:///mug.png"]},
    ]
    wrong += [{**sound, parameter: value} for parameter, value in WRONG[name].items()]
    for body in wrong:
        refused = await lab.post(f"/v1/{name}", json=body)
        assert refused.status == 400, body
    assert (await lab.post(f"/v1/{name}", json=sound)).status == 200


async def test_the_sandbox_makes_a_picture_of_a_prompt_alone_where_the_endpoint_does(lab: Bench) -> None:
    for body in ({"prompt": "x"}, {"prompt": "x", "image": None}):
        made = await lab.post("/v1/gpt-image-2", json={**body, "quality": "low", "size": "1024x1024"})
        assert (made.status, made.headers["x-cost"]) == (200, "0.005901")


@pytest.mark.parametrize(
    ("name", "values", "size", "media_type", "usd"),
    [
        ("gpt-image-2", {"width": 800, "height": 1000}, (800, 1000), "image/png", None),
        ("nano-banana-pro", {"aspect_ratio": "1:1", "output_resolution": "2K"}, (2048, 2048), "image/png", "0.15"),
        ("nano-banana-2", {"aspect_ratio": "9:16", "output_resolution": "512px"}, (384, 683), "image/jpeg", "0.06"),
        ("nano-banana-2", {"output_resolution": "1K", "output_format": "png"}, (1024, 1024), "image/png", "0.08"),
        ("seedream-4.5", {"width": 3000, "height": 1024}, (2048, 2048), "image/png", "0.04"),
        ("seedream-4.5", {"size": "custom", "width": 3000, "height": 1024}, (3000, 1024), "image/png", "0.04"),
    ],
)
async def test_the_sandbox_makes_the_size_and_format_that_was_asked_for(
    name: str, values: dict[str, Any], size: tuple[int, int], media_type: str, usd: str | None
) -> None:
    async with bench(key=KEY, size_scale=1.0) as lab:
        made = await lab.post(f"/v1/{name}", json={"prompt": "x", **BODIES[name], **values})
    assert (made.status, made.headers["Content-Type"], made.image.size) == (200, media_type, size)
    assert usd is None or made.headers["x-cost"] == usd
