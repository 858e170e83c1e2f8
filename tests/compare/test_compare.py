"""A few jobs in several ways: each request is paid once, also after a kill and by the run that follows."""

from __future__ import annotations

import asyncio
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batch_editor.money import Price
from batch_editor.planning import Comparison, Way
from tests.support.bench import INPUT, Bench, arrived, jobs, sandbox

FIRST, SECOND = "gpt-image-1.5-edit", "gpt-image-2.5-flare"
TWO_BY_TWO = ("--over", f"endpoint={FIRST},{SECOND}", "--over", "quality=low,high")
PLANNED = ("--compare", f"endpoint={FIRST},{SECOND}", "--compare", "quality=low,high")


def manifest(bench: Bench, count: int = 3) -> Path:
    """A manifest of a template, which names an endpoint and a quality of its own."""
    path = bench.folder / "shop.yaml"
    rows = "".join(f"      - {{sku: sku-{n}}}\n" for n in range(count))
    path.write_text(
        f"endpoint: {FIRST}\ndefaults: {{quality: medium, size: 1024x1024}}\njobs:\n"
        f"  - id: '{{{{ sku }}}}'\n    prompt: Put {{{{ sku }}}} on white\n    image_urls: ['{INPUT}']\n"
        f"    rows:\n{rows}",
        encoding="utf-8",
    )
    return path


def compare_arguments(bench: Bench, provider: Any, *more: str | Path) -> list[str | Path]:
    """Arguments of a comparison, as quick as a run's; its output directory is the default one."""
    _, path, _, _, *quick = bench.run_arguments(manifest(bench), provider)
    return ["compare", path, *quick, *more]


def quickly(command: str) -> list[str]:
    """A `run` command that was told, as arguments."""
    words = shlex.split(command)
    assert words[:2] == ["batch-editor", "run"]
    return [*words[1:], "--progress", "none"]


async def test_three_jobs_in_four_ways_send_twelve_requests_and_a_run_of_each_way_none_of_them(bench: Bench) -> None:
    async with sandbox() as provider:
        plan = await bench.command("plan", manifest(bench, 10), *PLANNED, "--limit", "3", "--json", key=None)
        assert plan.code == 0, plan.err
        assert (plan.json["jobs"], plan.json["requests"], plan.json["reused"]) == (12, 12, 0)
        ways = plan.json["compare"]["ways"]
        assert [(way["requests"], way["all"]["requests"]) for way in ways] == [(3, 10)] * 4
        few_usd = sum(way["cost_usd"]["expected"] for way in ways)
        assert plan.json["cost_usd"]["expected"] == pytest.approx(few_usd, abs=1e-5)

        arguments = compare_arguments(bench, provider, *TWO_BY_TWO, "--json")
        manifest(bench, 10)
        made = await bench.command(*arguments, "--limit", "3")
        assert (made.code, provider.books.requests) == (0, 12), made.err
        found = made.json["compare"]
        assert found["jobs"] == ["sku-0", "sku-1", "sku-2"]
        assert [(way["values"], way["jobs"], way["succeeded"]) for way in found["ways"]] == [
            ({"endpoint": endpoint, "quality": quality}, 3, 3)
            for endpoint in (FIRST, SECOND)
            for quality in ("low", "high")
        ]
        for way, planned in zip(found["ways"], ways, strict=True):
            assert way["cost_each_usd"] == pytest.approx(planned["cost_usd"]["expected"] / 3, abs=1e-5)
            assert way["all"]["cost_usd"] == pytest.approx(planned["all"]["cost_usd"]["expected"], abs=1e-5)
        # Again: all is done.
        assert (await bench.command(*arguments, "--limit", "3")).code == 0
        assert provider.books.requests == 12

        for number, way in enumerate(found["ways"]):
            out = bench.folder / "outputs" / "shop"
            planned_run = await bench.command("plan", *quickly(way["command"])[1:-2], "--json", key=None)
            assert (planned_run.json["requests"], planned_run.json["reused"]) == (7, 3), way["command"]
            before = provider.books.requests
            assert (await bench.command(*quickly(way["command"]))).code == 0
            assert provider.books.requests == before + 7
            rows = bench.rows(out)
            assert [row["reused_from"].split("@")[0] for row in rows[:3]] == [f"shop-compare/sku-{n}" for n in range(3)]
            assert {row["quality"] for row in rows} == {way["values"]["quality"]}
            assert {row["endpoint"] for row in rows} == {way["values"]["endpoint"]}
            out.rename(bench.folder / "outputs" / f"was-{number}")


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 5, 9])
async def test_killed_and_run_again_it_sends_no_more_than_what_was_in_flight_again(bench: Bench, after: int) -> None:
    async with sandbox(latency="0.02") as provider:
        arguments = compare_arguments(bench, provider, *TWO_BY_TWO, "--concurrency", "1")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, after)
            process.kill()
        left = await bench.command(*arguments)
        assert left.code == 0, left.err
        # One was in flight, and may have been billed in vain.
        assert provider.books.requests <= 13
        with closing(sqlite3.connect(bench.folder / "outputs/shop-compare/ledger.sqlite3")) as db:
            ((sent, known),) = db.execute("SELECT count(*), count(DISTINCT fingerprint) FROM attempts")
        assert (known, provider.books.requests) == (12, sent)


