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
