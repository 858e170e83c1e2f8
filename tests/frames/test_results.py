"""`results`: the output manifest as a DataFrame, typed, from the ledger."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from batch_editor import BatchEditorError, LedgerError, UsageError, results
from batch_editor.ledger import FILE_NAME
from batch_editor.output import COLUMNS
from batch_editor.verdicts import FILE_NAME as VERDICTS
from batch_editor.verdicts import Picture, Verdicts
from tests.support.bench import INPUT, LOW_USD, REHEARSAL, Bench, arrived, job, jobs, sandbox

UPGRADED = Path(__file__).parents[1] / "upgrade" / "version-0.1" / "outputs" / "catalog"
TYPES = {
    **dict.fromkeys(COLUMNS, "string"),
    **dict.fromkeys(("status", "verdict"), "category"),
    **dict.fromkeys(("http_status", "attempts", "possibly_billed", "width", "height", "bytes"), "Int64"),
    **dict.fromkeys(("latency_s", "estimated_cost_usd", "actual_cost_usd", "fidelity"), "Float64"),
    **dict.fromkeys(("started_at", "finished_at"), "datetime64[ns, UTC]"),
    **dict.fromkeys(("confirmed_usd", "possibly_billed_usd", "reserved_usd"), "Float64"),
}


def approve(bench: Bench, job_id: str) -> None:
    row = bench.row(job_id)
    with closing(Verdicts(bench.out / VERDICTS)) as verdicts:
        picture = Picture(row["fingerprint"], row["sha256"])
        verdicts.give([picture], verdict="approved", note="fine", by="Ann", now=time.time())


async def test_it_is_the_output_manifest_with_types_verdicts_and_money(bench: Bench) -> None:
    row = {"sku": "00123", "price": "1e5", "note": "=1+1", "blank": ""}
    entries: list[dict[str, Any]] = [
        {"id": "mug", "rows": [row], "prompt": "{{ sku }}", "image_urls": [INPUT]},
        *[job("same", "00123"), job("late"), job("bad")],
    ]
    async with sandbox(faults=("504@2", "400@3")) as provider:
        await bench.run(entries, provider, concurrency=1, retry__max_possibly_billed=1)
        billed_usd = provider.books.billed_usd
    await asyncio.to_thread(approve, bench, "mug")
    table = await asyncio.to_thread(results, bench.out)
    shown = {name: str(kind) for name, kind in table.dtypes.items()}
    assert {name: shown[name] for name in TYPES} == TYPES
    assert [shown[name] for name in ("prompt", "output_compression", "row.sku")] == ["string", "Int64", "string"]
    # The columns of manifest.csv, in its order, and the money.
    header = (bench.out / "manifest.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert list(table.columns) == [*header, "confirmed_usd", "possibly_billed_usd", "reserved_usd"]
    by_id = table.set_index("job_id")
    assert list(by_id.index) == ["mug", "same", "late", "bad"]
    assert list(by_id["status"]) == ["succeeded", "succeeded", "unknown", "failed"]
    assert list(pd.Categorical(table["status"]).categories) == ["succeeded", "failed", "pending", "unknown"]
    cells = [by_id.loc["mug", f"row.{name}"] for name in ("sku", "price", "note", "blank")]
    assert cells == ["00123", "1e5", "=1+1", ""]
    assert by_id.loc["same", "reused_from"] == "mug"
    assert by_id["row.sku"].isna().tolist() == [False, True, True, True]
    # Of the picture, whoever has it.
    assert by_id["verdict"].tolist()[:2] == ["approved", "approved"]
    assert by_id["confirmed_usd"].tolist() == [LOW_USD, 0.0, 0.0, 0.0]
    assert by_id["possibly_billed_usd"].tolist() == [0.0, 0.0, pytest.approx(0.0512, abs=1e-4), 0.0]
    assert by_id["confirmed_usd"].sum() == pytest.approx(billed_usd)
    assert by_id["started_at"].max() <= pd.Timestamp.now(tz="UTC")


async def test_it_can_be_asked_for_while_a_run_is_at_work_and_writes_nothing(bench: Bench) -> None:
    async with sandbox(latency="30") as provider:
        command = bench.run_arguments(bench.write(jobs(3)), provider, "--concurrency", "2")
        async with bench.started(*command) as process:
            await arrived(provider.books, 2)
            table = await asyncio.to_thread(results, str(bench.out))
            process.kill()
            await process.ended()
    assert table["status"].tolist() == ["pending"] * 3
    assert table["attempts"].tolist() == [1, 1, 0]
    assert [usd > 0 for usd in table["reserved_usd"]] == [True, True, False]
    assert not (bench.out / "manifest.csv").exists()


async def test_several_output_directories_stand_one_below_the_other(bench: Bench) -> None:
    one, two = bench.folder / "one", bench.folder / "two"
    async with sandbox() as provider:
        await bench.run(jobs(2), provider, out=one)
        named = {"rows": [{"sku": "007"}], "id": "{{ sku }}", "prompt": "x", "image_urls": [INPUT]}
        await bench.run([named], provider, out=two, options=REHEARSAL)
    table = await asyncio.to_thread(results, one, "two")
    assert list(table.index) == [0, 1, 2]
    assert table["output"].tolist() == [str(one), str(one), "two"]
    assert table["row.sku"].tolist() == [pd.NA, pd.NA, "007"]
    assert list(table.columns)[len(COLUMNS)] == "output"
    assert {name: str(table.dtypes[name]) for name in [*TYPES, "output"]} == {**TYPES, "output": "category"}
    # A rehearsal has cost nothing.
    assert table["confirmed_usd"].tolist() == [LOW_USD, LOW_USD, 0.0]


def test_the_results_of_an_earlier_version_are_there_too(tmp_path: Path) -> None:
    output = Path(shutil.copytree(UPGRADED, tmp_path / "out"))
    table = results(output)
    assert {name: str(table.dtypes[name]) for name in TYPES} == TYPES
    assert set(table["status"]) <= {"succeeded", "failed", "pending", "unknown"}


def test_what_is_no_output_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no ledger here; expected the output directory of a run$"):
        results(tmp_path)
    with pytest.raises(
        UsageError, match=r"^results\(\) needs an output directory, such as results\('outputs/catalog'\)$"
    ):
        results()
    (tmp_path / FILE_NAME).write_bytes(b"no database at all, " * 50)
    with pytest.raises(LedgerError) as damaged:
        results(tmp_path)
    assert isinstance(damaged.value, BatchEditorError)
