"""What a plan says, and that it only says it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_editor import ManifestError, Selection
from batch_editor.endpoints import load_endpoint, shipped_endpoints
from batch_editor.money.pricing import Price
from batch_editor.planning import Catalog
from tests.support.bench import HIGH_USD, INPUT, LOW_USD, MEDIUM_USD, Bench, job, jobs, priced, sandbox, with_options

WIDE_USD = 0.24  # quality high, 1024x1536: 0.200 × 1.2


def snapshot(folder: Path) -> dict[str, str]:
    """Every file and folder below, with a hash of what is in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "/"
        for path in sorted(folder.rglob("*"))
    }


async def test_a_plan_needs_no_key_and_no_network_and_leaves_no_trace(bench: Bench) -> None:
    bench.write(jobs(2))
    before = snapshot(bench.folder)
    # Nothing listens there: whoever connects fails.
    planned = await bench.command("plan", "jobs.yaml", "--base-url", "http://127.0.0.1:9/v1", key=None)
    dry = await bench.command("run", "jobs.yaml", "--dry-run", "--json", key=None)
    assert (planned.code, planned.err) == (0, "")
    assert (dry.code, dry.json["requests"]) == (0, 2)
    assert snapshot(bench.folder) == before


async def test_a_plan_of_what_a_run_has_done_leaves_its_directory_as_it_is(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
    manifest = bench.write(jobs(5))
    before = snapshot(bench.folder)
    plan = bench.plan(manifest)
    assert (plan.jobs, plan.requests, plan.done) == (5, 2, 3)
    assert snapshot(bench.folder) == before


async def test_a_faulty_manifest_is_refused_with_all_its_faults(bench: Bench) -> None:
    (bench.folder / "bad.csv").write_text(
        "id,prompt,image_urls,quality,size\n"
        "a,x,https://example.com/a.jpg,hgih,1024x1024\n"
        "b,x,https://example.com/b.jpg,low,1x1\n"
        "c,x,,low,1024x1024\n"
    )
    planned = await bench.command("plan", "bad.csv", key=None)
    assert (planned.code, planned.out) == (2, "")
    assert planned.err.splitlines() == [
        "error: bad.csv:2: job a: quality is 'hgih'; expected low, medium, high or auto (did you mean high?)",
        "error: bad.csv:3: job b: size is '1x1'; expected 1024x1024, 1536x1024, 1024x1536 or auto",
        "error: bad.csv: image_urls is empty in 1 row, first at line 4; --set 'when={{ image_urls }}' skips such rows",
    ]


def test_a_faulty_manifest_raises_in_python_and_carries_its_faults(bench: Bench) -> None:
    with pytest.raises(ManifestError) as refused:
        bench.plan([job("a", quality="hgih"), job("b", size="1x1")])
    assert refused.value.total == 2


def test_requests_are_counted_once_however_many_jobs_share_them(bench: Bench) -> None:
    plan = bench.plan([*jobs(3), job("a", "same"), job("b", "same"), job("v", "same", variants=2)])
    assert (plan.jobs, plan.requests, plan.reused, plan.done) == (7, 5, 2, 0)
    assert plan.known == {"new": 7, "changed": 0, "unchanged": 0, "failed": 0, "unknown": 0}


def test_local_files_are_counted_once_for_their_content(bench: Bench) -> None:
    for name, colour in (("a.png", "red"), ("copy.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (80, 80), colour).save(bench.folder / name)
    plan = bench.plan([job(name, image_urls=[name]) for name in ("a.png", "copy.png", "b.png")])
    assert (plan.requests, plan.uploads) == (3, 2)
    assert "Uploads: 2 local files, once each" in list(plan.lines())


def test_limit_and_only_choose_the_jobs_that_are_planned(bench: Bench) -> None:
    plan = bench.plan(jobs(30), selection=Selection(only=["job-1*"], limit=4))
    assert (plan.jobs, plan.requests) == (4, 4)


def test_fixed_values_have_the_price_of_the_list_and_at_most_the_extras_besides(bench: Bench) -> None:
    plan = bench.plan([job("a", "x" * 100, quality="medium", image_urls=[INPUT, f"{INPUT}?2"])])
    assert plan.cost.min_usd == plan.cost.expected_usd == pytest.approx(MEDIUM_USD)
    # Each input at most $0.0336, each character of the prompt at most $0.000005, both times the factor of 1.2.
    assert plan.cost.max_usd == pytest.approx((0.034 + 2 * 0.0336 + 100 * 0.000005) * 1.2)


def test_auto_is_a_range_from_the_cheapest_to_the_dearest_choice(bench: Bench) -> None:
    free, size_free, quality_free = (
        bench.plan([job("a", "", quality=quality, size=size)]).cost
        for quality, size in (("auto", "auto"), ("medium", "auto"), ("auto", "1024x1024"))
    )
    extras = 0.0336 * 1.2 + 6 * 0.000005 * 1.2  # an input, and the six characters of "edit a"
    assert amounts(free) == pytest.approx((LOW_USD, WIDE_USD, WIDE_USD + extras))
    assert amounts(size_free) == pytest.approx((MEDIUM_USD, 0.06, 0.06 + extras))
    assert amounts(quality_free) == pytest.approx((LOW_USD, HIGH_USD, HIGH_USD + extras))


def amounts(price: Price) -> tuple[float, float, float]:
    return price.min_usd, price.expected_usd, price.max_usd


def test_the_table_has_a_row_for_each_kind_the_dearest_first_and_its_shares_add_up(bench: Bench) -> None:
    plan = bench.plan([*jobs(4), *jobs(2, name="m", quality="medium"), job("two", image_urls=[INPUT, f"{INPUT}?2"])])
    kinds = [(group.quality, group.inputs, group.requests) for group in plan.groups]
    assert kinds == [("medium", 1, 2), ("low", 1, 4), ("low", 2, 1)]
    assert [group.unit_usd for group in plan.groups] == pytest.approx([MEDIUM_USD, LOW_USD, LOW_USD])
    assert sum(group.cost_usd for group in plan.groups) == pytest.approx(plan.cost.expected_usd)
    assert list(plan.lines())[1:5] == [
        "Cost: $0.14 expected, $0.14 at least, $0.46 at most",
        "        2 × $0.0408 =       $0.08   60%  gpt-image-1.5-edit, medium, 1024x1024, 1 input (price list)",
        "        4 × $0.0108 =       $0.04   32%  gpt-image-1.5-edit, low, 1024x1024, 1 input (price list)",
        "        1 × $0.0108 =       $0.01    8%  gpt-image-1.5-edit, low, 1024x1024, 2 inputs (price list)",
    ]
    assert list(plan.lines())[5:7] == [
        "  at least: auto is the cheapest, inputs and prompt are free",
        "  at most: auto is the most expensive, inputs and prompt cost the most they can",
    ]


async def test_the_json_has_every_documented_key(bench: Bench) -> None:
    bench.write(jobs(2))
    planned = await bench.command("plan", "jobs.yaml", "--json", "--max-cost", "1", "--deadline", "2h", key=None)
    plan = planned.json
    assert list(plan) == [
        *("jobs", "requests", "reused", "taken", "done", "uploads", "skipped", "faulty", "remade", "pruned"),
        *("redone", "identified", "kept", "kept_differs", "gone", "changes", "asks"),
        *("cost_usd", "duration_s", "limited_by", "advice", "providers", "groups"),
        *("retires", "known", "duration_from", "budget", "deadline", "inputs", "tracked", "tables", "compare"),
        *("moved", "shard", "saved"),
    ]
    assert plan["cost_usd"] == {"low": 0.0216, "expected": 0.0216, "high": 0.10236}
    assert list(plan["duration_s"]) == ["p10", "p50", "p90"]
    assert plan["groups"] == [
        {
            "endpoint": "gpt-image-1.5-edit",
            "quality": "low",
            "size": "1024x1024",
            "inputs": 1,
            "requests": 2,
            "unit_usd": 0.0108,
            "cost_usd": 0.0216,
            "price_from": "price list",
            "charges": 0,
            "list_usd": 0.0108,
            "low_usd": 0.0216,
            "high_usd": 0.10236,
        }
    ]
    assert plan["known"] == {"new": 2, "changed": 0, "unchanged": 0, "failed": 0, "unknown": 0}
    assert plan["budget"] == {"limit": "$1.00", "fits": True, "requests": 2}
    assert (plan["deadline"]["fits"], plan["deadline"]["requests"], plan["inputs"]) == (True, 2, None)


async def test_after_a_run_a_plan_tells_new_changed_unchanged_failed_and_unknown_jobs(bench: Bench) -> None:
    faults = ("400:prompt~bad", "html:prompt~lost")
    first = [*jobs(4), job("bad", "bad"), job("lost", "lost")]
    async with sandbox(faults=faults) as provider:
        await bench.run(first, provider)
    second = [*jobs(3), job("job-3", "something else"), job("bad", "bad"), job("lost", "lost"), job("fresh")]
    plan, again = (bench.plan(second), bench.plan(second, redo=["failed", "unknown"]))
    assert plan.known == {"new": 1, "changed": 1, "unchanged": 3, "failed": 1, "unknown": 1}
    assert (plan.jobs, plan.requests, plan.done) == (7, 2, 5)
    assert "  new 1, changed 1, unchanged 5, gone 0; of the unchanged failed 1, unknown 1" in list(plan.lines())
    assert again.known == plan.known
    assert (again.jobs, again.requests, again.done) == (7, 4, 3)


@pytest.mark.slow
async def test_a_plan_and_then_the_run_say_what_is_new_changed_unchanged_and_gone(bench: Bench) -> None:
    said = "  new 1, changed 2 (1 in their links alone), unchanged 2, gone 1"
    async with sandbox() as provider:
        first = await bench.run(jobs(5), provider)
        assert first.changes is not None
        assert first.changes.are_all_new
        assert not any(line.startswith("  new ") for line in first.lines())
        wanted = [*jobs(2), job("job-2", "another"), job("job-3", image_urls=["http://127.0.0.1:9/b.png"]), job("late")]
        manifest = bench.write(wanted)
        planned = bench.plan(manifest)
        assert said in list(planned.lines())
        # In two rounds, of which the second one is about the same.
        arguments = bench.run_arguments(manifest, provider, "--canary", "1", "--yes", "--json")
        done = await bench.command(*arguments)
    changes = {"new": 1, "changed": 2, "links_alone": 1, "unchanged": 2, "gone": 1, "behind_links": 0}
    assert done.json["changes"] == planned.as_json()["changes"] == changes
    status = await bench.command("status", bench.out)
    assert status.out.splitlines()[1] == said


async def test_what_a_plan_counts_is_what_the_run_sends(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(4), provider)
        wanted = [*jobs(3), job("job-3", "something else"), job("a", "same"), job("b", "same")]
        plan = bench.plan(wanted)
        before = provider.books.requests
        summary = await bench.run(wanted, provider)
    assert plan.requests == provider.books.requests - before == summary.sent == 2
    assert plan.reused == summary.jobs.reused == 1


async def test_a_plan_counts_unknown_jobs_where_they_are_to_be_sent_again(bench: Bench) -> None:
    wanted = [*jobs(2), job("bad", "bad"), job("lost", "lost")]
    async with sandbox(faults=("400:prompt~bad", "html:prompt~lost")) as provider:
        await bench.run(wanted, provider)
    async with sandbox() as provider:
        plan = bench.plan(wanted, redo=["unknown"])
        summary = await bench.run(wanted, provider, options=with_options(redo=["unknown"]))
    assert plan.requests == provider.books.requests == 1
    assert (summary.jobs.succeeded, summary.jobs.failed, summary.jobs.unknown) == (3, 1, 0)


async def test_what_a_rehearsal_did_is_not_done(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider, options=with_options(sandbox=True))
    plan = bench.plan(jobs(3))
    assert (plan.requests, plan.done, plan.known["new"]) == (3, 0, 3)


@pytest.mark.slow
def test_a_hundred_thousand_jobs_are_planned_in_the_memory_of_a_thousand(bench: Bench) -> None:
    few, many = (planned_mb(bench.folder, count) for count in (1_000, 100_000))
    assert few[0] == 1_000
    assert many[0] == 100_000
    assert many[1] < few[1] + 40


def planned_mb(folder: Path, count: int) -> tuple[int, float]:
    """Requests of a plan of so many CSV rows, and the most memory that its process had, in MB."""
    manifest = folder / f"{count}.csv"
    with manifest.open("w", encoding="utf-8") as file:
        file.write("id,prompt,image_urls,quality,size\n")
        for number in range(count):
            file.write(f"j{number},Put product {number} on white,https://example.com/{number}.jpg,low,1024x1024\n")
    program = (
        "import json, resource, sys; from batch_editor import load_settings, make_plan;"
        " plan = make_plan([sys.argv[1]], load_settings());"
        " print(json.dumps([plan.requests, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))"
    )
    made = subprocess.run(
        [sys.executable, "-c", program, str(manifest)], cwd=folder, capture_output=True, text=True, check=True
    )
    requests, peak = json.loads(made.stdout)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB here
    return requests, peak * unit / 1e6


async def test_a_group_says_its_list_price_beside_what_was_charged(bench: Bench) -> None:
    async with sandbox(endpoint=priced(2.4)) as provider:
        await bench.run(jobs(3), provider)
    (group,) = bench.plan(jobs(6)).groups
    assert (group.requests, group.source, group.charges) == (3, "charged for the same", 3)
    assert (group.unit_usd, group.list_usd) == pytest.approx((2 * LOW_USD, LOW_USD))
    assert (group.low_usd, group.cost_usd) == pytest.approx((3 * 2 * LOW_USD, 3 * 2 * LOW_USD))
    assert group.high_usd >= group.cost_usd


def test_what_the_provider_adds_is_known_only_where_the_file_says_whose_prices_it_has(bench: Bench) -> None:
    def margin(name: str, **pricing: Any) -> tuple[str, float | None]:
        settings = bench.settings(endpoint=name, **pricing)
        catalog = Catalog(settings)
        prices = catalog.prices(catalog.default)
        return prices.source, prices.margin and round(prices.margin, 6)

    assert margin("gpt-image-2.5-flare") == ("OpenAI's price list; the factor by three charges of the provider", 0.25)
    assert margin("openai-gpt-image-2.5-flare") == ("OpenAI's price list", 0)
    assert margin("nano-banana") == ("the provider's page", None)
    assert margin("nano-banana", pricing__table=0.05) == ("pricing.table of the config", None)
    assert margin("gpt-image-2.5-flare", pricing__factor=1.5)[1] == 0.5


@pytest.mark.parametrize("name", shipped_endpoints())
def test_every_shipped_price_list_says_when_it_was_looked_up_and_where(name: str) -> None:
    prices = load_endpoint(name).prices
    assert prices.as_of is not None
    assert prices.source