async def test_killed_between_two_requests_it_buys_nothing_twice(bench: Bench) -> None:
    """What was in flight when it was killed is a question of `retry.unknown`; what had arrived is not."""
    async with sandbox(latency="0.3") as provider:
        arguments = compare_arguments(bench, provider, *TWO_BY_TWO)
        async with bench.started(*arguments) as process:
            images = bench.folder / "outputs/shop-compare/images"
            while len(list(images.glob("*.png")) if images.exists() else []) < 12:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            process.kill()
        assert (await bench.command(*arguments)).code == 0
        assert provider.books.requests == 12


async def test_the_budget_is_one_for_all_ways(bench: Bench) -> None:
    async with sandbox() as provider:
        low = ("--over", "quality=low,medium", "--max-cost", "0.10", "--concurrency", "1")
        stopped = await bench.command(*compare_arguments(bench, provider, *low), "--json")
        assert stopped.code == 4
        assert 0 < provider.books.requests < 6
        assert stopped.json["cost_usd"]["estimated"] <= 0.10
        ways = stopped.json["compare"]["ways"]
        assert sum(way["succeeded"] for way in ways) == provider.books.requests


async def test_without_anybody_to_ask_it_does_not_send_what_may_not_be_meant(bench: Bench) -> None:
    """A comparison in the output directory of a catalog would move the catalog's images away."""
    async with sandbox() as provider:
        path = bench.write(jobs(25))
        assert (await bench.command(*bench.run_arguments(path, provider))).code == 0
        _, _, _, _, *quick = bench.run_arguments(path, provider)
        over = ("--over", "quality=medium,high", "-o", bench.out)
        refused = await bench.command("compare", path, *quick, *over)
        assert (refused.code, provider.books.requests) == (2, 25)
        assert "the manifest names 0 of the 25 jobs of this output directory" in refused.err
        # Other values in the comparison's own directory are meant.
        for values in ("medium,high", "low"):
            again = await bench.command("compare", path, *quick, "--over", f"quality={values}", "--limit", "2")
            assert again.code == 0, again.err
        assert provider.books.requests == 25 + 6


async def test_a_parameter_that_an_endpoint_lacks_is_left_out_and_said_once(bench: Bench) -> None:
    async with sandbox() as provider:
        over = ("--over", f"endpoint={FIRST},nano-banana", "--over", "quality=low,high", "--over", "size=1024x1024")
        made = await bench.command(*compare_arguments(bench, provider, *over), "--json")
        assert (made.code, provider.books.requests) == (0, 9), made.err
    assert [list(way["values"].values()) for way in made.json["compare"]["ways"]] == [
        [FIRST, "low", "1024x1024"],
        [FIRST, "high", "1024x1024"],
        ["nano-banana", "any", "1024x1024"],
    ]
    warnings = [line for line in made.err.splitlines() if line.startswith("warning:") and "retires" not in line]
    assert len([line for line in warnings if "quality" in line and "nano-banana" in line]) == 1
    assert len([line for line in warnings if "size" in line and "nano-banana" in line]) == 1


