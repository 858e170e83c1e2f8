"""Every request says which program it is from, as the server sees it."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import orjson
import pytest
from PIL import Image

from batch_editor.recovery.reconcile import reconcile
from tests.support.bench import KEYS, Bench, job
from tests.support.recorder import Recorder, http, png


def document(content: Any) -> bytes:
    return http(orjson.dumps(content), content_type="application/json")


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.slow
async def test_every_request_names_the_program_and_its_version(bench: Bench, recorder: Recorder, api: str) -> None:
    Image.new("RGB", (100, 100)).save(bench.folder / "in.png")
    record = {"status": "COMPLETED", "output": f"{recorder.url}/result.png"}
    recorder.answers = {
        "/input.png": http(png((100, 100))),
        "/upload-asset": document({"file_urls": ["https://example.com/in.png"]}),
        f"/{api}/gpt-image-1.5-edit": document(
            {"request_id": "r-1", "status": "QUEUED"} if api == "v2" else {"output": f"{recorder.url}/hop"}
        ),
        "/v2/requests/r-1/status": document({"status": "COMPLETED"}),
        "/v2/requests/r-1": document(record),
        "/hop": http(b"", status="302 Found", more="Location: /result.png\r\n"),
        "/result.png": http(png()),
    }
    manifest = bench.write([job("mug", image_urls=[f"{recorder.url}/input.png", "in.png"])])
    flags = {"BATCH_EDITOR_API__VERSION": api, "BATCH_EDITOR_INPUTS__ALLOW_PRIVATE_LINKS": "true"}
    arguments = ("run", manifest, "-o", bench.out, "--base-url", recorder.base_url, "--check-inputs")
    assert (await bench.command(*arguments, environment=flags)).code == 0

    recorder.answer = b"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n"
    del recorder.answers[f"/{api}/gpt-image-1.5-edit"]
    settings = bench.settings(recorder.base_url, api__version=api, retry__max_attempts=1)
    await bench.run([job("lost")], recorder.base_url, api__version=api, retry__max_attempts=1)
    recorder.answer = document({"data": []})
    await reconcile(bench.out, settings, KEYS, say=print, clock=lambda: time.time() + 2000)

    paths = {seen.path.partition("?")[0] for seen in recorder.requests}
    if api == "v2":
        assert {"/v2/requests/r-1/status", "/v2/requests/r-1"} <= paths
    wanted = {"/input.png", "/upload-asset", f"/{api}/gpt-image-1.5-edit", "/result.png"}
    assert wanted | {"/inference-request/request-history"} <= paths
    assert {seen.headers.get("user-agent") for seen in recorder.requests} == {f"batch_editor/{version('batch_editor')}"}
