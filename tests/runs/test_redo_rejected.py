"""Rejected images are made again, each by one more attempt at its request; the provider's books are the judge."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import Any

import pytest

from batch_editor import BatchOptions, Selection
from batch_editor.endpoints import TODAY
from batch_editor.records import Redo
from batch_editor.recovery.rebuild import rebuild
from batch_editor.recovery.reconcile import reconcile
from batch_editor.sandbox import Books
from batch_editor.verdicts import FILE_NAME, Picture, Verdicts, VerdictWord
from tests.support.bench import KEYS, LOW_USD, Bench, arrived, job, sandbox, sha256_of, with_options

pytestmark = pytest.mark.slow  # several whole runs each

MUG, LAMP, CUP = job("mug"), job("lamp"), job("cup")
REDO = with_options(redo={"rejected"})


def redoing(*redo: Redo, endpoint: str) -> BatchOptions:
    return with_options(redo=redo, selection=Selection(endpoint=endpoint))


def say(bench: Bench, id: str, verdict: VerdictWord | None, note: str | None = None) -> Picture:
    """Give a verdict of a job's image, as somebody does who reviews."""
    row = bench.row(id)
    picture = Picture(row["fingerprint"], row["sha256"])
    given = Verdicts(bench.out / FILE_NAME)
    given.give([picture], verdict=verdict, note=note, by="Ada", now=1.0)
    given.close()
    return picture


async def test_a_rejected_image_is_made_again_with_its_note_and_then_left_alone(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "keep the handle")
        before = bench.row("mug")
        done = await bench.run([MUG, LAMP], provider, options=REDO)
        row = bench.row("mug")
        assert done.exit_code == 0
        assert provider.books.requests == 3
        assert [entry.prompt for entry in provider.books.log][-1] == "edit mug\n\nkeep the handle"
        assert (row["prompt"], row["attempts"], row["verdict"]) == ("edit mug\n\nkeep the handle", "2", "")
        assert row["fingerprint"] == before["fingerprint"]
        assert row["sha256"] != before["sha256"]
        assert bench.files() == [f".history/mug.{before['sha256'][:12]}.png", "lamp.png", "mug.png"]
        for options in (with_options(), REDO):
            again = await bench.run([MUG, LAMP], provider, options=options)
            assert again.exit_code == 0
        assert provider.books.requests == 3
        assert bench.row("mug")["sha256"] == row["sha256"]
        assert float(row["actual_cost_usd"] or row["estimated_cost_usd"]) == pytest.approx(2 * LOW_USD)


async def test_the_provider_is_paid_as_often_as_the_summary_says(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "keep the handle")
        done = await bench.run([MUG, LAMP], provider, options=REDO)
        assert done.cost.actual == pytest.approx(provider.books.billed_usd) == pytest.approx(3 * LOW_USD)
        assert (done.sent, done.retried, done.redo.made) == (1, 0, 1)
        status = await bench.command("status", bench.out, "--json", key=None)
        assert status.json["cost_usd"] == {
            "estimated": pytest.approx(3 * LOW_USD),
            "actual": pytest.approx(3 * LOW_USD),
            "possibly_billed": 0,
        }
        assert status.json["redo"] == {"made": 1, "failed": 0, "unknown": 0, "pending": 0}
        assert status.json["verdicts"] == {"approved": 0, "rejected": 0, "none": 2}


async def test_a_plan_prices_them_and_sends_nothing(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP, CUP], provider)
    manifest = bench.write([MUG, LAMP, CUP])
    none = await bench.command("plan", manifest, "-o", bench.out, "--redo", "rejected", key=None)
    assert "  no image of the chosen jobs is rejected" in none.out.splitlines()
    say(bench, "mug", "rejected", "keep the handle")
    say(bench, "lamp", "rejected")
    say(bench, "cup", "approved", "fine")
    plain = await bench.command("plan", manifest, "-o", bench.out, "--json", key=None)
    assert (plain.json["requests"], plain.json["redone"]) == (0, 0)
    planned = await bench.command("plan", manifest, "-o", bench.out, "--redo", "rejected", "--json", key=None)
    assert (planned.code, planned.json["requests"], planned.json["redone"], planned.json["done"]) == (0, 2, 2, 1)
    assert planned.json["cost_usd"]["expected"] == pytest.approx(2 * LOW_USD)
    assert (planned.json["asks"], planned.json["remade"]) == ([], 0)
    words = await bench.command("plan", manifest, "-o", bench.out, "--redo", "rejected", key=None)
    assert "  made again, rejected: 2 images" in words.out.splitlines()


