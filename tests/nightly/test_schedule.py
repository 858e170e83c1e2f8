"""`schedule`: each text is taken by the program that it is for, and starts what was asked for, word for word."""

from __future__ import annotations

import ast
import ctypes
import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import check_jsonschema
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.cli.main import main
from batch_editor.errors import UsageError
from batch_editor.nightly import KINDS, Schedule, write_all
from batch_editor.nightly.cron import cron_files
from batch_editor.nightly.github import github_files
from batch_editor.nightly.kubernetes import kubernetes_files
from batch_editor.nightly.schedule import ENVIRONMENT_FILE, shell_line
from batch_editor.nightly.systemd import systemd_files
from tests.support.bench import Bench

# What some program takes for something else than it is.
ODD = (
    "50% off",
    "%H %%",
    "$HOME ${HOME} $$ $(id)",
    'say "hi"',
    "it's",
    "a\\b \\\\ \\% \\$ \\",
    "{{ title }} {% if x %} ${{ secrets.KEY }}",
    "; rm x; # no & | > `id` !1 *?[a] ~ é 猫",
    " two  blanks ",
    "",
    "-x",
    "on",
)
# Written as people may: a backslash before `%` is always dropped, one before another one by some crons.
UNESCAPED = (re.compile(r"\\(%)"), re.compile(r"\\([%\\])"))


@dataclass
class Said:
    """What a command ended with and said."""

    code: int
    out: str
    err: str


