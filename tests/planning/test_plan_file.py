"""The file of a plan that people approve: what is in it, and that nothing but the name is changed in it unnoticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_editor import UsageError
from batch_editor.planning import PlanFile
from tests.support.approved_plan import save
from tests.support.bench import INPUT, LOW_USD, Bench, Job, job, jobs, sandbox

Change = Callable[[dict[str, Any]], object]


def saved(bench: Bench, wanted: list[Job], *, by: str | None = None, **how: Any) -> Path:
    """The file of these jobs' plan, which nobody has approved."""
    return save(bench, wanted, by=by, **how)


def changed(path: Path, change: Change) -> None:
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found, indent=4))


def test_it_has_each_request_with_its_jobs_and_list_price(bench: Bench) -> None:
    plan = PlanFile.read(saved(bench, [*jobs(2), job("same", prompt="edit job-0"), job("high", quality="high")]))
    assert [(each.jobs, round(each.list_usd, 4)) for each in plan.requests] == [
        (["job-0", "same"], LOW_USD),
        (["job-1"], LOW_USD),
        (["high"], 0.1596),
    ]
    assert {each.endpoint for each in plan.requests} == {"gpt-image-1.5-edit"}
    assert (plan.requests[2].parameters["quality"], plan.requests[2].redo_of) == ("high", None)
    assert plan.counts == {"jobs": 4, "requests": 3, "reused": 1, "done": 0}
    assert (plan.approved_by, plan.amount_usd) == (None, plan.cost.max_usd)
    assert plan.endpoints["gpt-image-1.5-edit"]["sends_to"] == "https://api.segmind.com/v1/gpt-image-1.5-edit"


def test_the_amount_is_the_highest_cost_or_a_lower_budget(bench: Bench) -> None:
    plan = PlanFile.read(saved(bench, jobs(3)))
    assert PlanFile.read(saved(bench, jobs(3), budget__max_cost_usd=0.02)).amount_usd == 0.02
    assert PlanFile.read(saved(bench, jobs(3), budget__max_cost_usd=99)).amount_usd == plan.cost.max_usd


def test_the_settings_that_cost_are_these(bench: Bench) -> None:
    # One that is new counts until it is said to be harmless: see `costly.HARMLESS`.
    plan = PlanFile.read(saved(bench, jobs(1), redo=("failed",), redo__endpoint=True))
    retry = (
        *("max_attempts", "statuses", "max_possibly_billed", "backoff_s", "backoff_max_s"),
        *("retry_after_max_s", "give_up_s", "unknown", "bad_response"),
    )
    assert list(plan.settings) == [
        *("api.version", "api.timeout_s", "inputs.track", *(f"retry.{name}" for name in retry)),
        *("budget.ledger", "checks", "pricing.factor", "pricing.table", "redo", "shard"),
    ]
    assert plan.settings["redo"] == ["endpoint", "failed"]
    # Of an endpoint all that isn't said to be harmless.
    assert list(plan.endpoints["gpt-image-1.5-edit"]) == [
        *("provider", "wire", "constants", "errors", "error_words", "sends_to", "price_list", "token_prices"),
    ]


def test_it_has_no_access_token_of_a_link(bench: Bench) -> None:
    link = f"{INPUT}?X-Amz-Date=20261122&X-Amz-Signature=ab12ab12"
    path = saved(bench, [{**job("a"), "id": link, "image_urls": [link], "mask": link}])
    assert PlanFile.read(path).requests[0].jobs == [INPUT]
    assert "ab12ab12" not in path.read_text()


def test_a_request_is_a_line_of_its_own(bench: Bench) -> None:
    lines = saved(bench, jobs(5)).read_text().splitlines()
    assert sum('"fingerprint":' in line for line in lines) == 5


def test_each_saved_plan_has_an_id_of_its_own(bench: Bench) -> None:
    assert PlanFile.read(saved(bench, jobs(1))).plan_id != PlanFile.read(saved(bench, jobs(1))).plan_id


def test_who_approves_is_named_or_writes_it_in(bench: Bench) -> None:
    assert PlanFile.read(saved(bench, jobs(1), by="Mara Lind")).approved_by == "Mara Lind"
    path = saved(bench, jobs(1))
    path.write_text(path.read_text().replace('"approved_by": null', '"approved_by": "Jörg\\u0007"'))
    assert PlanFile.read(path).approved_by == "Jörg"


