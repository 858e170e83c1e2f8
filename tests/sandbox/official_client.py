"""What somebody's script does with the provider's own package: every call that the sandbox serves, as it is installed.

Run with the path of an image; prints what came of it as JSON. Nothing here knows of the sandbox.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import segmind
from segmind import InferenceFailed, SegmindError

MODEL = "gpt-image-1.5-edit"


def asked(prompt: str, link: str) -> dict[str, Any]:
    return {"prompt": prompt, "image_urls": [link], "mask": None, "size": "1024x1024", "quality": "low"}


def refused(call: Any, *arguments: Any, **named: Any) -> list[Any]:
    """The status and the text of what a call is refused with."""
    try:
        call(*arguments, **named)
    except SegmindError as error:
        return [type(error).__name__, error.status, error.detail]
    return ["not refused"]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main(picture: Path) -> dict[str, Any]:
    client = segmind.SegmindClient()
    said: dict[str, Any] = {}

    [link] = client.files.upload(str(picture))["file_urls"]
    said["uploaded"] = sha256(httpx.get(link).content) == sha256(picture.read_bytes())

    answer = client.run_sync(MODEL, **asked("v1", link))
    said["run_sync"] = [answer.status_code, answer.headers["content-type"], answer.headers["x-cost"]]

    done = client.run(MODEL, **asked("v2", link))
    said["run"] = [done["status"], done["metrics"]["cost"], httpx.get(done["output"]).content[:4].hex()]

    job = client.submit_async(MODEL, **asked("submitted", link))
    said["status"] = job.status()["status"] in ("QUEUED", "PROCESSING")
    result = job.wait(timeout=30, interval=0.05)
    said["wait"] = [result["status"], result["request_id"] == job.request_id, job.result() == result]

    said["failed"] = refused(client.run, MODEL, **asked("a failing one", link))
    assert issubclass(InferenceFailed, SegmindError)

    page = client.generations.history(per_page=100, sort_order="asc")
    said["history"] = [[row["request_body"]["prompt"], row["model_status"]] for row in page["data"]]
    said["asked for"] = [
        len(client.generations.history(**query)["data"])
        for query in (
            {"status": "FAILED"},
            {"model_name": "gpt-image"},
            {"user_id": "3f2f6b1e-7d7c-4c55-9a53-0d1a5e0f6f11"},
            {"user_email": "somebody@example.com"},
            {"page": 2, "per_page": 3, "sort_by": "credits_deduction"},
            {"from_date": "2020-01-01", "to_date": "2020-01-31"},
        )
    ]
    said["get"] = client.generations.get(job.request_id) == page["data"][2]
    said["get failed"] = client.generations.get(page["data"][3]["request_id"])["error"]

    said["no such request"] = refused(client.generations.get, "no/such id")
    said["no such model"] = refused(client.run_sync, "no-such-model", prompt="x")
    said["bad parameter"] = refused(client.run_sync, MODEL, **asked("", link))
    said["bad key"] = refused(segmind.SegmindClient(api_key="SG_wrong").run, MODEL, **asked("x", link))
    said["inline"] = client.run_sync(
        MODEL, **asked("inline", f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}")
    ).status_code
    return said


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
