"""Runs by an approved plan: only what was approved is sent, and each difference is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from batch_editor import Selection, Summary, UsageError
from batch_editor.endpoints import load_endpoint
from batch_editor.planning import Approval, PlanFile, Planned, expect_approved, make_plan, read_approved
from batch_editor.records import Redo
from batch_editor.sandbox import Sandbox
from batch_editor.shard import Shard
from batch_editor.verdicts import FILE_NAME, Picture, Verdicts
from tests.support.approved_plan import save, spent_of
from tests.support.bench import INPUT, REHEARSAL, Bench, Job, job, jobs, sandbox, with_options

WANTED = jobs(3)
OTHER = "not in the plan, such as job "


async def refused(
    bench: Bench,
    path: Path,
    wanted: Sequence[Job] | Path,
    *,
    provider: str = "http://127.0.0.1:9/v1",
    redo: Sequence[Redo] = (),
    selection: Selection | None = None,
    **flags: Any,
) -> list[str]:
    """The differences that a run is refused for."""
    options = with_options(plan=path, redo=redo, selection=selection or Selection())
    with pytest.raises(UsageError) as error:
        await bench.run(wanted, provider, options=options, **flags)
    first, *differences, last = str(error.value).splitlines()
    plan = PlanFile.read(path)
    assert first == f"{path}: this run isn't what Mara Lind approved (plan {plan.plan_id}):"
    assert last == "nothing was sent; save a plan of this run with `plan --save`, and have that approved"
    assert not bench.out.exists()
    return [each.strip() for each in differences]


AT = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([*WANTED, job("new")], f"1 request {OTHER}new, which the plan doesn't have"),
        ([*WANTED, *jobs(2, name="new")], f"2 requests {OTHER}new-0, which the plan doesn't have"),
        ([WANTED[0], job("job-1", "other")], f"1 request {OTHER}job-1: another prompt than in the plan"),
        ([job("job-1", image_urls=[f"{INPUT}?v=2"])], f"1 request {OTHER}job-1: other input pictures than in the plan"),
        ([job("job-1", mask=INPUT)], f"1 request {OTHER}job-1: other input pictures than in the plan"),
        ([job("job-2", quality="high")], f'1 request {OTHER}job-2: quality is "high", "low" in the plan'),
        (
            [job("job-0", quality="auto", size="1536x1024")],
            (
                f'1 request {OTHER}job-0: size is "1536x1024", "1024x1024" in the plan, quality is "auto", "low"'
                " in the plan"
            ),
        ),
        (
            [job("job-0", endpoint="nano-banana")],
            f'1 request {OTHER}job-0: endpoint is "nano-banana", "gpt-image-1.5-edit" in the plan',
        ),
        ([job("job-0", variants=2)], f"1 request {OTHER}job-0-v2, which the plan doesn't have"),
        ([job("job-0", identity="mug")], f"1 request {OTHER}job-0: other input pictures than in the plan"),
    ],
)
async def test_a_request_that_the_plan_lacks_is_named_with_what_changed(
    bench: Bench, wanted: list[Job], said: str
) -> None:
    path = save(bench, WANTED, AT)
    if "endpoint" in wanted[-1]:
        wanted = [{name: value for name, value in wanted[0].items() if name != "quality"}]
        manifest = bench.folder / "other.yaml"
        manifest.write_text(json.dumps({"jobs": wanted}))
        found = await refused(bench, path, manifest)
    else:
        found = await refused(bench, path, wanted)
    assert found == [said]


# Of each setting that costs: another value, and how it is said.
SETTINGS: dict[str, tuple[Any, str]] = {
    "api.version": ("v2", '"v2", "v1" in the plan'),
    "api.timeout_s": (20, "20.0, 300.0 in the plan"),
    "inputs.track": ("etag", '"etag", "none" in the plan'),
    "retry.max_attempts": (9, "9, 5 in the plan"),
    "retry.statuses": ([408, 500], "[408, 500], [408, 429, 502, 503, 504] in the plan"),
    "retry.max_possibly_billed": (4, "4, 3 in the plan"),
    "retry.backoff_s": (0.02, "0.02, 0.01 in the plan"),
    "retry.backoff_max_s": (0.1, "0.1, 0.05 in the plan"),
    "retry.retry_after_max_s": (5, "5.0, 600.0 in the plan"),
    "retry.give_up_s": (5, "5.0, 1800.0 in the plan"),
    "retry.unknown": ("hold", '"hold", "resend" in the plan'),
    "retry.bad_response": (True, "true, false in the plan"),
    "checks": ("full", '"full", "header" in the plan'),
    "pricing.factor": (1.2, "1.2, null in the plan"),
    "pricing.table": (
        {quality: dict(sizes) for quality, sizes in load_endpoint("gpt-image-1.5-edit").prices.table.items()},  # type: ignore[union-attr,arg-type]
        "",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
async def test_each_setting_that_costs_is_named_with_both_values(bench: Bench, name: str) -> None:
    path = save(bench, WANTED, AT)
    value, said = SETTINGS[name]
    found = await refused(bench, path, WANTED, **{name.replace(".", "__"): value})
    said = said or f"{json.dumps(value)}, null in the plan"
    expected = [f"{name} is {said}"]
    if name == "api.version":  # requests go elsewhere then
        expected.append(
            'gpt-image-1.5-edit: sends_to is "http://127.0.0.1:9/v2/gpt-image-1.5-edit",'
            ' "http://127.0.0.1:9/v1/gpt-image-1.5-edit" in the plan'
        )
    assert found == [each if len(each) < 230 else found[0] for each in expected]


def test_no_setting_that_costs_is_forgotten_here(bench: Bench) -> None:
    assert {*SETTINGS, "redo", "shard", "budget.ledger"} == set(PlanFile.read(save(bench, WANTED)).settings)


async def test_where_the_amount_is_counted_is_named(bench: Bench) -> None:
    path = save(bench, WANTED, AT)
    file = bench.folder / "spending"
    found = await refused(bench, path, WANTED, budget__ledger=file)
    assert found == [f'budget.ledger is "{file}", null in the plan']


@pytest.mark.parametrize(
    "other",
    [
        "postgresql://shop@db.example/other",
        "postgresql://shop@db.example/spending?dbname=other",
        "postgresql://shop@db.example/spending?d%62name=other",
        "postgresql://shop@db.example/spending?host=standby",
        "postgresql://shop@db.example/spending?options=-csearch_path%3Dother",
        "postgresql://shop@db.example/spending?schema=other",
    ],
)
def test_another_database_is_named_where_the_amount_would_be_counted_anew(bench: Bench, other: str) -> None:
    here = "postgresql://shop@db.example/spending"
    assert database_difference(bench, here, other) == [f'budget.ledger is "{other}", "{here}" in the plan']


@pytest.mark.parametrize(
    "same",
    [
        "postgres://shop@db.example/spending",
        "postgresql://shop:env:NORTH_PASSWORD@db.example/spending",
        "postgresql://shop@db.example/spending?sslmode=verify-full&sslrootcert=/etc/db.crt&connect_timeout=3",
        "postgresql://shop@db.example/spending?target_session_attrs=read-write&application_name=nights",
    ],
)
def test_another_way_to_the_same_database_is_none(bench: Bench, same: str) -> None:
    assert database_difference(bench, "postgresql://shop@db.example/spending", same) == []


def database_difference(bench: Bench, planned: str, now: str) -> list[str]:
    """What is said of a run whose `budget.ledger` is `now`, by a plan with the `planned` one."""
    path, found = save(bench, WANTED, AT, budget__ledger=planned), list[str]()

    def look(planned: Planned) -> None:
        try:
            expect_approved(path, read_approved(path), planned.staging, planned.catalog, planned.settings, redo=())
        except UsageError as error:
            found.extend(line.strip() for line in str(error).splitlines()[1:-1])

    settings = bench.settings(AT, budget__ledger=now)
    make_plan([bench.write(WANTED)], settings, output=bench.out, look=look)
    return found


async def test_what_is_made_again_though_it_was_not_to_be_is_named(bench: Bench) -> None:
    path = save(bench, WANTED, AT, redo=["failed"])
    found = await refused(bench, path, WANTED, redo=["failed", "all"], redo__endpoint=True)
    assert found == ['redo is ["all", "endpoint", "failed"], ["failed"] in the plan']


async def test_what_is_not_made_again_though_it_was_to_be_is_less(bench: Bench) -> None:
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, redo=["failed", "all"], redo__endpoint=True)
        assert (await bench.run(WANTED, provider, options=with_options(plan=path))).exit_code == 0


@pytest.mark.parametrize(
    ("planned", "done", "said"),
    [(None, "1/4", '"1/4", null'), ("1/4", "0/2", '"0/2", "1/4"'), ("0/4", None, 'null, "0/4"')],
)
async def test_a_shard_takes_a_plan_of_its_own(bench: Bench, planned: str | None, done: str | None, said: str) -> None:
    def part(text: str | None) -> Selection:
        return Selection(shard=None if text is None else Shard.parse(text))

    path = save(bench, WANTED, AT, selection=part(planned))
    assert (await refused(bench, path, WANTED, selection=part(done)))[-1] == (
        f"shard is {said} in the plan; each shard takes a plan of its own, or budget.ledger: postgresql://… and one"
        " plan without --shard"
    )


def test_shards_that_share_a_database_share_the_amount_of_one_plan(bench: Bench) -> None:
    shared: dict[str, Any] = {"budget__ledger": "postgresql://db.example/spending"}
    path = save(bench, jobs(12), budget__max_cost_usd=0.4, **shared)
    found = list[Approval]()

    def look(planned: Planned) -> None:
        parts = planned.staging, planned.catalog, planned.settings
        shard = planned.selection.shard
        found.append(expect_approved(path, read_approved(path), *parts, redo=(), shard=shard))

    for number, limit in ((0, 99.0), (1, 0.2)):
        make_plan(
            [bench.write(jobs(12))],
            bench.settings(budget__max_cost_usd=limit, **shared),
            selection=Selection(shard=Shard(number, 2)),
            output=bench.out,
            look=look,
        )
    assert [each.plan_id for each in found] == [PlanFile.read(path).plan_id] * 2
    assert [each.amount_usd for each in found] == [0.4, 0.2]


async def test_a_shard_does_its_own_plan(bench: Bench) -> None:
    wanted, shards = jobs(12), [Shard(number, 2) for number in range(2)]
    async with sandbox() as provider:
        for shard in shards:
            selection, out = Selection(shard=shard), bench.folder / f"out-{shard.number}"
            path = save(bench, wanted, provider, selection=selection, out=out, name=f"plan-{shard.number}.json")
            options = with_options(plan=path, selection=selection)
            assert (await bench.run(wanted, provider, options=options, out=out)).exit_code == 0
    assert provider.books.billed == 12


async def test_another_provider_is_named(bench: Bench) -> None:
    path = save(bench, WANTED)
    assert await refused(bench, path, WANTED) == [
        (
            'gpt-image-1.5-edit: sends_to is "http://127.0.0.1:9/v1/gpt-image-1.5-edit",'
            ' "https://api.segmind.com/v1/gpt-image-1.5-edit" in the plan'
        )
    ]


NOTED = {"kind": "server_error", "reach": "job", "billed": True, "transient": False}
BILLED = {**NOTED, "meaning": "gone"}
WORDS = {**BILLED, "statuses": [500], "words": ["queued"]}


def own_endpoint(bench: Bench, **changes: Any) -> list[Job]:
    """Jobs for an endpoint file of their own, which is written with these changes."""
    found: dict[str, Any] = {
        "name": "own",
        "path": "own",
        "parameters": {
            "prompt": {"type": "string", "required": True, "role": "prompt"},
            "image": {"type": "link", "required": True, "role": "images"},
            "quality": {"type": "string", "default": "low", "choices": ["low", "high"]},
        },
        "prices": {"by": ["quality"], "table": {"low": 0.02, "high": 0.04}},
        "errors": {504: BILLED},
        "error_words": [WORDS],
    }
    errors = {**found["errors"], **changes.pop("errors", {})}
    (bench.folder / "own.yaml").write_text(yaml.safe_dump({**found, **changes, "errors": errors}))
    return [{"id": "a", "prompt": "x", "image": INPUT, "endpoint": "own.yaml"}]


def manifest_of(bench: Bench, wanted: list[Job]) -> Path:
    path = bench.folder / "own-jobs.yaml"
    path.write_text(json.dumps({"jobs": wanted}))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"prices": {"by": ["quality"], "table": {"low": 0.03, "high": 0.04}}},
            [
                "1 request with a higher list price, such as job a: $0.0300, $0.0200 in the plan",
                "own: price_list.table.low is 0.03, 0.02 in the plan",
            ],
        ),
        (
            {"prices": {"by": ["quality"], "table": {"low": 0.02, "high": 0.05}}},
            ["own: price_list.table.high is 0.05, 0.04 in the plan"],
        ),
        (
            {"prices": {"by": ["quality"], "table": {"low": 0.01, "high": 0.04}}},
            ["own: price_list.table.low is 0.01, 0.02 in the plan"],
        ),
        (
            {"prices": {"by": ["quality"], "table": {"low": 0.02, "high": 0.04}, "input_image": {"high": 0.01}}},
            ["own: price_list.input_image.high is 0.01, 0.0 in the plan"],
        ),
        (
            {"path": "dear"},
            ['own: sends_to is "http://127.0.0.1:9/v1/dear", "http://127.0.0.1:9/v1/own" in the plan'],
        ),
        ({"constants": {"n": 4}}, ["own: constants.n is 4, not there in the plan"]),
        ({"wire": "openai"}, ['own: wire is "openai", "segmind" in the plan']),
        ({"errors": {502: BILLED}}, [f"own: errors.502 is {json.dumps(NOTED)}, not there in the plan"]),
        (
            {"errors": {504: {**BILLED, "billed": False, "meaning": "late"}}},
            ["own: errors.504.billed is false, true in the plan"],
        ),
        (
            {"error_words": [{**WORDS, "words": ["queued", "busy"]}]},
            ['own: error_words.1.words is ["queued", "busy"], ["queued"] in the plan'],
        ),
        (
            {"usage": {"input_image": 8, "input_text": 5, "output_image": 30}},
            ['own: token_prices is {"input_image": 8.0, "input_text": 5.0, "output_image": 30.0}, null in the plan'],
        ),
    ],
)
async def test_a_change_of_an_endpoints_file_is_named(bench: Bench, changes: dict[str, Any], said: list[str]) -> None:
    manifest = manifest_of(bench, own_endpoint(bench))
    path = save(bench, manifest, AT)
    own_endpoint(bench, **changes)
    assert await refused(bench, path, manifest) == said


async def test_the_first_difference_of_each_kind_is_named_at_once(bench: Bench) -> None:
    path = save(bench, WANTED, AT)
    wanted = [*jobs(2, quality="high"), WANTED[2], *jobs(3, name="new")]
    assert await refused(bench, path, wanted, pricing__factor=2.4, retry__max_attempts=6, checks="full") == [
        f'5 requests {OTHER}job-0: quality is "high", "low" in the plan',
        "1 request with a higher list price, such as job job-2: $0.0216, $0.0108 in the plan",
        "retry.max_attempts is 6, 5 in the plan",
        'checks is "full", "header" in the plan',
        "pricing.factor is 2.4, null in the plan",
        "gpt-image-1.5-edit: price_list.factor is 2.4, 1.2 in the plan",
    ]


async def test_a_plan_that_nobody_approved_says_how(bench: Bench) -> None:
    path = save(bench, WANTED, AT, by=None)
    with pytest.raises(UsageError) as error:
        await bench.run(WANTED, AT, options=with_options(plan=path))
    assert str(error.value) == (
        f"{path}: nobody has approved this plan. To approve it: write your name, in quotes, as approved_by in place of"
        " null, and change nothing else. Or save it with --approved-by NAME"
    )


async def said_by_a_run(bench: Bench, wanted: list[Job] | Path, provider: Sandbox, path: Path, *more: str) -> list[str]:
    """What a run by a plan says of the plan; it ends well."""
    manifest = wanted if isinstance(wanted, Path) else bench.write(wanted)
    run = await bench.command(
        *bench.run_arguments(manifest, provider, "--plan", path, "--config", "config.yaml", "--yes", *more)
    )
    assert run.code == 0, run.err
    return [line for line in run.err.splitlines() if "plan" in line]


async def test_less_than_the_plan_is_done_and_said(bench: Bench) -> None:
    (bench.folder / "config.yaml").write_text("retry: {backoff_s: 0.01, backoff_max_s: 0.05}\n")
    async with sandbox() as provider:
        path = save(bench, jobs(6), provider)
        approved = f"approved by Mara Lind: plan {PlanFile.read(path).plan_id}, up to $0.31 over all runs with it"
        assert await said_by_a_run(bench, jobs(1), provider, path) == [
            approved,
            "  less than the plan: 1 of its 6 requests; 5 not asked for",
        ]
        moved = [job("renamed", "edit job-2"), *jobs(2)]
        assert await said_by_a_run(bench, moved, provider, path) == [
            approved,
            "  less than the plan: 2 of its 6 requests; 1 done, 3 not asked for",
            "  under other job ids than in the plan: 1 request",
            "  in another order than in the plan",
        ]
        assert await said_by_a_run(bench, jobs(6), provider, path, "--limit", "4") == [
            approved,
            "  less than the plan: 1 of its 6 requests; 3 done, 2 not asked for",
        ]
        assert await said_by_a_run(bench, jobs(6), provider, path, "--set", "finish=[]") == [
            approved,
            "  less than the plan: 2 of its 6 requests; 4 done",
        ]
    assert provider.books.billed == 6


async def test_an_identity_stands_for_as_many_pictures_as_were_planned(bench: Bench) -> None:
    path = save(bench, [job("a", identity="mug")], AT)
    more = [job("a", identity="mug", image_urls=[INPUT, f"{INPUT}?v=2"])]
    assert await refused(bench, path, more) == [f"1 request {OTHER}a: other input pictures than in the plan"]
    async with sandbox() as provider:
        path = save(bench, [job("a", identity="mug")], provider)
        renewed = [job("a", identity="mug", image_urls=[f"{INPUT}?v=2"])]
        assert (await bench.run(renewed, provider, options=with_options(plan=path))).exit_code == 0


async def test_links_that_were_signed_anew_are_the_same_requests(bench: Bench) -> None:
    def signed(signature: str) -> list[Job]:
        link = f"{INPUT}?X-Amz-Date=20261122&X-Amz-Signature={signature}"
        return [job("a", image_urls=[link]), job("b", mask=link)]

    async with sandbox() as provider:
        path = save(bench, signed("ab12"), provider)
        assert (await bench.run(signed("cd34"), provider, options=with_options(plan=path))).exit_code == 0


async def test_yes_is_no_approval_and_the_guard_of_a_fifth_still_asks(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(30), provider)
        again = [job(f"job-{number}", "another prompt") for number in range(30)]
        again = [{**each, "prompt": f"{each['prompt']} {each['id']}"} for each in again]
        path = save(bench, again, provider)
        manifest = bench.write(again)
        config = bench.folder / "config.yaml"
        config.write_text("retry: {backoff_s: 0.01, backoff_max_s: 0.05}\n")
        arguments = bench.run_arguments(manifest, provider, "--plan", path, "--config", config)
        run = await bench.command(*arguments)
        assert run.code == 2
        assert "30 of 30 done jobs would be made, and paid, again" in run.err
        assert (await bench.command(*arguments, "--yes")).code == 0
        bench.write([*again, job("new")])
        run = await bench.command(*arguments, "--yes")
        assert run.code == 2
        assert f"1 request {OTHER}new" in run.err
    assert provider.books.billed == 60


async def test_a_dry_run_says_whether_a_run_would_be_refused(bench: Bench) -> None:
    path = save(bench, WANTED, AT, retry__backoff_s=1, retry__backoff_max_s=60)
    manifest = bench.write(WANTED)
    dry = await bench.command("run", manifest, "--base-url", AT, "--plan", path, "--dry-run", key=None)
    assert (dry.code, "approved by Mara Lind" in dry.err) == (0, True)
    bench.write([*WANTED, job("new")])
    dry = await bench.command("run", manifest, "--base-url", AT, "--plan", path, "--dry-run", key=None)
    assert (dry.code, f"{OTHER}new" in dry.err) == (2, True)


async def test_a_rehearsal_compares_and_uses_nothing_up(bench: Bench) -> None:
    path = save(bench, WANTED, "https://api.segmind.com/v1")
    async with sandbox() as stand_in:
        summary = await bench.run(WANTED, stand_in, options=with_options(plan=path, sandbox=True))
        assert (summary.exit_code, summary.approval) == (0, None)
        assert not spent_of(path).exists()
        with pytest.raises(UsageError, match="job new, which the plan doesn't have"):
            await bench.run([job("new")], stand_in, options=with_options(plan=path, sandbox=True))
    assert REHEARSAL.plan is None


def reject(bench: Bench, id: str, note: str) -> None:
    row = bench.row(id)
    verdicts = Verdicts(bench.out / FILE_NAME)
    verdicts.give([Picture(row["fingerprint"], row["sha256"])], verdict="rejected", note=note, by="Ada", now=1.0)
    verdicts.close()


async def test_a_redo_is_approved_for_a_picture_and_its_words(bench: Bench) -> None:
    async def redo(path: Path) -> Summary:
        return await bench.run(WANTED, provider, options=with_options(plan=path, redo=["rejected"]))

    async with sandbox() as provider:
        first = save(bench, WANTED, provider)
        await bench.run(WANTED, provider, options=with_options(plan=first))
        reject(bench, "job-1", "keep the handle")
        path = save(bench, WANTED, provider, redo=["rejected"])
        assert [(each.jobs, each.redo_of) for each in PlanFile.read(path).requests] == [
            (["job-1"], bench.row("job-1")["sha256"])
        ]
        reject(bench, "job-1", "another handle")
        with pytest.raises(UsageError, match=rf"1 request {OTHER}job-1: another prompt than in the plan"):
            await redo(path)
        reject(bench, "job-1", "keep the handle")
        assert (await redo(path)).exit_code == 0
        assert [entry.prompt for entry in provider.books.log][3:] == ["edit job-1\n\nkeep the handle"]
        # Of the new picture nobody has approved a redo, nor of a plan whose picture it replaced.
        reject(bench, "job-1", "keep the handle")
        with pytest.raises(UsageError, match=rf"1 request {OTHER}job-1: it makes another rejected image again than"):
            await redo(path)
        assert provider.books.requests == 4
