"""Pictures by request and content: those that the ledger names and the disk still has, and no other file."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_editor.output import PAGE_CACHE
from batch_editor.processes import Processes
from batch_editor.review.cache import Cache
from batch_editor.review.pictures import NoPicture, Thumbnails
from tests.support.decoders import hanging
from tests.support.made_output import MadeOutput
from tests.support.page import Page, reviewed

GONE = "the picture is no longer on the disk, neither under its job's name nor in images/.history"


def image_of(card: dict[str, Any]) -> str:
    return f"/image/{card['fingerprint']}/{card['sha256']}"


async def refused(page: Page, path: str) -> str:
    """Why there is nothing."""
    answer = await page.ask(path)
    assert answer.status == 404, answer
    error: str = json.loads(answer.body)["error"]
    return error


async def test_a_picture_is_served_as_it_came(made: MadeOutput, page: Page) -> None:
    job = await page.job("B00000-beach")
    answer = await page.ask(job["image"])
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert answer.body == (made.path / job["output_path"]).read_bytes()


async def test_a_thumbnail_is_a_small_webp(page: Page) -> None:
    for path in ((await page.jobs())[0]["thumb"], (await page.jobs())[0]["before"]):
        answer = await page.ask(path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
        with Image.open(io.BytesIO(answer.body)) as image:
            assert image.format == "WEBP"


async def test_a_thumbnail_is_made_once(made: MadeOutput) -> None:
    async with reviewed(made.path) as page:
        card = (await page.jobs())[0]
        first = await page.ask(card["thumb"])
    shutil.rmtree(made.path / "images")
    async with reviewed(made.path) as page:
        assert (await page.ask(card["thumb"])).body == first.body
    shutil.rmtree(made.path / PAGE_CACHE)
    async with reviewed(made.path) as page:
        assert await refused(page, card["thumb"]) == GONE


async def test_former_pictures_are_found_in_the_history(page: Page) -> None:
    former = (await page.job("B00010-beach"))["former"][0]
    image = await page.ask(former["url"])
    assert (image.status, image.headers["Content-Type"]) == (200, "image/jpeg")
    assert (await page.ask(former["thumb"])).status == 200


def lose(path: Path) -> None:
    path.unlink()


def overwrite(path: Path) -> None:
    path.write_bytes(b"another content")


def link_elsewhere(path: Path) -> None:
    elsewhere = path.parents[3] / "elsewhere.jpg"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def link_folder_elsewhere(path: Path) -> None:
    elsewhere = path.parents[3] / "elsewhere"
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere)


def put_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [lose, overwrite, link_elsewhere, link_folder_elsewhere, put_fifo, put_folder])
async def test_a_picture_that_is_another_or_elsewhere_is_not_served(
    made: MadeOutput, page: Page, spoil: Callable[[Path], None]
) -> None:
    job = await page.job("B00003-beach")
    spoil(made.path / job["output_path"])
    assert await refused(page, job["image"]) == GONE
    assert await refused(page, job["thumb"]) == GONE


async def test_a_picture_that_moved_to_the_history_is_found_there(made: MadeOutput, page: Page) -> None:
    job = await page.job("B00003-beach")
    path = made.path / job["output_path"]
    kept = made.path / "images" / ".history" / "B00003" / f"beach.{job['sha256'][:12]}.jpg"
    kept.parent.mkdir(parents=True, exist_ok=True)
    data = path.read_bytes()
    path.rename(kept)
    assert (await page.ask(job["image"])).body == data


@pytest.mark.parametrize("sha256", ["", "x", "0" * 64, "*", "..", "%2e%2e", "A" * 64, "?" * 64, "%2a" * 64])
async def test_content_that_the_request_never_had_is_not_served(page: Page, sha256: str) -> None:
    card = (await page.jobs())[0]
    for place in ("image", "thumb"):
        assert (await page.ask(f"/{place}/{card['fingerprint']}/{sha256}")).status == 404


async def test_content_of_another_request_is_not_served(page: Page) -> None:
    one, two = (await page.jobs())[:2]
    why = await refused(page, f"/image/{one['fingerprint']}/{two['sha256']}")
    assert why == "the ledger knows no such picture of that request"


async def test_what_decoders_fail_at_costs_one_thumbnail(made: MadeOutput, page: Page) -> None:
    """A picture that is whole for the ledger, and none for Pillow."""
    job = await page.job("B00003-beach")
    broken = made.path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 nothing more \xff\xd9")
    async with asyncio.timeout(20):
        thumbnails = Thumbnails(Cache(made.path), processes := Processes(2))
        try:
            with pytest.raises(
                NoPicture, match=r"^no thumbnail can be made: NoThumbnail: a picture that can't be read: "
            ):
                await thumbnails.of(broken, key="broken")
            assert await thumbnails.of(made.path / job["output_path"], key="sound")
        finally:
            await asyncio.to_thread(processes.close)


async def test_a_decoder_that_hangs_costs_one_thumbnail(made: MadeOutput, page: Page) -> None:
    job = await page.job("B00003-beach")
    thumbnails = Thumbnails(Cache(made.path), processes := Processes(2, limit_s=2))
    try:
        with hanging(made.path / "hangs.jpg") as file:
            stuck = asyncio.create_task(thumbnails.of(made.path / "hangs.jpg", key="hangs"))
            await file.reader()
            assert await thumbnails.of(made.path / job["output_path"], key="sound")
            with pytest.raises(NoPicture, match=r"^no thumbnail can be made: it took longer than 2 s$"):
                await stuck
    finally:
        await asyncio.to_thread(processes.close)


async def test_whoever_leaves_frees_the_place_of_what_was_asked_for(made: MadeOutput, tmp_path: Path) -> None:
    """Of forty that are asked for and left at once, those that wait are never made."""
    large = tmp_path / "large.png"
    Image.effect_noise((1500, 1500), 90).save(large)
    thumbnails = Thumbnails(Cache(made.path), processes := Processes(2))
    try:
        await thumbnails.of(large, key="first")
        asked = [asyncio.create_task(thumbnails.of(large, key=f"left {number}")) for number in range(40)]
        await asyncio.sleep(0)
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        made_ones = [number for number in range(40) if await thumbnails.known(f"left {number}") is not None]
        assert len(made_ones) <= processes.count
        assert await thumbnails.of(large, key="last")
    finally:
        await asyncio.to_thread(processes.close)


async def test_a_browser_that_scrolls_on_frees_the_server(made: MadeOutput) -> None:
    """Its requests are cut off; what comes after them is answered as if they had not been."""
    async with reviewed(made.path) as page:
        cards = [card for card in await page.jobs("?limit=1000") if card["thumb"]]
        asked = [asyncio.create_task(page.ask(card["before"])) for card in cards]
        await asyncio.sleep(0.05)
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert (await page.ask(cards[-1]["thumb"])).status == 200


async def test_what_can_be_made_again_is_nobody_else_s(made: MadeOutput, page: Page) -> None:
    await page.ask((await page.jobs())[0]["thumb"])
    assert (made.path / PAGE_CACHE).stat().st_mode & 0o077 == 0


async def test_the_oldest_of_what_is_kept_goes_when_it_is_too_much(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most_bytes=1000)
    for number in range(20):
        path = cache.put(f"{number}", bytes(100))
        os.utime(path, (number, number))
    held = [number for number in range(20) if cache.read(f"{number}") is not None]
    assert held == list(range(held[0], 20))
    assert 5 <= len(held) <= 10
    assert Cache(tmp_path, most_bytes=1000).read("19") is not None


async def test_a_link_in_the_place_of_what_is_kept_is_not_followed(made: MadeOutput, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (made.path / PAGE_CACHE).symlink_to(elsewhere)
    async with reviewed(made.path) as page:
        assert (await page.ask((await page.jobs())[0]["thumb"])).status == 200
    assert list(elsewhere.iterdir()) == []


async def test_links_among_what_is_kept_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    cache = Cache(tmp_path)
    kept = cache.put("one", b"own")
    kept.unlink()
    kept.symlink_to(secret)
    assert (cache.read("one"), cache.path_of("one")) == (None, None)
    cache.put("one", b"own again")
    assert secret.read_bytes() == b"secret"
    assert cache.read("one") == b"own again"


async def test_a_folder_of_what_is_kept_that_is_something_else_is_done_without(made: MadeOutput) -> None:
    (made.path / PAGE_CACHE).write_bytes(b"")
    async with reviewed(made.path) as page:
        assert (await page.ask((await page.jobs())[0]["thumb"])).status == 200
