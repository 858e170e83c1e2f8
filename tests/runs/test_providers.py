"""Several providers in one run: each with its own key, rate, circuit breaker and money, under one budget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from batch_editor import BatchOptions, ConfigError, Settings, Summary, last_summary, load_settings, make_plan, run_batch
from batch_editor.config import Keys
from batch_editor.endpoints import load_endpoint
from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.support.bench import INPUT, KEY, SMALL, Bench, arrived
from tests.support.sandbox_client import png

OPENAI_KEY = "sk-test-0123456789"
LOW_USD = {"segmind": 0.0108, "openai": 0.014095}  # quality low, 1024x1024, one input; of OpenAI by its tokens
FLARE = "openai-gpt-image-2.5-flare"
BOTH = Keys({"segmind": SecretStr(KEY), "openai": SecretStr(OPENAI_KEY)}, {})


def segmind(**options: Any) -> Sandbox:
    return Sandbox(SandboxOptions(size_scale=SMALL, key=KEY, **options))


def openai(**options: Any) -> Sandbox:
    return Sandbox(SandboxOptions(size_scale=SMALL, key=OPENAI_KEY, **options))


CHEAP = {"size": "1024x1024", "quality": "low"}


def manifest(
    bench: Bench,
    endpoint: str,
    count: int,
    *,
    name: str = "",
    image: str = INPUT,
    kind: Mapping[str, str] = CHEAP,
    **more: Any,
) -> Path:
    name = name or ("openai" if endpoint == FLARE else "segmind")
    jobs = [{"id": f"{name}-{n}", "prompt": f"edit {name} {n}", "image_urls": [image], **more} for n in range(count)]
    path = bench.folder / f"{name}.yaml"
    path.write_text(json.dumps({"endpoint": endpoint, "defaults": kind, "jobs": jobs}), encoding="utf-8")
    return path


def two(bench: Bench, count: int, of_openai: int | None = None) -> list[Path]:
    return [
        manifest(bench, "gpt-image-1.5-edit", count),
        manifest(bench, FLARE, count if of_openai is None else of_openai),
    ]


def settings(first: Sandbox, second: Sandbox, *, openai: Mapping[str, Any] | None = None, **flags: Any) -> Settings:
    return load_settings(
        flags={
            "api": {"base_url": first.base_url},
            "providers": {"openai": {"base_url": second.base_url, "rate_limit": "1000/s", **(openai or {})}},
            "rate_limit": "1000/s",
            "retry": {"backoff_s": 0.01, "backoff_max_s": 0.05},
            **flags,
        }
    )


async def run(
    bench: Bench, manifests: list[Path], chosen: Settings, *, keys: Keys | SecretStr = BOTH, **options: Any
) -> Summary:
    return await run_batch(manifests, chosen, keys, BatchOptions(output=bench.out, yes=True, **options))


def statuses(bench: Bench, name: str) -> set[str]:
    return {row["status"] for row in bench.rows() if row["job_id"].startswith(name)}


async def test_each_provider_is_sent_its_own_jobs_with_its_own_key_and_has_its_own_line_of_money(bench: Bench) -> None:
    async with segmind() as first, openai() as second:
        summary = await run(bench, two(bench, 3, 2), settings(first, second))
        assert (first.books.requests, second.books.requests) == (3, 2)
        assert {entry.provider for entry in second.books.log} == {"openai"}
        charged = {"segmind": first.books.billed_usd, "openai": second.books.billed_usd}
    assert summary.exit_code == 0
    assert charged == pytest.approx({"segmind": 3 * LOW_USD["segmind"], "openai": 2 * LOW_USD["openai"]})
    said = summary.as_json()["providers"]
    assert {name: each["cost_usd"]["actual"] for name, each in said.items()} == pytest.approx(charged)
    assert {name: each["requests"]["sent"] for name, each in said.items()} == {"segmind": 3, "openai": 2}
    assert {name: each["jobs"]["succeeded"] for name, each in said.items()} == {"segmind": 3, "openai": 2}
    assert {(each["stopped_by"], each["why"]) for each in said.values()} == {(None, None)}
    assert last_summary(bench.out).as_json()["providers"] == said
    assert [line for line in summary.lines() if line.startswith("  ")] == [
        "  openai: 2 of 2 succeeded; $0.03 by the price list, $0.03 by what the provider said",
        "  segmind: 3 of 3 succeeded; $0.03 by the price list, $0.03 by what the provider said",
    ]
    costs = {float(row["actual_cost_usd"]) for row in bench.rows() if row["job_id"].startswith("openai")}
    assert costs == {LOW_USD["openai"]}
    assert all(row["request_id"].startswith("req_") for row in bench.rows() if row["endpoint"] == FLARE)


@pytest.mark.slow
async def test_both_rates_hold_at_once_by_each_provider_s_own_count(bench: Bench) -> None:
    async with segmind(rate_limit="5/s") as first, openai(rate_limit="15/s") as second:
        chosen = settings(first, second, rate_limit="5/s", openai={"rate_limit": "15/s"})
        summary = await run(bench, two(bench, 15, 45), chosen)
        assert summary.exit_code == 0
        assert first.books.most_in_window(1.0) <= 5
        assert second.books.most_in_window(1.0) <= 15
        assert first.books.answered[429] == second.books.answered[429] == 0
        # At the same time: neither waited for the other one's end.
        logs = (first.books.log, second.books.log)
        assert max(log[0].at for log in logs) < min(log[-1].at for log in logs)


async def test_a_slow_provider_does_not_keep_the_other_one_s_jobs_waiting(bench: Bench) -> None:
    async with segmind(latency="1.5") as first, openai() as second:
        chosen = settings(first, second, concurrency=1)
        running = asyncio.create_task(run(bench, two(bench, 2, 20), chosen))
        await arrived(second.books, 20)
        assert first.books.requests <= 1
        assert (await running).exit_code == 0


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("401", "auth", "HTTP 401 (Missing or invalid API key)"),
        ("429:text=insufficient_quota", "credits", "HTTP 429 (The account is out of credits, or over its limit)"),
        (
            "400:text=billing_hard_limit_reached.",
            "credits",
            "HTTP 400 (The account is out of credits, or over its limit)",
        ),
        ("404:text=model_not_found", "not_found", "HTTP 404 (Model not found, or not open to this project)"),
    ],
)
async def test_a_refusal_stops_that_provider_alone(bench: Bench, fault: str, kind: str, said: str) -> None:
    async with segmind(latency="0.2") as first, openai(faults=(fault,)) as second:
        summary = await run(bench, two(bench, 6, 30), settings(first, second, openai={"concurrency": 2}))
        assert (first.books.billed, second.books.billed) == (6, 0)
        assert second.books.requests <= 4
    assert summary.exit_code == 3
    assert summary.stop is not None
    assert (summary.stop.kind, summary.stop.error_kind) == ("refused", kind)
    assert summary.stop.message.startswith(f"openai: {said}: ")
    assert ".. " not in summary.stop.message
    assert summary.comparison is not None
    assert not [why for why in summary.comparison.why if "429 and waited" in why]
    assert (statuses(bench, "segmind"), statuses(bench, "openai")) == ({"succeeded"}, {"pending"})
    found = last_summary(bench.out).as_json()
    assert found["exit_code"] == 3
    assert found["stopped_by"] == "refused"
    assert found["providers"]["openai"]["stopped_by"] == "refused"
    assert found["providers"]["openai"]["why"].startswith(f"{said}: ")
    assert found["providers"]["openai"]["jobs"]["pending"] == 30
    assert found["providers"]["segmind"]["stopped_by"] is None
    async with segmind() as first, openai() as second:
        again = await run(bench, two(bench, 6, 30), settings(first, second))
        assert (first.books.requests, second.books.requests) == (0, 30)
    assert (again.exit_code, again.as_json()["providers"]["openai"]["stopped_by"]) == (0, None)


async def test_a_refusal_of_moderation_is_the_job_s_own(bench: Bench) -> None:
    fault = "400:text=moderation_blocked:prompt~openai 1"
    async with segmind() as first, openai(faults=(fault,)) as second:
        summary = await run(bench, two(bench, 1, 3), settings(first, second))
    assert (summary.exit_code, summary.as_json()["errors"]) == (1, {"moderation": 1})


@pytest.mark.slow
async def test_an_outage_holds_that_provider_alone_and_the_other_one_finishes(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    async with segmind(faults=("503",)) as first, openai() as second:
        summary = await run(bench, two(bench, 30, 20), settings(first, second, concurrency=4))
        assert (first.books.billed, second.books.billed) == (0, 20)
    assert summary.exit_code == 4
    assert summary.stop is not None
    assert summary.stop.kind == "outage"
    assert summary.stop.message.startswith("segmind: the provider has been down for ")
    assert statuses(bench, "openai") == {"succeeded"}
    assert "503 Service Unavailable): its requests hold. It is tried with one request at a time, next in" in (
        capsys.readouterr().err
    )


async def test_a_missing_key_is_said_first_and_stops_that_provider_alone(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with segmind() as first, openai() as second:
        # The key that is given is that of `api`; the others are read as the settings say.
        summary = await run(bench, two(bench, 2, 3), settings(first, second), keys=SecretStr(KEY))
        assert (first.books.billed, second.books.requests) == (2, 0)
    why = (
        "no API key: set OPENAI_API_KEY in the environment, or providers.openai.key_file in the config to a file that"
        " holds it; to try without one: run --sandbox"
    )
    warning = f"warning: openai: {why}. Its 3 requests wait; the others are sent"
    assert warning in capsys.readouterr().err.splitlines()
    assert (summary.exit_code, summary.jobs.succeeded, summary.jobs.pending) == (3, 2, 3)
    assert summary.stop is not None
    assert summary.stop.message == f"openai: {why}"
    assert summary.as_json()["providers"]["openai"]["why"] == why


async def test_where_no_provider_has_a_key_nothing_is_sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with segmind() as first, openai() as second:
        with pytest.raises(ConfigError, match=r"^no API key: set OPENAI_API_KEY in the environment"):
            await run(bench, [manifest(bench, FLARE, 2)], settings(first, second), keys=SecretStr(KEY))
        assert (first.books.requests, second.books.requests, bench.out.exists()) == (0, 0, False)


async def test_the_key_of_a_provider_that_no_job_is_of_is_not_asked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with segmind() as first, openai() as second:
        for endpoint, keys in (("gpt-image-1.5-edit", {"segmind": KEY}), (FLARE, {"openai": OPENAI_KEY})):
            found = Keys(
                {name: SecretStr(key) for name, key in keys.items()}, dict.fromkeys(("segmind", "openai"), "none")
            )
            out = BatchOptions(output=bench.folder / endpoint)
            summary = await run_batch([manifest(bench, endpoint, 1)], settings(first, second), found, out)
            assert summary.exit_code == 0
            assert list(summary.as_json()["providers"]) == list(keys)


async def test_one_budget_holds_over_both_to_the_cent(bench: Bench) -> None:
    limit = 0.25
    async with segmind(latency="0-0.05") as first, openai(latency="0-0.05") as second:
        chosen = settings(first, second, budget={"max_cost_usd": limit}, concurrency=5, openai={"concurrency": 5})
        summary = await run(bench, two(bench, 20), chosen)
        billed = first.books.billed_usd + second.books.billed_usd
        assert min(first.books.billed, second.books.billed) > 2
    assert billed <= limit
    assert limit - billed < 0.03
    assert (summary.exit_code, summary.stop and summary.stop.kind) == (4, "budget")
    assert summary.cost.actual == pytest.approx(billed)


async def test_the_cheaper_provider_goes_on_where_the_budget_has_no_room_for_the_dearer_one(bench: Bench) -> None:
    dear = manifest(bench, "gpt-image-1.5-edit", 3, quality="high")  # $0.1596 each
    cheap = manifest(bench, FLARE, 6)
    async with segmind() as first, openai() as second:
        chosen = settings(first, second, budget={"max_cost_usd": 0.3}, concurrency=1, openai={"concurrency": 1})
        summary = await run(bench, [dear, cheap], chosen)
        assert (first.books.billed, second.books.billed) == (1, 6)
    assert summary.exit_code == 4
    assert summary.stop is not None
    assert summary.stop.message.startswith(
        "the budget has no room for the max price of any request that is left: 2 requests, about "
    )


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 9, 14])
async def test_a_run_that_is_killed_resumes_at_both_and_pays_nothing_twice(bench: Bench, after: int) -> None:
    two(bench, 10)
    quick = ["--rate", "1000/s", "--concurrency", "2", "--progress", "none", "-o", str(bench.out)]
    environment = {"OPENAI_API_KEY": OPENAI_KEY, "BATCH_EDITOR_RETRY__UNKNOWN": "hold"}
    async with segmind(latency="0.1") as first, openai(latency="0.1") as second:
        environment |= {
            "BATCH_EDITOR_PROVIDERS__OPENAI__BASE_URL": second.base_url,
            "BATCH_EDITOR_PROVIDERS__OPENAI__RATE_LIMIT": "1000/s",
            "BATCH_EDITOR_PROVIDERS__OPENAI__CONCURRENCY": "2",
            "BATCH_EDITOR_API__BASE_URL": first.base_url,
        }
        arguments = ["run", "segmind.yaml", "openai.yaml", *quick]
        async with bench.started(*arguments, environment=environment) as process:
            while first.books.billed + second.books.billed < after:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            process.kill()
        done = await bench.command(*arguments, "--json", environment=environment)
        for books in (first.books, second.books):
            assert books.double_billed == 0
        billed = first.books.billed + second.books.billed
    said = done.json
    assert said["jobs"]["succeeded"] + said["jobs"]["unknown"] == 20
    assert said["jobs"]["unknown"] <= 4
    assert billed >= said["jobs"]["succeeded"]
    assert sum(each["jobs"]["total"] for each in said["providers"].values()) == 20


async def test_base_url_and_sandbox_stand_for_every_provider(bench: Bench) -> None:
    two(bench, 2)
    config = bench.folder / "config.yaml"
    config.write_text("providers: {openai: {base_url: 'http://127.0.0.1:9/v1'}}")
    every = ["run", "segmind.yaml", "openai.yaml", "--rate", "1000/s", "--progress", "none", "--json"]
    async with Sandbox(SandboxOptions(size_scale=SMALL)) as both:
        done = await bench.command(
            *every, "-o", "one", "--base-url", both.base_url, environment={"OPENAI_API_KEY": OPENAI_KEY}
        )
        assert {entry.provider for entry in both.books.log} == {"segmind", "openai"}
    rehearsed = await bench.command(*every, "-o", "two", "--sandbox", key=None)
    for found in (done, rehearsed):
        assert (found.code, found.json["jobs"]["succeeded"]) == (0, 4)
        assert set(found.json["providers"]) == {"segmind", "openai"}


async def test_local_files_go_to_openai_as_data_links_and_nothing_is_uploaded(bench: Bench) -> None:
    (bench.folder / "mug.png").write_bytes(png())
    (bench.folder / "mask.png").write_bytes(png(mode="RGBA"))
    path = manifest(bench, FLARE, 2, image="mug.png", mask="mask.png")
    async with segmind() as first, openai() as second:
        chosen = settings(first, second)
        assert make_plan([path], chosen, output=bench.out).uploads == 0
        summary = await run(bench, [path], chosen)
        assert (summary.exit_code, second.books.billed, second.books.uploads, first.books.requests) == (0, 2, 0, 0)


async def test_answers_teach_a_run_the_rate_that_the_account_has(bench: Bench) -> None:
    path = manifest(bench, FLARE, 12)
    async with segmind() as first, openai(rate_limit="120/min", latency="0.05") as second:
        # Without the headers 30 a second would be sent until 429s came.
        chosen = settings(first, second, openai={"rate_limit": "30/s", "concurrency": 1})
        await run(bench, [path], chosen)
        at = [entry.at for entry in second.books.log]
        assert second.books.answered == {200: 12}
    gaps = [later - earlier for earlier, later in pairwise(at[2:])]
    assert min(gaps) > 0.4  # 2 a second


@pytest.mark.parametrize(
    "fault", ["401:text=Incorrect API key provided, sk-test-0123456789.", "json-error:text=sk-test-0123456789"]
)
async def test_no_key_is_repeated_that_a_provider_repeats(
    bench: Bench, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with segmind() as first, openai(faults=(fault,)) as second:
        summary = await run(bench, two(bench, 1), settings(first, second))
    told = "\n".join([*summary.lines(), json.dumps(summary.as_json()), capsys.readouterr().err])
    assert "[key]" in told
    for text in (told, *(path.read_bytes().decode("latin-1") for path in bench.out.rglob("*") if path.is_file())):
        assert OPENAI_KEY not in text
        assert KEY not in text


async def test_attempts_at_a_provider_that_lists_no_requests_stay_open(bench: Bench) -> None:
    path = manifest(bench, FLARE, 1)
    async with segmind() as first, openai(faults=("reset",)) as second:
        chosen = settings(first, second, retry={"max_possibly_billed": 1})
        summary = await run(bench, [path], chosen)
        assert summary.jobs.unknown == 1
        done = await bench.command("reconcile", "out", "--json", key=None)
    assert (done.code, done.json["open"], done.json["unknown_jobs"]) == (1, 1, 1)
    (found,) = done.json["attempts"]
    assert found["message"] == "open: openai lists no requests to look it up in; see its usage page"


def test_a_plan_s_time_is_the_slowest_provider_s_which_is_named(bench: Bench) -> None:
    chosen = load_settings(flags={"rate_limit": "600/min", "providers": {"openai": {"rate_limit": "10/min"}}})
    plan = make_plan(two(bench, 100), chosen, output=bench.out).as_json()
    assert plan["limited_by"] == "rate limit of openai"
    assert plan["advice"].startswith("openai: rate limit 10/min is the limit; ")
    paces = plan["providers"]
    assert {name: pace["requests"] for name, pace in paces.items()} == {"segmind": 100, "openai": 100}
    assert plan["duration_s"] == paces["openai"]["duration_s"]
    assert paces["openai"]["duration_s"]["p50"] > 600 > paces["segmind"]["duration_s"]["p50"]


def test_a_plan_of_one_provider_names_none(bench: Bench) -> None:
    plan = make_plan([manifest(bench, FLARE, 100)], load_settings(), output=bench.out)
    assert plan.limited_by == "rate limit"
    assert plan.requests_to == {"openai": 100}
    assert not any("at the same time" in line for line in plan.lines())


def test_low_with_one_input_plans_what_the_list_says(bench: Bench) -> None:
    (group,) = make_plan([manifest(bench, FLARE, 1)], load_settings(), output=bench.out).groups
    assert group.unit_usd == pytest.approx(0.0059 + 0.0082, rel=0.01)


OWN = """
name: studio
provider: {provider}
path: studio
parameters:
  prompt: {{type: string, required: true, role: prompt}}
  image_urls: {{type: links, required: true, role: images}}
