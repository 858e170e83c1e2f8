"""`spend`: each attempt's money stands in one group, and what is shown adds up."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from batch_editor.cli.main import main
from batch_editor.frames import MONEY, By, Spent, spent_by
from batch_editor.frames.grouping import COUNTS, grouped
from batch_editor.ledger import FILE_NAME, Expected, Ledger
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.recovery.rebuild import rebuild
from tests.support.bench import INPUT, LOW_USD, MEDIUM_USD, REHEARSAL, Bench, Job, job, jobs, sandbox, with_options

UPGRADED = Path(__file__).parents[1] / "upgrade" / "version-0.1" / "outputs" / "catalog"
NIGHT = 1_792_000_000.0  # 2026-10-14


def branded(**brands: str) -> list[Job]:
    """A template over a row a job, by id and brand."""
    rows = [{"sku": sku, "brand": brand} for sku, brand in brands.items()]
    return [{"id": "{{ sku }}", "rows": rows, "prompt": "edit {{ sku }}", "image_urls": [INPUT]}]


def confirmed(spent: Spent) -> dict[str, float]:
    """What each group's pictures cost."""
    return dict(zip(spent.frame[str(spent.by)], spent.frame["confirmed_usd"], strict=True))


def by(output: Path, *others: Path, group: str) -> dict[str, float]:
    return confirmed(spent_by([output, *others], By.parse(group)))


async def test_money_of_a_request_that_jobs_share_is_that_of_the_job_it_was_sent_for(bench: Bench) -> None:
    rows = [{"sku": "a", "brand": "Acme"}, {"sku": "b", "brand": "Beta"}, {"sku": "c", "brand": "Gamma"}]
    shared: list[Job] = [{"id": "{{ sku }}", "rows": rows, "prompt": "the same for all", "image_urls": [INPUT]}]
    async with sandbox() as provider:
        await bench.run(shared, provider)
        assert by(bench.out, group="column:brand") == {"Acme": LOW_USD, "Beta": 0.0, "Gamma": 0.0}
        # Also when that job leaves, and another one has its picture.
        await bench.run([{**shared[0], "rows": rows[1:]}], provider)
        assert (provider.books.requests, provider.books.billed_usd) == (1, LOW_USD)
    assert by(bench.out, group="column:brand") == {"Acme": LOW_USD, "Beta": 0.0, "Gamma": 0.0}


