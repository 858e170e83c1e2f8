"""The sandbox's v2: an id at once, the image later, the charge at the job's end."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batch_editor.sandbox import body_sha256, read_stamp
from tests.support.sandbox_client import Bench, Reply, bench, body


async def submit(lab: Bench, fault: str | None = None, **changes: Any) -> Reply:
    headers = {"x-sandbox-fault": fault} if fault else {}
    return await lab.post("/v2/gpt-image-1.5-edit", json=body(**changes), headers=headers)


async def history(lab: Bench, **query: Any) -> Any:
    reply = await lab.get("/inference-request/request-history", params=query)
    assert reply.status == 200, reply.error
    return reply.json()


async def test_a_request_is_queued_then_completed_then_charged() -> None:
    async with bench(latency="0.4") as lab:
        said = (await submit(lab)).json()
        result = f"{lab.sandbox.url}/v2/requests/{said['request_id']}"
        assert (said["status"], said["poll_url"], said["response_url"]) == ("QUEUED", f"{result}/status", result)
        assert (await lab.get(said["status_url"])).json()["status"] in ("QUEUED", "PROCESSING")
        assert (await lab.get(result)).status == 404
        assert (lab.books.billed, lab.books.in_flight) == (0, 1)
        await lab.books.idle()
        assert (await lab.get(said["status_url"])).json()["status"] == "COMPLETED"
        done = (await lab.get(result)).json()
        assert (done["status"], done["metrics"]["cost"]) == ("COMPLETED", 0.2388)
        [image] = done["images"]
        assert image["url"] == done["output"]
        fetched = await lab.get(done["output"], key=None)
        assert len(fetched.data) == image["file_size"]
        assert read_stamp(io.BytesIO(fetched.data)) == body_sha256(body())
        assert (lab.books.billed_usd, lab.books.requests, lab.books.key_leaks) == (0.2388, 1, 0)


async def test_an_output_link_refuses_the_key_and_books_it() -> None:
    async with bench() as lab:
        said = (await submit(lab)).json()
        await lab.books.idle()
        output = (await lab.get(said["response_url"])).json()["output"]
        assert (await lab.get(output)).status == 400
        assert lab.books.key_leaks == 1


async def test_v2_checks_as_v1_does() -> None:
    async with bench(key="SG_0123456789abcdef") as lab:
        assert (await submit(lab, prompt="")).error == "prompt is empty"
        assert (await lab.post("/v2/nothing", json=body())).status == 404
        assert (await lab.get("/v2/gpt-image-1.5-edit")).status == 405
        said = (await submit(lab)).json()
        assert (await lab.get(said["status_url"], key="SG_wrong")).status == 401
        assert (await lab.get("/inference-request/request-history", key=None)).status == 401


async def test_a_failed_job_is_a_422_with_a_body_and_not_charged() -> None:
    async with bench() as lab:
        said = (await submit(lab, "failed:text=no mug in sight")).json()
        await lab.books.idle()
        for link in (said["status_url"], said["response_url"]):
            reply = await lab.get(link)
            assert (reply.status, reply.json()["status"], reply.error) == (422, "FAILED", "no mug in sight")
        assert lab.books.billed == 0


async def test_a_record_is_forgotten_and_its_output_is_not() -> None:
    async with bench(record_s=0.2) as lab:
        said = (await submit(lab)).json()
        await lab.books.idle()
        output = (await lab.get(said["response_url"])).json()["output"]
        await asyncio.sleep(0.3)
        assert (await lab.get(said["status_url"])).status == 404
        assert (await lab.get(output, key=None)).status == 200


async def test_faults_of_a_submission_leave_its_job_alone() -> None:
    async with bench() as lab:
        assert (await submit(lab, "502:billed=1")).status == 502
        assert (await submit(lab, "502", prompt="other")).status == 502
        assert (await submit(lab, "html", prompt="third")).headers["Content-Type"].startswith("text/html")
        await lab.books.idle()
        assert (lab.books.requests, lab.books.billed) == (3, 2)
        assert [row["model_status"] for row in (await history(lab))["data"]] == ["COMPLETED", "COMPLETED"]


async def test_faults_of_polls_count_by_request() -> None:
    async with bench(faults=("poll-503:first=2",)) as lab:
        said = (await submit(lab)).json()
        await lab.books.idle()
        assert [(await lab.get(said["status_url"])).status for _ in range(3)] == [503, 503, 200]
        assert len(lab.books.polled_at) == 3


async def test_the_history_lists_v1_and_v2_with_what_was_sent_and_charged() -> None:
    async with bench() as lab:
        await lab.edit(prompt="first")
        await submit(lab, "failed", prompt="second")
        await lab.edit("400", prompt="third")
        await lab.books.idle()
        second, first = (await history(lab))["data"]
        assert (first["request_body"], first["credits_deduction"]) == (body(prompt="first"), 0.2388)
        assert (second["model_status"], second["credits_deduction"]) == ("FAILED", 0.0)
        image = await lab.get(first["generation_url"], key=None)
        assert read_stamp(io.BytesIO(image.data)) == body_sha256(body(prompt="first"))
        assert (await history(lab, model_name="gpt-image", status="FAILED"))["data"] == [second]


async def test_the_history_may_be_of_a_user_and_sorted_by_what_was_charged() -> None:
    async with bench() as lab:
        await lab.edit(prompt="cheap", quality="low")
        await lab.edit(prompt="dear", quality="high")
        await submit(lab, "failed", prompt="free")
        await lab.books.idle()

        async def prompts(**query: str) -> list[str]:
            return [row["request_body"]["prompt"] for row in (await history(lab, **query))["data"]]

        assert await prompts(user_email="somebody@example.com") == ["free", "dear", "cheap"]
        assert await prompts(user_id="3f2f6b1e-7d7c-4c55-9a53-0d1a5e0f6f11", sort_order="asc") == [
            "cheap",
            "dear",
            "free",
        ]
        assert await prompts(sort_by="credits_deduction") == ["dear", "cheap", "free"]
        assert await prompts(sort_by="credits_deduction", sort_order="asc") == ["free", "cheap", "dear"]


async def test_the_history_gives_one_request_by_its_id_however_old_it_is() -> None:
    async with bench(record_s=0.0, key="SG_0123456789abcdef") as lab:
        await lab.edit(prompt="first")
        said = (await submit(lab, "failed", prompt="second")).json()
        await lab.books.idle()
        second, first = (await history(lab))["data"]
        at = "/inference-request/request-history/"
        assert (await lab.get(f"/v2/requests/{said['request_id']}")).status == 404
        assert (await lab.get(at + said["request_id"])).json() == second
        assert (await lab.get(at + first["request_id"])).json() == first
        assert ((await lab.get(f"{at}no-such-id")).status, (await lab.get(at + "a%2Fb")).status) == (404, 404)
        assert (await lab.get(at + first["request_id"], key=None)).status == 401


async def test_the_history_has_pages_days_and_a_row_an_output() -> None:
    async with bench(history_rows=2) as lab:
        for number in range(3):
            await lab.edit(prompt=f"{number}")
        pages = [(await history(lab, page=page, per_page=4, sort_order="asc"))["data"] for page in (1, 2, 3)]
        assert [row["request_body"]["prompt"] for page in pages for row in page] == ["0", "0", "1", "1", "2", "2"]
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
        assert (await history(lab, from_date=str(tomorrow), to_date=str(tomorrow)))["data"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-11-22"},
        {"per_page": "101"},
        {"page": "0"},
        {"from_date": "yesterday"},
        {"from_date": "2026-01-01", "to_date": "2026-03-01"},
        {"status": "DONE"},
        {"sort_by": "prompt"},
        {"sort_order": "up"},
        {"user_id": "3f2f6b1e-7d7c-4c55-9a53-0d1a5e0f6f11", "user_email": "somebody@example.com"},
    ],
)
async def test_the_history_is_as_strict_as_the_provider(query: dict[str, str]) -> None:
    async with bench() as lab:
        assert (await lab.get("/inference-request/request-history", params=query)).status == 400
