"""Every input link is looked at before money is spent on it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batch_editor.planning.inputs import InputCheck
from tests.support.bench import Bench, Job, job, sandbox, with_options
from tests.support.picture_server import PictureServer, grainy_webp, picture


@pytest.fixture
async def server() -> AsyncIterator[PictureServer]:
    async with PictureServer() as server:
        yield server


async def check(bench: Bench, *jobs: Job, allow: bool = True, **flags: Any) -> InputCheck:
    plan = await asyncio.to_thread(
        bench.plan, list(jobs), check_inputs=True, inputs__allow_private_links=allow, **flags
    )
    assert plan.inputs is not None
    return plan.inputs


async def fault_of(bench: Bench, link: str, *, allow: bool = True) -> str | None:
    """What is said of a link, without the link itself."""
    found = await check(bench, job("a", image_urls=[link]), allow=allow)
    return next((each.fault.removeprefix(link.partition("?")[0] + " ") for each in found.faulty), None)


@pytest.mark.parametrize(
    "data",
    [
        picture(),
        picture(form="JPEG"),
        picture(form="WEBP"),
        picture(mode="RGBA", form="WEBP", lossless=True),
        grainy_webp(),
        picture(mode="P"),
        picture((64, 9000)),
        picture((4000, 3000), form="MPO", save_all=True),
    ],
    ids=["png", "jpeg", "webp", "webp with alpha", "long webp", "palette", "narrow", "of a phone"],
)
async def test_pictures_that_the_provider_takes_are_sound(bench: Bench, server: PictureServer, data: bytes) -> None:
    server.files = {"it": data}
    assert await fault_of(bench, f"{server.url}/it") is None


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "is empty"),
        (b"<html>Not found", "answered a web page (application/octet-stream), not a picture"),
        (picture(mode="P", form="GIF"), "is a GIF image; the provider takes png, jpeg and webp"),
        (picture(form="TIFF"), "is a TIFF image; the provider takes png, jpeg and webp"),
        (picture((63, 500)), "has 63×500 pixels; a picture has at least 64 a side"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "begins as a PNG, but is none that can be read"),
        (b"RIFF\x00\x00\x00\x00WEBPnone" + b"\0" * 40, "begins as a WEBP, but is none that can be read"),
    ],
    ids=["empty", "page", "gif", "tiff", "icon", "broken png", "broken webp"],
)
async def test_what_is_no_picture_for_the_provider_is_said(
    bench: Bench, server: PictureServer, data: bytes, fault: str
) -> None:
    server.files = {"it": data}
    assert await fault_of(bench, f"{server.url}/it") == fault


@pytest.mark.parametrize("ranged", [True, False])
async def test_a_file_too_large_is_known_by_what_its_host_says_of_it(
    bench: Bench, server: PictureServer, ranged: bool
) -> None:
    server.files = {"it": picture() + b"\0" * (0 if ranged else 50_000_001)}
    server.sizes, server.ranged = {"it": 60_000_000}, ranged
    said = "has 60 MB" if ranged else "has 50 MB"
    assert await fault_of(bench, f"{server.url}/it") == f"{said}; the provider takes less than 50"


async def test_only_the_beginning_is_asked_for_and_each_link_once(bench: Bench, server: PictureServer) -> None:
    server.files = {"it": picture()}
    link = f"{server.url}/it"
    found = await check(bench, job("a", image_urls=[link]), job("b", image_urls=[link, link]))
    assert (found.looked_at, found.faulty) == (1, ())
    assert server.asked == [("it", "bytes=0-131071")]


async def test_links_that_answer_nothing_useful_are_said(bench: Bench, server: PictureServer) -> None:
    server.files = {"it": picture()}
    server.moved = {"hop": "/it", "loop": "/loop", "file": "file:///etc/passwd"}
    assert await fault_of(bench, f"{server.url}/missing") == "answers HTTP 404: there is nothing at this address"
    assert await fault_of(bench, f"{server.url}/hop") is None
    assert await fault_of(bench, f"{server.url}/loop") == "redirects more than 5 times"
    assert await fault_of(bench, f"{server.url}/file") == "redirects to something that is no http(s) link"
    assert await fault_of(bench, "http://127.0.0.1:9/it") == (
        "not reachable: 127.0.0.1:9 takes no connection (Connection refused)"
    )
    assert re.fullmatch(
        r"not reachable: no host mug\.invalid is found \(.*\)", str(await fault_of(bench, "http://mug.invalid/it"))
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433"])
@pytest.mark.fault(102)
async def test_addresses_of_this_machine_are_not_looked_at_unless_allowed(
    bench: Bench, server: PictureServer, host: str
) -> None:
    server.files = {"it": picture()}
    port = server.url.rpartition(":")[2]
    fault = await fault_of(bench, f"http://{host}:{port}/it", allow=False)
    assert fault is not None
    assert server.asked == []


async def test_the_refusal_of_a_private_address_says_what_would_allow_it(bench: Bench, server: PictureServer) -> None:
    assert await fault_of(bench, f"{server.url}/it", allow=False) == (
        "refused: 127.0.0.1 is not a public address; inputs.allow_private_links allows it"
    )


async def test_a_signed_link_must_live_until_its_turn(bench: Bench, server: PictureServer) -> None:
    server.files = {"it": picture()}
    now = datetime.now(UTC)
    soon, late = (f"{server.url}/it?{signed(now, lasts)}" for lasts in (timedelta(minutes=5), timedelta(days=1)))
    jobs = [job("first", image_urls=[soon]), *(job(f"j{n}", f"{n}", image_urls=[late]) for n in range(18))]
    found = await check(bench, *jobs, job("last", image_urls=[soon]), rate_limit="60/h")
    # The first is sent at once; the last, in twenty minutes, would find it expired.
    assert [each.job_id for each in found.faulty] == ["last"]
    (fault,) = (each.fault for each in found.faulty)
    assert fault.startswith(f"{server.url}/it is signed until {now + timedelta(minutes=5):%Y-%m-%d %H:%M} UTC;")
    # A signature is a key to the picture: it stays out of messages.
    assert "Signature" not in fault


def signed(at: datetime, lasts: timedelta) -> str:
    return f"X-Amz-Date={at:%Y%m%dT%H%M%SZ}&X-Amz-Expires={lasts.total_seconds():.0f}&X-Amz-Signature=ab"


async def test_a_mask_has_alpha_and_the_size_of_the_first_image(bench: Bench, server: PictureServer) -> None:
    server.files = {
        "it": picture(),
        "opaque": picture(),
        "other": picture((80, 90), mode="RGBA"),
        "fits": picture(mode="RGBA"),
    }
    link = f"{server.url}/it"
    found = await check(
        bench, *(job(name, image_urls=[link], mask=f"{server.url}/{name}") for name in ("opaque", "other", "fits"))
    )
    assert [(each.job_id, each.fault) for each in found.faulty] == [
        ("opaque", "the mask has no alpha channel, which marks the area to edit"),
        ("other", "the mask has 80×90 pixels, the first image 100×100; they must be alike"),
    ]


@pytest.mark.slow
async def test_a_plan_lists_faulty_inputs_in_words_and_in_json(bench: Bench, server: PictureServer) -> None:
    server.files = {"it": picture()}
    bench.write([job("good", image_urls=[f"{server.url}/it"]), job("bad", image_urls=[f"{server.url}/gone"])])
    allowed = {"BATCH_EDITOR_INPUTS__ALLOW_PRIVATE_LINKS": "true"}
    shown, data = await asyncio.gather(
        bench.command("plan", "jobs.yaml", "--check-inputs", key=None, environment=allowed),
        bench.command("plan", "jobs.yaml", "--check-inputs", "--json", key=None, environment=allowed),
    )
    assert shown.out.splitlines()[-2:] == [
        "Inputs: 2 links looked at, 1 request with a faulty one",
        f"  bad: {server.url}/gone answers HTTP 404: there is nothing at this address",
    ]
    assert (shown.code, data.code) == (1, 1)
    assert data.json["inputs"] == {
        "looked_at": 2,
        "faulty": [{"job_id": "bad", "fault": f"{server.url}/gone answers HTTP 404: there is nothing at this address"}],
    }


async def test_a_run_fails_jobs_with_faulty_inputs_unsent_and_the_next_one_tries_them_again(
    bench: Bench, server: PictureServer
) -> None:
    server.files = {"it": picture()}
    jobs = [job("good", image_urls=[f"{server.url}/it"]), job("bad", image_urls=[f"{server.url}/late"])]
    checked = with_options(check_inputs=True)
    async with sandbox() as provider:
        first = await bench.run(jobs, provider, options=checked, inputs__allow_private_links=True)
        assert (first.exit_code, provider.books.requests) == (1, 1)
        bad = next(row for row in bench.rows() if row["job_id"] == "bad")
        assert (bad["status"], bad["error_kind"], bad["attempts"]) == ("failed", "input_unreachable", "0")
        assert bad["error"] == f"{server.url}/late answers HTTP 404: there is nothing at this address"
        server.files["late"] = picture()
        second = await bench.run(jobs, provider, options=checked, inputs__allow_private_links=True)
    assert (second.exit_code, second.jobs.succeeded, provider.books.requests) == (0, 2, 2)
