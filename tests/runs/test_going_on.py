"""A second run on the same output directory: only what isn't done is sent."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from batch_editor import Selection, UsageError
from tests.support.bench import (
    INPUT,
    REHEARSAL,
    RETRY_FAILED,
    Bench,
    arrived,
    job,
    jobs,
    requests_of,
    sandbox,
    sha256_of,
    with_options,
)


async def test_a_second_run_sends_nothing(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(10), provider)
        rows, files = bench.rows(), bench.files()
        summary = await bench.run(jobs(10), provider)
    assert (summary.exit_code, summary.sent, provider.books.requests) == (0, 0, 10)
    assert (bench.rows(), bench.files()) == (rows, files)


@pytest.mark.fault(70)
async def test_a_changed_job_sends_itself_alone_and_its_former_image_is_kept(bench: Bench) -> None:
    before, after = job("mug"), job("mug", "another edit")
    async with sandbox() as provider:
        await bench.run([before, job("cup")], provider)
        former = (bench.out / bench.row("mug")["output_path"]).read_bytes()
        former_sha256 = bench.row("mug")["sha256"]
        await bench.run([after, job("cup")], provider)
    assert provider.books.requests == 3
    assert bench.stamp("mug") == sha256_of(after)
    kept = f".history/mug.{former_sha256[:12]}.png"
    assert bench.files() == [kept, "cup.png", "mug.png"]
    assert (bench.images / kept).read_bytes() == former
    assert bench.row("mug")["attempts"] == "1"


async def test_going_back_to_the_former_request_costs_nothing(bench: Bench) -> None:
    before, after = job("mug"), job("mug", "another edit")
    async with sandbox() as provider:
        for wanted in (before, after, before, after):
            summary = await bench.run([wanted], provider)
            assert summary.exit_code == 0
            assert bench.stamp("mug") == sha256_of(wanted)
    assert provider.books.requests == 2


async def test_a_job_that_changed_its_format_leaves_no_image_of_the_former_one(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("mug")], provider)
        await bench.run([job("mug", output_format="jpeg")], provider)
    shown = [name for name in bench.files() if not name.startswith(".history/")]
    assert shown == ["mug.jpg"]
    assert len(bench.files()) == 2


async def test_a_renamed_output_moves(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("mug"), job("cup")], provider)
        await bench.run([job("mug", output="kitchen/mug"), job("cup", output="mug")], provider)
        assert provider.books.requests == 2
    assert [name for name in bench.files() if not name.startswith(".history/")] == ["kitchen/mug.png", "mug.png"]
    assert bench.row("mug")["output_path"] == "images/kitchen/mug.png"
    assert (bench.stamp("mug"), bench.stamp("cup")) == (sha256_of(job("mug")), sha256_of(job("cup")))


async def test_two_jobs_can_swap_their_outputs(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("a", output="x"), job("b", output="y")], provider)
        await bench.run([job("a", output="y"), job("b", output="x")], provider)
        assert provider.books.requests == 2
    assert (bench.stamp("a"), bench.stamp("b")) == (sha256_of(job("a")), sha256_of(job("b")))
    assert [bench.row(id)["output_path"] for id in "ab"] == ["images/y.png", "images/x.png"]


async def test_a_job_with_a_new_id_takes_the_image_of_its_former_self_with_its_cost(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("old", "the same")], provider)
        summary = await bench.run([job("new", "the same")], provider)
    assert (summary.sent, summary.jobs.reused, provider.books.requests) == (0, 0, 1)
    row = bench.row("new")
    assert (row["output_path"], row["reused_from"], row["attempts"]) == ("images/new.png", "", "1")
    assert float(row["actual_cost_usd"]) == pytest.approx(provider.books.billed_usd)


async def test_a_reordered_manifest_sends_nothing_and_is_told_in_its_new_order(bench: Bench) -> None:
    wanted = jobs(6)
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        await bench.run(wanted[::-1], provider)
    assert provider.books.requests == 6
    assert [row["job_id"] for row in bench.rows()] == [each["id"] for each in wanted[::-1]]


@pytest.mark.slow
async def test_added_jobs_are_sent_and_the_images_of_removed_ones_move_to_the_history(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("a"), job("b")], provider)
        said = await bench.command(*bench.run_arguments(bench.write([job("b"), job("c")]), provider))
        assert "1 job left the manifest; its image is in images/.history" in said.err
        assert provider.books.requests == 3
        assert list(bench.statuses()) == ["b", "c"]
        former, *others = bench.files()
        assert former.startswith(".history/a.")
        assert others == ["b.png", "c.png"]
        # It comes back for nothing.
        await bench.run([job("a"), job("b"), job("c")], provider)
    assert provider.books.requests == 3
    assert (bench.images / "a.png").is_file()
    assert bench.row("a")["output_path"] == "images/a.png"


async def test_an_image_that_another_job_has_by_now_stays_where_it_is(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("a", "same", output="x"), job("b")], provider)
        await bench.run([job("c", "same", output="x"), job("b")], provider)
    assert provider.books.requests == 2
    assert bench.files() == ["b.png", "x.png"]
    assert bench.row("c")["output_path"] == "images/x.png"


WOULD_MOVE = "the others' images would move to images/.history. Another manifest wants another --output"
SAY_YES = "error: nothing was sent; if that is what is meant, pass --yes"
DIFFER = "they differ in quality"


@pytest.mark.parametrize(("kept", "asks"), [(0, True), (1, True), (2, False), (3, False)])
@pytest.mark.slow
async def test_a_manifest_that_names_fewer_than_half_of_the_jobs_is_asked_about(
    bench: Bench, kept: int, asks: bool
) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(4), provider)
        others = [*jobs(kept), job("other")]
        refused = await bench.command(*bench.run_arguments(bench.write(others), provider))
        assert refused.code == (2 if asks else 0)
        assert provider.books.requests == (4 if asks else 5)
        if asks:
            assert refused.err.splitlines()[-2:] == [
                f"error: the manifest names {kept} of the 4 jobs of this output directory; {WOULD_MOVE}",
                SAY_YES,
            ]
            assert len(bench.files()) == 4
            assert (await bench.command(*bench.run_arguments(bench.write(others), provider), "--yes")).code == 0
    assert provider.books.requests == 5


@pytest.mark.parametrize(("done", "changed", "asks"), [(30, 20, False), (30, 21, True), (105, 21, False)])
@pytest.mark.slow
async def test_more_than_a_fifth_made_again_is_asked_about(bench: Bench, done: int, changed: int, asks: bool) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(done), provider)
        others = [*(job(f"job-{n}", quality="medium") for n in range(changed)), *jobs(done)[changed:]]
        planned = await bench.command("plan", str(bench.write(others)), "-o", str(bench.out), "--json", key=None)
        assert (planned.json["remade"], planned.json["requests"]) == (changed, changed)
        refused = await bench.command(*bench.run_arguments(bench.write(others), provider))
        assert refused.code == (2 if asks else 0)
        if asks:
            assert refused.err.splitlines()[-2:] == [
                f"error: {changed} of {done} done jobs would be made, and paid, again: {DIFFER} ({changed})",
                SAY_YES,
            ]
            assert provider.books.requests == done
            assert (await bench.command(*bench.run_arguments(bench.write(others), provider), "--yes")).code == 0
    assert provider.books.requests == done + changed


async def test_a_shared_image_is_that_of_the_job_that_is_left(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("a", "same"), job("b", "same"), job("c")], provider)
        summary = await bench.run([job("b", "same"), job("c")], provider)
    assert (summary.exit_code, summary.jobs.reused, provider.books.requests) == (0, 0, 2)
    assert (bench.row("b")["reused_from"], bench.row("b")["attempts"]) == ("", "1")
    assert summary.cost.actual == pytest.approx(provider.books.billed_usd)


async def test_only_images_that_are_gone_are_told_of_however_many_are_there(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
        for name in ("job-0", "job-2"):
            (bench.images / f"{name}.png").unlink()
        for _ in range(2):  # what is known to be lost is not lost again
            summary = await bench.run(jobs(3), provider)
            assert (summary.jobs.succeeded, summary.jobs.unknown, provider.books.requests) == (1, 2, 3)


async def test_a_removed_image_is_told_and_not_bought_again_unless_told_to(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
        (bench.images / "job-1.png").unlink()
        summary = await bench.run(jobs(3), provider)
        assert (summary.exit_code, provider.books.requests) == (1, 3)
        row = bench.row("job-1")
        assert (row["status"], row["error_kind"], row["output_path"]) == ("unknown", "result_lost", "")
        summary = await bench.run(jobs(3), provider, options=RETRY_FAILED)
        assert (summary.exit_code, provider.books.requests) == (0, 4)
    row = bench.row("job-1")
    assert (row["status"], row["attempts"], row["error_kind"]) == ("succeeded", "2", "")


async def test_a_removed_image_that_a_job_shares_is_taken_from_the_other(bench: Bench) -> None:
    wanted = [job("a", "same"), job("b", "same")]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        for name in ("a", "b"):
            (bench.images / f"{name}.png").unlink()
            summary = await bench.run(wanted, provider)
            assert summary.exit_code == 0
            assert bench.files() == ["a.png", "b.png"]
    assert provider.books.requests == 1


async def test_what_failed_for_a_transient_reason_is_sent_again_and_what_was_refused_is_not(bench: Bench) -> None:
    wanted = [job("refused", "a bad one"), job("unlucky"), job("lost")]
    faults = ("400:prompt~bad", "429:prompt~unlucky:retry-after=0", "504:prompt~lost")
    async with sandbox(faults=faults) as provider:
        # Nobody listens on that port: these never left.
        await bench.run([job("unlucky")], "http://127.0.0.1:9/v1", retry__max_attempts=1)
        assert bench.statuses() == {"unlucky": "failed"}
    async with sandbox(faults=("400:prompt~bad", "504:prompt~lost")) as provider:
        first = await bench.run(wanted, provider)
        assert bench.statuses() == {"refused": "failed", "unlucky": "succeeded", "lost": "unknown"}
        second = await bench.run(wanted, provider)
        assert (first.exit_code, second.exit_code, second.sent) == (1, 1, 0)
        history = "Whether unknown jobs were billed, the provider's history may say, for nothing"
        assert list(second.next_step("the command")) == [
            f"{history}: batch-editor reconcile {bench.out}",
            "To try failed jobs again, which may pay unknown ones twice: the command --retry-failed",
        ]
    async with sandbox() as provider:
        third = await bench.run(wanted, provider, options=RETRY_FAILED)
    assert (third.exit_code, third.sent) == (0, 2)
    rows = {row["job_id"]: row for row in bench.rows()}
    assert [rows[id]["attempts"] for id in ("refused", "unlucky", "lost")] == ["2", "2", "4"]
    assert rows["lost"]["possibly_billed"] == "3"


async def test_told_to_try_again_an_unknown_job_has_its_three_attempts_anew(bench: Bench) -> None:
    async with sandbox(faults=("504",)) as provider:
        await bench.run([job("mug")], provider)
        await bench.run([job("mug")], provider, options=RETRY_FAILED)
    assert requests_of(provider.books, job("mug")) == 6
    assert bench.row("mug")["possibly_billed"] == "6"


async def test_a_limited_run_does_the_first_jobs_and_the_next_one_the_rest(bench: Bench) -> None:
    async with sandbox() as provider:
        first = await bench.run(jobs(10), provider, options=with_options(selection=Selection(limit=3)))
        assert (first.sent, first.jobs.total, first.jobs.pending) == (3, 10, 7)
        assert list(bench.statuses().values()) == ["succeeded"] * 3 + ["pending"] * 7
        again = await bench.run(jobs(10), provider, options=with_options(selection=Selection(limit=3)))
        assert again.sent == 0
        some = await bench.run(
            jobs(10), provider, options=with_options(selection=Selection(only=["job-[89]", "job-5"]))
        )
        assert (some.sent, some.jobs.succeeded) == (3, 6)
        last = await bench.run(jobs(10), provider)
    assert (last.exit_code, last.sent, provider.books.requests) == (0, 4, 10)


async def test_a_pattern_that_no_job_matches_is_a_mistake(bench: Bench) -> None:
    async with sandbox() as provider:
        with pytest.raises(UsageError, match="--only 'nothing-\\*' matches no job's id"):
            await bench.run(jobs(3), provider, options=with_options(selection=Selection(only=["nothing-*"])))


async def test_a_link_signed_anew_is_the_same_picture(bench: Bench) -> None:
    def signed(signature: str) -> list[dict[str, object]]:
        return [job("mug", image_urls=[f"{INPUT}?v=2&X-Amz-Date=2026&X-Amz-Signature={signature}"])]

    async with sandbox() as provider:
        await bench.run(signed("ab12"), provider)
        await bench.run(signed("cd34"), provider)
    assert provider.books.requests == 1


async def test_settings_that_do_not_change_the_request_do_not_send_it_again(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(2), provider)
        spelled_out = jobs(2, quality="low", mask=None, background="opaque", moderation="auto")
        await bench.run(spelled_out, provider, concurrency=3, rate_limit="7/s")
    assert provider.books.requests == 2


async def test_a_real_run_over_a_rehearsal_does_everything_anew(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(4), provider, options=REHEARSAL)
        summary = await bench.run(jobs(4), provider)
    assert (summary.exit_code, summary.sent, provider.books.requests) == (0, 4, 8)
    assert [row["attempts"] for row in bench.rows()] == ["1"] * 4


async def test_what_a_rehearsal_left_on_the_disk_never_passes_for_a_paid_image(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([job("mug")], provider, options=REHEARSAL)
        image, landing = bench.images / "mug.png", bench.images / ".landing"
        shutil.copy(image, landing / "1.full")  # as a kill just before it was removed would have left it
    async with sandbox(faults=("hang",)) as provider:
        run = asyncio.create_task(bench.run([job("mug")], provider))
        await arrived(provider.books, 1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert (bench.statuses(), list(landing.iterdir())) == ({"mug": "pending"}, [])
    async with sandbox() as provider:
        await bench.run([job("mug")], provider)
        assert provider.books.requests == 1


async def test_a_rehearsal_over_paid_results_is_refused(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(2), provider)
        rows = bench.rows()
        with pytest.raises(UsageError, match="holds results of the real provider, which a rehearsal would mix up"):
            await bench.run(jobs(3), provider, options=REHEARSAL)
    assert (bench.rows(), provider.books.requests) == (rows, 2)
