"""Faults that were found from outside, and must not come back."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch_editor import BatchOptions, ManifestError, UsageError, last_summary, load_settings, make_plan
from batch_editor.cli.asking import send
from batch_editor.errors import Declined
from batch_editor.runs.batch import prepared
from tests.support.bench import KEY, Bench, job, jobs
from tests.support.recorder import Recorder, http, png

LOW_DEAREST_USD = 0.0512  # what one low request of this bench may cost at most, by the price list


async def test_without_a_word_of_the_charge_the_budget_counts_the_dearest_price(
    bench: Bench, recorder: Recorder
) -> None:
    summary = await bench.run(jobs(20), recorder.base_url, budget__max_cost_usd=0.5)
    assert summary.exit_code == 4
    assert len(recorder.requests) == int(0.5 / LOW_DEAREST_USD)


async def test_an_absurd_charge_is_not_believed(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(png(), more="x-cost: 1e99\r\n")
    summary = await bench.run(jobs(3), recorder.base_url, budget__max_cost_usd=1)
    assert summary.exit_code == 0
    assert summary.cost.actual is None


async def test_a_folder_never_takes_the_name_of_an_image(bench: Bench, recorder: Recorder) -> None:
    summary = await bench.run([job("inner", output="zz.png/a"), job("outer", output="zz")], recorder.base_url)
    assert summary.exit_code == 0
    assert bench.row("outer")["output_path"] == "images/zz.png"
    assert bench.row("inner")["output_path"] != "images/zz.png/a.png"


async def test_what_a_budget_left_says_so_and_status_says_why(bench: Bench, recorder: Recorder) -> None:
    await bench.run(jobs(5), recorder.base_url, budget__max_cost_usd=0.11)
    assert {row["error_kind"] for row in bench.rows() if row["status"] == "pending"} == {"budget"}
    summary = last_summary(bench.out)
    assert summary.as_json()["stopped_by"] == "budget"
    assert next(iter(summary.lines())).startswith("Stopped: the budget has no room")
    assert (await bench.run(jobs(5), recorder.base_url)).exit_code == 0
    assert {row["error_kind"] for row in bench.rows()} == {""}


async def test_who_leaves_in_good_order_leaves_no_word_of_a_death(bench: Bench, recorder: Recorder) -> None:
    said: list[Sequence[str]] = []

    def no(lines: Sequence[str]) -> bool:
        said.append(lines)
        return False

    settings = bench.settings(recorder.base_url, budget__confirm_above_usd=0.001)
    with pytest.raises(Declined):
        async with prepared([bench.write(jobs(1))], settings, SecretStr(KEY), BatchOptions(output=bench.out)) as batch:
            await send(batch, ask=no)
    assert len(said[0]) == 3
    assert (bench.out / ".lock").read_text() == ""


@pytest.mark.fault(91)
def test_an_id_that_a_faulty_job_shares_is_listed_as_well(tmp_path: Path) -> None:
    manifest = tmp_path / "twice.csv"
    link = "https://example.com/a.png"
    manifest.write_text(f"id,prompt,image_urls,quality\nb,one,{link},low\nb,two,{link},hgih\n")
    with pytest.raises(ManifestError) as caught:
        make_plan([manifest], load_settings(), output=tmp_path / "out")
    assert caught.value.faults == (
        f"{manifest}:3: job b: quality is 'hgih'; expected low, medium, high or auto (did you mean high?)",
        f"{manifest}:3: duplicate id 'b', first used at {manifest}:2",
    )


def test_a_history_without_a_ledger_is_an_error(tmp_path: Path) -> None:
    manifest = tmp_path / "one.csv"
    manifest.write_text("id,prompt,image_urls\na,one,https://example.com/a.png\n")
    with pytest.raises(UsageError, match="no ledger here"):
        make_plan([manifest], load_settings(), output=tmp_path / "out", history=[tmp_path / "nowhere"])


async def test_pauses_of_the_past_lengthen_the_plan(bench: Bench, recorder: Recorder, tmp_path: Path) -> None:
    await bench.run(jobs(30), recorder.base_url)
    manifest = tmp_path / "next.csv"
    lines = [f"n{number},edit {number},https://example.com/{number}.png" for number in range(200)]
    manifest.write_text("\n".join(["id,prompt,image_urls", *lines]))
    settings = bench.settings(recorder.base_url, rate_limit="1000/s")
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db:
        with db:
            db.execute("UPDATE attempts SET sent_at = attempt_id * 3, ended_at = attempt_id * 3 + 1")
        before = make_plan([manifest], settings, output=tmp_path / "out", history=[bench.out])
        with db:
            # As if every fourth answer had been a 429, and nothing had left for two seconds after it.
            db.execute("UPDATE attempts SET state = 'failed', http_status = 429 WHERE attempt_id % 4 = 0")
        after = make_plan([manifest], settings, output=tmp_path / "out", history=[bench.out])
    assert "met a 429 and paused the run" in after.made_of
    assert after.duration_s[1] > before.duration_s[1] + 10