@pytest.mark.parametrize(
    ("redo_prompt", "note", "sent"),
    [
        (None, None, "edit mug"),
        ("{{ prompt }}{% if note %}, but {{ note }}{% endif %}", "brighter", "edit mug, but brighter"),
        ("{{ prompt }}{% if note %}, but {{ note }}{% endif %}", None, "edit mug"),
        (None, "one line\nand {{ another }}", "edit mug\n\none line\nand {{ another }}"),
    ],
)
async def test_what_is_sent_is_what_redo_prompt_makes_of_the_note(
    bench: Bench, redo_prompt: str | None, note: str | None, sent: str
) -> None:
    wanted = [MUG | ({"redo_prompt": redo_prompt} if redo_prompt else {})]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        say(bench, "mug", "rejected", note)
        done = await bench.run(wanted, provider, options=REDO)
        assert (done.exit_code, done.redo.made) == (0, 1)
        assert [entry.prompt for entry in provider.books.log] == ["edit mug", sent]
    assert bench.row("mug")["prompt"] == sent


async def test_jobs_that_share_a_request_get_one_new_image(bench: Bench) -> None:
    wanted = [job("mug", "same"), job("copy", "same"), job("two", "other", variants=2)]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        say(bench, "copy", "rejected", "darker")
        say(bench, "two-v2", "rejected", "lighter")
        done = await bench.run(wanted, provider, options=REDO)
        assert (done.exit_code, done.jobs.reused) == (0, 1)
        assert sorted(entry.prompt for entry in provider.books.log[3:]) == ["other\n\nlighter", "same\n\ndarker"]
        rows = {row["job_id"]: row for row in bench.rows()}
        assert rows["mug"]["sha256"] == rows["copy"]["sha256"]
        assert rows["two-v1"]["prompt"] == "other"
        assert len([name for name in bench.files() if name.startswith(".history")]) == 3
        assert bench.stamp("mug") == bench.stamp("copy") == sha256_of(job("x", "same\n\ndarker"))


@pytest.mark.parametrize(
    ("selection", "redone"),
    [(Selection(only=["l*"]), ["lamp"]), (Selection(limit=1), ["mug"]), (Selection(only=["copy"]), ["mug"])],
)
async def test_only_chosen_jobs_are_made_again(bench: Bench, selection: Selection, redone: list[str]) -> None:
    wanted = [MUG, LAMP, job("copy", "edit mug")]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        for id in ("mug", "lamp"):
            say(bench, id, "rejected", "again")
        await bench.run(wanted, provider, options=with_options(redo={"rejected"}, selection=selection))
        assert [entry.prompt for entry in provider.books.log[2:]] == [f"edit {id}\n\nagain" for id in redone]


async def test_an_approved_image_is_not_made_again(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG], provider)
        say(bench, "mug", "rejected", "again")
        say(bench, "mug", "approved", "no, it is fine")
        await bench.run([MUG], provider, options=REDO)
        assert provider.books.requests == 1


