"""The day on which an endpoint retires: warned of before, followed then, and told when the provider refuses."""

from __future__ import annotations

import json
import shlex
from collections import Counter

import pytest

from batch_editor.endpoints import TODAY
from tests.support.bench import Bench, job, jobs, sandbox

OLD, NEW = "gpt-image-1.5-edit", "gpt-image-2.5-sunburst"
NOTICE = f"Endpoint: {NEW}, in place of {OLD}, which retired on 2026-12-01\n  quality goes by name: high stays high\n"
MOVE = f"move to its successor: --endpoint {NEW}"


def on(day: str) -> dict[str, str]:
    return {TODAY: day}


@pytest.mark.parametrize(
    ("day", "warning"),
    [
        ("2026-10-31", ""),  # 31 days before
        ("2026-11-01", f"in 30 days; {MOVE}"),
        ("2026-11-30", f"in 1 day; {MOVE}"),
        ("2026-12-01", ""),
        ("2026-12-02", ""),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
async def test_the_default_is_warned_of_from_30_days_before_and_followed_from_the_day_on(
    bench: Bench, command: str, day: str, warning: str
) -> None:
    manifest = bench.write([job("a", quality="high", size="auto")])
    if command == "plan":
        done = await bench.command("plan", manifest, environment=on(day))
    else:
        async with sandbox() as provider:
            done = await bench.command(*bench.run_arguments(manifest, provider), environment=on(day))
    assert done.code == 0, done.err
    told = f"warning: {OLD} retires on 2026-12-01, {warning}\n" if warning else ""
    is_followed = day >= "2026-12-01"
    if command == "plan":
        assert done.err == told
        assert done.out.startswith(NOTICE if is_followed else "Jobs: 1 ")
    else:
        assert done.err == (NOTICE if is_followed else told)
        assert [row["endpoint"] for row in bench.rows()] == [NEW if is_followed else OLD]


@pytest.mark.parametrize("chosen_by", ["flag", "config", "environment", "manifest"])
async def test_an_endpoint_that_somebody_chose_is_not_replaced(bench: Bench, chosen_by: str) -> None:
    manifest = bench.write([job("a")])
    flags = ["--endpoint", OLD] if chosen_by == "flag" else []
    environment = {"BATCH_EDITOR_ENDPOINT": OLD} if chosen_by == "environment" else {}
    if chosen_by == "config":
        (bench.folder / "config.yaml").write_text(f"endpoint: {OLD}\n", encoding="utf-8")
    if chosen_by == "manifest":
        manifest.write_text(json.dumps({"endpoint": OLD, **json.loads(manifest.read_text())}), encoding="utf-8")
    plan = await bench.command("plan", manifest, *flags, environment=environment | on("2026-12-01"))
    refused = f"Endpoint: {OLD} retired on 2026-12-01; its requests will be refused; {MOVE}\n"
    assert (plan.out.partition("Jobs:")[0], plan.err) == (refused, "")
    soon = await bench.command("plan", manifest, *flags, environment=environment | on("2026-11-27"))
    assert soon.err == f"warning: {OLD} retires on 2026-12-01, in 4 days; {MOVE}\n"


async def test_a_plan_of_what_is_done_does_not_speak_of_refusals(bench: Bench) -> None:
    manifest = bench.write([job("a")])
    async with sandbox() as provider:
        await bench.command(*bench.run_arguments(manifest, provider), "--endpoint", OLD)
    plan = await bench.command("plan", manifest, "-o", bench.out, "--endpoint", OLD, environment=on("2026-12-01"))
    assert plan.out.startswith("Jobs: 1   to send 0")


async def test_a_plan_for_programs_has_the_last_day_and_the_successor(bench: Bench) -> None:
    manifest = bench.write([job("a")])
    plan = await bench.command("plan", manifest, "--json", environment=on("2026-11-27"))
    assert plan.json["retires"] == [{"endpoint": OLD, "date": "2026-12-01", "days_left": 4, "successor": NEW}]
    plan = await bench.command("plan", manifest, "--json", environment=on("2026-12-01"))
    assert (plan.json["retires"], plan.json["groups"][0]["endpoint"]) == ([], NEW)


async def test_a_day_that_is_none_is_a_fault(bench: Bench) -> None:
    plan = await bench.command("plan", bench.write([job("a")]), environment=on("1 December"))
    message = f"error: environment: {TODAY} is '1 December'; expected a date such as 2026-12-01\n"
    assert (plan.code, plan.err) == (2, message)


async def test_prices_that_were_set_for_the_retired_default_do_not_count_for_its_successor(bench: Bench) -> None:
    manifest = bench.write([job("a", quality="low", size="1024x1024")])
    (bench.folder / "config.yaml").write_text("pricing: {factor: 10}\n", encoding="utf-8")
    before = await bench.command("plan", manifest, "--json", environment=on("2026-11-30"))
    after = await bench.command("plan", manifest, environment=on("2026-12-01"))
    assert before.json["groups"][0]["unit_usd"] == pytest.approx(10 * 0.009)
    assert f"  pricing.factor and pricing.table were made for {OLD} and don't count\n" in after.out
    assert "$0.0176" in after.out  # (0.0059 + 0.0082) × 1.25, and the prompt's few tokens


REFUSALS = {
    "410": (("410@3",), "HTTP 410 (The model has been retired)"),
    "404 that names the model": (
        (f"404@3:text=no such model {OLD}",),
        f"HTTP 404 (The model has been retired): no such model {OLD}",
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_of_the_model_ends_the_run_with_what_moving_costs_and_the_command_for_it(
    bench: Bench, refusal: str
) -> None:
    faults, said = REFUSALS[refusal]
    manifest = bench.write(jobs(10))
    async with sandbox(faults=faults) as provider:
        stopped = await bench.command(*bench.run_arguments(manifest, provider, "--concurrency", "1"))
        assert stopped.code == 3
        lines = stopped.out.splitlines()
        assert lines[0] == f"Stopped: {said}; the successor of {OLD} is {NEW}. Move to its successor with --endpoint"
        left, after, command = lines[-3:]
        # 0.009 × 1.2 before; (0.0059 + 0.0082) × 1.25 and the prompt's few tokens after.
        assert left == f"Left: 8 requests, expected $0.09 with {OLD}"
        assert after == f"With its successor {NEW}: $0.14; what is done is kept"
        assert command.startswith("To move: batch-editor run ")
        assert command.endswith(f" --endpoint {NEW}")
        moved = await bench.command(*shlex.split(command.removeprefix("To move: batch-editor ")))
        assert moved.code == 0, moved.err
        assert provider.books.requests == 2 + 1 + 8
    assert Counter(row["endpoint"] for row in bench.rows()) == {OLD: 2, NEW: 8}


async def test_a_404_that_does_not_name_the_model_is_of_the_address(bench: Bench) -> None:
    async with sandbox(faults=("404:text=nothing here",)) as provider:
        stopped = await bench.command(*bench.run_arguments(bench.write([job("a")]), provider))
    assert stopped.code == 3
    assert stopped.out.startswith(
        "Stopped: HTTP 404 (Model or endpoint not found): nothing here. Check api.base_url and"
    )
    assert "To move" not in stopped.out


async def test_programs_are_told_what_moving_costs(bench: Bench) -> None:
    async with sandbox(faults=("410",)) as provider:
        stopped = await bench.command(*bench.run_arguments(bench.write(jobs(2)), provider, "--json"))
    move = stopped.json["move"]
    assert (move["endpoint"], move["successor"], move["requests"]) == (OLD, NEW, 2)
    assert move["cost_usd"]["before"] == pytest.approx(2 * 0.009 * 1.2)
    assert move["cost_usd"]["after"] == pytest.approx(2 * (0.0059 + 0.0082) * 1.25, rel=0.02)
    assert move["command"].endswith(f" --endpoint {NEW}")


async def test_a_rehearsal_of_the_day_moves_what_a_rehearsal_left(bench: Bench) -> None:
    manifest = bench.write(jobs(3))
    done = await bench.command("run", manifest, "-o", "out", "--sandbox", "--yes", environment=on("2026-12-02"))
    assert done.code == 0, done.err
    assert {row["endpoint"] for row in bench.rows()} == {NEW}
