"""Before much money is spent somebody is asked; a canary goes first."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from batch_editor.errors import Declined
from tests.support.bench import LOW_USD, Bench, jobs, priced, sandbox
from tests.support.terminal import conversation


class Asked:
    """Somebody who keeps what they were asked and answers always the same."""

    def __init__(self, *, answer: bool) -> None:
        self.questions: list[list[str]] = []
        self._answer = answer

    def __call__(self, lines: Sequence[str]) -> bool:
        self.questions.append(list(lines))
        return self._answer


async def test_above_the_limit_somebody_is_asked_with_the_plan_in_three_lines(bench: Bench) -> None:
    asked = Asked(answer=True)
    async with sandbox() as provider:
        summary = await bench.run_asking(jobs(4), provider, ask=asked, budget__confirm_above_usd=0.02)
    assert summary.exit_code == 0
    ((cost, time, source),) = asked.questions
    assert cost == "4 requests, $0.04 expected (up to $0.20)"
    assert time.startswith("about 1m ")
    assert time.endswith("; the provider's 57 s an image is the limit; all 4 requests are in flight together")
    assert source == "price from: price list"


async def test_a_no_sends_nothing_and_leaves_no_run_behind(bench: Bench) -> None:
    async with sandbox() as provider:
        with pytest.raises(Declined, match="nothing was sent"):
            await bench.run_asking(jobs(4), provider, ask=Asked(answer=False), budget__confirm_above_usd=0.02)
        assert provider.books.requests == 0
        assert bench.plan(jobs(4)).known["new"] == 4
        assert (await bench.run(jobs(4), provider)).exit_code == 0


@pytest.mark.parametrize(("limit", "questions"), [(0.0431, 1), (0.0433, 0)])
async def test_nobody_is_asked_about_less(bench: Bench, limit: float, questions: int) -> None:
    asked = Asked(answer=True)
    async with sandbox() as provider:
        await bench.run_asking(jobs(4), provider, ask=asked, budget__confirm_above_usd=limit)
    assert len(asked.questions) == questions


async def test_on_a_terminal_a_no_ends_with_4(bench: Bench) -> None:
    async with sandbox() as provider:
        code, shown = await on_terminal(bench, provider.base_url, [("Go on? [y/N]: ", "n\n")])
    assert code == 4
    assert "4 requests, $0.04 expected (up to $0.20)\nabout " in shown
    assert shown.rstrip().endswith("error: nothing was sent")
    assert provider.books.requests == 0


async def test_on_a_terminal_a_yes_goes_on(bench: Bench) -> None:
    async with sandbox() as provider:
        code, shown = await on_terminal(
            bench, provider.base_url, [("Go on? [y/N]: ", "what?\n"), ("what?\nGo on?", "y\n")]
        )
    assert (code, provider.books.requests) == (0, 4)
    assert "Jobs: 4   succeeded 4" in shown


async def test_a_ctrl_c_at_the_question_is_heard_at_once(bench: Bench) -> None:
    async with sandbox() as provider:
        code, shown = await on_terminal(bench, provider.base_url, [("Go on? [y/N]: ", "\x03")])
    assert (code, provider.books.requests) == (130, 0)
    assert "Interrupted; nothing is lost, running again resumes." in shown


async def test_lines_of_the_log_stand_above_the_bar_of_a_terminal(bench: Bench) -> None:
    async with sandbox(latency="0.2", faults=["502@2"]) as provider:
        code, shown = await on_terminal(bench, provider.base_url, [], "--yes", "-v", "--progress", "bar")
    assert code == 0
    assert "100% |" in shown
    logged = re.findall(r"^.*(?:succeeded|failed) job_id=.*$", shown, re.MULTILINE)
    assert len(logged) > 3
    for line in logged:
        assert re.match(r"\d\d:\d\d:\d\d (succeeded|failed) job_id=", line.rsplit("\r", 1)[-1]), line


@pytest.mark.slow
async def test_yes_and_no_terminal_ask_nothing(bench: Bench) -> None:
    async with sandbox() as provider:
        code, shown = await on_terminal(bench, provider.base_url, [], "--yes")
        assert (code, provider.books.requests) == (0, 4)
        assert "Go on?" not in shown
        # The same jobs again cost nothing, so others.
        arguments = bench.run_arguments(bench.write([*jobs(4), *jobs(4, name="b")]), provider)
        unattended = await bench.command(*arguments, environment=CAREFUL)
    assert (unattended.code, provider.books.requests) == (0, 8)
    assert "Go on?" not in unattended.err


async def test_a_ctrl_c_at_the_question_after_a_canary_is_heard_at_once(bench: Bench) -> None:
    async with sandbox() as provider:
        steps = [("Go on? [y/N]: ", "y\n"), ("Latency: half within", ""), ("s\nGo on? [y/N]: ", "\x03")]
        code, shown = await on_terminal(bench, provider.base_url, steps, "--canary", "2")
    assert (code, provider.books.requests) == (130, 2)
    assert "Interrupted; nothing is lost, running again resumes." in shown


CAREFUL = {"BATCH_EDITOR_BUDGET__CONFIRM_ABOVE_USD": "0.02"}


async def on_terminal(bench: Bench, base_url: str, steps: list[tuple[str, str]], *more: str) -> tuple[int, str]:
    arguments = ["run", str(bench.write(jobs(4))), "-o", str(bench.out), "--base-url", base_url, "--progress", "none"]
    quick = ["--rate", "1000/s", "--concurrency", "4"]
    return await conversation(
        [*arguments, *quick, *more], steps, cwd=bench.folder, environment=bench.environment(**CAREFUL)
    )


async def test_a_canary_goes_first_spread_over_the_templates_and_their_jobs(bench: Bench) -> None:
    asked = Asked(answer=False)
    rows = [{"n": str(number)} for number in range(50)]
    templates = [
        {
            "id": f"{name}-{{{{ n }}}}",
            "rows": rows,
            "prompt": f"{name} {{{{ n }}}}",
            "image_urls": ["http://127.0.0.1:9/"],
        }
        for name in ("first", "second", "third")
    ]
    async with sandbox() as provider:
        summary = await bench.run_asking(bench.write(templates), provider, ask=asked, canary=6)
    sent = sorted(entry.prompt.partition(" ")[0] for entry in provider.books.log)
    assert sent == ["first", "first", "second", "second", "third", "third"]
    places = {int(entry.prompt.partition(" ")[2]) for entry in provider.books.log}
    assert max(places) - min(places) >= 25
    assert (summary.exit_code, summary.jobs.pending) == (4, 144)


async def test_the_question_after_a_canary_says_its_cost_and_latency_beside_the_plan(bench: Bench) -> None:
    asked = Asked(answer=False)
    async with sandbox(endpoint=priced(2.4), latency="0.2") as provider:
        summary = await bench.run_asking(jobs(20), provider, ask=asked, canary=3)
    ((cost, latency),) = asked.questions
    assert cost == "Canary: 3 of 3 jobs succeeded for $0.0648; the plan expected $0.0324 (200%)"
    assert re.fullmatch(r"Latency: half within [01]\.\d s", latency)
    assert summary.stop is not None
    assert (summary.stop.kind, summary.stop.message) == ("declined", "as you said after the canary")
    assert (summary.exit_code, provider.books.requests) == (4, 3)


async def test_a_yes_after_the_canary_does_the_rest(bench: Bench) -> None:
    async with sandbox() as provider:
        summary = await bench.run_asking(jobs(20), provider, ask=Asked(answer=True), canary=3)
    assert (summary.exit_code, provider.books.requests) == (0, 20)


async def test_what_follows_a_canary_is_a_run_of_its_own_under_the_same_budget(bench: Bench) -> None:
    async with sandbox() as provider:
        wanted = jobs(20, quality="low", size="1024x1024")
        summary = await bench.run_asking(wanted, provider, canary=3, budget__max_cost_usd=8 * LOW_USD)
    assert summary.comparison is not None
    assert summary.comparison.expected_requests == 17
    assert (summary.exit_code, provider.books.requests, summary.sent) == (4, 8, 5)
    assert provider.books.billed_usd == pytest.approx(8 * LOW_USD)


@pytest.mark.parametrize(("factor", "goes_on"), [(1.2 * 1.4, True), (1.2 * 1.6, False)])
async def test_without_anybody_to_ask_a_canary_half_as_dear_again_as_planned_stops_the_run(
    bench: Bench, factor: float, goes_on: bool
) -> None:
    async with sandbox(endpoint=priced(factor)) as provider:
        summary = await bench.run_asking(jobs(20), provider, canary=4)
    if goes_on:
        assert (summary.exit_code, provider.books.requests) == (0, 20)
        return
    assert (summary.exit_code, provider.books.requests) == (4, 4)
    assert summary.stop is not None
    assert summary.stop.message == "the canary cost 1.6 × the plan; look at it, then run again without --canary"


async def test_a_plan_that_knows_the_real_price_is_what_the_canary_is_compared_with(bench: Bench) -> None:
    async with sandbox(endpoint=priced(2.4)) as provider:
        await bench.run(jobs(5, name="before"), provider)
        summary = await bench.run_asking(jobs(20), provider, canary=4)
    assert summary.exit_code == 0
    assert provider.books.billed_usd == pytest.approx(25 * 2 * LOW_USD)


async def test_a_canary_that_meets_a_transient_failure_tries_again(bench: Bench) -> None:
    async with sandbox(faults=("502:first=1",)) as provider:
        summary = await bench.run_asking(jobs(5), provider, canary=2)
    assert (summary.exit_code, summary.jobs.succeeded, provider.books.requests) == (0, 5, 10)


async def test_a_canary_of_which_nothing_comes_stops_the_run(bench: Bench) -> None:
    async with sandbox(faults=("400",)) as provider:
        summary = await bench.run_asking(jobs(20), provider, canary=3)
    assert (summary.exit_code, provider.books.requests) == (4, 3)
    assert summary.stop is not None
    assert summary.stop.message == "none of the canary's jobs succeeded; see errors, then run again"


async def test_a_canary_of_more_jobs_than_there_are_is_the_whole_run(bench: Bench) -> None:
    asked = Asked(answer=True)
    async with sandbox() as provider:
        summary = await bench.run_asking(jobs(3), provider, ask=asked, canary=10)
        again = await bench.run_asking(jobs(3), provider, ask=asked, canary=10)
    assert (summary.exit_code, again.exit_code, provider.books.requests) == (0, 0, 3)