@pytest.mark.parametrize(
    ("fault", "redo", "kind", "more"),
    [
        ("400:prompt~again", "failed", "invalid_parameter", {}),
        ("504:billed=1:prompt~again", "unknown", "timeout", {"retry__max_attempts": 1}),
    ],
)
async def test_a_redo_that_fails_leaves_the_image_and_is_not_sent_again_in_the_same_words(
    bench: Bench, fault: str, redo: Any, kind: str, more: dict[str, Any]
) -> None:
    async with sandbox(faults=(fault,)) as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "again")
        before, files = bench.row("mug"), bench.files()
        done = await bench.run([MUG, LAMP], provider, options=REDO, **more)
        assert done.exit_code == 0
        assert done.redo.as_json() == {"made": 0, "failed": 0, "unknown": 0, "pending": 0} | {redo: 1}
        assert provider.books.requests == 3
        row = bench.row("mug")
        assert (row["status"], row["sha256"], row["verdict"], row["error"]) == (
            *("succeeded", before["sha256"], "rejected"),
            "",
        )
        assert row["attempts"] == "2"
        assert row["possibly_billed"] == str(int(redo == "unknown"))
        assert bench.files() == files
        status = await bench.command("status", bench.out, key=None)
        refused, unknown = int(redo == "failed"), int(redo == "unknown")
        lines = [line for line in status.out.splitlines() if "ejected, and not" in line or "for example mug" in line]
        assert lines[0] == (
            "Rejected, and not made again: 1; their jobs keep the rejected image"
            f" (refused {refused}, perhaps billed {unknown}, to be sent by --redo rejected 0)"
        )
        assert lines[1].startswith(f"  {kind}: 1, for example mug: ")
        for options in (with_options(), REDO):
            assert (await bench.run([MUG, LAMP], provider, options=options, **more)).exit_code == 0
        assert provider.books.requests == 3
        held = bench.plan([MUG, LAMP], redo={"rejected"})
        assert (held.requests, held.redos and held.redos.held) == (0, {redo: 1})
        await bench.run([MUG, LAMP], provider, options=with_options(redo={"rejected", redo}), **more)
        assert provider.books.requests == 4
        say(bench, "mug", "rejected", "otherwise")
        await bench.run([MUG, LAMP], provider, options=REDO)
        assert provider.books.requests == 5
        assert bench.row("mug")["prompt"] == "edit mug\n\notherwise"
        assert bench.row("mug")["verdict"] == ""
        assert (await bench.command("status", bench.out, "--json", key=None)).json["redo"]["made"] == 1


async def test_what_a_redo_may_have_been_billed_in_vain_is_counted(bench: Bench) -> None:
    async with sandbox(faults=("504:billed=1:prompt~again",)) as provider:
        await bench.run([MUG], provider)
        say(bench, "mug", "rejected", "again")
        done = await bench.run([MUG], provider, options=REDO, retry__max_attempts=10)
        # retry.max_possibly_billed counts the attempts of this redo alone.
        assert provider.books.requests == 4
        assert done.cost.possibly_billed >= provider.books.billed_usd - LOW_USD - 1e-9
        assert (done.exit_code, bench.row("mug")["possibly_billed"]) == (0, "3")


# Of images at the lowest price, whose max price is nearly five times that, it pays for five.
LIMIT_USD = 5.5 * LOW_USD


async def test_a_budget_that_ends_first_leaves_redos_to_the_next_redo_run(bench: Bench) -> None:
    wanted = [job(f"job-{n}") for n in range(8)]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        for each in wanted:
            say(bench, each["id"], "rejected", "again")
        planned = bench.plan(wanted, redo={"rejected"}, budget__max_cost_usd=LIMIT_USD)
        assert planned.budget is not None
        assert (planned.budget.fits, planned.budget.requests) == (False, 5)
        done = await bench.run(wanted, provider, options=REDO, budget__max_cost_usd=LIMIT_USD, concurrency=1)
        assert (done.exit_code, done.stop and done.stop.kind) == (4, "budget")
        assert (done.redo.made, done.redo.left, provider.books.requests) == (5, 3, 13)
        assert list(done.lines(command="batch-editor run --redo rejected"))[-1] == (
            "3 rejected images are left to be made again; to resume: batch-editor run --redo rejected"
        )
        assert set(bench.statuses().values()) == {"succeeded"}
        plain = await bench.run(wanted, provider)
        assert (plain.exit_code, provider.books.requests) == (0, 13)
        done = await bench.run(wanted, provider, options=REDO)
        assert (done.exit_code, done.redo.made, provider.books.requests) == (0, 3, 16)


async def test_too_many_failed_redos_stop_a_run(bench: Bench) -> None:
    wanted = [job(f"job-{n}") for n in range(6)]
    async with sandbox(faults=("400:prompt~again",)) as provider:
        await bench.run(wanted, provider)
        for each in wanted:
            say(bench, each["id"], "rejected", "again")
        done = await bench.run(wanted, provider, options=REDO, max_failures="2", concurrency=1)
        assert (done.exit_code, done.stop and done.stop.kind) == (4, "failures")
        assert (done.redo.failed, done.redo.left) == (2, 4)


async def test_all_makes_everything_again_and_the_rejected_ones_with_their_notes(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "again")
        both: set[Any] = {"rejected", "all"}
        planned = bench.plan([MUG, LAMP], redo=both)
        assert (planned.requests, planned.changes.forced, planned.redos and planned.redos.sent) == (2, 1, 1)
        await bench.run([MUG, LAMP], provider, options=with_options(redo=both))
        assert sorted(entry.prompt for entry in provider.books.log[2:]) == ["edit lamp", "edit mug\n\nagain"]


