"""What was approved is spent once, over all runs by the plan; the provider's books are the judge."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from batch_editor import BatchOptions, Summary, UsageError
from batch_editor.planning import PlanFile
from batch_editor.runs.message import message_of
from batch_editor.runs.progress import Quiet
from batch_editor.sandbox import Sandbox
from batch_editor.text import many
from tests.support.approved_plan import save, spent_of
from tests.support.bench import LOW_USD, Bench, Job, arrived, jobs, sandbox, with_options

WANTED = jobs(12)


async def go(bench: Bench, provider: Sandbox, path: Path, wanted: list[Job] | None = None, **how: Any) -> Summary:
    options: BatchOptions = how.pop("options", with_options(plan=path))
    return await bench.run(wanted or WANTED, provider, options=options, **how)


def spent_words(path: Path, spent: str, left: int, usd: str) -> str:
    plan = PlanFile.read(path)
    return (
        f"the approval is spent: Mara Lind approved ${plan.amount_usd:,.2f} (plan {plan.plan_id}), of which ${spent} is"
        f" spent or may have been, and the rest is less than the max price of any request that is left:"
        f" {many(left, 'request')}, about ${usd}. Save a plan of them with `plan --save`, and have that approved"
    )


async def test_a_finished_run_leaves_the_rest_and_no_more(bench: Bench) -> None:
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=20 * LOW_USD)
        assert (await go(bench, provider, path)).exit_code == 0
        # Another output directory has no picture of them, and eight are left of twenty.
        second = await go(bench, provider, path, out=bench.folder / "second", concurrency=1)
        assert second.exit_code == 4
        assert second.jobs.succeeded == 8
        third = await go(bench, provider, path, out=bench.folder / "second", concurrency=1)
        assert (third.exit_code, third.stop is not None and third.stop.kind) == (4, "budget")
    assert provider.books.billed_usd <= 20 * LOW_USD + 1e-9


async def test_a_cron_line_that_runs_it_again_sends_nothing_and_says_why(bench: Bench) -> None:
    async with sandbox(faults=("502:billed=1",)) as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=0.16)
        assert (await go(bench, provider, path, concurrency=1)).exit_code == 4
        sent = provider.books.requests
        for _ in range(3):
            summary = await go(bench, provider, path)
            assert (summary.exit_code, summary.sent) == (4, 0)
            assert summary.stop is not None
            assert summary.stop.message == spent_words(path, "0.15", 12, "0.13")
            assert list(summary.next_step("batch-editor run")) == [
                "12 jobs are left, for which a plan of their own is to be approved"
            ]
            assert {row["error_kind"] for row in bench.rows()} <= {"budget", "server_error"}
    assert provider.books.requests == sent
    assert provider.books.billed_usd <= 0.16


async def test_the_lower_limit_of_plan_and_run_holds(bench: Bench) -> None:
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=8 * LOW_USD)
        summary = await go(bench, provider, path, budget__max_cost_usd=5 * LOW_USD, concurrency=1)
        assert summary.approval is not None
        assert round(summary.approval.amount_usd, 4) == round(5 * LOW_USD, 4)
        assert provider.books.billed_usd <= 5 * LOW_USD + 1e-9
        # A finished run of a few gives no new budget.
        first = await go(bench, provider, path, budget__max_cost_usd=5 * LOW_USD)
        assert (first.exit_code, first.sent) == (4, 0)
        await go(bench, provider, path, concurrency=1, budget__max_cost_usd=99)
    assert provider.books.billed_usd <= 8 * LOW_USD + 1e-9


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_processes_at_once_copies_and_kills_spend_it_once(bench: Bench) -> None:
    rng = random.Random(11)
    limit = 0.7
    wanted = jobs(60)
    manifest = bench.write(wanted)
    config = bench.folder / "config.yaml"
    config.write_text("retry: {backoff_s: 0.01, backoff_max_s: 0.05}\n")
    async with sandbox(latency="0.02-0.08", faults=("502:0.15:billed=1", "reset:0.05")) as provider:
        path = save(bench, wanted, provider, budget__max_cost_usd=limit)
        outs = [bench.folder / f"out-{number}" for number in range(3)]

        async def run(out: Path, *, kill: bool) -> int:
            arguments = bench.run_arguments(
                *(manifest, provider, "--plan", path, "--config", config, "--concurrency", "4", "--yes"), out=out
            )
            async with bench.started(*arguments) as process:
                finished = asyncio.create_task(process.finished())
                if kill:  # one whose approval is spent sends nothing, and ends by itself
                    more = asyncio.create_task(arrived(provider.books, provider.books.requests + rng.randint(1, 5)))
                    await asyncio.wait([finished, more], return_when=asyncio.FIRST_COMPLETED)
                    more.cancel()
                    process.send(signal.SIGKILL)
                return (await finished).code

        for _ in range(3):
            codes = await asyncio.gather(*(run(out, kill=True) for out in outs[:2]))
            assert set(codes) <= {-signal.SIGKILL, 0, 1, 4}
            await provider.books.idle()
        shutil.copytree(outs[0], outs[2])
        codes = await asyncio.gather(*(run(out, kill=False) for out in outs))
        await provider.books.idle()
        assert provider.books.billed_usd <= limit
        again = await asyncio.gather(*(run(out, kill=False) for out in outs))
        assert all(code in (0, 1, 4) for code in (*codes, *again))
    # Much of it counts as possibly billed, at the highest price.
    assert 0 < provider.books.billed_usd <= limit


def lose(path: Path) -> Path:
    """Remove what is counted of a plan; return where it was."""
    spent = spent_of(path)
    for side in ("", "-wal", "-shm"):
        spent.with_name(f"{spent.name}{side}").unlink(missing_ok=True)
    return spent


def copied(bench: Bench, path: Path) -> Path:
    """A copy of a plan's file in another folder."""
    copy = bench.folder / "elsewhere" / "plan.json"
    copy.parent.mkdir()
    return Path(shutil.copy(path, copy))


