"""What was rejected and made again: the new picture beside the former one, with what was said of each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from batch_editor.sandbox import Sandbox
from tests.support.bench import Bench, job, sandbox, with_options
from tests.support.page import Page, reviewed

MUG, LAMP = job("mug"), job("lamp")


async def reject(page: Page, job_id: str, note: str | None) -> dict[str, Any]:
    """The job as it was rejected."""
    found: dict[str, Any] = await page.job(job_id)
    picture = {"fingerprint": found["fingerprint"], "sha256": found["sha256"]}
    await page.post("/api/verdicts", {"pictures": [picture], "verdict": "rejected", "note": note})
    return found


@asynccontextmanager
async def reviewed_after(bench: Bench, provider: Sandbox) -> AsyncIterator[Page]:
    """A page of the two jobs, which are done first."""
    await bench.run([MUG, LAMP], provider)
    async with reviewed(bench.out) as page:
        yield page


async def redo(bench: Bench, provider: Sandbox) -> None:
    await bench.run([MUG, LAMP], provider, options=with_options(redo={"rejected"}))


async def test_the_new_picture_has_no_verdict_and_the_former_one_keeps_its_own(bench: Bench) -> None:
    async with sandbox() as provider, reviewed_after(bench, provider) as page:
        before = await reject(page, "mug", "keep the handle")
        await redo(bench, provider)
    async with reviewed(bench.out) as page:
        found = await page.job("mug")
        assert (found["status"], found["verdict"], found["note"], found["redo"]) == ("succeeded", None, None, None)
        assert found["fingerprint"] == before["fingerprint"]
        assert found["sha256"] != before["sha256"]
        (former,) = found["former"]
        assert (former["sha256"], former["verdict"], former["note"], former["label"]) == (
            *(before["sha256"], "rejected", "keep the handle", "Before it was made again"),
        )
        assert (found["redone"], (await page.job("lamp"))["redone"]) == (1, 0)
        for path in (former["url"], former["thumb"], found["image"], found["thumb"]):
            assert (await page.ask(path)).status == 200


async def test_what_was_sent_is_told_beside_what_the_manifest_says(bench: Bench) -> None:
    async with sandbox() as provider, reviewed_after(bench, provider) as page:
        await reject(page, "mug", "keep the handle")
        await redo(bench, provider)
    async with reviewed(bench.out) as page:
        found = await page.job("mug")
        assert (found["prompt"], found["sent_prompt"]) == ("edit mug", "edit mug\n\nkeep the handle")
        assert [attempt["redo_prompt"] for attempt in found["attempts"]] == [None, "edit mug\n\nkeep the handle"]
        other = await page.job("lamp")
        assert other["prompt"] == other["sent_prompt"] == "edit lamp"


async def test_a_job_that_was_made_again_cost_both(bench: Bench) -> None:
    async with sandbox() as provider, reviewed_after(bench, provider) as page:
        before = await reject(page, "mug", None)
        await redo(bench, provider)
        async with reviewed(bench.out) as again:
            found = await again.job("mug")
            money = (await again.get("/api/overview"))["money"]
        assert found["cost_usd"] == 2 * before["cost_usd"]
        assert round(money["actual_usd"], 6) == round(provider.books.billed_usd, 6)


async def test_a_redo_that_fails_is_told_and_the_rejected_picture_stays(bench: Bench) -> None:
    async with sandbox() as provider, reviewed_after(bench, provider) as page:
        before = await reject(page, "mug", "keep the handle")
    async with sandbox(faults=("400",)) as refusing:
        await redo(bench, refusing)
    async with reviewed(bench.out) as page:
        found = await page.job("mug")
        assert (found["status"], found["verdict"], found["sha256"]) == ("succeeded", "rejected", before["sha256"])
        assert (found["redo"]["state"], found["redo"]["error_kind"]) == ("failed", "invalid_parameter")
        assert found["former"] == []
        assert (await page.ask(found["image"])).status == 200