@pytest.mark.parametrize(
    "laid_out",
    [
        lambda found: json.dumps(found),
        lambda found: json.dumps(found, indent=8, sort_keys=True),
        lambda found: "\ufeff" + json.dumps(found, indent=1, ensure_ascii=False).replace("\n", "\r\n") + "\r\n",
        lambda found: json.dumps(found).replace(": 300.0,", ": 300,").replace("[408,", "[408.0,"),
    ],
    ids=["in a line", "sorted", "by Notepad", "with other numerals"],
)
def test_an_editor_may_lay_it_out_otherwise(bench: Bench, laid_out: Callable[[Any], str]) -> None:
    path = saved(bench, [job("ä"), job("b", quality="auto")], by="Mara")
    before = PlanFile.read(path)
    path.write_bytes(laid_out(json.loads(path.read_text())).encode())
    assert PlanFile.read(path) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda plan: plan.update(plan_id="20270101T000000-abcdef"), "plan_id"),
        (lambda plan: plan.update(to_approve="sign here"), "to_approve"),
        (lambda plan: plan.update(made_at="2027-01-01T00:00:00Z"), "made_at"),
        (lambda plan: plan.update(made_by="me"), "made_by"),
        (lambda plan: plan["manifests"].append("more.yaml"), "manifests"),
        (lambda plan: plan["counts"].update(jobs=3), "counts"),
        (lambda plan: plan["cost_usd"].update(high=9.0), "cost_usd"),
        (lambda plan: plan.update(amount_usd=9.0), "amount_usd"),
        (lambda plan: plan["groups"][0].update(requests=1), "groups"),
        (lambda plan: plan["settings"].update({"retry.max_attempts": 9}), "settings.retry.max_attempts"),
        (lambda plan: plan["settings"].pop("checks"), "settings.checks"),
        (lambda plan: plan["settings"].update(new=1), "settings.new"),
        (lambda plan: plan["endpoints"]["gpt-image-1.5-edit"].update(sends_to="x"), "endpoints.gpt-image-1.5-edit"),
        (lambda plan: plan["parameters"]["1"].update(quality="high"), "parameters"),
        (lambda plan: plan["requests"].pop(), "number of requests"),
        (lambda plan: plan["requests"].append(plan["requests"][0]), "number of requests"),
        (lambda plan: plan["requests"][0].update(fingerprint="f" * 32), "fingerprint of requests"),
        (lambda plan: plan["requests"][1].update(jobs=["x"]), "jobs of requests"),
        (lambda plan: plan["requests"][1].update(endpoint="x"), "endpoint of requests"),
        (lambda plan: plan["requests"][0].update(list_usd=1.0), "list_usd of requests"),
        (lambda plan: plan["requests"][0].update(prompt="x"), "prompt of requests"),
        (lambda plan: plan["requests"][0].update(inputs="x"), "inputs of requests"),
        (lambda plan: plan["requests"][0].update(parameters="2"), "parameters of requests"),
        (lambda plan: plan["requests"][0].update(redo_of="x"), "redo_of of requests"),
        (lambda plan: plan["requests"][0].update(contents="x"), "contents of requests"),
        (lambda plan: plan["requests"][0].update(note="x"), "fields of requests"),
        (lambda plan: plan["checksums"].update(counts="x"), "counts"),
        (lambda plan: plan.update(checksums=[]), "checksums"),
        (lambda plan: plan.update(note="by telephone"), "the field note is new"),
        (lambda plan: plan.pop("groups"), "the field groups is gone"),
        (lambda plan: plan.update(settings=[]), "its fields are not of the kind that they were"),
        (lambda plan: plan.update(requests=[1]), "its fields are not of the kind that they were"),
    ],
)
def test_any_other_change_is_refused_and_named(bench: Bench, change: Change, named: str) -> None:
    path = saved(bench, jobs(2), by="Mara")
    changed(path, change)
    with pytest.raises(UsageError) as refused:
        PlanFile.read(path)
    assert str(refused.value) == (
        f"{path}: was changed after it was saved, in more than approved_by: {named}. Nothing was sent."
        " Save the plan anew with `plan --save`, and have that approved"
    )


def test_what_another_plan_says_is_a_change(bench: Bench) -> None:
    other = json.loads(saved(bench, jobs(2)).read_text())
    path = saved(bench, jobs(3))
    changed(path, lambda plan: plan.update(cost_usd=other["cost_usd"]))
    changed(path, lambda plan: plan["checksums"].update(cost_usd=other["checksums"]["cost_usd"]))
    with pytest.raises(UsageError, match="in more than approved_by: cost_usd"):
        PlanFile.read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON any more (Expecting value: line 1 column 1 (char 0)); expected the file that"),
        ('{"a": 1, "a": 2}', "is no JSON any more (a stands there twice); expected the file that"),
        ("\udcf6", "is no UTF-8 any more (invalid start byte); have your editor save it as UTF-8"),
        ('{"a": NaN}', "is no JSON any more (NaN is no number); expected the file that"),
        ("[" * 200_000, "is no JSON any more ("),
        ("[]", "is no plan to be approved; expected a file that `plan --save` wrote"),
        ('{"requests": []}', "is no plan to be approved; expected a file that `plan --save` wrote"),
        ('{"batch_editor_plan": 2}', "is a plan of version 2, and this program reads version 1; save it anew"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError) as refused:
        PlanFile.read(path)
    assert str(refused.value).startswith(f"{path}: {said}")


