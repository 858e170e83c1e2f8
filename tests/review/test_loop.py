"""Nothing that pages ask for blocks the server's loop: one slow answer would hold up all others."""

from __future__ import annotations

from blockbuster import blockbuster_ctx

import batch_editor
from tests.support.made_output import MadeOutput
from tests.support.page import reviewed


async def test_no_answer_blocks_the_loop(made: MadeOutput) -> None:
    async with reviewed(made.path) as page:
        with blockbuster_ctx(batch_editor):
            for path in ("/", "/job/x", "/nothing", "/api/overview", "/api/grid", "/api/changes", "/static/x/y.js"):
                assert (await page.ask(path)).status in (200, 404), path
            for job_id in ("B00010-beach", "single-0"):
                job = await page.job(job_id)
                former = [path for each in job["former"] for path in (each["url"], each["thumb"])]
                inputs = [path for each in job["inputs"] for path in (each["url"], each["thumb"])]
                for path in [job["image"], job["thumb"], *former, *inputs]:
                    assert (await page.ask(path)).status == 200, path
            picture = {"fingerprint": job["fingerprint"], "sha256": job["sha256"]}
            said = await page.post("/api/verdicts", {"pictures": [picture], "verdict": "approved"})
            await page.post("/api/undo", {"batch": said["batch"]})
            await page.post("/api/verdicts", {"filter": "status=failed", "expect": 1, "verdict": None}, status=409)
