"""The command line: what it takes, prints and exits with. Its names are fixed: scripts depend on them."""

from __future__ import annotations

import asyncio
import csv
import importlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import click
import pytest

from batch_editor import last_summary
from batch_editor.cli.main import cli, main
from batch_editor.cli.paths import NamedPath
from tests.support.bench import INPUT, Bench, job, jobs, sandbox

RUN_OPTIONS = (
    *("-c", "--config", "-o", "--output", "--concurrency", "--rate", "--max-cost", "--deadline", "--limit", "--only"),
    *(
        "--expect-ledger",
        "--retry-failed",
        "--set",
        "--base-url",
        "--json",
        "-v",
        "--sandbox",
        "--progress",
        "--log-file",
        "--dry-run",
    ),
)
NOT_PLANNED = ("--progress", "--log-file", "--sandbox", "--dry-run", "--expect-ledger")
OPTIONS = {
    "run": RUN_OPTIONS,
    "plan": tuple(name for name in RUN_OPTIONS if name not in NOT_PLANNED),
    "schedule": ("--at", "--as", "--to", "-c", "-o", "--max-cost", "--deadline", "--set"),
    "completion": (),
    "status": ("--json",),
    "export": ("--format", "--to"),
    "sandbox": ("--port", "--latency", "--rate-limit", "--fault"),
}
SUMMARY_KEYS = {
    None: {
        *("run_id", "output", "exit_code", "jobs", "requests", "cost_usd", "latency_s", "elapsed_s", "errors"),
        "manifest",
    },
    "jobs": {"total", "succeeded", "failed", "pending", "unknown", "reused"},
    "requests": {"sent", "retried", "possibly_billed"},
    "cost_usd": {"estimated", "actual", "possibly_billed"},
    "latency_s": {"p50", "p95"},
}
PLAN_KEYS = {
    None: {
        *("jobs", "requests", "reused", "done", "uploads", "cost_usd", "duration_s", "limited_by", "advice"),
        "groups",
    },
    "cost_usd": {"low", "expected", "high"},
    "duration_s": {"p10", "p50", "p90"},
}
GROUP_KEYS = {"endpoint", "quality", "size", "inputs", "requests", "unit_usd", "cost_usd"}


def has_keys(found: dict[str, object], wanted: dict[str | None, set[str]]) -> None:
    """More keys may be added, none renamed."""
    for part, names in wanted.items():
        level = found if part is None else found[part]
        assert isinstance(level, dict)
        assert names <= set(level), part


@pytest.mark.parametrize("command", list(OPTIONS))
def test_every_command_explains_its_options_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Example:" in said
    assert f"batch-editor {command}" in said
    described = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", said))
    assert set(OPTIONS[command]) - described == set()


def test_the_group_lists_its_commands_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {command} " in said for command in OPTIONS)
    assert "130, 143" in said


@pytest.mark.slow
async def test_results_go_to_standard_output_and_everything_else_to_standard_error(bench: Bench) -> None:
    manifest = bench.write([*jobs(3), job("same", "edit job-0"), job("bad", "refuse me")])
    async with sandbox(faults=("400:prompt~refuse",)) as provider:
        arguments = bench.run_arguments(manifest, provider, "--json", "-v", "--log-file", "run.log")
        finished = await bench.command(*arguments, "--progress", "plain")
        assert (finished.code, provider.books.requests) == (1, 4)
    found = finished.json
    has_keys(found, SUMMARY_KEYS)
    assert found["jobs"] == {**dict.fromkeys(("pending", "unknown"), 0), "total": 5, "succeeded": 4} | {
        "failed": 1,
        "reused": 1,
    }
    assert (found["exit_code"], found["errors"]) == (1, {"invalid_parameter": 1})
    assert (bench.folder / found["manifest"]).is_file()
    assert finished.err.count("succeeded job_id=") == 3
    log = [json.loads(line) for line in (bench.folder / "run.log").read_text(encoding="utf-8").splitlines()]
    assert {"sent", "succeeded", "failed"} <= {event["event"] for event in log}
    assert all({"ts", "level", "event"} <= set(event) for event in log)


