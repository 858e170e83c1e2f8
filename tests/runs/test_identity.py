"""A job whose links are renewed is known by its `identity`, and what was done before is done."""

from __future__ import annotations

from typing import Any

import pytest

from batch_editor import ManifestError, Settings, make_plan
from batch_editor.recovery.rebuild import rebuild
from tests.support.bench import Bench, sandbox
from tests.support.bench import job as job_of


def job(sku: str, night: int, **more: Any) -> dict[str, Any]:
    """A job whose link has a token that nobody knows, other ones each night."""
    return job_of(f"job-{sku}", image_urls=[f"http://127.0.0.1:9/{sku}.png?t={night}"], **more)


def planned(bench: Bench, jobs: list[dict[str, Any]]) -> int:
    """How many requests a run would send."""
    return make_plan([bench.write(jobs)], Settings(), output=bench.out).requests


def night(number: int, *, identity: bool, **more: Any) -> list[dict[str, Any]]:
    named = [{"identity": f"pic-{sku}"} if identity else {} for sku in "abc"]
    return [job(sku, number, **name, **more) for sku, name in zip("abc", named, strict=True)]


@pytest.mark.slow
async def test_without_an_identity_renewed_links_are_bought_again_and_the_plan_says_what_helps(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(night(1, identity=False), provider)
        planned = await bench.command("plan", str(bench.write(night(2, identity=False))), "-o", "out", key=None)
        assert (
            "  3 jobs changed in their links alone; if these are the same pictures under other links, name them by what"
            " stays the same, such as identity: '{{ sku }}'"
        ) in planned.out.splitlines()
        await bench.run(night(2, identity=False), provider)
        assert provider.books.requests == 6


@pytest.mark.parametrize("rebuilt", [False, True])
async def test_with_an_identity_renewed_links_are_the_same_picture(bench: Bench, rebuilt: bool) -> None:
    async with sandbox() as provider:
        await bench.run(night(1, identity=True), provider)
        if rebuilt:
            (bench.out / "ledger.sqlite3").unlink()
            rebuild(bench.out)
        await bench.run(night(2, identity=True), provider)
        assert provider.books.requests == 3
        await bench.run(night(3, identity=True, quality="medium"), provider)
        assert provider.books.requests == 6


@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.slow
async def test_an_identity_that_is_added_keeps_what_is_done_and_says_so(bench: Bench, links: int) -> None:
    async with sandbox() as provider:
        await bench.run(night(1, identity=False), provider)
        jobs = night(links, identity=True)
        planned = await bench.command("plan", str(bench.write(jobs)), "-o", "out", "--json", key=None)
        assert (planned.json["requests"], planned.json["identified"]) == (0, 3)
        shown = await bench.command("plan", "jobs.yaml", "-o", "out", key=None)
        assert "  3 done jobs are known by their identity from now on, and keep their images" in shown.out.splitlines()
        done = await bench.command(*bench.run_arguments(bench.write(jobs), provider))
        assert done.code == 0
        assert "3 done jobs are known by their identity from now on, and keep their images" in done.err.splitlines()
        # Once: from then on it is what they are known by.
        again = await bench.command(*bench.run_arguments(bench.write(night(3, identity=True)), provider))
        assert (again.code, "identity" in again.err) == (0, False)
        assert provider.books.requests == 3
        assert bench.files() == ["job-a.png", "job-b.png", "job-c.png"]


async def test_another_prompt_beside_a_new_identity_is_another_picture(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("a", 1)], provider)
        await bench.run([job("a", 1, identity="pic-a", prompt="another")], provider)
        assert provider.books.requests == 2


async def test_an_identity_that_is_taken_away_keeps_what_is_done_while_the_links_are_the_same(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(night(1, identity=True), provider)
        await bench.run(night(1, identity=False), provider)
        assert provider.books.requests == 3
        await bench.run(night(2, identity=False), provider)
        assert provider.books.requests == 6


async def test_jobs_that_shared_an_image_keep_it_each_under_an_identity_of_its_own(bench: Bench) -> None:
    async with sandbox() as provider:
        same = [job_of("a", "same"), job_of("b", "same")]
        await bench.run(same, provider)
        assert provider.books.requests == 1
        own = [{**each, "identity": each["id"]} for each in same]
        summary = await bench.run(own, provider)
        assert (provider.books.requests, summary.exit_code, summary.jobs.reused) == (1, 0, 0)
        assert bench.files() == ["a.png", "b.png"]
        assert summary.cost.actual == pytest.approx(provider.books.billed_usd)
        assert (await bench.run(own, provider)).exit_code == 0
    assert provider.books.requests == 1


async def test_one_of_two_that_shared_an_image_may_get_an_identity(bench: Bench) -> None:
    async with sandbox() as provider:
        a, b = job_of("a", "same"), job_of("b", "same")
        await bench.run([a, b], provider)
        await bench.run([{**a, "identity": "cup"}, b], provider)
        await bench.run([{**a, "identity": "cup"}, b], provider)
    assert provider.books.requests == 1
    assert bench.statuses() == {"a": "succeeded", "b": "succeeded"}


async def test_two_pictures_under_one_identity_are_a_fault_that_names_both(bench: Bench) -> None:
    async with sandbox() as provider:
        jobs = [job_of(f"job-{n}", "same", image_urls=[f"http://127.0.0.1:9/{n}.png"], identity="cup") for n in "ab"]
        with pytest.raises(ManifestError) as caught:
            await bench.run(jobs, provider)
        assert str(caught.value) == (
            f"{bench.folder}/jobs.yaml:15: identity 'cup' of job job-b is that of job job-a at"
            f" {bench.folder}/jobs.yaml:7, which has other links; expected an identity for each picture"
        )
        # The same link under another token of a known service, or another request, is none.
        discord = [f"https://cdn.discordapp.com/attachments/1/2/cup.png?ex={n}&is={n}&hm={n}" for n in (1, 2)]
        jobs = [job_of(f"job-{n}", "same", image_urls=[link], identity="cup") for n, link in enumerate(discord)]
        assert planned(bench, jobs) == 1
        jobs = [job_of(f"job-{n}", image_urls=[f"http://127.0.0.1:9/{n}.png"], identity="cup") for n in "ab"]
        assert planned(bench, jobs) == 2
