"""`inputs.track`: a picture that changed behind the same link makes its job a changed one."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batch_editor import BatchOptions, Selection, Summary, UsageError
from batch_editor.output import input_key, place_in_cache
from batch_editor.recovery.rebuild import rebuild
from batch_editor.sandbox import Sandbox
from batch_editor.verdicts import FILE_NAME as VERDICTS
from batch_editor.verdicts import Picture, Verdicts
from tests.support.bench import LOW_USD, Bench, Job, job, sandbox, with_options
from tests.support.picture_server import picture
from tests.support.tracked_host import Kind, TrackedHost


@pytest.fixture
async def host() -> AsyncIterator[TrackedHost]:
    async with TrackedHost() as host:
        yield host


@pytest.fixture
async def provider() -> AsyncIterator[Sandbox]:
    async with sandbox() as provider:
        yield provider


async def night(bench: Bench, jobs: list[Job] | Path, provider: Sandbox, by: str = "etag", **more: Any) -> Summary:
    """A run that asks the links; those of a test are at addresses of this machine."""
    return await bench.run(jobs, provider, inputs__track=by, inputs__allow_private_links=True, **more)


async def bought(bench: Bench, jobs: list[Job] | Path, provider: Sandbox, by: str = "etag", **more: Any) -> int:
    """How many requests a night sends."""
    before = provider.books.requests
    await night(bench, jobs, provider, by, **more)
    return int(provider.books.requests - before)


def contents(bench: Bench) -> dict[str, str | None]:
    """What is recorded of each job's request."""
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db:
        return dict(db.execute("SELECT jobs.job_id, contents FROM jobs JOIN requests USING (fingerprint)"))


@pytest.mark.parametrize(
    ("kind", "by", "steady", "changed"),
    [
        ("etags", "etag", [(304, 0)] * 3, [200, 304, 304]),
        ("weak", "etag", [(304, 0)] * 3, [200, 304, 304]),
        ("dates", "etag", [(304, 0)] * 3, [200, 304, 304]),
        ("deaf", "etag", [(200, 109)] * 3, [200, 200, 200]),
        ("renewed", "etag", [(200, 109)] * 3, [200, 200, 200]),
        ("none", "etag", [(200, 109)] * 3, [200, 200, 200]),
        ("etags", "content", [(200, 109)] * 3, [200, 200, 200]),
    ],
)
async def test_a_picture_that_changes_behind_its_link_is_made_again_once(
    bench: Bench, provider: Sandbox, kind: Kind, by: str, steady: list[Any], changed: list[int]
) -> None:
    async with TrackedHost(kind) as host:
        jobs = [job(name, image_urls=[host.put(name)]) for name in "abc"]
        assert await bought(bench, jobs, provider, by) == 3
        assert host.asked == []  # they are new, and sent anyway
        assert await bought(bench, jobs, provider, by) == 0  # the first night records
        assert [(each.etag, each.since) for each in host.asked] == [(None, None)] * 3
        host.forget()
        assert await bought(bench, jobs, provider, by) == 0
        assert [(each.status, each.size) for each in host.asked] == steady
        before = bench.row("b")["sha256"]
        host.forget()
        host.change("b", 120)
        await asyncio.sleep(0.2)  # for so long the sandbox keeps what it fetched
        summary = await night(bench, jobs, provider, by)
        assert (provider.books.requests, host.statuses) == (4, changed)
        assert summary.changes is not None
        assert str(summary.changes) == "new 0, changed 1 (1 in the pictures behind their links), unchanged 2, gone 0"
        assert (summary.exit_code, summary.sent, summary.retried) == (0, 1, 0)
        assert summary.cost.actual == pytest.approx(provider.books.billed_usd)
        assert bench.row("b")["sha256"] != before
        assert bench.files() == [f".history/b.{before[:12]}.png", "a.png", "b.png", "c.png"]
        for _ in range(2):
            assert await bought(bench, jobs, provider, by) == 0