def test_a_name_is_text(bench: Bench) -> None:
    path = saved(bench, jobs(1))
    changed(path, lambda plan: plan.update(approved_by=True))
    with pytest.raises(UsageError) as refused:
        PlanFile.read(path)
    assert str(refused.value) == f"{path}: approved_by is true; expected a name in quotes"


def test_one_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        PlanFile.read(tmp_path / "plan.json")
    path = tmp_path / "plan.json"
    assert str(refused.value) == f"{path}: there is no such file; `plan … --save {path}` makes it"


@pytest.mark.parametrize("name", ["", " \u200b", "Your Name"])
def test_whoever_leaves_the_name_out_has_not_approved(bench: Bench, name: str) -> None:
    path = saved(bench, jobs(1))
    changed(path, lambda plan: plan.update(approved_by=name))
    assert PlanFile.read(path).approved_by is None


async def test_the_command_saves_a_plan_and_says_what_comes_next(bench: Bench) -> None:
    bench.write(jobs(2))
    made = await bench.command("plan", "jobs.yaml", "--save", "plan.json", key=None)
    plan = PlanFile.read(bench.folder / "plan.json")
    assert (made.code, made.err) == (0, "")
    assert made.out.splitlines()[-3:] == [
        f"Saved: plan.json, plan {plan.plan_id}, for up to $0.10",
        "  to approve it: write your name, in quotes, as approved_by in place of null, and change nothing else",
        "  to do it: the same command with run in place of plan, and --plan plan.json",
    ]
    made = await bench.command(
        *("plan", "jobs.yaml", "--save", "plan.json", "--approved-by", "Mara", "--max-cost", "0.05", "--json"), key=None
    )
    plan = PlanFile.read(bench.folder / "plan.json")
    assert made.json["saved"] == {
        "file": "plan.json",
        "plan_id": plan.plan_id,
        "amount_usd": 0.05,
        "approved_by": "Mara",
    }


async def test_a_comparison_is_approved_as_well(bench: Bench) -> None:
    (bench.folder / "config.yaml").write_text("retry: {backoff_s: 0.01, backoff_max_s: 0.05}\n")
    async with sandbox() as provider:
        _, manifest, _, _, *quick = bench.run_arguments(bench.write(jobs(2)), provider)
        at = quick[:2]
        named = ("--save", "plan.json", "--approved-by", "Mara")
        made = await bench.command("plan", manifest, *at, "--compare", "quality=low,high", *named, key=None)
        assert made.out.splitlines()[-1] == (
            "  to do it: the same command with compare in place of plan, --over of --compare, and --plan plan.json"
        )
        done = await bench.command("compare", manifest, *quick, "--over", "quality=low,high", "--plan", "plan.json")
        assert done.code == 0, done.err
        done = await bench.command("compare", manifest, *quick, "--over", "quality=low,auto", "--plan", "plan.json")
        assert (done.code, "not in the plan, such as job job-0@auto" in done.err) == (2, True)
    assert provider.books.billed == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--approved-by", "Mara"], "--approved-by 'Mara': expected --save FILE beside it"),
        (["--save", "p.json", "--approved-by", " "], "--approved-by ' ': expected the name of who approves"),
        (
            ["--save", "p.json", "--approved-by", "Your Name"],
            "--approved-by 'Your Name': expected the name of who approves",
        ),
        (["--save", "-"], "--save -: expected the name of a file; standard output has the plan"),
        (["--save", "p.json", "--approved-by", "\u200b"], r"--approved-by '\u200b': expected the name of who approves"),
    ],
)
async def test_whoever_approves_is_named_and_approves_a_file(bench: Bench, options: list[str], said: str) -> None:
    bench.write(jobs(1))
    made = await bench.command("plan", "jobs.yaml", *options, key=None)
    assert (made.code, made.err.splitlines()[-1]) == (2, f"Error: {said}")


async def test_nothing_but_a_plan_is_overwritten(bench: Bench) -> None:
    manifest = bench.write(jobs(1))
    before = manifest.read_bytes()
    made = await bench.command("plan", "jobs.yaml", "--save", "jobs.yaml", key=None)
    assert (made.code, made.err) == (
        2,
        "error: jobs.yaml: stands there already, and is no plan; expected a new name for the plan\n",
    )
    assert manifest.read_bytes() == before


async def test_a_plan_that_cannot_be_saved_is_an_error_of_this_machine(bench: Bench) -> None:
    bench.write(jobs(1))
    made = await bench.command("plan", "jobs.yaml", "--save", "nowhere/plan.json", key=None)
    assert (made.code, made.err) == (
        6,
        "error: nowhere/plan.json: the plan can't be saved (No such file or directory)\n",
    )
