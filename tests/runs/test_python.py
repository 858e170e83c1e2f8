"""The package as a library: what the command line does, the public names do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from pydantic import SecretStr

import batch_editor
from batch_editor import (
    BatchOptions,
    ConfigError,
    Selection,
    Summary,
    UsageError,
    api_key,
    last_summary,
    load_settings,
    make_plan,
    run_batch,
)
from tests.support.bench import KEY, Bench, arrived, job, jobs, requests_of, sandbox
from tests.support.recorder import png


async def test_the_example_of_the_documentation_works(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMIND_API_KEY", KEY)
    manifest = bench.write(jobs(5))
    async with sandbox() as provider:
        settings = load_settings(flags={"api": {"base_url": provider.base_url}, "rate_limit": "100/s"})
        plan = await asyncio.to_thread(make_plan, [manifest], settings)
        assert (plan.jobs, plan.requests) == (5, 5)
        options = BatchOptions(selection=Selection(only=["job-[0-2]"]), output=Path("results"))
        summary = await run_batch([manifest], settings, api_key(settings.api), options)
    assert (summary.exit_code, summary.jobs.succeeded, summary.jobs.pending) == (0, 3, 2)
    assert summary.manifest == Path("results/manifest.csv")
    again = last_summary(Path("results"))
    assert (again.run_id, again.jobs, again.sent, again.cost) == (
        *(summary.run_id, summary.jobs, summary.sent, summary.cost),
    )


@pytest.mark.slow
async def test_two_runs_side_by_side_do_not_disturb_each_other(bench: Bench) -> None:
    async def run(name: str, base_url: str) -> Summary:
        settings = load_settings(flags={"api": {"base_url": base_url}, "rate_limit": "1000/s"})
        manifest = bench.write(jobs(20), name=f"{name}.yaml")
        return await run_batch([manifest], settings, SecretStr(KEY), BatchOptions(output=bench.folder / name))

    async with sandbox(latency="0.02") as left, sandbox(latency="0.02") as right:
        summaries = await asyncio.gather(run("left", left.base_url), run("right", right.base_url))
    assert [summary.jobs.succeeded for summary in summaries] == [20, 20]
    assert (left.books.requests, right.books.requests) == (20, 20)


async def test_a_cancelled_run_leaves_a_manifest_and_goes_on(bench: Bench) -> None:
    async with sandbox(faults=("hang@4+",)) as provider:
        run = asyncio.create_task(bench.run(jobs(8), provider, concurrency=3))
        while provider.books.requests < 6:  # noqa: ASYNC110 - the books have no event for it
            await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert sorted(bench.statuses().values()) == ["pending"] * 5 + ["succeeded"] * 3
    async with sandbox() as provider:
        assert (await bench.run(jobs(8), provider)).jobs.succeeded == 8
        assert provider.books.requests == 5


async def test_several_manifests_make_one_run(bench: Bench) -> None:
    first, second = (bench.write(jobs(4)[part], name=f"{part.start}.yaml") for part in (slice(0, 2), slice(2, 4)))
    async with sandbox() as provider:
        settings = load_settings(flags={"api": {"base_url": provider.base_url}, "rate_limit": "100/s"})
        summary = await run_batch([first, second], settings, SecretStr(KEY))
    assert (summary.jobs.succeeded, summary.output) == (4, Path("outputs/0"))


def test_settings_that_are_wrong_are_told_all_at_once(bench: Bench) -> None:
    (bench.folder / "config.yaml").write_text("concurency: 3\nrate_limit: often\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert isinstance(caught.value, UsageError)
    assert len(str(caught.value).splitlines()) == 2


def test_every_public_name_is_there() -> None:
    assert all(getattr(batch_editor, name) is not None for name in batch_editor.__all__)
    assert sorted(batch_editor.__all__) == list(batch_editor.__all__)


@pytest.mark.slow
async def test_nothing_blocks_the_event_loop_while_requests_are_in_flight(bench: Bench) -> None:
    (bench.folder / "mug.png").write_bytes(png())
    manifest = bench.write([job("first"), *jobs(30), job("local", image_urls=["mug.png"]), job("last")])
    faults = ("503@9-15", "json-error:prompt~job-4")
    async with sandbox(faults=faults, answer="base64", latency="0.05", size_scale=0.5) as provider:
        run = asyncio.create_task(bench.run(manifest, provider, concurrency=4, retry__max_possibly_billed=9))
        await arrived(provider.books, 1)
        # The sandbox is at home in this loop, and not on trial.
        with blockbuster_ctx("batch_editor", excluded_modules=["batch_editor.sandbox"]):
            while requests_of(provider.books, job("last")) == 0:
                await asyncio.sleep(0.005)
                assert not run.done()
        summary = await run
    assert (summary.jobs.succeeded, summary.jobs.unknown) == (32, 1)