@pytest.mark.slow
async def test_status_and_export_say_again_what_the_run_said(
    bench: Bench, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    wanted = [job("a", "=1+1"), job("b", "+44 @cmd"), job("c", "-5"), job("d", "two\nlines, and 'more'")]
    async with sandbox() as provider:
        await bench.run(wanted, provider)

    async def said(*arguments: str) -> bytes:
        assert await asyncio.to_thread(main, list(arguments)) == 0
        return capsysbinary.readouterr().out

    out = str(bench.out)
    status = json.loads(await said("status", out, "--json"))
    has_keys(status, SUMMARY_KEYS)
    assert (status["jobs"]["succeeded"], status["requests"]["sent"], status["exit_code"]) == (4, 4, 0)
    assert b"succeeded 4" in await said("status", out)

    text = (await said("export", out)).decode()
    assert text == (bench.out / "manifest.csv").read_text(encoding="utf-8")
    prompts = [row["prompt"] for row in csv.DictReader(io.StringIO(text))]
    assert prompts == ["'=1+1", "'+44 @cmd", "-5", "two\nlines, and 'more'"]

    lines = [json.loads(line) for line in (await said("export", out, "--format", "jsonl")).decode().splitlines()]
    assert [line["prompt"] for line in lines] == [each["prompt"] for each in wanted]
    assert list(lines[0]) == text.splitlines()[0].split(",")
    assert (lines[0]["bytes"], lines[0]["mask"]) == (int(bench.row("a")["bytes"]), None)

    assert await said("export", out, "--format", "parquet", "--to", "table.parquet") == b""
    pandas = importlib.import_module("pandas")  # half a second that no other test of this module waits for
    table = await asyncio.to_thread(pandas.read_parquet, bench.folder / "table.parquet")
    assert list(table["prompt"]) == [each["prompt"] for each in wanted]
    assert list(table.columns) == list(lines[0])
    again, former = bench.folder / "again.csv", bench.folder / "former.csv"
    again.write_text("former")
    former.hardlink_to(again)
    await said("export", out, "--to", "again.csv")
    # A new file takes its place when it is whole: what stood there isn't written over.
    assert (again.read_text(encoding="utf-8"), former.read_text()) == (text, "former")
    await said("export", out, "--to", "/dev/null")


def test_a_dry_run_is_a_plan_and_needs_no_key(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = str(bench.write([*jobs(5), job("same", "edit job-0")]))
    assert main(["run", manifest, "--dry-run", "--json"]) == 0
    dry_run = json.loads(capsys.readouterr().out)
    assert main(["plan", manifest, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert dry_run == plan
    has_keys(plan, PLAN_KEYS)
    assert (plan["jobs"], plan["requests"], plan["reused"], plan["done"]) == (6, 5, 1, 0)
    assert plan["cost_usd"]["expected"] == pytest.approx(5 * 0.0108)
    assert [set(group) >= GROUP_KEYS for group in plan["groups"]] == [True]
    assert {path.name for path in bench.folder.iterdir()} == {"jobs.yaml"}
    assert main(["plan", manifest]) == 0
    assert "$0.05" in capsys.readouterr().out


@pytest.mark.slow
def test_a_rehearsal_needs_no_key_and_a_plan_does_not_take_it_for_done(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = str(bench.write(jobs(2, size="1024x1024")))
    assert main(["run", manifest, "--sandbox", "--json", "--progress", "none"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["jobs"]["succeeded"], said["output"]) == (2, "outputs/jobs")
    assert main(["plan", manifest, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["requests"] == 2
    assert main(["run", manifest, "--sandbox", "--json", "--progress", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["requests"]["sent"] == 0


def test_without_a_key_nothing_is_sent_and_the_way_out_is_named(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(bench.write(jobs(1)))]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "no API key: set SEGMIND_API_KEY in the environment" in said.err
    assert "--sandbox" in said.err
    assert not bench.out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run", "Missing argument 'MANIFEST…'"),
        ("run none.yaml --sandbox", "none.yaml"),
        ("run jobs.yaml --no-such-option", "No such option"),
        ("run jobs.yaml --set quality", "expected NAME=VALUE"),
        ("run jobs.yaml --set qualty=low --sandbox", "qualty"),
        ("run jobs.yaml --rate 60 --sandbox", "expected a count and a period"),
        ("run jobs.yaml --concurrency many --sandbox", "concurrency"),
        ("run jobs.yaml --deadline soon --sandbox", "expected a time of day"),
        ("run jobs.yaml --max-cost -1 --sandbox", "max_cost"),
        ("run jobs.yaml --limit 0 --sandbox", "--limit"),
        ("run jobs.yaml -c none.yaml --sandbox", "none.yaml: can't be read"),
        ("run jobs.yaml --base-url nowhere --sandbox", "expected an http(s) URL"),
        ("plan jobs.yaml --only nothing", "matches no job's id"),
        ("status nowhere", "no ledger here"),
        ("export nowhere", "no ledger here"),
        ("sandbox --fault sometimes", "expected a status from 400 to 599"),
        ("frobnicate", "No such command"),
    ],
)
def test_what_is_typed_wrong_is_told_in_a_line_and_exits_2(
    bench: Bench, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    bench.write(jobs(1))
    assert main(shlex.split(arguments)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "option", "wanted"),
    [
        ("run", "MANIFEST…", "MANIFEST"),
        ("run jobs.yaml --sandbox --plan", "--plan", "FILE"),
        ("run jobs.yaml --sandbox -o", "-o' / '--output", "OUT"),
        ("compare jobs.yaml --over quality=low,high --reuse", "--reuse", "OUT"),
        ("plan jobs.yaml --save", "--save", "FILE"),
        ("spend", "[OUT…]", "OUT"),
        ("init", "SOURCE", "SOURCE"),
    ],
)
def test_an_empty_name_of_a_file_or_folder_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str], arguments: str, option: str, wanted: str
) -> None:
    bench.write(jobs(1))
    assert main([*shlex.split(arguments), ""]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"Error: Invalid value for '{option}': the name is empty; expected {wanted}. Is a variable of the shell not"
        " set?"
    )


def test_every_path_on_the_command_line_has_a_name() -> None:
    paths = [each for command in cli.commands.values() for each in command.params if isinstance(each.type, click.Path)]
    assert len(paths) > 30
    assert all(isinstance(each.type, NamedPath) for each in paths)


def test_all_faults_of_all_manifests_are_listed_at_once(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.write([job("a", size="huge"), job("b", quality="hgih"), job("d"), job("d")])
    (bench.folder / "more.csv").write_text(f"id,prompt,image_urls\nc,,{INPUT}\n", encoding="utf-8")
    assert main(["run", "jobs.yaml", "more.csv", "--sandbox"]) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 4
    assert "quality is 'hgih'; expected low, medium, high or auto (did you mean high?)" in said
    assert "more.csv:2" in said
    assert not (bench.folder / "outputs").exists()


@pytest.mark.parametrize("way", ["flag", "environment", "config"])
def test_faulty_rows_are_skipped_where_that_is_asked_for(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    rows = f"a,x,{INPUT},low\nb,x,{INPUT},hgih\nc,,,,?\n"
    (bench.folder / "jobs.csv").write_text(f"id,prompt,image_urls,quality\n{rows}", encoding="utf-8")
    assert main(["plan", "jobs.csv"]) == 2
    assert "jobs.csv:3: has" not in capsys.readouterr().err
    if way == "environment":
        monkeypatch.setenv("BATCH_EDITOR_ROWS__FAULTY", "skip")
    elif way == "config":
        (bench.folder / "config.yaml").write_text("rows: {faulty: skip}\n", encoding="utf-8")
    assert main(["plan", "jobs.csv", *(["--skip-faulty"] if way == "flag" else [])]) != 2
    assert capsys.readouterr().err.splitlines() == [
        "warning: 2 faulty rows are skipped:",
        "warning: jobs.csv:3: job b: quality is 'hgih'; expected low, medium, high or auto (did you mean high?)",
        "warning: jobs.csv:4: has 5 cells where the header has 4; '?' is one too many",
    ]


def test_job_keys_are_set_for_every_job(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    rows = f"mug,Mug,{INPUT}\nmug,,{INPUT}?2\nmug,,\n"
    (bench.folder / "jobs.csv").write_text(f"Handle,Title,Image\n{rows}", encoding="utf-8")
    sets = ["carry={handle: [title]}", "when={{ image }}", "prompt=Show {{ title }}", "image_urls={{ image }}"]
    assert main(["plan", "jobs.csv", "--json", *(each for value in sets for each in ("--set", value))]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == 2


@pytest.mark.slow
def test_flags_win_over_the_environment_and_that_over_the_config(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(jobs(600))

    def advice(*flags: str) -> str:
        assert main(["plan", "jobs.yaml", "--json", *flags]) == 0
        return str(json.loads(capsys.readouterr().out)["advice"])

    (bench.folder / "config.yaml").write_text("rate_limit: 11/min\n", encoding="utf-8")
    assert "11/min" in advice()
    monkeypatch.setenv("BATCH_EDITOR_RATE_LIMIT", "13/min")
    assert "13/min" in advice()
    assert "17/min" in advice("--rate", "17/min")
    (bench.folder / "config.yaml").write_text("rate_limt: 11/min\n", encoding="utf-8")
    assert main(["plan", "jobs.yaml"]) == 2
    assert "config.yaml:1: rate_limt is no setting (did you mean rate_limit?)" in capsys.readouterr().err


@pytest.fixture
def bursting() -> Iterator[Callable[[str], None]]:
    """A command `burst` that takes what another one takes, and meets a bug."""

    def burst(**_: object) -> None:
        raise ZeroDivisionError("in burst")

    def add(name: str) -> None:
        cli.add_command(click.Command("burst", params=cli.commands[name].params, callback=burst))

    yield add
    cli.commands.pop("burst", None)


BUG = "error: a bug in batch-editor: ZeroDivisionError: in burst\n"


@pytest.mark.parametrize("command", ["run", "plan", "status", "export", "reconcile", "sandbox"])
@pytest.mark.parametrize(("flags", "verbose"), [("-v", True), ("--verbose", True), ("-vv", True), ("", False)], ids=str)
def test_every_command_says_where_a_bug_is_when_it_is_verbose(
    bursting: Callable[[str], None], capsys: pytest.CaptureFixture[str], command: str, flags: str, verbose: bool
) -> None:
    bursting(command)
    assert main(["burst", *([] if command == "sandbox" else ["x"]), *flags.split()]) == 70
    said = capsys.readouterr().err
    assert said.startswith(BUG)
    assert ("Traceback (most recent call last)" in said) is verbose
    assert said.endswith("Running it again with -v shows where.\n") is not verbose


@pytest.mark.parametrize(
    ("arguments", "verbose"),
    [
        ("x -vo OUT", True),
        ("x -yv", True),
        ("x -yvo OUT", True),
        ("x -ov", False),
        ("x -o -v", False),
        ("x --only -v", False),
        ("x --set prompt=-v", False),
        ("-- x -v", False),
    ],
)
def test_whether_a_run_is_verbose_is_for_the_command_line_s_own_rules_to_say(
    bursting: Callable[[str], None], capsys: pytest.CaptureFixture[str], arguments: str, verbose: bool
) -> None:
    bursting("run")
    assert main(["burst", *arguments.split()]) == 70
    assert ("Traceback" in capsys.readouterr().err) is verbose


@pytest.mark.slow
async def test_the_exit_code_of_a_process_is_that_of_its_run(bench: Bench) -> None:
    manifest = bench.write(jobs(4))
    async with sandbox(faults=("401@3+",)) as provider:
        refused = await bench.command(*bench.run_arguments(manifest, provider, "--concurrency", "1"))
        assert (refused.code, provider.books.requests) == (3, 3)
    assert "Stopped: HTTP 401" in refused.out
    assert "2 jobs are left; to resume: batch-editor run" in refused.out
    assert last_summary(bench.out).exit_code == 3


@pytest.mark.slow
async def test_the_sandbox_command_prints_its_url_and_serves_until_interrupted(bench: Bench) -> None:
    async with bench.started("sandbox", "--port", "0", "--latency", "0", "--fault", "504@1") as process:
        url = (await process.line()).strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", url)
        summary = await bench.run(jobs(1), url)
        assert (summary.exit_code, summary.sent) == (0, 2)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{url.removesuffix('/v1')}/_sandbox/books") as response,
        ):
            assert (await response.json())["requests"] == 2
        process.send(signal.SIGINT)
        finished = await process.finished()
    assert "Traceback" not in finished.err


@pytest.mark.fault(77)
@pytest.mark.slow
def test_output_that_nobody_reads_any_more_is_no_error(bench: Bench) -> None:
    bench.write(jobs(1))
    command = f"{shlex.quote(sys.executable)} -m batch_editor plan jobs.yaml | true; exit ${{PIPESTATUS[0]}}"
    finished = subprocess.run(["bash", "-c", command], cwd=bench.folder, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert Path(bench.folder / "jobs.yaml").is_file()


@pytest.mark.parametrize("command", ["plan", "status", "status --json", "export", "run"])
@pytest.mark.slow
async def test_a_full_disk_behind_standard_output_is_said(bench: Bench, command: str) -> None:
    manifest = bench.write(jobs(1))
    async with sandbox() as provider:
        await bench.run(manifest, provider)
        name, *options = command.split()
        arguments: dict[str, list[str | Path]] = {
            "plan": ["plan", manifest, "-o", bench.out],
            "run": bench.run_arguments(manifest, provider),
        }
        full = os.open("/dev/full", os.O_WRONLY)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "batch_editor", *arguments.get(name, [name, bench.out, *options])),
            stdout=full,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "SEGMIND_API_KEY": "any"},
        )
        os.close(full)
        _, said = await process.communicate()
    assert said.decode() == "error: standard output can't be written (No space left on device)\n"
    # A run tells how it ended.
    assert process.returncode == (0 if name == "run" else 6)


async def test_a_port_that_is_taken_is_said(bench: Bench) -> None:
    async with sandbox() as provider:
        port = provider.url.rpartition(":")[2]
        ended = await bench.command("sandbox", "--port", port)
    assert ended.code == 2
    assert f"--port {port}: can't be listened on (" in ended.err
    assert "address already in use" in ended.err


async def test_a_folder_of_the_program_s_name_where_it_is_started_is_in_nobody_s_way(bench: Bench) -> None:
    (bench.folder / "batch_editor").mkdir()
    planned = await bench.command("plan", bench.write(jobs(1)))
    assert planned.code == 0, planned.err