async def test_a_copy_in_another_folder_has_no_amount_of_its_own(bench: Bench) -> None:
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=6 * LOW_USD)
        copy = copied(bench, path)
        both = ((path, bench.out), (copy, bench.folder / "second"))
        await asyncio.gather(*(go(bench, provider, plan, out=out) for plan, out in both))
        third = await go(bench, provider, copy, concurrency=1, out=bench.folder / "third")
        assert third.exit_code == 4
    assert 0 < provider.books.billed_usd <= 6 * LOW_USD + 1e-9
    assert [spent_of(path).exists(), spent_of(copy).exists()].count(True) == 1


@pytest.mark.parametrize("out", ["out", "second"])
async def test_where_the_count_is_gone_nothing_is_sent_until_it_is_back(bench: Bench, out: str) -> None:
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=6 * LOW_USD)
        await go(bench, provider, path, concurrency=1)
        sent, kept = provider.books.requests, spent_of(path).read_bytes()
        spent = lose(path)
        with pytest.raises(UsageError) as refused:
            await go(bench, provider, path, out=bench.folder / out)
        assert str(refused.value) == (
            f"{spent}: what is spent of the approved plan is counted there, and it is gone. Put it back, or beside the"
            " plan's file; or save a plan anew with `plan --save`, and have that approved"
        )
        assert not (bench.folder / "second").exists()
        spent.write_bytes(kept)
        assert (await go(bench, provider, path, out=bench.folder / out)).exit_code == 4
    assert sent <= provider.books.requests
    assert provider.books.billed_usd <= 6 * LOW_USD + 1e-9


async def test_a_plan_that_is_moved_together_with_its_count_goes_on(bench: Bench) -> None:
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=8 * LOW_USD)
        await go(bench, provider, path, concurrency=1, budget__max_cost_usd=5 * LOW_USD)
        copy = copied(bench, path)
        moved = spent_of(path).rename(spent_of(copy))
        await go(bench, provider, copy, concurrency=1, out=bench.folder / "second")
        assert provider.books.billed_usd <= 8 * LOW_USD + 1e-9
        # From then on the new place is that of every copy.
        summary = await go(bench, provider, path, concurrency=1, out=bench.folder / "third")
        assert (summary.exit_code, moved.exists(), spent_of(path).exists()) == (4, True, False)
    assert provider.books.billed_usd <= 8 * LOW_USD + 1e-9


async def test_without_a_state_folder_the_output_directory_knows_what_it_has_spent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder / "no folder").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(bench.folder / "no folder"))
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=6 * LOW_USD)
        await go(bench, provider, path, concurrency=1)
        sent, billed = provider.books.requests, provider.books.billed_usd
        lose(path)
        for plan in (path, copied(bench, path)):
            summary = await go(bench, provider, plan)
            assert (summary.exit_code, provider.books.requests - sent) == (4, 0)
    assert provider.books.billed_usd == billed <= 6 * LOW_USD + 1e-9


async def test_where_runs_share_a_ledger_it_is_counted_there(bench: Bench) -> None:
    shared: dict[str, Any] = {"budget__ledger": bench.folder / "spending.sqlite3", "budget__per_day_usd": 50}
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=6 * LOW_USD, **shared)
        copy = copied(bench, path)
        await go(bench, provider, path, concurrency=1, **shared)
        await go(bench, provider, copy, concurrency=1, out=bench.folder / "second", **shared)
        assert not spent_of(path).exists()
    assert provider.books.billed_usd <= 6 * LOW_USD + 1e-9


