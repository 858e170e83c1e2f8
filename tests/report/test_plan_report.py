"""One file about a plan, for who decides: its figures are the plan's, and it sends and changes nothing."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_editor import endpoints
from batch_editor.output import PAGE_CACHE, input_key, place_in_cache, thumbnail_key
from batch_editor.report.plan_gathering import Commands, GatheredPlan, gather_plan
from batch_editor.report.plan_writing import page
from tests.support.bench import LOW_USD, Bench, Job, job, jobs, priced, sandbox
from tests.support.read_page import Read, nothing_leads_out

COMMANDS = Commands("/work", (), "batch-editor plan x --save x.json", "batch-editor plan x", "batch-editor run x")


def gathered(bench: Bench, listed: Any, **asked: Any) -> GatheredPlan:
    """What the page would say of a plan of this bench."""
    found: list[GatheredPlan] = []
    bench.plan(
        listed, look=lambda planned: found.append(gather_plan(planned, COMMANDS, None, now=time.time())), **asked
    )
    return found[0]


def snapshot(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(path: Path) -> Read:
    text = path.read_text(encoding="ascii")
    found = Read(text)
    nothing_leads_out(found, text)
    return found


async def test_its_figures_are_those_of_json_and_of_the_saved_plan(bench: Bench) -> None:
    bench.write([*jobs(4), *jobs(3, name="wide", quality="high", size="auto"), job("twin", "edit job-0")])
    planned = await bench.command(
        *("plan", "jobs.yaml", "-o", "out", "--max-cost", "0.9", "--save", "p.json", "--report", "p.html", "--json"),
        key=None,
    )
    assert planned.code == 0
    plan, shown = planned.json, read(bench.folder / "p.html")
    cost, saved = plan["cost_usd"], json.loads((bench.folder / "p.json").read_text())
    rows = {row[0]: row[1] for row in shown.table("")}
    assert rows == {
        "At least": f"${cost['low']:,.2f}",
        "Expected": f"${cost['expected']:,.2f}",
        "At most": f"${cost['high']:,.2f}",
        "Retries at their worst": f"${3 * cost['high']:,.2f}",
    }
    assert [
        (row[0], row[1], row[2], int(row[3]), int(row[4]), row[5], row[6], row[7], row[8], row[9], row[10])
        for row in shown.table("Endpoint")
    ] == [
        (
            *(group["endpoint"], group["quality"], group["size"], group["inputs"], group["requests"]),
            *(f"${group[name]:,.4f}" for name in ("unit_usd", "list_usd")),
            *(f"${group[name]:,.2f}" for name in ("low_usd", "cost_usd", "high_usd")),
            group["price_from"],
        )
        for group in plan["groups"]
    ]
    for name in ("low_usd", "cost_usd", "high_usd"):
        assert sum(group[name] for group in plan["groups"]) == pytest.approx(
            cost[{"low_usd": "low", "cost_usd": "expected", "high_usd": "high"}[name]], abs=1e-5
        )
    assert f"{plan['requests']} requests for {plan['jobs']} jobs" in shown.text
    assert f"Saved as p.json , plan {saved['plan_id']} , not approved yet" in shown.text
    assert "an approval allows $0.90, once, retries included" in shown.text
    assert "Budget: $0.90" in shown.text
    assert "OpenAI's price list; the factor by the provider's published average of $0.24 an image" in shown.text
    assert "20% on top of OpenAI" in shown.text


async def test_it_says_what_is_new_and_what_is_kept(bench: Bench) -> None:
    async with sandbox(faults=["400@2"]) as provider:
        await bench.run([*jobs(6), *jobs(2, name="gone")], provider, concurrency=1)
    now = [*jobs(6), job("new"), job("newer")]
    now[3] = job("job-3", "another prompt")
    now[4] = {**now[4], "image_urls": ["http://127.0.0.1:9/renewed.png"]}
    found = gathered(bench, now)
    assert {fact.name: fact.count for fact in found.jobs} == {
        "Jobs of the manifest": 8,
        "Requests to send": 4,
        "New": 2,
        "Changed": 2,
        "Changed in their links alone": 1,
        "Unchanged": 4,
        "Keep their picture": 3,
        "Made, and paid for, again: done jobs that changed": 2,
        "Refused for good before": 1,
        "Gone from the manifest": 2,
    }
    assert found.kept == 3
    again = {fact.name: fact.count for fact in gathered(bench, now, redo=["failed"]).jobs}
    assert again["Refused for good before, sent again"] == 1
    assert "Refused for good before" not in again


async def test_learnt_prices_stand_beside_the_lists(bench: Bench) -> None:
    async with sandbox(endpoint=priced(2.4)) as provider:
        await bench.run(jobs(3), provider)
    found = gathered(bench, jobs(5))
    (group,) = found.groups
    assert (round(group.unit_usd, 4), round(group.list_usd, 4), group.charges) == (2 * LOW_USD, LOW_USD, 3)
    (listed,) = found.price_lists
    assert (listed.learnt, listed.requests, listed.factor) == (2, 2, 1.2)
    assert (
        "The provider has charged more than the price list for 2 requests: expected has $0.02 for that." in found.risks
    )


RETRIES = (
    "Attempts that fail may be billed all the same (errors of the server, no answer in time). Up to 3 attempts of one"
    " request may be billed (retry.max_possibly_billed), so with every request failing that way it is $0.31. "
)
# What a job has besides, the settings, and the sentence.
SAID: dict[str, tuple[Job, dict[str, object], str]] = {
    "no limit": ({}, {}, RETRIES + "Nothing ends it before that: --max-cost, or an approved plan, would."),
    "a budget": (
        {},
        {"budget__max_cost_usd": 1},
        RETRIES + "--max-cost $1.00 ends it before that: retries count against it.",
    ),
    "one attempt": (
        {},
        {"retry__max_attempts": 1},
        "The plan has no limit. Nothing ends it before that: --max-cost, or an approved plan, would.",
    ),
    "unusable answers": (
        {},
        {"retry__bad_response": True},
        "Answers that are no usable picture are billed, and asked for again (retry.bad_response).",
    ),
    "auto": (
        {"size": "auto"},
        {},
        (
            "2 requests leave quality or size to the model (auto). If it takes the most expensive each time,"
            " it is $0.08 more than expected."
        ),
    ),
    "inputs": (
        {},
        {},
        (
            "2 requests have inputs and prompts that may be charged besides. At their most, or at the highest charge so"
            " far, it is $0.08 more than expected."
        ),
    ),
    "the list alone": (
        {},
        {},
        (
            "For 2 requests nothing of their kind has been charged yet: the price list alone says what they cost."
            " --canary 3 sends three first, and compares."
        ),
    ),
    "the last days": (
        {"endpoint": "nano-banana"},
        {},
        (
            "nano-banana retires on 2026-10-31, in 16 days: what isn't sent by then is refused; its successor"
            " nano-banana-2 has prices of its own."
        ),
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_what_could_make_it_dearer_is_said_in_a_sentence(bench: Bench, case: str) -> None:
    parameters, settings, sentence = SAID[case]
    manifest = bench.folder / "jobs.yaml"
    defaults = {} if "endpoint" in parameters else {"size": "1024x1024", "quality": "low"}
    manifest.write_text(json.dumps({"defaults": defaults, "jobs": jobs(2, **parameters)}))
    assert sentence in gathered(bench, manifest, **settings).risks


@pytest.mark.parametrize(
    ("size", "said"), [("auto", "1 request leaves quality or"), ("1024x1024", "1 request has inputs and")]
)
def test_one_request_is_said_in_the_singular(bench: Bench, size: str, said: str) -> None:
    assert any(risk.startswith(said) for risk in gathered(bench, jobs(1, size=size)).risks)


def test_an_old_price_list_is_warned_of(bench: Bench, tmp_path: Path) -> None:
    shipped = (Path(endpoints.__file__).parent / "nano-banana.yaml").read_text()
    own = shipped.replace("as_of: 2026-11-27", "as_of: 2026-01-15").replace("name: nano-banana\n", "name: own\n")
    (tmp_path / "own.yaml").write_text(own)
    manifest = tmp_path / "own-jobs.yaml"
    manifest.write_text(json.dumps({"endpoint": "own.yaml", "jobs": jobs(2)}))
    found = gathered(bench, manifest)
    assert "The price list of own is from 2026-01-15, 273 days ago: it may have changed." in found.risks
    (listed,) = found.price_lists
    assert (listed.as_of, listed.adds) == ("2026-01-15", "not known")


def test_the_day_and_the_month_say_what_is_left(bench: Bench) -> None:
    limits = {"per_day_usd": 1, "per_month_usd": 50, "ledger": str(bench.folder / "spending.sqlite3")}
    asked = {f"budget__{name}": value for name, value in limits.items()}
    found = gathered(bench, jobs(40, quality="high"), **asked)
    assert not (bench.folder / "spending.sqlite3").exists()
    assert found.limits is not None
    assert [(each.name, each.spent_usd, each.left_usd) for each in found.limits.periods] == [
        ("today", 0.0, 1.0),
        ("this month", 0.0, 50.0),
    ]
    assert any(
        risk.startswith("Of the limits of the day and the month $1.00 is left, less than") for risk in found.risks
    )


async def test_what_was_spent_counts_against_the_day(bench: Bench) -> None:
    limits: dict[str, Any] = {"budget__per_day_usd": 5, "budget__ledger": str(bench.folder / "spending.sqlite3")}
    async with sandbox() as provider:
        await bench.run(jobs(3), provider, **limits)
    before = snapshot(bench.folder)
    found = gathered(bench, bench.folder / "jobs.yaml", **limits)
    assert snapshot(bench.folder) == before
    assert found.limits is not None
    (today,) = found.limits.periods
    assert today.spent_usd == pytest.approx(3 * LOW_USD)
    (bench.folder / "spending.sqlite3").write_text("no database")
    refused = await bench.command(
        *("plan", "jobs.yaml", "-o", "out", "--report", "p.html"),
        environment={"BATCH_EDITOR_BUDGET__LEDGER": "spending.sqlite3", "BATCH_EDITOR_BUDGET__PER_DAY_USD": "5"},
    )
    assert refused.code == 6
    assert "spending.sqlite3: budget.ledger can't be read (file is not a database)" in refused.err
    assert not (bench.folder / "p.html").exists()


def test_inputs_are_shown_where_they_are_on_this_machine_and_counted_where_not(bench: Bench) -> None:
    Image.new("RGB", (300, 200), "red").save(bench.folder / "red.png")
    kept = {"https://shop.example/kept.png": input_key, "https://shop.example/small.webp": thumbnail_key}
    for link, key in kept.items():
        place = place_in_cache(bench.out / PAGE_CACHE, key(link))
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), "blue").save(place, "PNG" if key is input_key else "WEBP")
    outside = place_in_cache(bench.out / PAGE_CACHE, input_key("https://shop.example/link.png"))
    outside.parent.mkdir(parents=True, exist_ok=True)
    outside.symlink_to(bench.folder / "red.png")
    links = [*kept, "https://shop.example/link.png", "https://shop.example/never.png?token=abc", "red.png", "red.png"]
    listed = [{"id": f"job-{number}", "prompt": "edit", "image_urls": [link]} for number, link in enumerate(links)]
    before = snapshot(bench.folder)
    found = gathered(bench, listed)
    assert (found.inputs.total, found.inputs.here, found.inputs.elsewhere) == (5, 3, 2)
    assert [each.name for each in found.inputs.shown] == [*kept, "red.png"]
    shown = Read(page(found, now=1.0).decode("ascii"))
    assert shown.tags.count("img") == 3 + 3
    assert (
        "3 of 5 input pictures, evenly over the manifest. 2 of 5 can't be shown: a plan fetches nothing" in shown.text
    )
    assert "token" not in shown.text
    assert {name: text for name, text in snapshot(bench.folder).items() if name != "jobs.yaml"} == before


async def test_hostile_texts_are_text_and_nothing_leads_out(bench: Bench) -> None:
    hostile = [
        "<script>alert(1)</script>",
        '"><img src=http://evil.example/x onerror=alert(1)>',
        "\u202egpj.exe",
        "日本 שלום 🫖",
        "x" * 5_000,
    ]
    folder = bench.folder / "a <b>folder"
    folder.mkdir()
    with (folder / "feed.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "prompt", "image_urls", "quality", "size"])
        for number, text in enumerate(hostile):
            rows.writerow(
                [f"{number} {text[:100]}", f"Show {text}", f"https://x.example/{number}.png?sig=1", "low", "auto"]
            )
        rows.writerow(["<i>bad</i>", "x", "https://x.example/b.png", "<u>hgih</u>", "auto"])
    planned = await Bench(folder).command(
        *("plan", "feed.csv", "--skip-faulty", "--only", "*", "--report", "p.html", "-o", "<i>'\u202eout"), key=None
    )
    assert planned.code == 1
    text = (folder / "p.html").read_text(encoding="ascii")
    shown = Read(text)
    nothing_leads_out(shown, text)
    assert {"script", "i", "u"}.isdisjoint(shown.tags)
    assert "img" not in shown.tags
    assert "\u202e" not in shown.text
    for expected in (*hostile[:2], "<i>bad</i>", "<u>hgih</u>", hostile[3], "a <b>folder"):
        assert expected in shown.text
    assert "sig=" not in text
    assert len(text) < 60_000
    assert "batch-editor run feed.csv --output $'<i>\\'\\u202eout' --only '*' --skip-faulty" in shown.text


async def test_the_commands_are_the_plan_s_own_and_work(bench: Bench) -> None:
    bench.write(jobs(4))
    options = ("--only", "job-*", "--limit", "3", "--max-cost=1", "--rate", "9/s", "-v", "--json", "--report=p.html")
    planned = await bench.command("plan", "jobs.yaml", "-o", "out", *options, key=None)
    assert planned.code == 0
    shown = read(bench.folder / "p.html")
    given = "jobs.yaml --output out --rate 9/s --max-cost 1 --limit 3 --only 'job-*'"
    for expected in (
        f"In the folder {bench.folder}",
        f"batch-editor plan {given} --save jobs.plan.json ",
        f"batch-editor plan {given} --save jobs.plan.json --approved-by 'Your Name'",
        f"batch-editor run {given} --plan jobs.plan.json",
    ):
        assert expected in shown.text
    saved = await bench.command(
        *("plan", "jobs.yaml", "-o", "out", "--save", "my plan.json", "--approved-by", "Ann", "--report", "p.html"),
        key=None,
    )
    assert saved.code == 0
    shown = read(bench.folder / "p.html")
    assert "approved by Ann" in shown.text
    assert "Approve it" not in shown.text
    assert "batch-editor run jobs.yaml --output out --plan 'my plan.json'" in shown.text


async def test_a_manifest_from_standard_input_is_to_be_given_again(bench: Bench) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as feed:
        feed.write("id,prompt,image_urls\na,edit,https://x.example/a.png\n")
    try:
        planned = await bench.command("plan", "-", "-o", "out", "--report", "p.html", key=None, stdin=read_end)
    finally:
        os.close(read_end)
    assert planned.code == 0
    shown = read(bench.folder / "p.html")
    assert f"In the folder {bench.folder}" in shown.text
    assert "with the same on standard input:" in shown.text
    assert "batch-editor run - --output out --plan manifest.plan.json" in shown.text


async def test_a_comparison_has_no_such_page(bench: Bench) -> None:
    bench.write(jobs(2))
    refused = await bench.command(
        *("plan", "jobs.yaml", "--compare", "quality=low,high", "--report", "p.html"), key=None
    )
    assert refused.code == 2
    assert "Error: --report is about what run would send; expected no --compare beside it\n" in refused.err


REFUSED = {
    "-": (2, "Error: --report -: expected the name of a file; standard output has the plan\n"),
    "jobs.yaml": (2, "Error: --report jobs.yaml: that is the manifest; expected another file\n"),
    "p.json": (2, "Error: --report p.json: --save names the same file; expected another one\n"),
    "none/p.html": (6, "error: none/p.html: can't be written (No such file or directory)\n"),
    "folder": (6, "error: folder: can't be written (a folder; expected a file)\n"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_where_it_cannot_be_written_the_plan_says_so_and_nothing_is_there(bench: Bench, name: str) -> None:
    bench.write(jobs(2))
    (bench.folder / "folder").mkdir()
    before = snapshot(bench.folder)
    save = ("--save", "p.json") if name == "p.json" else ()
    refused = await bench.command("plan", "jobs.yaml", "-o", "out", *save, "--report", name, key=None)
    code, message = REFUSED[name]
    assert refused.code == code
    assert refused.err.endswith(message)
    assert snapshot(bench.folder) == before


async def test_a_refused_plan_leaves_the_former_page_and_a_faulty_one_ends_with_1(bench: Bench) -> None:
    bench.write([job("a", quality="hgih"), job("b")])
    (bench.folder / "p.html").write_text("former")
    refused = await bench.command("plan", "jobs.yaml", "-o", "out", "--report", "p.html", key=None)
    assert refused.code == 2
    assert (bench.folder / "p.html").read_text() == "former"


@pytest.mark.slow
def test_a_page_of_many_jobs_stays_below_two_megabytes(bench: Bench) -> None:
    pictures = bench.folder / "photos"
    pictures.mkdir()
    for number in range(70):
        Image.effect_noise((240, 240), 90 + number).save(pictures / f"{number}.png")
    with (bench.folder / "many.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "prompt", "image_urls", "quality", "size"])
        for number in range(4_000):
            link = f"photos/{number // 40 % 70}.png" if number % 40 == 0 else f"https://x.example/{number}.png"
            size = f"{432 + 16 * (number % 200)}x1280"
            rows.writerow([f"{number}-{'long' * 40}", f"Show {number} {'on a table ' * 100}", link, "low", size])
        rows.writerows([[f"bad-{number}", "", "", "hgih" * 100, "1x1"] for number in range(500)])
    found = gathered(bench, bench.folder / "many.csv", endpoint="gpt-image-2.5-flare", rows__faulty="skip")
    data = page(found, now=1.0)
    assert len(data) < 2_000_000
    assert (len(found.left_out), len(found.groups), len(found.inputs.shown)) == (100, 100, 60)
    assert found.more_groups is not None
    assert found.more_groups.requests + sum(each.requests for each in found.groups) == found.plan.requests