async def test_a_value_that_an_endpoint_lacks_is_its_default_there(bench: Bench) -> None:
    """A manifest that names no quality: the one of `--over` is all there is."""
    other = bench.folder / "small.yaml"
    other.write_text(
        "name: small\npath: gpt-image-1.5-edit\nparameters:\n"
        "  prompt: {type: string, required: true, role: prompt}\n"
        "  image_urls: {type: links, required: true, role: images}\n"
        "  quality: {type: string, choices: [low, medium], default: medium}\n"
        "prices: {by: [quality], table: {low: 0.01, medium: 0.02}}\n",
        encoding="utf-8",
    )
    path = bench.folder / "jobs.csv"
    path.write_text(f"id,prompt,image_urls\na,x,{INPUT}\n", encoding="utf-8")
    over = ("--compare", f"endpoint={FIRST},small.yaml", "--compare", "quality=low,medium,high")
    plan = await bench.command("plan", path, *over, "--json", key=None)
    assert plan.code == 0, plan.err
    assert [(list(way["values"].values()), way["set"]) for way in plan.json["compare"]["ways"]] == [
        ([FIRST, "low"], {"endpoint": FIRST, "quality": "low"}),
        ([FIRST, "medium"], {"endpoint": FIRST, "quality": "medium"}),
        ([FIRST, "high"], {"endpoint": FIRST, "quality": "high"}),
        (["small.yaml", "low"], {"endpoint": "small.yaml", "quality": "low"}),
        (["small.yaml", "medium or high"], {"endpoint": "small.yaml", "quality": "medium"}),
    ]
    said = "warning: --over quality 'high' has no place in small; its default counts instead\n"
    assert plan.err.count(said) == 1


@pytest.mark.parametrize(
    ("value", "sent", "said"),
    [
        ({"quality": "low"}, {"quality": "low"}, "low"),
        ({"quality": "xhigh"}, {"endpoint": "gpt-image-2", "quality": "high"}, "xhigh → high"),
        ({"quality": "medium or high"}, {"quality": "medium"}, "medium or high → medium"),
        ({"quality": "any"}, {"quality": "medium"}, "any"),
        ({"quality": "any"}, {}, "any"),
        ({"output_format": "jpeg", "quality": "low"}, {"output_format": "jpg", "quality": "low"}, "jpeg → jpg, low"),
    ],
)
def test_what_is_sent_in_place_of_a_value_is_said_beside_it(
    value: dict[str, str], sent: dict[str, str], said: str
) -> None:
    free = Price(0.0, 0.0, 0.0)
    way = Way(value, sent, {}, requests=1, cost=free, all_jobs=1, all_requests=1, all_cost=free)
    assert way.label == said
    lines = list(Comparison(list(value), [], 1, [way]).lines())
    assert lines[2].startswith("  " + said.split(", ")[0])


async def test_values_that_come_to_the_same_requests_are_one_way(bench: Bench) -> None:
    plan = await bench.command("plan", manifest(bench), "--compare", "quality=low,LOW,high", "--json", key=None)
    assert plan.code == 0, plan.err
    assert [(way["values"]["quality"], way["requests"]) for way in plan.json["compare"]["ways"]] == [
        ("low or LOW", 3),
        ("high", 3),
    ]
    assert plan.json["requests"] == 6