@pytest.fixture
def say(bench: Bench, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command, in a folder with a catalog."""
    (bench.folder / "jobs").mkdir()
    (bench.folder / "jobs" / "catalog.csv").write_text("prompt,image_urls\nOn white,https://example.com/a.jpg\n")

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(["schedule", *arguments])
        return Said(code, *capsys.readouterr())

    return run


def schedule(*options: str, program: tuple[str, ...] = ("/usr/bin/printf", "%s\\0"), **changes: Any) -> Schedule:
    values: dict[str, Any] = {
        "name": "batch-editor-catalog",
        "hour": 2,
        "minute": 30,
        "zone": "Europe/Berlin",
        "directory": Path("/"),
        "program": program,
        "manifests": ("jobs/catalog.csv",),
        "output": "outputs/catalog",
        "options": options,
        "nightly": ("--deadline", "4h"),
        "secrets": ("SEGMIND_API_KEY",),
        "timeout_s": 300.0,
        "made_by": "batch-editor schedule jobs/catalog.csv",
    }
    return Schedule(**(values | changes))


def shell(command: str, *, name: str = "sh") -> list[str]:
    """The words that a shell gives to what it starts, which is `printf`."""
    done = subprocess.run([name, "-c", command], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def arguments(output: str = "outputs/catalog", *options: str, log: str = "batch-editor-catalog.jsonl") -> list[str]:
    nightly = ["--deadline", "4h", "--expect-ledger", "--progress", "none", "--log-file", log]
    return ["run", "jobs/catalog.csv", "-o", output, *options, *nightly]


EXPECTED = arguments("outputs/catalog", *ODD)


@pytest.mark.parametrize("unescaped", UNESCAPED)
def test_cron_starts_what_was_asked_for(unescaped: re.Pattern[str]) -> None:
    (file,) = cron_files(schedule(*ODD), None)
    line = file.text.splitlines()[-1]
    minute, hour, day, month, weekday, command = line.split(maxsplit=5)
    assert not re.search(r"(?<!\\)%", command)
    assert shell(unescaped.sub(r"\1", command)) == EXPECTED
    assert (minute, hour, day, month, weekday) == ("30", "2", "*", "*", "*")


@settings(max_examples=20)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])), max_size=20))
def test_whatever_the_words_are_each_shell_reads_them_back(words: list[str]) -> None:
    plan = schedule(*words)
    assert shell(shell_line(plan, None)) == arguments("outputs/catalog", *words)
    command = cron_files(plan, None)[0].text.splitlines()[-1].split(maxsplit=5)[5]
    assert {tuple(shell(each.sub(r"\1", command))) for each in UNESCAPED} == {
        tuple(arguments("outputs/catalog", *words))
    }


def test_cron_s_line_is_at_that_time_of_that_zone() -> None:
    (file,) = cron_files(schedule(), None)
    assert "\nCRON_TZ=Europe/Berlin\n" in file.text
    assert " && export TZ=Europe/Berlin && " in file.text
    expression = " ".join(file.text.splitlines()[-1].split()[:5])
    nights = CronSim(expression, datetime(2026, 10, 24, 12, 0, tzinfo=ZoneInfo("Europe/Berlin")))
    assert [next(nights).isoformat() for _ in range(2)] == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_a_line_that_cron_would_cut_off_is_refused() -> None:
    message = (
        r"^the crontab's line would have \d{4} characters; cron takes 998\. What is set by --set can stand in the "
    )
    with pytest.raises(UsageError, match=message):
        cron_files(schedule("--set", "prompt=" + 900 * "x"), None)


def systemd_words(line: str) -> list[str]:
    """The words of a command line as systemd.service(5) has them read."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    words = [plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in found]
    assert not any(re.search(r"(?<!%)(%%)*%(?!%)", word) for word in words)
    return [word.replace("%%", "%") for word in words]


def test_systemd_starts_what_was_asked_for() -> None:
    service, timer = systemd_files(schedule(*ODD, program=("/srv/my $cat/50%/batch-editor",)), None)
    (line,) = re.findall(r"^ExecStart=(.*)$", service.text, re.MULTILINE)
    program, *words = systemd_words(line)
    assert program == "/srv/my $cat/50%/batch-editor"
    assert [word.replace("$$", "$") for word in words] == EXPECTED
    assert not any(re.search(r"(?<!\$)(\$\$)*\$(?!\$)", word) for word in words)
    assert "\nOnCalendar=*-*-* 02:30:00 Europe/Berlin\nPersistent=true\n" not in service.text
    assert "\nOnCalendar=*-*-* 02:30:00 Europe/Berlin\n" in timer.text


def test_each_line_of_a_crontab_has_its_own_time_zone_whatever_stands_above_it(
    say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    here, there = (
        say("jobs/catalog.csv", "--at", "02:05", "--as", "cron", "--timezone", zone)
        for zone in ("Europe/Berlin", "Asia/Tokyo")
    )
    assert [here.out.count("\nCRON_TZ=Europe/Berlin\n"), there.out.count("\nCRON_TZ=Asia/Tokyo\n")] == [1, 1]
    assert "man 5 crontab" not in here.err
    assert (
        ". See that your cron knows CRON_TZ (man 5 crontab): Debian's doesn't, and starts this at 02:05 Europe/Berlin;"
        " systemd's timers know the zone\n"
    ) in there.err


@pytest.mark.parametrize(
    "line",
    [
        "Type=oneshot",
        "Restart=on-abnormal",
        "SuccessExitStatus=4 143",
        "TimeoutStopSec=360",
        "KillMode=mixed",
        "WorkingDirectory=/srv/50%% cat",
        "EnvironmentFile=/srv/50%% cat/batch-editor.env",
        "Environment=TZ=Europe/Berlin",
    ],
)
def test_the_service_says_how_it_ends(line: str) -> None:
    service, _ = systemd_files(schedule(directory=Path("/srv/50% cat")), Path("/srv/50% cat/batch-editor.env"))
    assert f"\n{line}\n" in service.text


def test_the_environment_file_is_found_whatever_its_folder_is_called(tmp_path: Path) -> None:
    """A unit takes a pattern there, as glob(3) does."""
    for name in ("new [2026]*", "back\\slash", "what?", "{a,b} ~ 'x'"):
        file = tmp_path / name / ENVIRONMENT_FILE
        file.parent.mkdir()
        file.touch()
        service, _ = systemd_files(schedule(), file)
        (pattern,) = re.findall(r"^EnvironmentFile=(.*)$", service.text, re.MULTILINE)
        libc, found = ctypes.CDLL(None), ctypes.create_string_buffer(256)
        assert libc.glob(pattern.encode(), 0, None, found) == 0
        assert ctypes.c_size_t.from_buffer(found).value == 1


@pytest.mark.parametrize("name", ["/srv/cat ", "/srv/cat\\"])
def test_a_folder_that_no_unit_can_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        systemd_files(schedule(directory=Path(name)), None)
    assert str(refused.value) == (
        f"{name!r}: a unit of systemd can't name a path that ends in white space or a backslash"
    )


@pytest.mark.parametrize("word", ["a\nb", "a\x1b[31m", "caf\udce9", "a\u2028b"])
def test_what_can_t_stand_in_a_line_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"holds a line break, or what isn't text, and can't stand in a schedule"):
        schedule("--set", word)


def test_kubernetes_takes_the_cron_job_and_it_starts_what_was_asked_for() -> None:
    (file,) = kubernetes_files(schedule(*ODD, timeout_s=299.5), None)
    documents = list(yaml.safe_load_all(file.text))
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    job, catalog, state = documents
    assert (job["kind"], catalog["kind"], state["kind"]) == ("CronJob", *2 * ["PersistentVolumeClaim"])
    spec = job["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("30 2 * * *", "Europe/Berlin", "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 360)
    (container,) = pod["containers"]
    # As Kubernetes reads them: `$$(` stands for `$(`.
    assert [word.replace("$$(", "$(") for word in container["args"]] == EXPECTED
    assert not any(re.search(r"(?<!\$)\$\(", word) for word in container["args"])
    assert {name["name"]: name for name in container["env"]}["TZ"]["value"] == "Europe/Berlin"


def test_kubernetes_starts_every_shard_in_an_output_directory_of_its_own() -> None:
    (file,) = kubernetes_files(schedule(*ODD, shards=4), None)
    documents = list(yaml.safe_load_all(file.text))
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    job, catalog = documents
    spec = job["spec"]["jobTemplate"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert (spec["backoffLimitPerIndex"], spec.get("backoffLimit")) == (0, None)
    assert catalog["spec"]["accessModes"] == ["ReadWriteMany"]
    pod = spec["template"]["spec"]
    assert {volume["name"]: set(volume) for volume in pod["volumes"]} == {
        "catalog": {"name", "persistentVolumeClaim"},
        "state": {"name", "emptyDir"},
    }
    for number in range(4):
        # As Kubernetes reads them, which gives each pod its number.
        read = [
            re.sub(r"(?<!\$)\$\(JOB_COMPLETION_INDEX\)", str(number), word).replace("$$(", "$(")
            for word in pod["containers"][0]["args"]
        ]
        assert read == sharded(number)


def test_github_starts_every_shard_on_a_runner_of_its_own(tmp_path: Path) -> None:
    (file,) = github_files(schedule(*ODD, directory=tmp_path, shards=4), None)
    path = tmp_path / file.name
    path.write_text(file.text, encoding="utf-8")
    checked = CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", "vendor.github-workflows", str(path)])
    assert checked.exit_code == 0, checked.output
    job = yaml.safe_load(file.text)["jobs"]["run"]
    assert job["strategy"] == {"fail-fast": False, "matrix": {"shard": [0, 1, 2, 3]}}
    assert job["runs-on"] == ["self-hosted", "batch-editor-catalog-${{ matrix.shard }}"]
    for number in job["strategy"]["matrix"]["shard"]:
        run = job["steps"][-1]["run"].replace("${{ matrix.shard }}", str(number))
        assert "${{" not in run
        assert shell(run, name="bash") == sharded(number, folder=f"{tmp_path}/")


def test_what_stands_for_a_shard_s_number_is_in_no_other_word() -> None:
    with pytest.raises(UsageError) as caught:
        schedule("--set", "prompt=@shard@", shards=2)
    assert str(caught.value) == "'prompt=@shard@': holds @shard@, which stands for a shard's number here"
    assert schedule("--set", "prompt=@shard@").shards == 0


def sharded(number: int, *, folder: str = "") -> list[str]:
    options = (*ODD, "--shard", f"{number}/4")
    log = f"{folder}batch-editor-catalog-{number}.jsonl"
    return arguments(f"{folder}outputs/catalog-{number}-of-4", *options, log=log)


ONE_MACHINE = (
    "--shards is of kubernetes and github, which start several machines; make a schedule on each machine: --shard 0/4"
    " to --shard 3/4"
)
TOO_SLOW = (
    "rate_limit 2/s can't be divided among 4 shards; expected at least 4/s, or budget.ledger: postgresql://…, by which"
    " they take turns"
)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("cron", (), ONE_MACHINE),
        ("github", ("--shard", "0/4"), "--shards starts all of them; expected no --shard besides"),
        ("github", ("--rate", "2/s"), TOO_SLOW),
        ("github", ("--shards", "257"), "--shards 257: expected 256 at most, which is all that github starts"),
        (
            "kubernetes",
            ("--shards", "10001"),
            "--shards 10001: expected 10,000 at most, which is all that kubernetes starts",
        ),
    ],
)
def test_shards_that_could_not_be_started_are_refused(
    say: Callable[..., Said], kind: str, options: tuple[str, ...], message: str
) -> None:
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", kind, "--shards", "4", *options)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[-1].partition(": ")[2] == message