async def test_a_link_of_many_jobs_is_asked_once_at_a_polite_pace(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    links = [host.put(f"p{n}") for n in range(12)]
    jobs = [job(f"job-{n}-{m}", image_urls=[link]) for n, link in enumerate(links) for m in range(5)]
    await night(bench, jobs, provider)
    host.slow_s = 0.3
    await night(bench, jobs, provider)
    assert (len(host.asked), host.most_at_once) == (12, 4)
    host.change("p3", 120)
    summary = await night(bench, jobs, provider)
    assert (len(host.asked), provider.books.requests) == (24, 65)
    assert summary.changes is not None
    assert summary.changes.behind_links == 5


async def test_each_input_of_a_job_counts_also_its_mask(bench: Bench, host: TrackedHost, provider: Sandbox) -> None:
    host.put_mask("mask")
    links = [host.put("one"), host.put("two")]
    jobs = [job("a", image_urls=links, mask=host.link("mask")), job("b", image_urls=links)]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    assert len(host.asked) == 3
    host.put_mask("mask", hole=30)
    assert await bought(bench, jobs, provider) == 1
    host.change("two", 120)
    assert await bought(bench, jobs, provider) == 2
    assert await bought(bench, jobs, provider) == 0


WARNED = "1 link of jobs made before gave no picture to compare, and counts as unchanged; for example {link} {fault}"


@pytest.mark.parametrize(
    ("status", "page", "fault"),
    [
        (404, None, "answers HTTP 404: there is nothing at this address"),
        (403, None, "answers HTTP 403: it isn't public, or its signature has ended"),
        (200, b"<html>Closed for maintenance", "answered a web page (text/html), not a picture"),
        (200, b"", "is empty"),
        (200, picture((300, 300))[:400], "is a PNG that was cut short: it ends after 400 bytes"),
    ],
    ids=["gone", "forbidden", "page", "empty", "half"],
)
async def test_a_link_that_gives_no_picture_counts_as_unchanged_and_is_warned_of(
    bench: Bench,
    host: TrackedHost,
    provider: Sandbox,
    capfd: pytest.CaptureFixture[str],
    status: int,
    page: bytes | None,
    fault: str,
) -> None:
    jobs = [job(name, image_urls=[host.put(name) + "?token=secret"]) for name in "ab"]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    known = contents(bench)
    if page is None:
        host.answers["a"] = status
    else:
        host.pages["a"] = page
    capfd.readouterr()
    summary = await night(bench, jobs, provider)
    assert (summary.exit_code, provider.books.requests, contents(bench)) == (0, 2, known)
    assert f"warning: {WARNED.format(link=host.link('a'), fault=fault)}" in capfd.readouterr().err.splitlines()
    # What is there when it can be asked again is compared with what the image was made of.
    host.answers.clear()
    host.pages.clear()
    assert await bought(bench, jobs, provider) == 0
    host.change("a", 120)
    assert await bought(bench, jobs, provider) == 1


async def test_a_host_that_is_gone_buys_nothing_and_loses_nothing(bench: Bench, provider: Sandbox) -> None:
    async with TrackedHost() as host:
        jobs = [job(name, image_urls=[host.put(name)]) for name in "ab"]
        await night(bench, jobs, provider)
        await night(bench, jobs, provider)
    assert await bought(bench, jobs, provider) == 0
    assert bench.statuses() == {"a": "succeeded", "b": "succeeded"}


async def test_a_redirect_is_followed_and_another_place_with_the_same_picture_is_no_change(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    host.put("one")
    host.put("two")
    host.moved["a"] = "/one"
    jobs = [job("a", image_urls=[host.link("a")])]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    host.moved["a"] = "/two"
    assert await bought(bench, jobs, provider) == 0
    host.change("two", 120)
    assert await bought(bench, jobs, provider) == 1


async def test_a_signed_link_is_asked_as_it_is_given_and_known_without_its_token(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    host.put("a")
    link = f"{host.link('a')}?X-Amz-Date=20261122T100000Z&X-Amz-Expires=900&X-Amz-Signature="
    await night(bench, [job("a", image_urls=[f"{link}n1"])], provider)
    for number in (2, 3):
        host.forget()
        assert await bought(bench, [job("a", image_urls=[f"{link}n{number}"])], provider) == 0
        assert [each.path.rpartition("=")[2] for each in host.asked] == [f"n{number}"]
    assert host.statuses == [304]
    host.change("a", 120)
    assert await bought(bench, [job("a", image_urls=[f"{link}n4"])], provider) == 1


async def test_an_identity_stands_for_links_and_another_picture_behind_them_is_a_change(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    host.put("a")

    def jobs(number: int) -> list[Job]:
        return [job("a", image_urls=[f"{host.link('a')}?t={number}"], identity="cup")]

    for number in range(3):
        await night(bench, jobs(number), provider)
    assert (provider.books.requests, host.statuses) == (1, [200, 200])
    host.change("a", 120)
    assert await bought(bench, jobs(3), provider) == 1
    assert await bought(bench, jobs(4), provider) == 0
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db:
        assert db.execute("SELECT count(*) FROM input_links").fetchone() == (1,)


async def test_only_the_links_of_chosen_jobs_are_asked(bench: Bench, host: TrackedHost, provider: Sandbox) -> None:
    jobs = [job(name, image_urls=[host.put(name)]) for name in "abc"]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    for name in "abc":
        host.change(name, 120)
    host.forget()
    assert await bought(bench, jobs, provider, options=with_options(selection=Selection(only=["b"]))) == 1
    assert await bought(bench, jobs, provider, options=with_options(selection=Selection(limit=1))) == 1
    assert sorted(each.path for each in host.asked) == ["a", "b"]
    assert await bought(bench, jobs, provider) == 1


async def test_a_plan_asks_nobody_and_says_what_a_run_asks_or_asks_with_check_inputs(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    jobs = bench.write([job(name, image_urls=[host.put(name)]) for name in "abc"])
    await night(bench, jobs, provider)
    shown = {"BATCH_EDITOR_INPUTS__TRACK": "etag", "BATCH_EDITOR_INPUTS__ALLOW_PRIVATE_LINKS": "true"}
    first = await bench.command("plan", jobs, "-o", "out", "--check-inputs", key=None, environment=shown)
    assert (first.code, host.asked) == (0, [])
    assert first.out.splitlines()[-3:-1] == [
        "Pictures behind links: 0 of 3 links of jobs made before asked, 0 jobs changed by them",
        "  the others are asked by a run, for the first time, which changes no job",
    ]
    await night(bench, jobs, provider)
    host.change("b", 120)
    host.answers["c"] = 404
    host.forget()
    unasked = await bench.command("plan", jobs, "-o", "out", key=None, environment=shown)
    assert host.asked == []
    assert unasked.out.splitlines()[-1] == (
        "Pictures behind links: a run asks 3 links of jobs made before whether another one is there"
        " (inputs.track: etag); --check-inputs asks now"
    )
    asked = await bench.command("plan", jobs, "-o", "out", "--check-inputs", "--json", key=None, environment=shown)
    fault = f"{host.link('c')} answers HTTP 404: there is nothing at this address"
    assert asked.json["tracked"] == {
        "by": "etag",
        "links": 3,
        "asked": 3,
        "unseen": 1,
        "example": fault,
        "jobs": 1,
    }
    assert (asked.json["requests"], asked.json["done"], asked.json["remade"]) == (1, 2, 1)
    assert asked.json["changes"]["behind_links"] == asked.json["changes"]["changed"] == 1
    assert f"warning: {WARNED.format(link=host.link('c'), fault=fault.partition(' ')[2])}" in asked.err.splitlines()
    before = contents(bench)
    assert await bought(bench, jobs, provider) == 1
    assert contents(bench)["b"] != before["b"]


@pytest.mark.slow
async def test_many_changed_pictures_are_asked_about_and_a_night_without_a_word_ends_with_2(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    jobs = [job(f"job-{n}", image_urls=[host.put(f"p{n}")]) for n in range(40)]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    for n in range(21):
        host.change(f"p{n}", 120)
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            await night(bench, jobs, provider, options=BatchOptions())
        assert str(caught.value).splitlines()[0] == (
            "21 of 40 done jobs would be made, and paid, again: they differ in the picture behind a link (21)"
        )
    assert provider.books.requests == 40
    assert await bought(bench, jobs, provider) == 21
    assert await bought(bench, jobs, provider, options=BatchOptions()) == 0


@pytest.mark.slow
async def test_what_a_budget_left_is_made_by_later_nights_each_once(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    jobs = [job(f"job-{n}", image_urls=[host.put(f"p{n}")]) for n in range(10)]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    for n in range(10):
        host.change(f"p{n}", 120)
    spent = []
    for _ in range(4):
        spent.append(await bought(bench, jobs, provider, budget__max_cost_usd=6 * LOW_USD))
        # A stopped run's budget goes on; the night after has one of its own.
        with closing(sqlite3.connect(bench.out / "ledger.sqlite3", isolation_level=None)) as db:
            db.execute("UPDATE runs SET exit_code = 1 WHERE exit_code = 4")
    assert spent == [6, 4, 0, 0]
    assert set(bench.statuses().values()) == {"succeeded"}


async def test_a_changed_picture_that_is_refused_is_not_sent_again_until_there_is_another_one(
    bench: Bench, host: TrackedHost
) -> None:
    jobs = [job("a", image_urls=[host.put("a")])]
    async with sandbox() as provider:
        await night(bench, jobs, provider)
        await night(bench, jobs, provider)
    host.change("a", 120)
    async with sandbox(faults=["400:1"]) as provider:
        assert await bought(bench, jobs, provider) == 1
        assert bench.statuses() == {"a": "failed"}
        assert await bought(bench, jobs, provider) == 0
    async with sandbox() as provider:
        assert await bought(bench, jobs, provider) == 0
        host.change("a", 140)
        assert await bought(bench, jobs, provider) == 1
    assert bench.statuses() == {"a": "succeeded"}
    assert len(bench.files()) == 2  # the first image, and the present one


async def test_without_tracking_nothing_is_bought_again_nor_after_a_rebuild(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    jobs = [job(name, image_urls=[host.put(name)]) for name in "ab"]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    host.change("a", 120)
    assert await bought(bench, jobs, provider) == 1
    host.forget()
    assert await bought(bench, jobs, provider, "none") == 0
    assert host.asked == []
    host.change("b", 120)
    assert await bought(bench, jobs, provider) == 1  # seen when it is asked again
    (bench.out / "ledger.sqlite3").unlink()
    rebuild(bench.out)
    host.change("b", 140)
    for by in ("none", "etag", "content"):
        assert await bought(bench, jobs, provider, by) == 0
    host.change("b", 160)
    assert await bought(bench, jobs, provider) == 1


@pytest.mark.slow
async def test_nights_that_are_killed_make_each_changed_picture_once(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    """Killed while links are asked, and while requests are sent one at a time: a kill costs that one at most."""
    jobs = bench.write([job(f"job-{n}", image_urls=[host.put(f"p{n}")]) for n in range(12)])
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    before = {row["job_id"]: row["sha256"] for row in bench.rows()}
    for n in range(12):
        host.change(f"p{n}", 120)
    environment = {
        "BATCH_EDITOR_INPUTS__TRACK": "etag",
        "BATCH_EDITOR_INPUTS__ALLOW_PRIVATE_LINKS": "true",
        "BATCH_EDITOR_CONCURRENCY": "1",
    }
    arguments = bench.run_arguments(jobs, provider, "--yes")
    asked, sent, kills = len(host.asked), provider.books.requests, 0
    host.slow_s = 0.05
    for more_asked, more_sent in [(1, 0), (9, 0), (0, 1), (0, 3), (0, 5)]:
        goal = (len(host.asked) + more_asked, provider.books.requests + more_sent)
        async with bench.started(*arguments, environment=environment) as process:
            async with asyncio.timeout(20):
                while len(host.asked) < goal[0] or provider.books.requests < goal[1]:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            process.kill()
            kills += 1
    last = await bench.command(*arguments, "--json", environment=environment)
    assert last.code == 0, last.err
    assert {row["job_id"] for row in bench.rows() if row["sha256"] == before[row["job_id"]]} == set()
    assert 12 <= provider.books.requests - sent <= 12 + kills
    assert len(host.asked) > asked
    host.slow_s = 0.0
    assert await bought(bench, jobs, provider) == 0


@pytest.mark.slow
async def test_a_kept_image_of_another_endpoint_is_made_by_the_present_one_when_its_picture_changes(
    bench: Bench, host: TrackedHost
) -> None:
    path = bench.folder / "jobs.csv"
    path.write_text(f"id,prompt,image_urls\na,edit a,{host.put('a')}\nb,edit b,{host.put('b')}\n", encoding="utf-8")
    moved = with_options(selection=Selection(endpoint="nano-banana"))
    async with sandbox() as provider:
        await night(bench, path, provider)
        await night(bench, path, provider)
        assert await bought(bench, path, provider, options=moved, endpoint="nano-banana") == 0
        host.change("a", 120)
        summary = await night(bench, path, provider, options=moved, endpoint="nano-banana")
        assert (summary.sent, bench.row("a")["endpoint"], bench.row("b")["endpoint"]) == (
            1,
            "nano-banana",
            "gpt-image-1.5-edit",
        )
        assert len(bench.files()) == 3
        for by in ("etag", "none"):
            assert await bought(bench, path, provider, by, options=moved, endpoint="nano-banana") == 0
    host.change("b", 120)
    async with sandbox(faults=["400:1"]) as provider:
        # Refused, and not sent again of the same picture: the job keeps what it has.
        assert await bought(bench, path, provider, options=moved, endpoint="nano-banana") == 1
        assert await bought(bench, path, provider, options=moved, endpoint="nano-banana") == 0
        assert bench.statuses()["b"] == "succeeded"


@pytest.mark.slow
async def test_a_rejected_image_whose_picture_changed_too_is_made_again_once_with_its_note(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    jobs = [job(name, image_urls=[host.put(name)]) for name in "ab"]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    row = bench.row("a")
    verdicts = Verdicts(bench.out / VERDICTS)
    verdicts.give([Picture(row["fingerprint"], row["sha256"])], verdict="rejected", note="lighter", by="Ada", now=1.0)
    verdicts.close()
    host.change("a", 120)
    redo = with_options(redo={"rejected"})
    assert await bought(bench, jobs, provider, options=redo) == 1
    assert [entry.prompt for entry in provider.books.log][-1] == "edit a\n\nlighter"
    for _ in range(2):
        assert await bought(bench, jobs, provider) == 0
    host.change("a", 140)
    assert await bought(bench, jobs, provider) == 1


@pytest.mark.slow
async def test_a_job_that_is_made_again_for_its_picture_says_so_in_its_story_and_in_history(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    jobs = [job("a", image_urls=[host.put("a")])]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    host.change("a", 120)
    await night(bench, jobs, provider)
    story, told = await asyncio.gather(
        bench.command("explain", "out", "a", key=None), bench.command("explain", "out", "a", "--json", key=None)
    )
    assert "another picture behind a link, attempt 2" in story.out
    (request,) = told.json["requests"]
    assert [(each["number"], each["pictures_changed"]) for each in request["attempts"]] == [(1, False), (2, True)]
    history = await bench.command("history", "out", key=None)
    shown = [line.strip() for line in history.out.splitlines()]
    assert shown[shown.index("changed 1") + 1] == "1 of the changed in the pictures behind their links"


@pytest.mark.slow
async def test_a_rehearsal_asks_as_a_run_does(bench: Bench, host: TrackedHost) -> None:
    jobs = bench.write([job(name, image_urls=[host.put(name)]) for name in "ab"])
    environment = {"BATCH_EDITOR_INPUTS__TRACK": "etag", "BATCH_EDITOR_INPUTS__ALLOW_PRIVATE_LINKS": "true"}
    arguments = ("run", jobs, "--sandbox", "--yes", "-o", "rehearsal", "--rate", "1000/s", "--json")
    for changes in (0, 0, 1):
        if changes:
            host.change("a", 120)
        done = await bench.command(*arguments, key=None, environment=environment)
        assert (done.code, done.json["changes"]["behind_links"]) == (0, changes)
    assert host.statuses == [200, 200, 200, 304]


async def test_the_page_forgets_a_picture_that_changed(bench: Bench, host: TrackedHost, provider: Sandbox) -> None:
    jobs = [job(name, image_urls=[host.put(name)]) for name in "ab"]
    await night(bench, jobs, provider)
    await night(bench, jobs, provider)
    shown = {}
    for name in "ab":
        shown[name] = place_in_cache(bench.out / ".review", input_key(host.link(name)))
        shown[name].parent.mkdir(parents=True, exist_ok=True)
        shown[name].write_bytes(b"as it was")
    host.change("a", 120)
    await night(bench, jobs, provider)
    assert {name: path.exists() for name, path in shown.items()} == {"a": False, "b": True}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_asking_at_once_and_keeps_what_was_answered(
    bench: Bench, host: TrackedHost, provider: Sandbox, kind: signal.Signals
) -> None:
    jobs = bench.write([job(f"job-{n}", image_urls=[host.put(f"p{n}")]) for n in range(30)])
    await night(bench, jobs, provider)
    host.slow_s = 0.5
    environment = {"BATCH_EDITOR_INPUTS__TRACK": "etag", "BATCH_EDITOR_INPUTS__ALLOW_PRIVATE_LINKS": "true"}
    async with bench.started(*bench.run_arguments(jobs, provider), environment=environment) as process:
        async with asyncio.timeout(20):
            while len(host.asked) < 24:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        process.send(kind)
        done = await process.finished()
    assert (done.code, provider.books.requests) == (128 + kind, 30)
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db:
        assert db.execute("SELECT count(*) > 0 FROM input_links").fetchone() == (1,)
    host.slow_s = 0.0
    host.forget()
    assert await bought(bench, jobs, provider) == 0
    assert host.statuses.count(304) > 0


@pytest.mark.slow
async def test_a_deadline_ends_the_asking_and_the_rest_counts_as_unchanged(
    bench: Bench, host: TrackedHost, provider: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = bench.write([job(f"job-{n}", image_urls=[host.put(f"p{n}")]) for n in range(12)])
    await night(bench, jobs, provider)
    host.slow_s = 0.7
    capfd.readouterr()
    summary = await night(bench, jobs, provider, deadline="1s")
    assert (summary.exit_code, summary.sent, len(host.asked) < 12) == (0, 0, True)
    (warning,) = [line for line in capfd.readouterr().err.splitlines() if "gave no picture" in line]
    assert warning.endswith("of them, which the deadline came before")


@pytest.mark.slow
async def test_an_approved_plan_has_the_pictures_that_changed_before_it_and_no_later_ones(
    bench: Bench, host: TrackedHost, provider: Sandbox
) -> None:
    jobs = bench.write([job(name, image_urls=[host.put(name)]) for name in "abc"])
    environment = {"BATCH_EDITOR_INPUTS__TRACK": "etag", "BATCH_EDITOR_INPUTS__ALLOW_PRIVATE_LINKS": "true"}
    arguments = bench.run_arguments(jobs, provider)
    for _ in range(2):
        done = await bench.command(*arguments, environment=environment)
        assert done.code == 0, done.err
    host.change("a", 120)
    planned = await bench.command(
        *("plan", *arguments[1:-2], "--check-inputs", "--save", "plan.json", "--approved-by", "Ann"),
        key=None,
        environment=environment,
    )
    assert planned.code == 0, planned.err
    host.change("b", 120)
    more = await bench.command(*arguments, "--plan", "plan.json", environment=environment)
    assert (more.code, provider.books.requests) == (2, 3)
    assert "job b" in more.err
    host.put("b")
    done = await bench.command(*arguments, "--plan", "plan.json", environment=environment)
    assert (done.code, provider.books.requests) == (0, 4), done.err
    # The amount would do for more, but what it was approved for is made.
    host.change("a", 90)
    more = await bench.command(*arguments, "--plan", "plan.json", environment=environment)
    assert (more.code, provider.books.requests) == (2, 4)
    assert "such as job a: another picture behind its links than in the plan" in more.err