async def test_values_with_a_comma_are_a_json_list_and_prompts_may_be_templates(bench: Bench) -> None:
    path = manifest(bench)
    async with sandbox() as provider:
        _, _, _, _, *quick = bench.run_arguments(path, provider)
        over = 'prompt=["Put {{ sku }} on white, softly lit", "{{ sku }} in a kitchen"]'
        made = await bench.command("compare", path, *quick, "--over", over, "--json")
        assert (made.code, provider.books.requests) == (0, 6), made.err
        rows = bench.rows(bench.folder / "outputs/shop-compare")
        assert [row["prompt"] for row in rows[:2]] == ["Put sku-0 on white, softly lit", "sku-0 in a kitchen"]
        for way in made.json["compare"]["ways"]:
            assert (await bench.command(*quickly(way["command"]))).code == 0
        assert provider.books.requests == 6


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("quality=hgih", "error: --over quality: 'hgih'; expected low, medium, high or auto (did you mean high?)\n"),
        (
            "qualty=low",
            "error: --over 'qualty' is no parameter of gpt-image-1.5-edit (did you mean quality?)\n",
        ),
        (
            "endpoint=nano-banan",
            "error: endpoint 'nano-banan' is unknown (did you mean nano-banana?); expected ",
        ),
    ],
)
async def test_what_is_no_parameter_or_value_is_refused_before_anything_is_sent(
    bench: Bench, over: str, message: str
) -> None:
    async with sandbox() as provider:
        found = await bench.command(*compare_arguments(bench, provider, "--over", over))
        assert (found.code, provider.books.requests) == (2, 0)
    assert found.err.startswith(message)


@pytest.mark.parametrize("over", ["quality", "quality=", "=low", "quality=low,,high", 'prompt=["a", "b', "prompt=[]"])
async def test_how_values_are_written_is_said(bench: Bench, over: str) -> None:
    found = await bench.command("compare", manifest(bench), "--over", over, key=None)
    assert found.code == 2
    assert (
        f"Error: --over {over!r}: expected NAME=V1,V2, such as --over quality=low,high, or"
        """ --over 'prompt=["a, b", "c"]' where a value has a comma\n""" in found.err
    )


async def test_what_is_a_fault_with_one_of_the_endpoints_names_it(bench: Bench) -> None:
    path = bench.write([{"id": "two", "prompt": "x", "image_urls": [INPUT, f"{INPUT}?back"]}])
    refused = await bench.command("compare", path, "--over", f"endpoint={FIRST},gpt-image-2", "--sandbox")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"error: with endpoint gpt-image-2: {path}:")
    assert refused.err.endswith(": job two: image_urls has 2 links; expected one\n")


async def test_a_fault_of_a_compared_value_names_the_option_that_it_was_given_with(bench: Bench) -> None:
    """The endpoint of a run without a manifest's has a `quality`; the manifest's has none."""
    path = bench.folder / "banana.yaml"
    path.write_text(
        f"endpoint: nano-banana-2\njobs: [{{id: a, prompt: x, image_urls: ['{INPUT}']}}]\n", encoding="utf-8"
    )
    refused = await bench.command("plan", path, "--compare", "quality=low,high", key=None)
    assert (refused.code, refused.err) == (2, "error: --over: 'quality' is no parameter of nano-banana-2\n")


async def test_the_first_jobs_of_each_template_in_turn_are_compared(bench: Bench) -> None:
    path = bench.folder / "several.yaml"
    rows = "[{n: 1}, {n: 2}, {n: 3}, {n: 4}]"
    path.write_text(
        "jobs:\n"
        + "".join(
            f"  - {{id: '{name}-{{{{ n }}}}', prompt: '{name} {{{{ n }}}}', image_urls: ['{INPUT}'], rows: {rows}}}\n"
            for name in ("mug", "cup")
        )
        + f"  - {{id: single, prompt: x, image_urls: ['{INPUT}']}}\n"
        + f"  - {{id: the-same, prompt: mug 1, image_urls: ['{INPUT}']}}\n",
        encoding="utf-8",
    )

    async def compared(*more: str) -> list[str]:
        """The jobs that are compared."""
        plan = await bench.command("plan", path, "--compare", "quality=low", "--json", *more, key=None)
        assert plan.code == 0, plan.err
        found = plan.json["compare"]["jobs"]
        assert isinstance(found, list)
        return found

    assert await compared() == ["mug-1", "mug-2", "cup-1", "cup-2", "single"]
    assert await compared("--limit", "2") == ["mug-1", "single"]
    assert await compared("--only", "cup-*", "--limit", "3") == ["cup-1", "cup-2", "cup-3"]


