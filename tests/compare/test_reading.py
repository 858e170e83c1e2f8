"""What is read for a comparison, once for each combination: tables, standard input, pipes, faulty rows."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.bench import INPUT, Bench

ROWS = "".join(json.dumps({"id": f"job-{n}", "prompt": f"edit {n}", "image_urls": INPUT}) + "\n" for n in range(7))


async def test_standard_input_is_read_for_each_combination(bench: Bench) -> None:
    reading, writing = os.pipe()
    os.write(writing, ROWS.encode())
    os.close(writing)
    over = ("--compare", "quality=low,medium,high", "-o", "out", "--format", "jsonl", "--json")
    plan = await bench.command("plan", "-", *over, key=None, stdin=reading)
    os.close(reading)
    assert plan.code == 0, plan.err
    assert (plan.json["requests"], plan.json["compare"]["all_jobs"]) == (15, 7)


async def test_a_pipe_is_refused_for_it_can_be_read_but_once(bench: Bench) -> None:
    os.mkfifo(bench.folder / "jobs.csv")
    plan = await bench.command("plan", "jobs.csv", "--compare", "quality=low,high", key=None)
    assert plan.code == 2
    assert plan.err == "error: jobs.csv: a pipe can be read once, and a comparison reads its manifests several times\n"


@pytest.mark.parametrize("more", [("--skip-faulty",), ("--only", "good-*")])
async def test_faulty_rows_are_not_compared(bench: Bench, more: tuple[str, ...]) -> None:
    path = bench.folder / "jobs.csv"
    rows = ["bad,,x", *(f"good-{n},edit {n},{INPUT}" for n in range(7)), f"good-0,edit twice,{INPUT}"]
    if "--only" in more:
        rows.pop()
    path.write_text("\n".join(["id,prompt,image_urls", *rows]) + "\n", encoding="utf-8")
    plan = await bench.command("plan", path, "--compare", "quality=low,high", "--json", *more, key=None)
    assert plan.code == 0, plan.err
    assert plan.json["compare"]["jobs"] == [f"good-{n}" for n in range(5)]
    assert plan.json["compare"]["all_jobs"] == 7


async def test_a_fault_of_a_manifest_is_one_of_the_comparison(bench: Bench) -> None:
    path = bench.folder / "jobs.csv"
    path.write_text(f"id,prompt,image_urls\na,,{INPUT}\n", encoding="utf-8")
    plan = await bench.command("plan", path, "--compare", "quality=low,high", key=None)
    assert plan.code == 2
    assert "prompt is empty" in plan.err


FORMER = """\
name: former
path: former
successor:
  endpoint: later.yaml
  map: {text: {name: prompt}, tier: {name: quality, tiers: price}, shape: {name: size, values: {square: 1024x1024}}}
parameters:
  text: {type: string, required: true, role: prompt}
  image_urls: {type: links, required: true, role: images}
  tier: {type: string, choices: [good, best], default: good}
  shape: {type: string, choices: [square, wide], default: square}
prices: {by: [tier], table: {good: 0.1, best: 0.3}}
"""
LATER = """\
name: later
path: later
parameters:
  prompt: {type: string, required: true, role: prompt}
  image_urls: {type: links, required: true, role: images}
  quality: {type: string, choices: [low, mid, high], default: low}
  size: {type: string, choices: [1024x1024, auto], default: auto, role: size}
prices: {by: [quality], table: {low: 0.02, mid: 0.11, high: 0.33}}
"""


async def test_values_go_by_the_map_of_the_successor_where_there_is_one(bench: Bench) -> None:
    (bench.folder / "former.yaml").write_text(FORMER, encoding="utf-8")
    (bench.folder / "later.yaml").write_text(LATER, encoding="utf-8")
    path = bench.folder / "jobs.yaml"
    job = f"{{id: a, text: '{{{{ 1 + 1 }}}} mugs', image_urls: ['{INPUT}']}}"
    path.write_text(f"endpoint: former.yaml\njobs: [{job}]\n", encoding="utf-8")
    over = ("--compare", "endpoint=former.yaml,later.yaml", "--compare", "tier=good,best", "--compare", "shape=square")
    plan = await bench.command("plan", path, *over, "--json", key=None)
    assert plan.code == 0, plan.err
    ways = plan.json["compare"]["ways"]
    assert [way["set"] for way in ways[2:]] == [
        {"endpoint": "later.yaml", "quality": "mid", "size": "1024x1024"},
        {"endpoint": "later.yaml", "quality": "high", "size": "1024x1024"},
    ]
    assert [way["values"]["tier"] for way in ways] == ["good", "best", "good", "best"]
    assert [way["cost_usd"]["expected"] for way in ways] == [0.1, 0.3, 0.11, 0.33]
    # A name of the later one goes the other way by its role alone; its values have no counterpart there.
    back = ("--compare", "endpoint=former.yaml,later.yaml", "--compare", "quality=low,high")
    plan = await bench.command("plan", path, *back, "--json", key=None)
    assert [(list(way["values"].values()), way["set"]) for way in plan.json["compare"]["ways"]] == [
        (["former.yaml", "any"], {"endpoint": "former.yaml"}),
        (["later.yaml", "low"], {"endpoint": "later.yaml", "quality": "low"}),
        (["later.yaml", "high"], {"endpoint": "later.yaml", "quality": "high"}),
    ]
    assert plan.err == "warning: --over quality has no place in former and is left out\n"