async def test_a_changed_job_is_sent_as_it_is_now_without_the_note(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG], provider)
        say(bench, "mug", "rejected", "again")
        await bench.run([job("mug", "another")], provider, options=REDO)
        assert [entry.prompt for entry in provider.books.log] == ["edit mug", "another"]


async def test_an_image_in_another_format_leaves_the_former_one_in_the_history(bench: Bench) -> None:
    async with sandbox(faults=("wrong-format:prompt~again",)) as provider:
        await bench.run([MUG], provider)
        former = bench.row("mug")
        say(bench, "mug", "rejected", "again")
        await bench.run([MUG], provider, options=REDO)
    row = bench.row("mug")
    assert row["output_path"] != former["output_path"]
    assert bench.files() == [
        f".history/mug.{former['sha256'][:12]}.png",
        row["output_path"].removeprefix("images/"),
    ]


async def test_an_identity_that_is_added_with_the_redo_buys_one_image(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "again")
        named = [each | {"identity": f"pic-{each['id']}"} for each in (MUG, LAMP)]
        for options in (REDO, with_options(), REDO):
            done = await bench.run(named, provider, options=options)
            assert done.exit_code == 0
            assert [entry.prompt for entry in provider.books.log[2:]] == ["edit mug\n\nagain"]
    assert bench.row("mug")["prompt"] == "edit mug\n\nagain"


async def test_a_redo_is_sent_under_the_links_of_today(bench: Bench) -> None:
    link = "https://images.example.com/mug.png?X-Amz-Signature="
    async with sandbox() as provider:
        await bench.run([job("mug", image_urls=[f"{link}old"])], provider)
        say(bench, "mug", "rejected", "again")
        renewed = job("mug", image_urls=[f"{link}new"])
        await bench.run([renewed], provider, options=REDO)
        assert provider.books.log[-1].body_sha256 == sha256_of(renewed, prompt="edit mug\n\nagain")
    assert bench.row("mug")["image_urls"] == f"{link}new"


async def test_a_note_that_makes_the_prompt_too_long_is_a_fault_before_anything_is_sent(bench: Bench) -> None:
    long = job("mug", "x" * 31_990)
    async with sandbox() as provider:
        await bench.run([long, LAMP], provider)
        say(bench, "mug", "rejected", "much too dark")
        manifest = bench.write([long, LAMP])
        done = await bench.command(*bench.run_arguments(manifest, provider), "--redo", "rejected")
        assert (done.code, provider.books.requests) == (2, 2)
    assert "jobs.yaml:7: job mug: prompt with its note has 32,005 characters; expected at most 32,000" in done.err


async def test_a_faulty_input_fails_the_redo_unsent_and_the_image_stays(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG], provider)
        say(bench, "mug", "rejected", "again")
        checked = with_options(redo={"rejected"}, check_inputs=True)
        done = await bench.run([MUG], provider, options=checked)
        assert (done.exit_code, provider.books.requests) == (0, 1)
        assert (bench.row("mug")["status"], done.redo.waiting) == ("succeeded", 1)


async def test_a_redo_goes_through_the_budget_of_the_day(bench: Bench) -> None:
    wanted = [job(f"job-{n}") for n in range(5)]
    day: dict[str, Any] = {"budget__ledger": bench.folder / "spending.sqlite3", "budget__per_day_usd": LIMIT_USD}
    async with sandbox() as provider:
        await bench.run(wanted, provider, **day)
        say(bench, "job-0", "rejected", "again")
        done = await bench.run(wanted, provider, options=REDO, **day)
        assert (done.exit_code, provider.books.requests, done.redo.left) == (4, 5, 1)


async def test_the_redo_of_a_kept_image_goes_to_the_endpoint_that_made_it(bench: Bench) -> None:
    manifest = bench.folder / "jobs.csv"
    manifest.write_text("id,prompt,image_urls\nmug,edit mug,http://127.0.0.1:9/a.png\n", encoding="utf-8")
    async with sandbox() as provider:
        await bench.run(manifest, provider)
        say(bench, "mug", "rejected", "again")
        before = bench.row("mug")
        plain, again = redoing(endpoint="nano-banana"), redoing("rejected", endpoint="nano-banana")
        for options, requests in ((plain, 1), (again, 2), (plain, 2), (again, 2)):
            done = await bench.run(manifest, provider, endpoint="nano-banana", options=options)
            assert (done.exit_code, provider.books.requests) == (0, requests)
        row = bench.row("mug")
        assert (row["endpoint"], row["fingerprint"]) == (before["endpoint"], before["fingerprint"])
        assert (row["prompt"], row["quality"]) == ("edit mug\n\nagain", before["quality"])