async def test_a_comparison_elsewhere_is_named_in_its_commands(bench: Bench) -> None:
    async with sandbox() as provider:
        elsewhere = bench.folder / "trial run"
        over = ("--over", "quality=low,high", "-o", elsewhere, "--set", "size=1536x1024", "--set", "quality=auto")
        made = await bench.command(*compare_arguments(bench, provider, *over), "--json")
        assert (made.code, provider.books.requests) == (0, 6), made.err
        for way in made.json["compare"]["ways"]:
            assert f"--reuse '{elsewhere}' --set size=1536x1024 --set quality=" in way["command"]
            assert "auto" not in way["command"]
            assert (await bench.command(*quickly(way["command"]))).code == 0
        assert provider.books.requests == 6


async def test_what_is_compared_of_standard_input_has_commands_that_take_it_from_there_again(bench: Bench) -> None:
    async with sandbox() as provider:
        table = bench.folder / "piped.csv"
        table.write_text(f"id,prompt,image_urls\na,x,{INPUT}\n", encoding="utf-8")
        _, _, _, _, *quick = bench.run_arguments(table, provider)
        with table.open() as piped:
            over = ("--over", "quality=low,high", "-o", "out/few", "--json")
            made = await bench.command("compare", "-", *quick, *over, stdin=piped.fileno())
        assert (made.code, provider.books.requests) == (0, 2), made.err
        for way in made.json["compare"]["ways"]:
            assert " --output out/few-all --reuse out/few --set quality=" in way["command"]
            with table.open() as piped:
                assert (await bench.command(*quickly(way["command"]), stdin=piped.fileno())).code == 0
        assert provider.books.requests == 2


async def test_the_table_and_its_commands_stand_at_the_end(bench: Bench) -> None:
    async with sandbox() as provider:
        made = await bench.command(*compare_arguments(bench, provider, "--over", "quality=low,high"))
        assert made.code == 0
        lines = made.out.splitlines()
        table = [line.split() for line in lines[-9:-6]]
        assert table[0] == ["quality", "jobs", "succeeded", "cost", "each", "seconds", "all", "3"]
        assert [(row[0], row[1], row[2], row[3], row[5]) for row in table[1:]] == [
            ("low", "3", "3", "$0.0108", "$0.0324"),
            ("high", "3", "3", "$0.1596", "$0.48"),
        ]
        command = f"  batch-editor run {bench.folder}/shop.yaml --rate 100000/s --base-url {provider.base_url} --set"
        assert lines[-5:] == [
            "To do all 3 jobs one way. What was compared is taken over, and not paid for again:",
            "  # low",
            f"{command} quality=low",
            "  # high",
            f"{command} quality=high",
        ]
        assert "All 3: $0.0324 · $0.48\n" in made.err


async def test_a_rehearsal_says_that_a_run_takes_nothing_from_it(bench: Bench) -> None:
    over = ("--over", "quality=low,high", "--limit", "1", "--progress", "none")
    made = await bench.command("compare", manifest(bench), *over, "--sandbox", key=None)
    assert made.code == 0, made.err
    said = "This was a rehearsal: nothing of it was paid for, and a run takes nothing from it"
    assert f"To do all 3 jobs one way. {said}:\n" in made.out
    assert said in (bench.folder / "outputs/shop-compare/compare.html").read_text(encoding="utf-8")
    plan = await bench.command("plan", manifest(bench), "--set", "quality=low", key=None)
    assert "to send 3" in plan.out
