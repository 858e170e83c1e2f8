"""Finished files on a job's page: their checks, and the files themselves."""

from __future__ import annotations

import hashlib

from tests.support.bench import Bench, job, sandbox
from tests.support.page import reviewed


async def test_a_job_s_page_shows_its_finished_files_with_their_checks_and_the_files(bench: Bench) -> None:
    (bench.folder / "shop.yaml").write_text("makes: {size: 8x8, format: webp}\nchecks: {square: true, name: 'x.*'}\n")
    wanted = [job("red mug/1", finish=["./shop.yaml"]), job("broken", finish={"web": {"size": "4x4"}}), job("none")]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
    (bench.images / "broken.png").write_bytes(b"no picture any more")
    (bench.out / "finished" / "web" / "broken.png").unlink()
    assert (await bench.command("finish", bench.out)).code == 1
    async with reviewed(bench.out) as page:
        (found,) = (await page.get("/api/jobs/red%20mug%2F1"))["finished"]
        path = bench.out / bench.row("red mug/1")["finished"]
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        checks = {check["rule"]: check for check in found.pop("checks")}
        assert found == {
            "name": "shop",
            "url": f"/finished/shop/{sha256}/red%20mug/1",
            "path": path.relative_to(bench.out).as_posix(),
            "format": "webp",
            "width": 8,
            "height": 8,
            "bytes": path.stat().st_size,
            "fault": None,
            "notes": [],
        }
        assert checks["square"]["ok"]
        assert (checks["name"]["ok"], checks["name"]["got"]) == (False, path.name)
        assert tuple(await page.ask(found["url"]))[::2] == (200, path.read_bytes())
        (broken,) = (await page.get("/api/jobs/broken"))["finished"]
        assert (broken["url"], broken["path"], broken["checks"]) == (None, None, [])
        assert broken["fault"]
        assert (await page.get("/api/jobs/none"))["finished"] == []
        # What the ledger doesn't name isn't given: another job's, another content, a file that somebody changed.
        for url in (f"/finished/shop/{sha256}/broken", f"/finished/web/{sha256}/red%20mug/1", "/finished/shop/x/none"):
            assert (await page.ask(url)).status == 404
        path.write_bytes(b"something else")
        assert (await page.ask(found["url"])).status == 404
