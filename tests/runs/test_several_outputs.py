"""What commands say of several output directories: the shards of a manifest, and others."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_editor import Selection, last_summary
from batch_editor.runs.several import SeveralSummaries
from batch_editor.sandbox import Sandbox
from batch_editor.shard import Shard
from tests.support.bench import LOW_USD, Bench, Job, job, sandbox, with_options

SHARDS = [Shard(number, 3) for number in range(3)]
# Instants and what hangs on them differ between two runs of the same jobs.
VARYING = ("started_at", "finished_at", "latency_s", "request_id", "output", "finished")


def shop(count: int) -> list[Job]:
    return [job(f"j-{n}", image_urls=[f"http://127.0.0.1:9/{n}.png"]) for n in range(count)]


def outs(bench: Bench) -> list[Path]:
    return [bench.folder / f"out{shard.ending}" for shard in SHARDS]


async def run_shards(bench: Bench, provider: Sandbox, jobs: list[Job] | Path, **flags: Any) -> None:
    for shard, out in zip(SHARDS, outs(bench), strict=True):
        chosen = replace(with_options(), selection=Selection(shard=shard))
        await bench.run(jobs, provider, options=chosen, out=out, **flags)


async def test_status_adds_up_the_shards_and_says_which_one_is_missing(bench: Bench) -> None:
    async with sandbox(faults=("400:prompt~edit j-3",)) as provider:
        await run_shards(bench, provider, shop(20))
    status = await bench.command("status", *outs(bench), "--json")
    found, each = status.json, [(await bench.command("status", out, "--json")).json for out in outs(bench)]
    assert status.code == 0
    assert found["jobs"]["total"] == 20
    assert list(found)[: len(each[0])] == list(each[0])
    assert found["outputs"] == each
    for path in (("jobs", "succeeded"), ("requests", "sent"), ("cost_usd", "estimated"), ("cost_usd", "actual")):
        part, key = path
        assert found[part][key] == pytest.approx(sum(one[part][key] for one in each))
    assert found["exit_code"] == max(one["exit_code"] for one in each)
    assert found["elapsed_s"] == max(one["elapsed_s"] for one in each)
    assert found["latency_s"]["p95"] == max(one["latency_s"]["p95"] for one in each)
    assert (found["run_id"], found["output"], found["manifest"], found["missing"]) == (None, None, None, [])

    why = [words for one in each for words in one["plan"]["why"]]
    assert why.count("answers came quicker than assumed") == 2
    assert found["plan"]["why"] == list(dict.fromkeys(why))  # said once

    two = await bench.command("status", *outs(bench)[:2])
    lines = two.out.splitlines()
    assert lines[-1] == "Not among them: shard 2 of 3"
    assert lines[-3].startswith(f"{outs(bench)[0]} (shard 0 of 3): ")
    of_many = SeveralSummaries([replace(last_summary(outs(bench)[0]), shard=Shard(1, 10_000))], None, None)
    assert list(of_many.lines())[-1].endswith(", shard 9 of 10000, shard 10 of 10000 and 9,989 more")


async def test_money_is_not_that_of_rehearsals_where_any_of_several_was_paid_for(bench: Bench) -> None:
    paid, rehearsed = bench.folder / "paid", bench.folder / "rehearsed"
    async with sandbox() as provider:
        await bench.run(shop(1), provider, out=paid)
        await bench.run(shop(2), provider, options=replace(with_options(), sandbox=True), out=rehearsed)
    both = (await bench.command("status", rehearsed, paid, "--json")).json
    assert both["cost_usd"] == (await bench.command("status", paid, "--json")).json["cost_usd"]
    assert (both["jobs"]["total"], both["sandbox"]) == (3, False)
    (money,) = [line for line in (await bench.command("status", rehearsed, paid)).out.splitlines() if "Money" in line]
    assert (
        money
        == f"Money: ${LOW_USD:,.2f} by the price list, ${LOW_USD:,.2f} by what the provider said; without 1 rehearsal"
    )
    assert (await bench.command("status", rehearsed, rehearsed / ".", "--json")).json["sandbox"]


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((0, 0, 0), 0), ((0, 1, 0), 1), ((4, 1, 0), 4), ((4, 3, 1), 3), ((6, 3, 143), 143), ((130, 6, 0), 130)],
)
async def test_the_exit_code_of_several_is_the_worst_by_the_order_of_one(
    bench: Bench, codes: tuple[int, ...], worst: int
) -> None:
    async with sandbox() as provider:
        summary = await bench.run(shop(1), provider)
    several = SeveralSummaries([replace(summary, exit_code=code) for code in codes], None, None)
    assert several.exit_code == worst
    assert several.as_json()["cost_usd"]["estimated"] == pytest.approx(3 * LOW_USD)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
async def test_the_shards_export_what_a_run_of_the_whole_manifest_does(bench: Bench, format: str) -> None:
    async with sandbox() as provider:
        await run_shards(bench, provider, shop(20))
        await bench.run(shop(20), provider)
    together = await bench.command("export", *outs(bench), "--format", format, "--to", "all")
    alone = await bench.command("export", bench.out, "--format", format, "--to", "one")
    assert (together.code, alone.code) == (0, 0)
    tables = [_read((bench.folder / name).read_text(), format) for name in ("all", "one")]
    assert [list(row) for row in tables[0]] == [[*list(row)[:26], "output", *list(row)[26:]] for row in tables[1]]
    for row in tables[0]:
        assert (Path(row["output"]) / row["output_path"]).is_file()
    plain = [[{name: row[name] for name in row if name not in VARYING} for row in table] for table in tables]
    assert plain[0] == plain[1]


async def test_other_output_directories_stand_one_after_another_with_all_columns(bench: Bench) -> None:
    first, second = bench.folder / "a", bench.folder / "b"
    (bench.folder / "t.csv").write_text("id,prompt,image_urls,colour\nj-0,x,http://127.0.0.1:9/a.png,red\n")
    async with sandbox() as provider:
        await bench.run(shop(2), provider, out=first)
        await bench.run(bench.folder / "t.csv", provider, out=second, pricing__factor=1.2)
    done = await bench.command("export", first, second, first)
    rows = _read(done.out, "csv")
    assert [(row["output"], row["job_id"], row["row.colour"]) for row in rows] == [
        (str(first), "j-0", ""),
        (str(first), "j-1", ""),
        (str(second), "j-0", "red"),
    ]


def _read(text: str, format: str) -> list[dict[str, Any]]:
    if format == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return [json.loads(line) for line in text.splitlines()]


TABLE = "Handle,Title,Image Src\r\n" + "".join(f"mug-{n},Mug,http://127.0.0.1:9/{n}.png\r\n" for n in range(9))
SET = ("--set", "prompt=Show {{ title }}", "--set", "size=1024x1024", "--set", "quality=low", "--yes")
AT = {"BATCH_EDITOR_OUTPUTS__PUBLIC_URL": "https://cdn.example.com/{output}"}


async def shards_of_a_shop(bench: Bench, provider: Sandbox) -> None:
    for shard, out in zip(SHARDS, outs(bench), strict=True):
        manifest = bench.folder / "table.csv"
        arguments = bench.run_arguments(manifest, provider, *SET, "--shard", str(shard), out=out)
        done = await bench.command(*arguments)
        assert done.code == 0, done.err


async def test_a_shop_s_import_file_has_each_picture_from_the_shard_that_made_it(bench: Bench) -> None:
    (bench.folder / "table.csv").write_text(TABLE, newline="")
    export: tuple[str | Path, ...] = ("export", *outs(bench), "--format", "shopify")
    async with sandbox() as provider:
        await shards_of_a_shop(bench, provider)
    done = await bench.command(*export, "--to", "import.csv", environment=AT)
    assert done.err.splitlines() == ["import.csv: 9 of 9 pictures new (0 approved, 9 not reviewed)"]
    wanted = TABLE
    for out in outs(bench):
        for row in bench.rows(out):
            new = f"https://cdn.example.com/{out.name}/{row['output_path']}?v={row['sha256'][:8]}"
            wanted = wanted.replace(row["image_urls"], new)
    assert (bench.folder / "import.csv").read_bytes().decode() == wanted

    one = await bench.command(
        *export, environment={**AT, "BATCH_EDITOR_OUTPUTS__PUBLIC_URL": "https://cdn.example.com"}
    )
    assert one.code == 2
    assert one.err == (
        "error: outputs.public_url is https://cdn.example.com, one address for 3 output directories; expected {output}"
        " in it, which stands for the name of each, such as https://cdn.example.com/{output}\n"
    )


async def test_shards_that_read_different_tables_of_a_shop_are_told_of(bench: Bench) -> None:
    table = bench.folder / "table.csv"
    table.write_text(TABLE, newline="")
    async with sandbox() as provider:
        await shards_of_a_shop(bench, provider)
        table.write_text(TABLE.replace("Mug", "Cup", 1), newline="")
        newer = bench.run_arguments(table, provider, *SET, "--shard", "0/3", out=outs(bench)[0])
        assert (await bench.command(*newer)).code == 0
    export: tuple[str | Path, ...] = ("export", *outs(bench), "--format", "shopify", "--to", "import.csv")
    refused = await bench.command(*export, environment=AT)
    assert refused.code == 2
    assert refused.err.splitlines()[0] == (
        "error: the newest runs read different tables of this shop; run all of them on the same one, or choose by"
        " --from FILE:"
    )
    chosen = await bench.command(*export, "--from", table, environment=AT)
    assert chosen.code == 0, chosen.err


async def test_history_report_and_spend_take_the_shards(bench: Bench) -> None:
    async with sandbox() as provider:
        await run_shards(bench, provider, shop(9))
    history = await bench.command("history", *outs(bench), "--json")
    assert [each["output"] for each in history.json["outputs"]] == [str(out) for out in outs(bench)]
    report = await bench.command("report", *outs(bench), "--to", "all.html")
    assert report.code == 0, report.err
    page = (bench.folder / "all.html").read_text()
    assert all(out.name in page for out in outs(bench))
    spend = await bench.command("spend", *outs(bench), "--by", "endpoint", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(spend.out))
    assert float(row["confirmed_usd"]) == pytest.approx(9 * LOW_USD)
