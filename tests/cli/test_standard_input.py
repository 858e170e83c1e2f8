from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from tests.support.bench import INPUT, Bench, sandbox
from tests.support.manifest_reading import draw
from tests.support.terminal import conversation

CSV = f"id,prompt,image_urls,size,quality\na,x,{INPUT},1024x1024,low\nb,y,{INPUT},1024x1024,low\n"
JSONL = "".join(
    json.dumps({"id": each, "prompt": each, "image_urls": [INPUT], "size": "1024x1024", "quality": "low"}) + "\n"
    for each in "ab"
)
PLAN = ("plan", "-", "-o", "out")
CAREFUL = {"BATCH_EDITOR_BUDGET__CONFIRM_ABOVE_USD": "0.02"}


async def given(bench: Bench, text: str | bytes, *arguments: str) -> tuple[int, str, str]:
    """Exit code and what is said, with that on standard input."""
    path = bench.folder / "given"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with path.open("rb") as file:
        done = await bench.command(*arguments, stdin=file.fileno())
    return done.code, done.out, done.err


@pytest.mark.parametrize(
    ("text", "format"),
    [(CSV, "auto"), (CSV, "csv"), (JSONL, "auto"), (JSONL, "jsonl"), (CSV.replace(",", "|"), "auto")],
)
async def test_a_table_on_standard_input_is_a_manifest(bench: Bench, text: str, format: str) -> None:
    async with sandbox() as provider:
        arguments = ("run", "-", "-o", "out", "--base-url", provider.base_url, "--format", format)
        code, _, said = await given(bench, text, *arguments)
        assert (code, provider.books.requests) == (0, 2), said
        again = await given(bench, text, *arguments)
        assert (again[0], provider.books.requests) == (0, 2)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (CSV, ("plan", "-"), "Error: standard input (-) has no name for an output directory; say where"),
        (CSV, ("plan", "x.csv", "--format", "csv"), "Error: --format csv says how standard input (-) is read"),
        ("", ("run", "-", "-o", "out"), "error: stdin: has no jobs"),
        ("id,prompt\n", PLAN, "error: stdin:1: image_urls is missing; the columns are 'id', 'prompt'"),
        (f"id,prompt,image_urls\na,,{INPUT}\n", PLAN, "error: stdin:2: job a: prompt is empty"),
        (f"{JSONL}[1]\n", PLAN, "error: stdin:3: is '[1]'; expected one object a line"),
        (CSV, (*PLAN, "--format", "jsonl"), "error: stdin:1: not JSON: no value at character 1"),
        (JSONL, (*PLAN, "--format", "csv"), "error: stdin: is JSON, not CSV; if it has one object"),
        ("id,prompt\na,caf\xe9\n".encode("cp1252"), PLAN, "error: stdin:2: not UTF-8: byte 0xE9"),
        (b"%PDF-1.7", PLAN, "error: stdin: is a PDF, not CSV; a table is needed"),
        ("prompt,image_urls\nx,gone.jpg\n", PLAN, "error: stdin:2: job stdin-1: image_urls is 'gone"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_it_ends_with_2(
    bench: Bench, text: str | bytes, arguments: tuple[str, ...], message: str
) -> None:
    code, out, said = await given(bench, text, *arguments)
    assert (code, out) == (2, "")
    assert message in said
    assert "Traceback" not in said


async def test_paths_in_it_are_relative_to_the_working_directory(bench: Bench) -> None:
    (bench.folder / "photos").mkdir()
    draw(bench.folder / "photos/a.png")
    code, out, said = await given(
        bench, "prompt,image_urls\nx,photos/a.png\n", "plan", "-", "-o", "elsewhere/out", "--json"
    )
    assert code == 0, said
    assert json.loads(out)["uploads"] == 1


async def test_rows_of_a_manifest_may_come_from_there(bench: Bench) -> None:
    text = f"jobs:\n  - {{id: '{{{{ sku }}}}', rows: '-', prompt: x, image_urls: [{INPUT}]}}\n"
    (bench.folder / "m.yaml").write_text(text, encoding="utf-8")
    code, out, said = await given(bench, '{"sku": 1}\n{"sku": 2}\n', "plan", "m.yaml", "--json")
    assert code == 0, said
    assert json.loads(out)["jobs"] == 2


async def test_a_signal_ends_the_waiting_for_it(bench: Bench) -> None:
    reading, writing = os.pipe()
    try:
        async with bench.started("run", "-", "-o", "out", stdin=reading) as process:
            os.write(writing, CSV.encode())
            await asyncio.sleep(2)
            process.send(signal.SIGINT)
            done = await asyncio.wait_for(process.finished(), 10)
    finally:
        os.close(reading)
        os.close(writing)
    assert done.code == 130


@pytest.mark.parametrize(("answer", "code", "requests"), [("y\n", 0, 2), ("n\n", 4, 0)])
async def test_questions_go_to_the_terminal(bench: Bench, answer: str, code: int, requests: int) -> None:
    table = bench.folder / "given.csv"
    table.write_text(CSV, encoding="utf-8")
    async with sandbox() as provider:
        arguments = ["run", "-", "-o", "out", "--base-url", provider.base_url, "--progress", "none"]
        ended, shown = await conversation(
            arguments,
            [("Go on? [y/N]: ", answer)],
            cwd=bench.folder,
            environment=bench.environment(**CAREFUL),
            given=table,
        )
    assert (ended, provider.books.requests) == (code, requests), shown


async def test_without_a_terminal_what_needs_a_yes_ends_with_2(bench: Bench) -> None:
    rows = "".join(f"{number},x {number},{INPUT},1024x1024,low\n" for number in range(30))
    table = f"id,prompt,image_urls,size,quality\n{rows}"
    async with sandbox() as provider:
        arguments = ("run", "-", "-o", "out", "--base-url", provider.base_url, "--rate", "1000/s")
        assert (await given(bench, table, *arguments))[0] == 0
        code, _, said = await given(bench, table.replace(",x ", ",y "), *arguments)
    assert (code, provider.books.requests) == (2, 30)
    assert "nothing was sent; if that is what is meant, pass --yes" in said