async def test_an_edit_of_a_row_changes_no_former_bill(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(branded(a="Acme", b="Acme", c="Acme"), provider)
        await bench.run(branded(a="Beta", b="Acme"), provider)  # the same requests: nothing is sent
        assert by(bench.out, group="column:brand") == {"Acme": 3 * LOW_USD, "Beta": 0.0}
        await bench.run(branded(a="Gamma", b="Acme"), provider, options=with_options(redo=["all"]))
        await bench.run(branded(a="Delta", b="Acme"), provider)
        assert provider.books.billed_usd == pytest.approx(5 * LOW_USD)
    assert by(bench.out, group="column:brand") == {
        "Acme": pytest.approx(4 * LOW_USD),
        "Gamma": LOW_USD,
        "Delta": 0.0,
    }
    with closing(sqlite3.connect(bench.out / FILE_NAME)) as db:
        # Rows that nothing was spent for aren't kept.
        kept = db.execute("SELECT job_id, extras ->> '$.brand' FROM former_rows ORDER BY last_attempt_id").fetchall()
    assert kept == [("a", "Acme"), ("a", "Gamma")]


async def test_what_was_kept_or_reused_costs_nothing_in_a_run_and_for_its_column(bench: Bench) -> None:
    async with sandbox() as provider:
        first = await bench.run(branded(a="Acme", b="Beta"), provider)
        second = await bench.run(branded(a="Acme", b="Beta"), provider)
        other = bench.folder / "other"
        await bench.run(branded(a="Acme"), provider, out=other, options=with_options(reuse=[bench.out]))
    assert by(bench.out, group="run") == {first.run_id: pytest.approx(2 * LOW_USD), second.run_id: 0.0}
    assert by(other, group="column:brand") == {"Acme": 0.0}
    assert by(bench.out, other, group="column:brand") == {"Acme": LOW_USD, "Beta": LOW_USD}


@pytest.mark.parametrize(
    ("group", "groups"),
    [
        ("endpoint", {"gpt-image-1.5-edit": 2 * LOW_USD + MEDIUM_USD}),
        ("column:quality", {"medium": MEDIUM_USD, "low": 2 * LOW_USD}),  # the most expensive first
        ("column:scene", {"beach": LOW_USD + MEDIUM_USD, "studio": LOW_USD}),
        ("column:sku", {"a": 2 * LOW_USD, "(no such column)": MEDIUM_USD}),
        ("column:blank", {"(no such column)": MEDIUM_USD, "(blank)": 2 * LOW_USD}),
    ],
)
async def test_columns_are_those_of_rows_matrix_and_requests(
    bench: Bench, group: str, groups: dict[str, float]
) -> None:
    rows = {"rows": [{"sku": "a", "blank": " "}], "matrix": {"scene": ["beach", "studio"]}}
    both = [job("{{ sku }}-{{ scene }}", "{{ scene }}") | rows]
    alone = [job("x-{{ scene }}", quality="medium") | {"matrix": {"scene": ["beach"]}}]
    async with sandbox() as provider:
        await bench.run([*both, *alone], provider)
    found = by(bench.out, group=group)
    assert found == {name: pytest.approx(usd) for name, usd in groups.items()}
    assert list(found) == list(groups)


async def test_templates_are_told_apart_by_where_they_stand(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([*jobs(2), job("other", quality="medium")], provider)
    manifest = bench.folder / "jobs.yaml"
    found = by(bench.out, group="template")
    assert sorted(found.values()) == pytest.approx([LOW_USD, LOW_USD, MEDIUM_USD])
    assert all(name.startswith(f"{manifest}:") for name in found)


async def test_rehearsals_and_copies_are_not_counted_and_that_is_said(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(2), provider)
        shutil.copytree(bench.out, bench.folder / "copy")
        await bench.run(jobs(3), provider)
        await bench.run(jobs(3), provider, out=bench.folder / "rehearsed", options=REHEARSAL)
    assert main(["spend", "copy", "out", "rehearsed", "--by", "endpoint"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "copy, out, rehearsed: money by endpoint",
        "endpoint            attempts  requests  pictures  confirmed  possibly billed",
        "gpt-image-1.5-edit         3         3         3    $0.0324            $0.00",
        "total                      3         3         3    $0.0324            $0.00",
        "rehearsed: 3 attempts of rehearsals cost nothing, and are not counted.",
        "out: 1 run is on record in another of these directories too, of which it is a copy, and counted there.",
    ]


async def test_csv_holds_no_formula_and_no_row_of_totals(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    async with sandbox() as provider:
        await bench.run(branded(a="=1+1", b="a, b", c="Ünïcode"), provider)
    assert main(["spend", str(bench.out), "--by", "column:brand", "--format", "csv"]) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert rows == [
        ["column:brand", *COUNTS, *MONEY],
        *[[name, "1", "1", "1", "0", "0", "0.010800", "0.000000", "0.000000"] for name in ("'=1+1", "a, b", "Ünïcode")],
    ]
    assert main(["spend", str(bench.out), "--by", "column:brand", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["rows"][0] == {
        "column:brand": "=1+1",
        **dict.fromkeys(("attempts", "requests", "pictures"), 1),
        **dict.fromkeys(("possibly_billed", "open"), 0),
        "cost_usd": {"confirmed": LOW_USD, "possibly_billed": 0.0, "reserved": 0.0},
    }
    assert answer["total"]["cost_usd"]["confirmed"] == pytest.approx(3 * LOW_USD)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--by", "wek"], 2, "--by is 'wek'; expected day, month, run, endpoint, template or column:NAME"),
        (
            ["--by", "runs"],
            2,
            "--by is 'runs'; expected day, month, run, endpoint, template or column:NAME (did you mean run?)",
        ),
        (["--by", "column:"], 2, "--by is 'column:'; expected day, month, run, endpoint, template or column:NAME"),
        (
            ["--by", "column:brnad"],
            2,
            (
                "out: no row has a column 'brnad' (did you mean Brand?); there are sku, Brand, prompt, image_urls,"
                " mask, size, quality, background, output_compression, output_format, moderation"
            ),
        ),
        (["nowhere"], 2, "nowhere: no ledger here; expected the output directory of a run"),
    ],
)
async def test_what_is_wrong_is_said_with_what_is_there(
    bench: Bench, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    entry = {"id": "{{ sku }}", "rows": [{"sku": "a", "Brand": "x"}], "prompt": "{{ sku }}", "image_urls": [INPUT]}
    async with sandbox() as provider:
        await bench.run([entry], provider)
    capsys.readouterr()
    assert main(["spend", "out", *arguments]) == code
    assert capsys.readouterr().err == f"error: {said}\n"


async def test_a_damaged_ledger_is_a_local_error(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.out.mkdir()
    (bench.out / FILE_NAME).write_bytes(b"no database at all, " * 50)
    assert main(["spend", "out"]) == 6
    assert capsys.readouterr().err == (
        "error: out/ledger.sqlite3: the ledger can't be used (file is not a database; `batch-editor status out"
        " --rebuild` makes it anew from manifest.csv and the images)\n"
    )


def test_an_output_directory_of_an_earlier_version_is_read_as_it_stands(tmp_path: Path) -> None:
    output = Path(shutil.copytree(UPGRADED, tmp_path / "out"))
    before = (output / FILE_NAME).read_bytes()
    spent = spent_by([output], By("template"))
    with closing(sqlite3.connect(output / FILE_NAME)) as db:
        (attempts,) = db.execute("SELECT count(*) FROM attempts").fetchone()
    assert spent.total["attempts"] == attempts
    assert (output / FILE_NAME).read_bytes() == before


async def test_a_rebuilt_ledger_knows_what_its_manifest_tells(bench: Bench) -> None:
    async with sandbox(faults=("504@2",)) as provider:
        await bench.run([*branded(a="Acme", b="Beta"), job("x")], provider)
    before = spent_by([bench.out], By("day")).frame
    (bench.out / FILE_NAME).unlink()
    await asyncio.to_thread(rebuild, bench.out)
    # Of a cell that isn't there and a blank one CSV makes the same.
    assert by(bench.out, group="column:brand") == {"Acme": LOW_USD, "Beta": LOW_USD, "(blank)": LOW_USD}
    pd.testing.assert_frame_equal(spent_by([bench.out], By("day")).frame, before)
    assert list(by(bench.out, group="template")) == ["(not recorded)"]


async def test_a_column_of_one_directory_alone_may_have_any_name(bench: Bench) -> None:
    odd = [job("a") | {"rows": [{'Size 12"': "x"}]}]
    async with sandbox() as provider:
        await bench.run(odd, provider)
        await bench.run(jobs(1), provider, out=bench.folder / "other")
    found = by(bench.out, bench.folder / "other", group='column:Size 12"')
    assert found == {"x": LOW_USD, "(no such column)": LOW_USD}


async def test_names_of_columns_and_groups_are_safe_in_a_terminal_and_stand_in_line(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = "maker\x1b[31m\n"
    makers = {"a": "清水焼", "b": "Zoe\u0308", "c": "\u202egnol" + "x" * 80}
    rows = [{"sku": sku, odd: maker} for sku, maker in makers.items()]
    wanted = {"id": "{{ sku }}", "rows": rows, "prompt": "{{ sku }}", "image_urls": [INPUT]}
    async with sandbox() as provider:
        await bench.run([wanted], provider)
    capsys.readouterr()
    assert main(["spend", "out", "--by", f"column:{odd}"]) == 0
    title, head, *lines = capsys.readouterr().out.splitlines()
    assert title == "out: money by the column maker [31m"
    assert head.split("  ")[0] == "column:maker [31m"
    narrower = {"清": 3, "Z": -1}  # than a character a place: two for each of three, and none for the dots of an e
    places = [line.index("$") + narrower.get(line[0], 0) for line in lines]
    assert places == [places[0]] * 4
    assert [line.split("  ")[0] for line in lines] == ["Zoe\u0308", f"gnol{'x' * 55}…", "清水焼", "total"]
    assert main(["spend", "out", "--by", "column:maker [31"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: out: no row has a column 'maker [31' (did you mean maker [31m?); there are sku, maker [31m, prompt, "
    )


def test_a_ledger_without_runs_has_spent_nothing(tmp_path: Path) -> None:
    Ledger(tmp_path / FILE_NAME).close()
    for group in ("day", "month", "run", "endpoint", "template"):
        assert list(spent_by([tmp_path], By(group)).lines())[-1].split() == ["total", "0", "0", "0", "$0.00", "$0.00"]


def ledger_of(output: Path, list_usd: float) -> Ledger:
    """A ledger with one request, of job `mug`, and a run that sends it."""
    output.mkdir(exist_ok=True)
    ledger = Ledger(output / FILE_NAME)
    ledger.connection.execute(
        "INSERT INTO requests (fingerprint, endpoint, params, files, job_id, position, state, expected_usd,"
        f" high_usd) VALUES ('f', 'e', '{{}}', '{{}}', 'mug', 0, 'pending', {list_usd}, 0.3)"
    )
    ledger.runs.begin("night", now=NIGHT, sandbox=False, expected=Expected(1, 0.2, 60.0))
    return ledger


def test_a_picture_without_a_word_on_its_price_costs_what_the_list_said_when_it_was_sent(tmp_path: Path) -> None:
    with closing(ledger_of(tmp_path, 0.2)) as ledger:
        for number, list_usd in enumerate((0.2, 0.05)):
            ledger.connection.execute("UPDATE requests SET expected_usd = ?", (list_usd,))
            image = SavedImage("x.png", f"{number}", 1, "png", 1, 1)
            attempt_id, _ = ledger.attempts.intend("f", "night", now=NIGHT, reserved_usd=0.3)
            ledger.attempts.received(attempt_id, image, Answer(image), now=NIGHT, charged_usd=0.3)
            ledger.attempts.succeeded(attempt_id, "images/x.png")
    assert spent_by([tmp_path], By("day")).total["confirmed_usd"] == 0.25


def test_a_refusal_that_was_charged_is_confirmed_and_what_is_open_is_reserved(tmp_path: Path) -> None:
    failure = Failure("moderation", "refused", http_status=400)
    with closing(ledger_of(tmp_path, 0.2)) as ledger:
        attempt_id, _ = ledger.attempts.intend("f", "night", now=NIGHT, reserved_usd=0.3)
        answer = Answer(failure, http_status=400, cost_usd=0.07)
        ledger.attempts.failed(attempt_id, failure, answer, state="pending", now=NIGHT, charged_usd=0.07)
        ledger.attempts.intend("f", "night", now=NIGHT + 86_400, reserved_usd=0.3)
    assert list(spent_by([tmp_path], By("day")).lines())[1:] == [
        "day         attempts  requests  pictures  confirmed  possibly billed  reserved",
        "2026-10-14         1         1         0      $0.07            $0.00     $0.00",
        "2026-10-15         1         0         0      $0.00            $0.00     $0.30",
        "total              2         1         0      $0.07            $0.00     $0.30",
        "Reserved is for 1 attempt without an outcome yet.",
    ]


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        ([0.24, 0.24], ["$0.24", "$0.24", "$0.48"]),
        ([1_234.5, -0.0], ["$1,234.50", "$0.00", "$1,234.50"]),
        ([0.0108, 0.24], ["$0.2400", "$0.0108", "$0.2508"]),  # the most expensive first
        ([0.1] * 3, ["$0.10", "$0.10", "$0.10", "$0.30"]),
        ([1 / 3, 1 / 3], ["$0.333333", "$0.333333", "$0.666666"]),
        ([-1e-17], ["$0.00", "$0.00"]),
    ],
)
def test_what_a_table_shows_adds_up(usd: Sequence[float], shown: list[str]) -> None:
    groups: dict[str, Any] = {"endpoint": [f"e{number}" for number in range(len(usd))]}
    counts = dict.fromkeys(COUNTS, 1)
    money = {"confirmed_usd": usd, "possibly_billed_usd": 0.0, "reserved_usd": 0.0}
    frame = pd.DataFrame({**groups, **counts, **money})
    spent = Spent(By("endpoint"), "", grouped(By("endpoint"), frame, names=["endpoint"]))
    assert [line.split()[4] for line in list(spent.lines())[2:]] == shown


async def test_without_an_output_directory_it_is_what_all_that_share_the_ledger_have_spent(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.folder / "config.yaml").write_text("budget: {ledger: spending}\n", encoding="utf-8")
    async with sandbox(faults=("504@3",)) as provider:
        for name in ("one", "two"):
            await bench.run(jobs(2, name=name), provider, out=bench.folder / name, budget__ledger=Path("spending"))
    assert main(["spend", "--by", "endpoint"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "spending: money of all that share it, by endpoint",
        "endpoint            attempts  pictures  confirmed  possibly billed",
        "gpt-image-1.5-edit         5         4    $0.0432         $0.05118",
        "total                      5         4    $0.0432         $0.05118",
        (
            "As it counts against the limits: at the max price where the provider didn't say. Attempts that cost"
            " nothing aren't on record."
        ),
    ]
    for group in ("run", "template", "column:brand"):
        assert main(["spend", "--by", group]) == 2
        assert capsys.readouterr().err == (
            "error: budget.ledger knows days, months and endpoints alone; name the output directories: spend OUT… --by"
            f" {group}\n"
        )


@pytest.mark.slow
def test_three_hundred_thousand_attempts_are_grouped_in_seconds(tmp_path: Path) -> None:
    """Thirty nights of 10,000 jobs, every one of them sent each night."""
    with closing(Ledger(tmp_path / FILE_NAME)) as ledger, ledger.transaction():
        for night in range(30):
            ledger.runs.begin(f"n{night}", now=NIGHT + night * 86_400, sandbox=False, expected=Expected(1, 1.0, 1.0))
        each = "FROM (WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) SELECT i FROM n)"
        ledger.connection.execute(
            "INSERT INTO jobs (job_id, position, active, selected, fingerprint, output, extras)"
            f" SELECT 'j' || i, i, 1, 1, 'f' || i, 'j' || i, json_object('brand', 'b' || (i % 50), 'sku', i) {each}"
        )
        ledger.connection.execute(
            "INSERT INTO requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd)"
            f" SELECT 'f' || i, 'e' || (i % 3), '{{}}', '{{}}', 'j' || i, 'succeeded', 0.24, 0.24 {each}"
        )
        ledger.connection.execute(
            "INSERT INTO attempts (fingerprint, run_id, number, state, sent_at, charged_usd, cost_usd, job_id)"
            f" SELECT 'f' || i, run_id, 1, 'succeeded', started_at, 0.24, 0.24, 'j' || i {each} CROSS JOIN runs"
        )
    began = time.process_time()
    groups = [spent_by([tmp_path], By.parse(group)) for group in ("day", "endpoint", "column:brand", "column:sku")]
    assert time.process_time() - began < 4 * 3.0  # 1.3 s each on two cores that others use too
    assert [len(spent.frame) for spent in groups] == [30, 3, 50, 10_000]
    assert {spent.total["confirmed_usd"] for spent in groups} == {72_000.0}
