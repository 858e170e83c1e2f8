"""Pictures that jobs begin with: the browser asks this server alone, which has local files and fetches links."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.bench import Bench, sandbox
from tests.support.made_output import MadeOutput, make_output
from tests.support.page import Page, reviewed
from tests.support.picture_server import PictureServer, picture


@pytest.fixture
async def host() -> AsyncIterator[PictureServer]:
    """A host of pictures on this machine."""
    async with PictureServer() as server:
        yield server


async def done(bench: Bench, *links: str, mask: str | None = None) -> str:
    """A job of these inputs, done; the fingerprint of its request."""
    job: dict[str, Any] = {"id": "cup", "prompt": "on white", "image_urls": list(links)}
    async with sandbox() as provider:
        await bench.run([{**job, "mask": mask} if mask else job], provider)
    return bench.row("cup")["fingerprint"]


async def refused(page: Page, path: str) -> str:
    """Why there is nothing to show."""
    answer = await page.ask(path)
    assert answer.status == 404
    error: str = json.loads(answer.body)["error"]
    return error


async def test_a_local_input_is_served_as_it_is(made: MadeOutput, page: Page) -> None:
    job = await page.job("B00000-beach")
    answer = await page.ask(job["inputs"][0]["url"])
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert answer.body == (made.manifest.parent / "photos" / "00000.jpg").read_bytes()


async def test_a_mask_and_a_second_input_are_served(made: MadeOutput, page: Page) -> None:
    job = await page.job("single-0")
    for place in (job["mask"]["url"], job["mask"]["thumb"], job["inputs"][1]["url"], job["inputs"][1]["thumb"]):
        assert (await page.ask(place)).status == 200
    assert (await page.ask(job["mask"]["url"])).headers["Content-Type"] == "image/png"


async def test_a_local_input_that_changed_or_went_is_not_shown(tmp_path: Path) -> None:
    made = make_output(tmp_path, jobs=6, kinds=2, side=96)
    photos = made.manifest.parent / "photos"
    async with reviewed(made.path) as page:
        (photos / "00000.jpg").write_bytes(picture())
        (photos / "00001.jpg").unlink()
        for job_id, why in (("B00000-beach", "is another picture by now"), ("B00001-beach", "is no longer there")):
            job = await page.job(job_id)
            for place in (job["inputs"][0]["url"], job["before"]):
                assert await refused(page, place) == f"{photos / job['inputs'][0]['name']} {why}"


@pytest.mark.parametrize("number", ["1", "-1", "x", "999", "9999999999", "mask", "0x0", "", "%D9%A3", "0/../0"])
async def test_an_input_that_the_request_has_not_is_not_found(page: Page, number: str) -> None:
    card = (await page.jobs())[0]
    for place in ("before", "input"):
        assert (await page.ask(f"/{place}/{card['fingerprint']}/{number}")).status == 404
        assert (await page.ask(f"/{place}/{'0' * 32}/0")).status == 404


async def test_a_link_is_fetched_once_for_all_who_look(bench: Bench, host: PictureServer) -> None:
    host.files["cup.png"] = picture((400, 300))
    fingerprint = await done(bench, f"{host.url}/cup.png")
    host.asked.clear()
    async with reviewed(bench.out, allow_private=True) as page:
        job = await page.job("cup")
        assert host.asked == []  # nobody has looked yet
        small = await page.ask(job["before"])
        whole = await page.ask(f"/input/{fingerprint}/0")
    async with reviewed(bench.out, allow_private=True) as page:
        assert (await page.ask(f"/input/{fingerprint}/0")).body == whole.body == host.files["cup.png"]
    assert len(host.asked) == 1
    with Image.open(io.BytesIO(small.body)) as image:
        assert image.size == (320, 240)


async def test_a_link_into_this_network_is_refused(bench: Bench, host: PictureServer) -> None:
    host.files["cup.png"] = picture()
    fingerprint = await done(bench, f"{host.url}/cup.png")
    host.asked.clear()
    async with reviewed(bench.out) as page:
        why = await refused(page, f"/input/{fingerprint}/0")
    assert why == (
        f"{host.url}/cup.png refused: 127.0.0.1 is not a public address; inputs.allow_private_links allows it"
    )
    assert host.asked == []


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://example.com/a.png", "", "http://[", "//"])
async def test_a_redirect_is_followed_to_links_alone(bench: Bench, host: PictureServer, where: str) -> None:
    host.moved["cup.png"] = where
    fingerprint = await done(bench, f"{host.url}/cup.png")
    host.asked.clear()
    async with reviewed(bench.out, allow_private=True) as page:
        assert "redirect" in (why := await refused(page, f"/input/{fingerprint}/0")) or "reachable" in why


@pytest.mark.parametrize(
    ("data", "kind", "why"),
    [
        (b"<!doctype html><title>x</title>", "text/html", "answered a web page (text/html), not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "image/svg+xml", "is an SVG drawing; the provider takes"),
        (b"", "image/png", "is empty"),
        (b"just text", "image/png", "answered text (image/png), not a picture"),
    ],
    ids=["page", "svg", "empty", "text"],
)
async def test_what_is_no_picture_is_not_handed_on(
    bench: Bench, host: PictureServer, data: bytes, kind: str, why: str
) -> None:
    host.files["cup.png"], host.types["cup.png"] = data, kind
    fingerprint = await done(bench, f"{host.url}/cup.png?signature=secret")
    host.asked.clear()
    async with reviewed(bench.out, allow_private=True) as page:
        said = await refused(page, f"/input/{fingerprint}/0")
        assert said.startswith(f"{host.url}/cup.png {why}")
        assert "secret" not in said
        # Nobody asks again at once.
        await refused(page, f"/before/{fingerprint}/0")
    assert len(host.asked) == 1


async def test_a_link_that_is_gone_says_so(bench: Bench, host: PictureServer) -> None:
    fingerprint = await done(bench, f"{host.url}/cup.png")
    host.asked.clear()
    async with reviewed(bench.out, allow_private=True) as page:
        said = await refused(page, f"/input/{fingerprint}/0")
    assert said == f"{host.url}/cup.png answers HTTP 404: there is nothing at this address"


async def test_a_link_without_end_is_left(bench: Bench, host: PictureServer) -> None:
    host.files["cup.png"] = picture() + bytes(51_000_000)
    fingerprint = await done(bench, f"{host.url}/cup.png")
    host.asked.clear()
    async with reviewed(bench.out, allow_private=True) as page:
        said = await refused(page, f"/input/{fingerprint}/0")
    assert said == f"{host.url}/cup.png has more than 50 MB; the provider takes less"


async def test_a_picture_in_the_manifest_itself_is_shown(bench: Bench) -> None:
    data = picture((200, 100))
    fingerprint = await done(bench, f"data:image/png;base64,{base64.b64encode(data).decode()}")
    async with reviewed(bench.out) as page:
        job = await page.job("cup")
        assert job["inputs"][0]["name"] == "a picture in the manifest itself"
        assert (await page.ask(f"/input/{fingerprint}/0")).body == data
        assert (await page.ask(job["before"])).status == 200


async def test_a_large_picture_in_the_manifest_itself_is_shown(bench: Bench) -> None:
    """It isn't kept in memory with the jobs."""
    buffer = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(buffer, "PNG")
    data = buffer.getvalue()
    assert len(data) > 40_000
    fingerprint = await done(bench, f"data:image/png;base64,{base64.b64encode(data).decode()}")
    async with reviewed(bench.out) as page:
        assert (await page.ask(f"/input/{fingerprint}/0")).body == data
        assert len((await page.ask("/api/jobs/cup")).body) < 10_000