async def test_of_a_retired_endpoint_the_plan_says_that_its_images_are_not_made_again(bench: Bench) -> None:
    manifest = bench.folder / "jobs.csv"
    manifest.write_text("id,prompt,image_urls\nmug,edit mug,http://127.0.0.1:9/a.png\n", encoding="utf-8")
    async with sandbox() as provider:
        await bench.run(manifest, provider)
    say(bench, "mug", "rejected", "again")
    options = ("-o", bench.out, "--endpoint", "nano-banana", "--redo", "rejected")
    shown = await bench.command("plan", manifest, *options, key=None, environment={TODAY: "2026-12-24"})
    assert (
        "  rejected, but not to be made again: 1, gpt-image-1.5-edit made them, which retired on 2026-12-01;"
        " --redo endpoint makes them elsewhere"
    ) in shown.out.splitlines()


@pytest.mark.parametrize("moves", [False, True])
async def test_after_a_lost_ledger_the_new_image_is_done(bench: Bench, moves: bool) -> None:
    manifest = bench.folder / "jobs.csv"
    manifest.write_text("id,prompt,image_urls\nmug,edit mug,http://127.0.0.1:9/a.png\n", encoding="utf-8")
    endpoint = "nano-banana" if moves else "gpt-image-1.5-edit"
    async with sandbox() as provider:
        await bench.run(manifest, provider)
        say(bench, "mug", "rejected", "again")
        await bench.run(manifest, provider, options=REDO)
        before = bench.row("mug")
        (bench.out / "ledger.sqlite3").unlink()
        rebuild(bench.out)
        for options in (redoing(endpoint=endpoint), redoing("rejected", endpoint=endpoint)):
            done = await bench.run(manifest, provider, endpoint=endpoint, options=options)
            assert (done.exit_code, provider.books.requests) == (0, 2)
        row = bench.row("mug")  # which has the other endpoint's parameters as well
        assert {name: row[name] for name in before} == before


async def test_a_redo_that_was_billed_and_lost_is_found_by_reconcile(bench: Bench) -> None:
    async with sandbox(faults=("reset:prompt~again",)) as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "again")
        done = await bench.run([MUG, LAMP], provider, options=REDO, retry__max_attempts=1)
        assert (done.exit_code, done.redo.unknown + done.redo.waiting) == (0, 1)
        settings = bench.settings(provider)
        found = await reconcile(bench.out, settings, KEYS, say=print, clock=lambda: time.time() + 2000)
        assert [finding.outcome for finding in found.findings] == ["image"]
        row = bench.row("mug")
        assert (row["prompt"], row["verdict"], row["possibly_billed"]) == ("edit mug\n\nagain", "", "0")
        assert bench.stamp("mug") == sha256_of(MUG, prompt="edit mug\n\nagain")
        assert sum(float(each["actual_cost_usd"]) for each in bench.rows()) == pytest.approx(provider.books.billed_usd)
        for options in (with_options(), REDO):
            await bench.run([MUG, LAMP], provider, options=options)
        assert provider.books.requests == 3


async def test_a_redo_that_was_not_billed_is_sent_again_by_the_next_redo_run(bench: Bench) -> None:
    async with sandbox(faults=("504:prompt~again",)) as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "again")
        await bench.run([MUG, LAMP], provider, options=REDO, retry__max_attempts=1)
        settings = bench.settings(provider)
        found = await reconcile(bench.out, settings, KEYS, say=print, clock=lambda: time.time() + 2000)
        assert [finding.outcome for finding in found.findings] == ["not_billed"]
        assert bench.row("mug")["status"] == "succeeded"
    async with sandbox() as provider:
        await bench.run([MUG, LAMP], provider)
        assert provider.books.requests == 0
        assert (await bench.run([MUG, LAMP], provider, options=REDO)).redo.made == 1