prices: {{table: 0.02}}
"""


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        (
            "opnai",
            "provider 'opnai' is unknown (did you mean openai?); expected providers.opnai.base_url in the config",
        ),
        ("acme", "provider 'acme' is unknown; expected providers.acme.key_env in the config"),
    ],
)
async def test_an_endpoint_s_provider_must_be_known(bench: Bench, provider: str, message: str) -> None:
    (bench.folder / "studio.yaml").write_text(OWN.format(provider=provider))
    manifest(bench, "studio.yaml", 1, name="own")
    (bench.folder / "config.yaml").write_text("providers: {acme: {base_url: 'http://127.0.0.1:9/v1'}}")
    done = await bench.command("plan", "own.yaml")
    assert (done.code, message in done.err) == (2, True)


async def test_a_provider_of_one_s_own_is_set_by_the_config_alone(bench: Bench) -> None:
    (bench.folder / "studio.yaml").write_text(OWN.format(provider="acme"))
    manifest(bench, "studio.yaml", 2, name="own", kind={})
    studio = load_endpoint(str(bench.folder / "studio.yaml"))
    options = SandboxOptions(size_scale=SMALL, key="acme-key-1234")
    async with Sandbox(options, endpoints=[studio]) as acme:
        (bench.folder / "config.yaml").write_text(
            f"providers: {{acme: {{base_url: '{acme.base_url}', key_env: ACME_KEY, rate_limit: 100/s}}}}"
        )
        done = await bench.command(
            *("run", "own.yaml", "--json", "--progress", "none"), key=None, environment={"ACME_KEY": "acme-key-1234"}
        )
        assert acme.books.billed == 2
    assert (done.code, list(done.json["providers"])) == (0, ["acme"])


async def test_one_template_goes_to_endpoints_of_several_providers(bench: Bench) -> None:
    job = {
        "id": "{{ sku }}-{{ endpoint }}",
        "rows": [{"sku": "mug"}, {"sku": "cup"}],
        "matrix": {"endpoint": ["gpt-image-1.5-edit", FLARE]},
        "prompt": "Show the {{ sku }}",
        "image_urls": [INPUT],
    }
    path = bench.folder / "both.yaml"
    path.write_text(json.dumps({"defaults": CHEAP, "jobs": [job]}))
    async with segmind() as first, openai() as second:
        summary = await run(bench, [path], settings(first, second))
        assert (first.books.billed, second.books.billed) == (2, 2)
    assert summary.exit_code == 0
