"""What people say: kept with who and when, of one or many pictures, taken back, and never lost between two browsers."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from batch_editor.errors import UsageError, VerdictsError
from batch_editor.review.server import Review, ReviewOptions
from batch_editor.verdicts import Picture, read_verdicts
from tests.support.bench import UTC_TIME
from tests.support.made_output import MadeOutput
from tests.support.page import Page, reviewed


def picture(card: dict[str, Any]) -> dict[str, str]:
    return {"fingerprint": card["fingerprint"], "sha256": card["sha256"]}


async def test_a_verdict_is_kept_with_who_and_when(made: MadeOutput, page: Page) -> None:
    card = (await page.jobs())[0]
    before = (await page.get("/api/overview"))["version"]
    answer = await page.post("/api/verdicts", {"pictures": [picture(card)], "verdict": "approved", "note": "crisp"})
    assert answer["changed"] == 1
    assert answer["version"] != before
    judged = (await page.jobs())[0]
    assert (judged["verdict"], judged["note"], judged["by"]) == ("approved", "crisp", "ann")
    assert UTC_TIME.fullmatch(judged["at"])
    (kept,) = read_verdicts(made.path).items()
    assert (kept[0], kept[1].verdict, kept[1].note) == (Picture(**picture(card)), "approved", "crisp")
    assert stat.S_IMODE((made.path / "verdicts.sqlite3").stat().st_mode) & 0o007 == 0


async def test_what_is_not_said_stays_as_it_is(page: Page) -> None:
    card = (await page.jobs())[0]
    for said in ({"verdict": "rejected", "note": "the handle"}, {"verdict": "approved"}, {"note": None}):
        await page.post("/api/verdicts", {"pictures": [picture(card)], **said})
    judged = (await page.jobs())[0]
    assert (judged["verdict"], judged["note"]) == ("approved", None)
    await page.post("/api/verdicts", {"pictures": [picture(card)], "verdict": None})
    assert (await page.jobs())[0]["verdict"] is None


async def test_nothing_is_written_before_the_first_verdict(made: MadeOutput, page: Page) -> None:
    await page.get("/api/overview")
    await page.job("B00000-beach")
    assert not (made.path / "verdicts.sqlite3").exists()


async def test_verdicts_can_be_filtered_by_and_are_counted(page: Page) -> None:
    cards = [card for card in await page.jobs("?limit=1000") if card["sha256"]]
    await page.post("/api/verdicts", {"pictures": [picture(card) for card in cards[:5]], "verdict": "approved"})
    await page.post("/api/verdicts", {"pictures": [picture(card) for card in cards[5:8]], "verdict": "rejected"})
    await page.post("/api/verdicts", {"pictures": [picture(cards[9])], "note": "look at the shadow"})
    assert (await page.get("/api/overview"))["verdicts"] == {"approved": 5, "rejected": 3, "none": len(cards) - 8}
    ids = [card["job_id"] for card in cards]
    for query, wanted in (
        ("verdict=approved", ids[:5]),
        ("verdict=rejected", ids[5:8]),
        ("verdict=rejected&verdict=approved", ids[:8]),
        ("verdict=none", ids[8:]),  # those without a picture match no verdict
        ("q=SHADOW", [ids[9]]),
    ):
        assert [card["job_id"] for card in await page.jobs(f"?limit=1000&{query}")] == wanted


async def test_a_whole_filter_is_judged_at_once_and_its_count_confirmed(page: Page) -> None:
    found = await page.get("/api/jobs?row.scene=studio")
    assert found["pictures"] < found["total"] == 33
    said = {"filter": "row.scene=studio", "expect": found["pictures"], "verdict": "approved"}
    assert (await page.post("/api/verdicts", said))["changed"] == found["pictures"]
    approved = await page.get("/api/jobs?verdict=approved")
    assert approved["total"] == found["pictures"]


async def test_a_filter_whose_count_has_changed_is_not_judged(made: MadeOutput, page: Page) -> None:
    found = await page.get("/api/jobs?row.scene=studio")
    said = {"filter": "?row.scene=studio", "expect": found["pictures"] + 1, "verdict": "approved"}
    answer = await page.post("/api/verdicts", said, status=409)
    assert answer == {"error": "the pictures of that filter have changed", "count": found["pictures"]}
    assert read_verdicts(made.path) == {}


async def test_a_batch_is_taken_back_whole_but_for_what_was_said_since(page: Page) -> None:
    one, two, three = (await page.jobs())[:3]
    batch = await page.post("/api/verdicts", {"pictures": [picture(one), picture(two)], "verdict": "rejected"})
    await page.post("/api/verdicts", {"pictures": [picture(two), picture(three)], "verdict": "approved"})
    undone = await page.post("/api/undo", {"batch": batch["batch"]})
    assert undone["pictures"] == [picture(one)]
    assert [card["verdict"] for card in (await page.jobs())[:3]] == [None, "approved", "approved"]
    assert undone["version"] == (await page.get("/api/overview"))["version"]


async def test_two_servers_lose_nothing_of_one_another_s(made: MadeOutput) -> None:
    async with reviewed(made.path, by="ann") as ann, reviewed(made.path, by="bob") as bob:
        cards = [card for card in await ann.jobs("?limit=1000") if card["sha256"]]

        async def judge(page: Page, verdict: str, own: list[dict[str, Any]]) -> None:
            for card in own:
                await page.post("/api/verdicts", {"pictures": [picture(card)], "verdict": verdict})

        half = len(cards) // 2
        await asyncio.gather(judge(ann, "approved", cards[:half]), judge(bob, "rejected", cards[half:]))
        for page in (ann, bob):
            # Each hears of what the other has been told, a second later.
            async with asyncio.timeout(20):
                while (await page.get("/api/overview"))["verdicts"]["none"]:  # noqa: ASYNC110  # as pages do
                    await asyncio.sleep(0.1)
            judged = [card for card in await page.jobs("?limit=1000") if card["sha256"]]
            assert [(card["verdict"], card["by"]) for card in judged] == [("approved", "ann")] * half + [
                ("rejected", "bob")
            ] * (len(cards) - half)


async def test_a_page_hears_that_something_has_changed(page: Page) -> None:
    version = (await page.get("/api/overview"))["version"]
    assert await page.get(f"/api/changes?since={version}") == {"version": version, "changed": False}
    card = (await page.jobs())[0]
    newer = (await page.post("/api/verdicts", {"pictures": [picture(card)], "verdict": "approved"}))["version"]
    assert await page.get(f"/api/changes?since={version}") == {"version": newer, "changed": True}


@pytest.mark.parametrize(
    "said",
    [
        {"verdict": "approved"},
        {"pictures": [], "verdict": "approved"},
        {"pictures": [{}], "verdict": "approved"},
        {"pictures": "all", "verdict": "approved"},
        {"filter": "status=failed", "verdict": "approved"},
        {"filter": 3, "expect": 3, "verdict": "approved"},
        {"filter": "colour=red", "expect": 3, "verdict": "approved"},
    ],
    ids=str,
)
async def test_a_verdict_of_nothing_is_refused(made: MadeOutput, page: Page, said: dict[str, Any]) -> None:
    await page.post("/api/verdicts", said, status=400)
    assert read_verdicts(made.path) == {}


@pytest.mark.parametrize("verdict", ["good", "Approved", 1, True, [], {}])
async def test_another_verdict_is_refused(page: Page, verdict: Any) -> None:
    card = (await page.jobs())[0]
    answer = await page.post("/api/verdicts", {"pictures": [picture(card)], "verdict": verdict}, status=400)
    assert answer["error"] == f"verdict is {verdict!r}; expected approved, rejected or null"


@pytest.mark.parametrize(
    "note", ["x" * 4001, "a\x00b", "\x1b[31m", 3, ["a"]], ids=["long", "nul", "escape", "3", "list"]
)
async def test_a_note_that_is_none_is_refused(made: MadeOutput, page: Page, note: Any) -> None:
    card = (await page.jobs())[0]
    await page.post("/api/verdicts", {"pictures": [picture(card)], "note": note}, status=400)
    assert read_verdicts(made.path) == {}


async def test_a_picture_that_the_ledger_does_not_know_is_not_judged(made: MadeOutput, page: Page) -> None:
    one, two = (await page.jobs())[:2]
    mixed = {"fingerprint": one["fingerprint"], "sha256": two["sha256"]}
    said = {"pictures": [picture(one), mixed], "verdict": "approved"}
    answer = await page.post("/api/verdicts", said, status=409)
    assert answer["error"] == "there is no such picture any more; load the page again"
    assert read_verdicts(made.path) == {}


async def test_a_former_picture_has_a_verdict_of_its_own(page: Page) -> None:
    job = await page.job("B00010-beach")
    former = picture(job["former"][0])
    await page.post("/api/verdicts", {"pictures": [former], "verdict": "rejected", "note": "too dark"})
    job = await page.job("B00010-beach")
    assert (job["verdict"], job["former"][0]["verdict"], job["former"][0]["note"]) == (None, "rejected", "too dark")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 201])
async def test_a_name_that_is_none_is_refused_at_the_start(made: MadeOutput, name: str) -> None:
    with pytest.raises(UsageError, match=r"^the name of who gives verdicts is "):
        Review(ReviewOptions(made.path, name))


async def test_a_file_of_verdicts_that_can_not_be_written_is_said(made: MadeOutput) -> None:
    """Something stands in its place; what is shown stays as it was."""
    async with reviewed(made.path) as page:
        card = (await page.jobs())[0]
        (made.path / "verdicts.sqlite3").mkdir()
        headers = {"Origin": page.origin, "Content-Type": "application/json"}
        data = json.dumps({"pictures": [picture(card)], "verdict": "approved"}).encode()
        answer = await page.ask("/api/verdicts", method="POST", data=data, headers=headers)
        assert answer.status == 503
        assert "the verdicts can't be used (a folder; expected a file)" in json.loads(answer.body)["error"]


async def test_verdicts_that_can_not_be_read_are_said_at_the_start(made: MadeOutput, tmp_path: Path) -> None:
    """Whoever saw none would give them all again. A link is not followed."""
    elsewhere = tmp_path / "elsewhere"
    (made.path / "verdicts.sqlite3").symlink_to(elsewhere)
    with pytest.raises(VerdictsError, match=r"the verdicts can't be used \(a link; expected a file\)"):
        async with Review(ReviewOptions(made.path, "ann")):
            pass
    assert not elsewhere.exists()