async def test_a_canary_of_redos_is_compared_with_its_plan(bench: Bench) -> None:
    wanted = [job(f"job-{n}") for n in range(4)]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        for each in wanted:
            say(bench, each["id"], "rejected", "again")
        arguments = bench.run_arguments(bench.write(wanted), provider)
        done = await bench.command(*arguments, "--redo", "rejected", "--canary", "2", "--yes")
        assert (done.code, provider.books.requests) == (0, 8)


async def test_the_log_says_which_attempt_is_a_redo(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG], provider)
        say(bench, "mug", "rejected", "again")
        arguments = bench.run_arguments(bench.write([MUG]), provider, "--log-file", bench.folder / "log")
        assert (await bench.command(*arguments, "--redo", "rejected")).code == 0
    entries = [json.loads(line) for line in (bench.folder / "log").read_text(encoding="utf-8").splitlines()]
    assert [entry["redo"] for entry in entries if entry["event"] == "succeeded"] == [True]


async def polled(books: Books, count: int) -> None:
    """Wait until somebody has asked so often how far a request is."""
    while len(books.polled_at) < count:  # noqa: ASYNC110  # the books have no event for it
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("hold", [False, True])
async def test_a_redo_that_a_kill_met_in_flight_is_not_sent_by_plain_runs(
    bench: Bench, version: str, hold: bool
) -> None:
    config = {"retry": {"unknown": "hold" if hold else "resend"}, "api": {"version": version}}
    (bench.folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    manifest = bench.write([MUG])
    async with sandbox(latency="0.4", faults=()) as provider:
        arguments = bench.run_arguments(manifest, provider)
        assert (await bench.command(*arguments)).code == 0
        say(bench, "mug", "rejected", "again")
        before = bench.row("mug")
        polls = len(provider.books.polled_at)
        async with bench.started(*arguments, "--redo", "rejected") as process:
            await arrived(provider.books, 2)
            if version == "v2":
                await polled(provider.books, polls + 2)
            process.send(signal.SIGKILL)
            await process.finished()
        plain = await bench.command(*arguments)
        assert (plain.code, provider.books.requests) == (0, 2)
        if version == "v2":  # the result of what was submitted is fetched
            assert bench.row("mug")["prompt"] == "edit mug\n\nagain"
            return
        word = "--redo rejected --redo unknown" if hold else "--redo rejected"
        assert (
            "the run before ended with 1 redo in flight, which may have been billed; what was rejected stays, and"
            f" {word} sends that again"
        ) in plain.err.splitlines()
        row = bench.row("mug")
        assert (row["status"], row["sha256"], row["possibly_billed"]) == ("succeeded", before["sha256"], "1")
        if hold:
            held = await bench.command(*arguments, "--redo", "rejected")
            assert (held.code, provider.books.requests) == (0, 2)
        done = await bench.command(*arguments, *word.split())
        assert (done.code, provider.books.requests, bench.row("mug")["prompt"]) == (0, 3, "edit mug\n\nagain")


async def test_all_in_another_format_leaves_the_former_images_in_the_history(bench: Bench) -> None:
    async with sandbox(faults=("wrong-format@2",)) as provider:
        await bench.run([MUG], provider)
        former = bench.row("mug")
        await bench.run([MUG], provider, options=with_options(redo={"all"}))
    row = bench.row("mug")
    assert bench.files() == [
        f".history/mug.{former['sha256'][:12]}.png",
        row["output_path"].removeprefix("images/"),
    ]


async def test_a_submitted_redo_is_fetched_by_a_run_of_another_endpoint(bench: Bench) -> None:
    (bench.folder / "config.yaml").write_text("api: {version: v2}\n", encoding="utf-8")
    manifest = bench.folder / "jobs.csv"
    manifest.write_text("id,prompt,image_urls\nmug,edit mug,http://127.0.0.1:9/a.png\n", encoding="utf-8")
    async with sandbox(latency="0.4") as provider:
        arguments = bench.run_arguments(manifest, provider)
        assert (await bench.command(*arguments)).code == 0
        say(bench, "mug", "rejected", "again")
        async with bench.started(*arguments, "--redo", "rejected") as process:
            await polled(provider.books, len(provider.books.polled_at) + 2)
            process.send(signal.SIGKILL)
            await process.finished()
        moved = await bench.command(*arguments, "--endpoint", "nano-banana")
        assert (moved.code, provider.books.requests) == (0, 2)
        assert bench.row("mug")["prompt"] == "edit mug\n\nagain"
