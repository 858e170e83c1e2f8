"""What people said of images comes out in the output manifest and in `status`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from batch_editor.verdicts import FILE_NAME, Picture, Verdicts, VerdictWord
from tests.support.bench import Bench, Job, job, sandbox


def say(bench: Bench, id: str, verdict: VerdictWord | None, note: str | None = None) -> None:
    """Give a verdict of a job's image, as somebody does who reviews."""
    row = bench.row(id)
    given = Verdicts(bench.out / FILE_NAME)
    given.give([Picture(row["fingerprint"], row["sha256"])], verdict=verdict, note=note, by="Ada", now=1.0)
    given.close()


def said(bench: Bench) -> dict[str, tuple[str, str]]:
    return {row["job_id"]: (row["verdict"], row["verdict_note"]) for row in bench.rows()}


MUG, LAMP, CUP = job("mug"), job("lamp"), job("cup")


async def test_the_next_run_writes_what_was_said_into_the_output_manifest(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP, CUP], provider)
        assert set(said(bench).values()) == {("", "")}
        say(bench, "mug", "approved")
        say(bench, "lamp", "rejected", "=the shade is gone\nand the foot")
        await bench.run([MUG, LAMP, CUP], provider)
        assert provider.books.requests == 3
    assert said(bench) == {
        "mug": ("approved", ""),
        "lamp": ("rejected", "'=the shade is gone\nand the foot"),
        "cup": ("", ""),
    }


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
async def test_every_format_of_an_export_has_them(bench: Bench, format: str) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP], provider)
    say(bench, "mug", "rejected", "too dark")
    to = bench.folder / f"export.{format}"
    assert (await bench.command("export", bench.out, "--format", format, "--to", to, key=None)).code == 0
    rows: list[Mapping[str, Any]]
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(to.read_text(encoding="utf-8"))))
    elif format == "jsonl":
        rows = [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()]
    else:
        rows = json.loads(pd.read_parquet(to).to_json(orient="records"))
    assert [(row["verdict"] or None, row["verdict_note"] or None) for row in rows] == [
        ("rejected", "too dark"),
        (None, None),
    ]


async def test_jobs_that_share_a_request_share_its_verdict(bench: Bench) -> None:
    wanted = [job("mug", "same"), job("copy", "same"), *[job("two", "same", variants=2)]]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        say(bench, "copy", "approved")
        await bench.run(wanted, provider)
    assert said(bench) == {
        "mug": ("approved", ""),
        "copy": ("approved", ""),
        "two-v1": ("approved", ""),  # the first variant is the same request
        "two-v2": ("", ""),
    }


async def test_an_image_made_anew_has_no_verdict_and_one_that_comes_back_its_own(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG], provider)
        say(bench, "mug", "approved", "good")
        await bench.run([job("mug", "another prompt")], provider)
        assert said(bench) == {"mug": ("", "")}
        await bench.run([MUG], provider)
        assert provider.books.requests == 2
    assert said(bench) == {"mug": ("approved", "good")}


async def test_status_counts_them_in_words_and_in_json(bench: Bench) -> None:
    wanted: list[Job] = [*map(job, "abcde"), job("shares-e", "edit e")]
    async with sandbox(faults=("400@1",)) as provider:
        await bench.run(wanted, provider, concurrency=1)
        before = await bench.command("status", bench.out, key=None)
        assert "Verdicts" not in before.out
        say(bench, "b", "approved")
        say(bench, "c", "rejected")
        say(bench, "d", None, "a note alone is no verdict")
        say(bench, "e", "rejected")
    words = await bench.command("status", bench.out, key=None)
    assert "Verdicts: 1 approved, 3 rejected, 1 without" in words.out.splitlines()
    figures = await bench.command("status", bench.out, "--json", key=None)
    assert figures.json["verdicts"] == {"approved": 1, "rejected": 3, "none": 1}


async def test_a_request_that_gets_an_identity_keeps_its_verdict(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG], provider)
        say(bench, "mug", "rejected", "too dark")
        before = bench.row("mug")
        for identity in ("pic-1", "pic-1"):
            await bench.run([MUG | {"identity": identity}], provider)
        assert provider.books.requests == 1
    assert bench.row("mug")["fingerprint"] != before["fingerprint"]
    assert said(bench) == {"mug": ("rejected", "too dark")}


async def test_verdicts_outlive_a_lost_ledger(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "too dark")
        (bench.out / "ledger.sqlite3").unlink()
        kept = (bench.out / FILE_NAME).read_bytes()
        rebuilt = await bench.command("status", bench.out, "--rebuild", key=None)
        assert "Verdicts: 0 approved, 1 rejected, 1 without" in rebuilt.out.splitlines()
        await bench.run([MUG, LAMP], provider)
        assert provider.books.requests == 2
    assert said(bench) == {"mug": ("rejected", "too dark"), "lamp": ("", "")}
    assert (bench.out / FILE_NAME).read_bytes() == kept


async def test_a_run_beside_unreadable_verdicts_ends_with_6_before_anything_is_sent(bench: Bench) -> None:
    bench.out.mkdir()
    path = bench.out / FILE_NAME
    path.write_bytes(b"no database at all, " * 100)
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(bench.write([MUG]), provider))
        assert provider.books.requests == 0
    assert done.code == 6
    assert done.err.splitlines()[-1] == (
        f"error: {path}: the verdicts can't be used (file is not a database; bring it back from a copy, or move it"
        " away: manifest.csv has the verdicts of the last run's end)"
    )
