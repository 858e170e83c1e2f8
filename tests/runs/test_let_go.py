"""A request that ended lets go of what it held, without a garbage collection."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from batch_editor.client import HttpClient, UploadRefused
from batch_editor.config import ApiSettings, RetrySettings
from batch_editor.endpoints import load_endpoint
from batch_editor.errors import MachineError
from batch_editor.output import DiskRetry, Store
from batch_editor.records import Rate
from batch_editor.scheduling.rate_limiter import RateLimiter
from tests.support.bench import KEY
from tests.support.recorder import Recorder

CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nhalf of it"


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collection but those that are asked for."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Watched(dict[str, Any]):
    """A dict that can be watched."""


async def never(_: str) -> None:
    raise AssertionError


def fail(error: MachineError) -> None:
    raise error


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("reached", [True, False])
async def test_a_request_that_breaks_off_lets_its_body_go(recorder: Recorder, tmp_path: Path, reached: bool) -> None:
    """It may hold a photograph of some MB, and thousands of failures may wait for the collector."""
    recorder.answer = CUT_OFF
    store = Store(tmp_path / "out")
    store.prepare()

    async def edit(client: HttpClient) -> tuple[str | None, weakref.ref[Watched]]:
        body = Watched(prompt="edit")
        staged = store.staged_file(1, DiskRetry(1, make_room=store.make_room, on_trouble=fail))
        answer = await client.edit(load_endpoint("gpt-image-1.5-edit"), body, staged, submitted=never)
        await staged.discard()
        return getattr(answer.outcome, "kind", None), weakref.ref(body)

    kind, body = await with_client(recorder.base_url if reached else "http://127.0.0.1:1/v1", edit)
    store.close()
    assert kind == "connection"
    assert body() is None


class Photograph(str):
    """A `data:` link that can be watched."""

    __slots__ = ("__weakref__",)


@pytest.mark.usefixtures("uncollected")
async def test_an_upload_that_finds_nobody_lets_its_file_go() -> None:
    async def upload(client: HttpClient) -> weakref.ref[Photograph]:
        link = Photograph("data:image/png;base64,AAAA")
        with pytest.raises(UploadRefused):
            await client.upload(load_endpoint("gpt-image-1.5-edit"), link)
        return weakref.ref(link)

    assert (await with_client("http://127.0.0.1:1/v1", upload))() is None


async def with_client(base_url: str, ask: Callable[[HttpClient], Awaitable[Any]]) -> Any:
    """What is asked of a client whose provider is there."""
    api = ApiSettings(base_url=base_url, upload_url=f"{base_url}/upload")
    polls = RateLimiter(Rate(100, 1.0))
    async with HttpClient(api, SecretStr(KEY), retry=RetrySettings(), polls=polls) as client:
        return await ask(client)
