"""What plots show of runs: equal to what the ledger says in one figure, and to the provider's books."""

from __future__ import annotations

import time

import pytest

from batch_editor.ledger import figure_readings, readings, run_readings
from batch_editor.ledger.figure_readings import BUCKETS, Figures, figures
from tests.support.bench import LOW_USD, MEDIUM_USD, Bench, arrived, job, jobs, sandbox
from tests.support.made_output import MadeOutput, make_output

FAULTS = ["502:0.3:billed=1", "400:0.1:prompt~job", "429:0.1"]


def read(bench: Bench, *, now: float | None = None) -> Figures:
    with readings.reading(bench.out) as db:
        found = figures(db, now=now)
    assert found is not None
    return found


async def test_every_way_to_add_it_up_gives_the_ledger_s_figures_and_the_provider_s(bench: Bench) -> None:
    wanted = [*jobs(30), *jobs(10, name="better", quality="medium")]
    async with sandbox(latency="0.1", faults=FAULTS, seed=7) as provider:
        await bench.run(wanted, provider, concurrency=4, retry__max_possibly_billed=9, retry__max_attempts=9)
    found = read(bench)
    with readings.reading(bench.out) as db:
        cost, standing = run_readings.cost_of(db, found.runs[-1].run_id), readings.standing(db)
        examples = {each.kind: each.count for each in readings.examples(db)}
    whole = found.sums
    assert (whole.images, whole.refused, whole.possibly_billed) == (cost.images, cost.refused, cost.possibly_billed)
    assert whole.confirmed_usd == pytest.approx(cost.charged_usd)
    assert whole.confirmed_usd == pytest.approx(standing.money.estimated)
    assert whole.possibly_usd == pytest.approx(standing.money.possibly_billed)
    assert (whole.open, whole.open_usd) == (0, 0.0)
    assert whole.images == standing.jobs.succeeded == 40 - sum(examples.values())
    assert whole.images + whole.failed == provider.books.requests
    assert whole.refused == provider.books.answered[429]
    assert whole.possibly_billed == provider.books.answered[502]
    assert whole.confirmed_usd <= provider.books.billed_usd + 1e-9 <= whole.confirmed_usd + whole.possibly_usd + 1e-6
    for parts in (found.buckets, found.groups):
        sums = [each.sums for each in parts]
        assert sum(each.images for each in sums) == whole.images
        assert sum(each.failed for each in sums) == whole.failed
        assert sum(each.confirmed_usd for each in sums) == pytest.approx(whole.confirmed_usd)
        assert sum(each.possibly_usd for each in sums) == pytest.approx(whole.possibly_usd)
    by_label = {each.label: each.sums for each in found.groups}
    assert list(by_label) == ["gpt-image-1.5-edit, medium, 1024x1024", "gpt-image-1.5-edit, low, 1024x1024"]
    for label, usd in zip(by_label, (MEDIUM_USD, LOW_USD), strict=True):
        assert by_label[label].confirmed_usd == pytest.approx(by_label[label].images * usd)
    assert whole.p50_s is not None
    assert 0.1 <= whole.p50_s < 1.0


async def test_runs_that_share_a_budget_count_as_one_and_what_lies_between_is_left_out(bench: Bench) -> None:
    async with sandbox(latency="0.3") as provider:
        await bench.run(jobs(8), provider, concurrency=2, budget__max_cost_usd=0.07)
        (alone,) = read(bench).runs
        await bench.run(jobs(8), provider, concurrency=2)
    found = read(bench)
    assert [run.budget_id for run in found.runs] == [alone.run_id] * 2
    assert found.plan == alone
    assert found.plan.plan_requests == found.sums.images == provider.books.requests == 8
    worked_s = sum((run.ended_at or 0.0) - run.started_at for run in found.runs)
    assert found.elapsed_s == pytest.approx(worked_s)
    assert found.elapsed_s < found.runs[1].started_at - found.runs[0].started_at + worked_s
    async with sandbox() as provider:
        await bench.run([*jobs(8), job("another")], provider)
    assert read(bench).sums.images == 1  # a budget of its own
    async with sandbox() as provider:
        await bench.run([*jobs(8), job("another")], provider)
    assert read(bench).sums.images == 1  # of the last that sent something
    assert read(bench, now=time.time()).sums.images == 0


async def test_a_run_that_died_lasts_until_the_last_sign_of_it(bench: Bench) -> None:
    manifest = bench.write(jobs(40))
    async with (
        sandbox(latency="0.2") as provider,
        bench.started(*bench.run_arguments(manifest, provider, "--concurrency", "2")) as process,
    ):
        await arrived(provider.books, 6)
        process.kill()
        await process.ended()
    with readings.reading(bench.out) as db:
        (last,) = db.execute("SELECT max(sent_at) FROM attempts").fetchone()
    found = read(bench)
    assert found.runs[-1].ended_at is None
    assert last <= found.runs[-1].started_at + found.elapsed_s + 1e-6 < last + 1
    assert found.sums.open > 0
    assert found.sums.open_usd == pytest.approx(found.sums.open * 0.05118)  # its max price


def test_buckets_are_as_long_as_a_plot_has_room_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    made: MadeOutput = make_output(tmp_path_factory.mktemp("made"), jobs=60, kinds=1, side=32)
    with readings.reading(made.path) as db:
        found = figures(db)
        assert found is not None
        assert found == figures(db)
        figure_readings.run_rows(db)
    (length_s,) = {each.length_s for each in found.buckets[:-1]}
    assert len(found.buckets) <= BUCKETS
    assert 0.5 * length_s <= found.buckets[-1].length_s <= 1.5 * length_s
    assert sum(each.length_s for each in found.buckets) == pytest.approx(found.elapsed_s)
    assert sum(each.per_min * each.length_s / 60 for each in found.buckets) == pytest.approx(found.sums.images)