def test_the_first_runs_of_shards_are_said_once_for_all(say: Callable[..., Said], bench: Bench) -> None:
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", "github", "--shards", "2")
    (step,) = [line for line in said.err.splitlines() if "First run" in line]
    assert "First run, by hand, for each shard I on its machine, for every night expects its ledger: " in step
    assert step.endswith("run jobs/catalog.csv -o outputs/catalog-I-of-2 --max-cost 25 --shard I/2")
    assert "a runner for each of the labels batch-editor-catalog-0 to batch-editor-catalog-1: " in said.err
    for number in range(2):
        out = bench.folder / "outputs" / f"catalog-{number}-of-2"
        out.mkdir(parents=True)
        (out / "ledger.sqlite3").touch()
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", "github", "--shards", "2")
    assert "Each shard has its ledger, so a first run isn't needed" in said.err


def test_the_schedule_of_one_shard_runs_that_one(say: Callable[..., Said]) -> None:
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", "cron", "--shard", "1/4")
    assert " run jobs/catalog.csv -o outputs/catalog-1-of-4 --shard 1/4 --max-cost 25 " in said.out


def test_the_first_job_in_kubernetes_expects_no_ledger() -> None:
    plan = schedule(*ODD)
    made = KINDS["kubernetes"].make(plan, None)
    (step,) = [step for step in made.steps if step.startswith("First run: ")]
    (pattern,) = re.findall(r"grep -v -- '(.*?)'", step)
    kept = [line for line in made.files[0].text.splitlines() if pattern not in line]
    (container,) = next(yaml.safe_load_all("\n".join(kept)))["spec"]["jobTemplate"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert [word.replace("$$(", "$(") for word in container["args"]] == [w for w in EXPECTED if w != "--expect-ledger"]


def test_kubernetes_has_no_path_outside_of_the_working_directory(say: Callable[..., Said], bench: Bench) -> None:
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", "kubernetes", "-o", "/srv/out")
    assert said.code == 2
    assert said.err == (
        f"error: /srv/out lies outside of {bench.folder}, which is the volume /catalog in Kubernetes; run this where"
        " all files are below the working directory\n"
    )


def test_github_takes_the_workflow_and_it_starts_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    shop = tmp_path / "my shop"
    (file,) = github_files(schedule(*ODD, directory=shop), None)
    path = tmp_path / file.name
    path.write_text(file.text, encoding="utf-8")
    checked = CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", "vendor.github-workflows", str(path)])
    assert checked.exit_code == 0, checked.output
    workflow = yaml.safe_load(file.text)
    assert workflow["on"]["schedule"] == [{"cron": "30 2 * * *", "timezone": "Europe/Berlin"}]
    assert workflow["concurrency"] == {"group": "batch-editor-catalog", "cancel-in-progress": False}
    job = workflow["jobs"]["run"]
    assert job["runs-on"] == "self-hosted"
    assert job["env"]["SEGMIND_API_KEY"] == "${{ secrets.SEGMIND_API_KEY }}"
    step = job["steps"][-1]
    assert "${{" not in step["run"]
    assert step["working-directory"] == "my shop"
    log = str(shop / "batch-editor-catalog.jsonl")
    assert shell(step["run"], name="bash") == arguments(str(shop / "outputs/catalog"), *ODD, log=log)


def test_the_dag_starts_what_was_asked_for() -> None:
    (file,) = KINDS["airflow"].files(schedule(*ODD), None)
    calls = {
        node.func.id: {each.arg: each.value for each in node.keywords}
        for node in ast.walk(ast.parse(file.text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    dag = {name: value for name, value in calls["DAG"].items() if name != "start_date"}
    assert {name: ast.literal_eval(value) for name, value in dag.items()} == {
        "dag_id": "batch-editor-catalog",
        "description": "batch-editor, jobs/catalog.csv, every night",
        "schedule": "30 2 * * *",
        "catchup": False,
        "max_active_runs": 1,
        "default_args": {"retries": 0},
    }
    assert ast.unparse(calls["DAG"]["start_date"]) == "datetime(2026, 1, 1, tzinfo=ZoneInfo('Europe/Berlin'))"
    assert shell(ast.literal_eval(calls["Command"]["bash_command"]), name="bash") == EXPECTED
    assert "\n# AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME=360\n" in file.text
    assert file.name == "batch_editor_catalog.py"


@pytest.mark.parametrize("kind", KINDS)
def test_every_night_has_a_budget_an_end_a_log_and_expects_a_ledger(kind: str, say: Callable[..., Said]) -> None:
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", kind, "--timezone", "Europe/Berlin")
    assert (said.code, said.out.count("Europe/Berlin") >= 2) == (0, True)
    plain = re.sub(r"[\s\"'-]+", " ", said.out)
    for wanted in ("max cost 25", "deadline 4h", "expect ledger", "progress none", "batch editor catalog.jsonl"):
        assert wanted in plain
    assert "SEGMIND_API_KEY" in said.out + said.err


def test_what_the_config_says_is_left_to_it(say: Callable[..., Said], bench: Bench) -> None:
    (bench.folder / "key").touch(0o600)
    (bench.folder / "config.yaml").write_text(
        "{budget: {max_cost_usd: 40}, deadline: '06:00', api: {timeout_s: 120, key_file: key}}"
    )
    said = say("jobs/catalog.csv", "--at", "2:05", "--as", "systemd")
    assert "--max-cost" not in said.out
    assert "--deadline" not in said.out
    assert "EnvironmentFile" not in said.out
    assert "\nTimeoutStopSec=180\n" in said.out
    assert "OnCalendar=*-*-* 02:05:00 " in said.out


@pytest.mark.parametrize(
    ("budget", "has_own", "told"),
    [
        ("", True, "its budget of $25 with the next ones"),
        ("budget: {max_cost_usd: 40}", False, "its budget of $40 with the next ones"),
        ("budget: {per_month_usd: 900, ledger: spent}", False, None),
        ("budget: {per_day_usd: 30, ledger: spent}", False, None),
        ("budget: {per_day_usd: 30, ledger: spent, max_cost_usd: 40}", False, "its budget of $40 with the next ones"),
    ],
)
def test_what_a_budget_means_for_the_nights_is_said(
    say: Callable[..., Said], bench: Bench, budget: str, has_own: bool, told: str | None
) -> None:
    (bench.folder / "config.yaml").write_text(budget)
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", "systemd")
    assert (said.code, " --max-cost 25 " in said.out) == (0, has_own)
    assert ("if it is spent, raise it. A budget for each day is budget.per_day_usd" in said.err) == (told is not None)
    assert told is None or told in said.err


def test_options_of_run_come_along_and_paths_below_the_folder_are_relative(
    say: Callable[..., Said], bench: Bench
) -> None:
    (bench.folder / "my config.yaml").write_text("concurrency: 3")
    given_options = ["-c", str(bench.folder / "my config.yaml"), "--set", "quality=low", "--set", "size=1024x1024"]
    given_options += ["--skip-faulty", "--max-cost", "3", "--only", "a*", "-o", str(bench.folder / "out")]
    said = say(str(bench.folder / "jobs/catalog.csv"), "--at", "02:00", "--as", "systemd", *given_options)
    (line,) = re.findall(r"^ExecStart=(.*)$", said.out, re.MULTILINE)
    _, *words = systemd_words(line)
    first = ["run", "jobs/catalog.csv", "-o", "out", "--config", "my config.yaml", "--max-cost", "3"]
    first += ["--only", "a*", "--skip-faulty", "--set", "quality=low", "--set", "size=1024x1024"]
    assert words == [*first, "--deadline", "4h", *arguments("", log="batch-editor-out.jsonl")[-5:]]
    first_step = (
        r"First run, by hand, for every night expects its ledger: \(cd \S+ && set -a && \. \S+ && set \+a && (.*)\)"
    )
    (step,) = re.findall(first_step, said.err)
    assert shell(f"printf '%s\\0' {step}")[1:] == first


@pytest.mark.parametrize("kind", ["systemd", "cron", "airflow"])
def test_the_first_run_by_hand_has_what_was_put_into_the_environment_file(kind: str, tmp_path: Path) -> None:
    program = ("sh", "-c", 'printf "%s\\0" "$SEGMIND_API_KEY" "$SHOP_WEBHOOK" "$@"', "it")
    folder = tmp_path / "my units"
    made = KINDS[kind].make(
        schedule(*ODD, program=program, directory=tmp_path, secrets=("SEGMIND_API_KEY", "SHOP_WEBHOOK")), folder
    )
    write_all(made.files, folder)
    assert made.steps[0] == (
        f"Put SEGMIND_API_KEY, SHOP_WEBHOOK into '{folder}/batch-editor.env', between the quotes; only you may read it"
        " (mode 600), and it belongs into no repository"
    )
    (folder / ENVIRONMENT_FILE).write_text("SEGMIND_API_KEY='k$e y'\nSHOP_WEBHOOK='https://example.com/a?b&c'\n")
    (step,) = [step for step in made.steps if step.startswith("First run")]
    before = {name: value for name, value in os.environ.items() if name not in ("SEGMIND_API_KEY", "SHOP_WEBHOOK")}
    command = step.partition(": ")[2]
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env=before)
    assert done.stdout.split("\0")[:-1] == ["k$e y", "https://example.com/a?b&c", *EXPECTED[: -len(arguments()) + 4]]


def test_where_something_has_run_no_first_run_is_asked_for(say: Callable[..., Said], bench: Bench) -> None:
    (bench.folder / "outputs/catalog").mkdir(parents=True)
    (bench.folder / "outputs/catalog/ledger.sqlite3").touch()
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", "cron")
    assert "outputs/catalog has its ledger, so a first run isn't needed\n" in said.err


def test_the_step_for_the_key_writes_a_file_that_only_the_user_may_read(say: Callable[..., Said], bench: Bench) -> None:
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", "cron")
    (step,) = re.findall(r"^  1\. (\(umask .*?\))    # mode 600; keep it out of repositories$", said.err, re.MULTILINE)
    subprocess.run(["sh", "-c", step], env={**os.environ, "SEGMIND_API_KEY": "k$e y%"}, check=True)
    file = bench.folder / "batch-editor.env"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("SEGMIND_API_KEY='k$e y%'\n", 0o600)
    assert f". {file} " in said.out


@pytest.mark.parametrize("kind", ["kubernetes", "github"])
def test_every_night_has_the_variables_that_the_config_names(
    kind: str, say: Callable[..., Said], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["SEGMIND_API_KEY", "SHOP_HOOK", "SHOP_PING", "SHOP_DB", "AWS_PROFILE"]
    notify, outputs = "{to: ['env:SHOP_HOOK'], ping: 'env:SHOP_PING'}", "{images: 's3://bucket/shop'}"
    budget = "{ledger: 'postgresql://shop:env:SHOP_DB@db/spending'}"
    (bench.folder / "config.yaml").write_text(f"{{notify: {notify}, outputs: {outputs}, budget: {budget}}}")
    for name in ("PGPASSFILE", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "shop")
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", kind)
    document = next(yaml.safe_load_all(said.out))
    if kind == "github":
        assert {name: f"${{{{ secrets.{name} }}}}" for name in wanted}.items() <= document["jobs"]["run"]["env"].items()
        assert [line.split()[-1] for line in said.err.splitlines() if " gh secret set " in line] == wanted
        return
    (container,) = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in container["env"]] == ["TZ", *wanted]
    (printed,) = re.findall(r"(printf .*) \| kubectl create secret", said.err)
    values = {name: f"{name}'s $1" for name in wanted}
    done = subprocess.run(["sh", "-c", printed], env=values, capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == [f"{name}={value}" for name, value in values.items()]


def test_a_variable_s_name_is_one() -> None:
    with pytest.raises(UsageError, match=r"^'A B; x': expected the name of an environment variable, such as SEGMIND_"):
        schedule(secrets=("A B; x",))


def test_files_are_written_the_key_s_for_the_user_alone_and_nothing_is_overwritten(
    say: Callable[..., Said], bench: Bench
) -> None:
    command = ("jobs/catalog.csv", "--at", "02:00", "--as", "systemd", "--to", "units")
    said = say(*command)
    units = bench.folder / "units"
    assert said.out.splitlines() == [
        "Wrote units/batch-editor-catalog.service",
        "Wrote units/batch-editor-catalog.timer",
        "Wrote units/batch-editor.env, which only you may read (mode 600)",
    ]
    key = units / "batch-editor.env"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert f"\nEnvironmentFile={key}\n" in (units / "batch-editor-catalog.service").read_text()
    assert f"systemctl --user link {units}/batch-editor-catalog.service {units}/batch-editor-catalog.timer" in said.err
    key.write_text("SEGMIND_API_KEY='mine'\n")
    again = say(*command)
    assert again.code == 2
    assert again.err == (
        "error: units/batch-editor-catalog.service is there already: --force overwrites it, --to DIR writes elsewhere\n"
    )
    forced = say(*command, "--force")
    assert (forced.code, key.read_text()) == (0, "SEGMIND_API_KEY='mine'\n")
    assert "Kept units/batch-editor.env, as it was" in forced.out
    key.chmod(0o644)
    assert "Kept units/batch-editor.env, which others can read; run: chmod 600 " in say(*command, "--force").out


@pytest.mark.parametrize("kind", KINDS)
def test_an_approved_plan_is_run_every_night_and_its_amount_is_the_budget(
    kind: str, say: Callable[..., Said], bench: Bench
) -> None:
    command = ("jobs/catalog.csv", "--at", "02:00", "--as", kind, "--plan", str(bench.folder / "catalog.plan.json"))
    assert say(*command).err.startswith(f"error: {bench.folder}/catalog.plan.json: there is no such file; ")
    assert main(["plan", "jobs/catalog.csv", "--save", "catalog.plan.json"]) == 0
    said = say(*command)
    assert (said.code, said.out) == (2, "")
    assert "catalog.plan.json: nobody has approved this plan. " in said.err
    assert main(["plan", "jobs/catalog.csv", "--save", "catalog.plan.json", "--approved-by", "Ann Lee"]) == 0
    said = say(*command)
    assert (said.code, "max-cost" in said.out) == (0, False)
    # A checkout of GitHub's empties the workspace, and with it what is counted beside the plan.
    where = f"{bench.folder}/" if kind == "github" else ""
    wanted, shown = (
        re.sub(r"[\s\"'-]+", " ", text) for text in (f"--plan {where}catalog.plan.json --deadline", said.out)
    )
    assert wanted in shown
    assert (
        f"What {bench.folder}/catalog.plan.json approves is spent once, over all nights, and nothing else" in said.err
    )
    assert "raise it" not in said.err


def test_shards_take_a_plan_each_unless_they_share_a_database(say: Callable[..., Said], bench: Bench) -> None:
    assert main(["plan", "jobs/catalog.csv", "--save", "all.json", "--approved-by", "Ann Lee"]) == 0
    command = ("jobs/catalog.csv", "--at", "02:00", "--as", "kubernetes", "--shards", "2", "--plan", "all.json")
    said = say(*command)
    wanted = "--plan with --shards: each shard takes a plan of its own, and a schedule of its own (--shard 0/2 …), or"
    assert said.err == f"error: {wanted} budget.ledger: postgresql://… and one plan without --shard\n"
    (bench.folder / "config.yaml").write_text("budget: {ledger: 'postgresql://shop@db/spending'}")
    assert say(*command).code == 0


def test_files_of_the_config_are_where_a_night_finds_them(say: Callable[..., Said], bench: Bench) -> None:
    (bench.folder / "key").touch(0o600)
    paths = {"api": {"key_file": "key"}, "budget": {"per_day_usd": 5, "ledger": "/srv/spent.sqlite3"}}
    (bench.folder / "config.yaml").write_text(json.dumps(paths))
    kubernetes, github, cron = (
        say("jobs/catalog.csv", "--at", "02:00", "--as", kind, "--reuse", str(bench.folder / "old"))
        for kind in ("kubernetes", "github", "cron")
    )
    assert (
        "budget.ledger in the config is /srv/spent.sqlite3, which isn't in a pod: name a file relative to /catalog\n"
        in kubernetes.err
    )
    assert "api.key_file" not in kubernetes.err
    assert (
        "api.key_file in the config is key, which would be in the workspace, and a checkout empties that: name an"
        f" absolute path, such as {bench.folder}/key\n"
    ) in github.err
    assert "budget.ledger" not in github.err
    assert "in the config is" not in cron.err
    assert f" --reuse {bench.folder}/old " in github.out
    assert " --reuse old " in cron.out
    outside = say("jobs/catalog.csv", "--at", "02:00", "--as", "kubernetes", "--reuse", "/srv/old")
    assert outside.err.startswith("error: /srv/old lies outside of ")


def test_settings_of_this_environment_are_named(say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_EDITOR_RETRY__MAX_ATTEMPTS", "3")
    said = say("jobs/catalog.csv", "--at", "02:00", "--as", "cron")
    assert said.err.endswith(
        "BATCH_EDITOR_RETRY__MAX_ATTEMPTS is set here and won't be at night: set retry.max_attempts in the config\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "25:00"], "--at '25:00': expected a time of day, such as 02:00"),
        (["--at", "02:00", "--timezone", "Berlin"], "--timezone 'Berlin': expected the name of a time zone, such as"),
        (["--at", "02:00", "--rate", "fast"], "command line: rate_limit is 'fast'; expected"),
        (
            ["--at", "02:00", "--redo", "all"],
            "--redo all would make every image again each night, and buy it; run that once, by hand",
        ),
        (
            ["--at", "02:00", "--deadline", "2999-12-24T06:00"],
            "deadline '2999-12-24T06:00' is that of one night; every night needs a time of day, such as 06:00",
        ),
    ],
)
def test_a_wrong_value_is_told(say: Callable[..., Said], arguments: list[str], message: str) -> None:
    said = say("jobs/catalog.csv", "--as", "cron", *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {message}")


@pytest.mark.parametrize("name", ["jobs/spring.csv", "-"])
def test_a_manifest_that_isn_t_there_has_no_nights(say: Callable[..., Said], name: str) -> None:
    said = say(name, "--at", "02:00", "--as", "cron", "-o", "out")
    assert (said.code, said.err) == (2, f"error: {name!r}: there is no such file, and a schedule needs one\n")