async def test_a_folder_that_cannot_be_written_is_refused_with_what_to_do(bench: Bench) -> None:
    path = save(bench, WANTED, "http://127.0.0.1:9/v1")
    spent = spent_of(path)
    spent.mkdir()
    with pytest.raises(UsageError) as refused:
        await bench.run(WANTED, "http://127.0.0.1:9/v1", options=with_options(plan=path))
    assert str(refused.value) == (
        f"{spent}: what is spent of the approved plan can't be counted there (a folder; expected a file). Put the"
        " plan's file into a folder that runs can write, or have budget.ledger name what they share of spending"
    )


async def test_a_link_to_the_plan_counts_beside_the_plan(bench: Bench) -> None:
    async with sandbox() as provider:
        path = save(bench, jobs(2), provider)
        link = bench.folder / "link" / "other.json"
        link.parent.mkdir()
        link.symlink_to(path)
        assert (await go(bench, provider, link, jobs(2))).exit_code == 0
    assert spent_of(path).exists()
    assert [each.name for each in link.parent.iterdir()] == ["other.json"]


@pytest.mark.parametrize("how", ["copied", "renamed", "approved"])
async def test_a_plan_under_another_name_has_the_same_amount(bench: Bench, how: str) -> None:
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=6 * LOW_USD)
        await go(bench, provider, path, concurrency=1)
        other = bench.folder / f"{how}.json"
        other.write_text(path.read_text().replace("Mara Lind", "Ben Ode" if how == "approved" else "Mara Lind"))
        if how == "renamed":
            path.unlink()
        summary = await go(bench, provider, other, concurrency=1, out=bench.folder / "second")
    assert summary.exit_code == 4
    assert provider.books.billed_usd <= 6 * LOW_USD + 1e-9


async def test_two_plans_in_a_folder_have_an_amount_each(bench: Bench) -> None:
    async with sandbox() as provider:
        first = save(bench, jobs(2), provider)
        assert (await go(bench, provider, first, jobs(2))).exit_code == 0
        # In the place of the first, which is spent in part: another id, and an amount of its own.
        second = save(bench, jobs(2, name="other"), provider)
        assert second == first
        assert (await go(bench, provider, second, jobs(2, name="other"))).exit_code == 0
    assert provider.books.billed == 4


async def test_who_approved_is_on_record_and_told(bench: Bench) -> None:
    async with sandbox() as provider:
        path = save(bench, jobs(2), provider)
        summary = await go(bench, provider, path, jobs(2))
        await bench.run(jobs(3), provider)
    plan = PlanFile.read(path)
    said = f"by Mara Lind, plan {plan.plan_id}, up to $0.10"
    told = {"plan_id": plan.plan_id, "approved_by": "Mara Lind", "amount_usd": plan.amount_usd}
    assert summary.as_json()["approval"] == told
    assert f"Approved: {said}" in summary.lines()
    assert f"Approved: {said}" in message_of(summary, command="batch-editor run", budget_usd=None).lines
    history = await bench.command("history", bench.out, "--json")
    assert [run["approval"] for run in history.json["outputs"][0]["runs"]] == [told, None]
    shown = await bench.command("history", bench.out)
    assert [line.strip() for line in shown.out.splitlines() if line.strip().startswith("approved")] == [
        f"approved {said}"
    ]
    status = await bench.command("status", bench.out, "--json")
    assert status.json["approval"] is None
    assert (await bench.command("report", bench.out)).code == 0
    assert f"<td>{said}</td>" in (bench.out / "report.html").read_text()


class Remover(Quiet):
    """Removes a picture once the run is planned."""

    def __init__(self, picture: Path) -> None:
        super().__init__()
        self._picture = picture

    def say(self, line: str) -> None:
        self._picture.unlink(missing_ok=True)


async def test_a_request_that_only_seemed_done_is_not_sent(bench: Bench) -> None:
    done = bench.folder / "done"
    async with sandbox() as provider:
        await bench.run(jobs(1), provider, out=done)
        path = save(bench, jobs(2), provider, reuse=[done])
        assert [each.jobs for each in PlanFile.read(path).requests] == [["job-1"]]
        remover = Remover(done / "images" / "job-0.png")
        options = with_options(plan=path, reuse=[done], progress=remover)
        summary = await go(bench, provider, path, jobs(2), options=options)
    assert (provider.books.requests, bench.statuses()) == (2, {"job-0": "pending", "job-1": "succeeded"})
    assert summary.exit_code == 4
    assert summary.stop is not None
    assert summary.stop.message == (
        "1 request that is left isn't in the approved plan. Save a plan of them with `plan --save`, and have that"
        " approved"
    )
