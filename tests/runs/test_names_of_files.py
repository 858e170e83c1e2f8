"""Files and folders whose names aren't UTF-8, from the command line to what is printed and written."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from batch_editor.endpoints import shipped_endpoints
from tests.support.bench import Bench, arrived, job, sandbox
from tests.support.recorder import png

# As systems set them that have no German; "C" makes Python itself choose.
LOCALES = {
    "C": {"LANG": "C", "LC_ALL": ""},
    "C.UTF-8": {"LANG": "C.UTF-8", "LC_ALL": ""},
    "C for all": {"LC_ALL": "C"},
    "plain ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def named(name: bytes) -> str:
    return os.fsdecode(name)


FOLDER, MANIFEST, TABLE = named(b"b\xfccher"), named(b"fr\xfchling.yaml"), named(b"pr\xe4mien.csv")


@pytest.fixture
def odd(tmp_path: Path) -> Bench:
    """A bench whose folder, manifest, table and temporary files have names in Latin-1."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / named(b"tmp\xe9")).mkdir()
    (folder / "mug.png").write_bytes(png())
    (folder / TABLE).write_text("n\n1\n2\n")
    (folder / named(b"tass\xe9.png")).write_bytes(png((50, 40)))
    entry = {"rows": "pr\\xe4mien.csv", "prompt": "edit {{ n }}", "image_urls": ["tass\\xe9.png"]}
    bench = Bench(folder)
    bench.write([entry], name=MANIFEST)
    return bench


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.slow
async def test_names_in_another_encoding_work_from_the_plan_to_the_export(odd: Bench, locale: str) -> None:
    how = {"environment": {**LOCALES[locale], "TMPDIR": str(odd.folder / named(b"tmp\xe9"))}}
    # Where Python takes names for ASCII, our own process still knows what is UTF-8.
    out = odd.folder / "outputs" / named(b"fr\xfchling")
    async with sandbox() as provider:
        quick = ("--base-url", provider.base_url, "--rate", "1000/s", "--progress", "none")
        planned = await odd.command("plan", MANIFEST, "--json", **how)
        assert (planned.code, planned.json["requests"]) == (0, 2)
        run = await odd.command("run", MANIFEST, *quick, "--log-file", named(b"l\xf6g"), "-v", **how)
        assert run.code == 0, run.err
        assert run.out.splitlines()[-2:] == [
            "Manifest: outputs/fr\\xfchling/manifest.csv",
            "Report: batch-editor report $'outputs/fr\\xfchling'",
        ]
        again = await odd.command("run", MANIFEST, *quick, "--json", **how)
        assert (again.code, provider.books.requests, provider.books.uploads) == (0, 2, 1)
        assert again.json["output"] == "outputs/fr\\xfchling"
        assert again.json["manifest"] == "outputs/fr\\xfchling/manifest.csv"
    for line in (odd.folder / named(b"l\xf6g")).read_text(encoding="utf-8").splitlines():
        json.loads(line)
    shown = await odd.command("status", out, **how)
    assert (shown.code, shown.out.splitlines()[0]) == (0, "Jobs: 2   succeeded 2, failed 0, unknown 0, pending 0")
    exported = await odd.command("export", out, **how)
    ids = [row["job_id"] for row in csv.DictReader(io.StringIO(exported.out))]
    assert (exported.code, ids) == (0, ["fr\\xfchling-1", "fr\\xfchling-2"])
    assert (await odd.command("export", out, "--format", "jsonl", "--to", named(b"\xfcber.jsonl"), **how)).code == 0
    assert len((odd.folder / named(b"\xfcber.jsonl")).read_text(encoding="utf-8").splitlines()) == 2
    (out / "ledger.sqlite3").unlink()
    rebuilt = await odd.command("status", out, "--rebuild", "--json", **how)
    assert (rebuilt.code, rebuilt.json["jobs"]["succeeded"]) == (0, 2)


async def test_a_picture_that_is_decoded_lies_in_a_folder_of_any_name(odd: Bench) -> None:
    async with sandbox(size_scale=1.0) as provider:
        out = odd.folder / named(b"f\xfcr")
        arguments = odd.run_arguments(Path(MANIFEST), provider, out=out)
        done = await odd.command(*arguments, environment={"BATCH_EDITOR_CHECKS": "full"})
    assert done.code == 0, done.err
    assert [row["status"] for row in odd.rows(out)] == ["succeeded"] * 2


async def test_a_picture_that_changes_meanwhile_is_named_in_the_output_manifest(odd: Bench) -> None:
    odd.write([job("a", image_urls=["mug.png"]), job("b", image_urls=["tass\\xe9.png"])], name=MANIFEST)
    photo = odd.folder / named(b"tass\xe9.png")
    async with sandbox(latency="0.4") as provider:
        out = odd.folder / named(b"f\xfcr")
        async with odd.started(*odd.run_arguments(Path(MANIFEST), provider, "--concurrency", "1", out=out)) as run:
            await arrived(provider.books, 1)
            photo.write_bytes(png((41, 30)))
            done = await run.finished()
    assert done.code == 1, done.err
    error = next(row["error"] for row in odd.rows(out) if row["job_id"] == "b")
    assert error.endswith("/b\\xfccher/tass\\xe9.png: changed since it was planned; run again")


async def test_where_such_a_folder_can_t_be_written_the_ledger_keeps_the_words(odd: Bench) -> None:
    async with sandbox(latency="0.4") as provider:
        out = odd.folder / named(b"f\xfcr")
        arguments = odd.run_arguments(Path(MANIFEST), provider, out=out)
        async with odd.started(*arguments, environment={"BATCH_EDITOR_OUTPUTS__WAIT_S": "0.2"}) as run:
            await arrived(provider.books, 1)
            (out / "images").rename(out / "elsewhere")
            (out / "images").write_text("")
            done = await run.finished()
    assert done.code == 6, done.err
    assert "a bug" not in done.err
    assert done.out.startswith("Stopped: ")
    shown = await odd.command("status", out)
    assert shown.out.splitlines()[0] == done.out.splitlines()[0]


MESSAGES = {
    "no such manifest": (["plan", named(b"n\xf6.yaml")], 2, "n\\xf6.yaml: can't be read: No such file or directory"),
    "no manifest by its name": (
        ["plan", named(b"n\xf6.doc")],
        2,
        "n\\xf6.doc: isn't there",
    ),
    "no such config": (
        ["plan", MANIFEST, "-c", named(b"c\xf6.yaml")],
        2,
        "c\\xf6.yaml: can't be read (No such file or directory)",
    ),
    "no output directory": (
        ["status", named(b"n\xf6")],
        2,
        "n\\xf6: no ledger here; expected the output directory of a run",
    ),
    "no such log": (
        ["run", MANIFEST, "--sandbox", "--log-file", named(b"n\xf6/log")],
        6,
        "--log-file n\\xf6/log: can't be written (No such file or directory)",
    ),
    "no such job": (["plan", MANIFEST, "--only", named(b"\xe9*")], 2, "--only '\\\\xe9*' matches no job's id"),
    "no endpoint": (
        ["plan", MANIFEST, "--endpoint", named(b"\xe9.yaml")],
        2,
        (
            f"endpoint '\\xe9.yaml' is unknown; expected {', '.join(shipped_endpoints()[:-1])}"
            f" or {shipped_endpoints()[-1]}, or the path of a YAML file"
        ),
    ),
    "no rate": (
        ["plan", MANIFEST, "--rate", named(b"\xe9")],
        2,
        "command line: rate_limit is '\\xe9'; expected a count and a period, such as 60/min, 10/s or 500/h",
    ),
    "no money": (
        ["plan", MANIFEST, "--max-cost", named(b"\xe9")],
        2,
        "command line: budget.max_cost_usd is '\\xe9'; expected text in UTF-8",
    ),
    "no history": (
        ["plan", MANIFEST, "--history", named(b"h\xf6")],
        2,
        "h\\xf6: no ledger here; expected the output directory of a run",
    ),
    "a prompt": (
        ["plan", MANIFEST, "--set", named(b"prompt=\xe9")],
        2,
        "--set: prompt is '\\xe9'; expected text that UTF-8 can carry, without lone surrogates",
    ),
}


@pytest.mark.slow
async def test_a_run_that_was_killed_resumes_where_every_name_is_odd(odd: Bench) -> None:
    """Its folder of results, the budget's file, the state folder and the log; nothing is paid twice."""
    out = odd.folder / named(b"f\xfcr")
    odd.write([job(name, image_urls=["tass\\xe9.png"]) for name in "abcd"], name=MANIFEST)
    environment = {
        "BATCH_EDITOR_BUDGET__LEDGER": named(b"k\xf6sten.sqlite3"),
        "BATCH_EDITOR_BUDGET__PER_DAY_USD": "5",
        "XDG_STATE_HOME": str(odd.folder / named(b"st\xe4te")),
        "LANG": "C",
    }
    async with sandbox(latency="0.3") as provider:
        arguments = odd.run_arguments(Path(MANIFEST), provider, "--concurrency", "1", out=out)
        async with odd.started(*arguments, environment=environment) as run:
            await arrived(provider.books, 3)
            run.kill()
            await run.ended()
        done = await odd.command(*arguments, "--history", out, environment=environment)
        assert (done.code, {row["status"] for row in odd.rows(out)}) == (0, {"succeeded"}), done.err
        assert provider.books.uploads == 1
        # The one in flight when it was killed may be paid for twice; what was done is not.
        assert provider.books.requests <= 5
    assert "a bug" not in done.err


@pytest.mark.parametrize("name", MESSAGES)
async def test_messages_write_such_names_with_backslashes(odd: Bench, name: str) -> None:
    arguments, code, message = MESSAGES[name]
    done = await odd.command(*arguments)
    assert (done.code, done.err) == (code, f"error: {message}\n")


@pytest.mark.parametrize("name", ["no such manifest", "no money", "a prompt"])  # a name, and texts of two kinds
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.slow
async def test_messages_are_the_same_in_every_locale(odd: Bench, name: str, locale: str) -> None:
    arguments, code, message = MESSAGES[name]
    done = await odd.command(*arguments, environment=LOCALES[locale])
    assert (done.code, done.err) == (code, f"error: {message}\n")


async def test_a_fault_of_a_manifest_names_it_as_it_can_be_read(odd: Bench) -> None:
    odd.write([job("a", image_urls=["none.png"]), job("a", size="huge"), job("a")], name=MANIFEST)
    done = await odd.command("plan", MANIFEST)
    assert done.code == 2
    assert all(line.startswith("error: fr\\xfchling.yaml:") for line in done.err.splitlines())
    assert "first used at fr\\xfchling.yaml:" in done.err


async def test_the_command_that_resumes_is_one_that_a_shell_reads_back(odd: Bench) -> None:
    (odd.folder / TABLE).write_text("n\n1\n2\n3\n4\n5\n6\n")
    out = named(b"f\xfcr 'uns")
    arguments = ["run", MANIFEST, "-o", out, "--sandbox", "--max-cost", "0.06", "--progress", "none"]
    stopped = await odd.command(*arguments)
    assert stopped.code == 4, stopped.err
    told = stopped.out.partition("to resume once the budget has room: ")[2].partition("\n")[0]
    assert told.startswith("batch-editor run $'fr\\xfchling.yaml' -o $'f\\xfcr \\'uns' --sandbox")
    shell = ["bash", "-c", f"printf '%s\\0' {told}"]
    read_back = await asyncio.to_thread(subprocess.run, shell, capture_output=True, check=True, timeout=30)
    assert read_back.stdout.split(b"\0")[1:-1] == [os.fsencode(argument) for argument in arguments]


@pytest.mark.parametrize(
    ("there", "said"),
    [("spring.csv", "Spring.CSV"), ("jobs/spring.csv", r"jobs\spring.csv"), (named(b"fr\xfch.csv"), "fr\\xfch.csv")],
)
async def test_a_manifest_is_found_by_the_name_that_it_is_meant_by(tmp_path: Path, there: str, said: str) -> None:
    bench = Bench(tmp_path)
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("prompt,image_urls\nx,https://example.com/a.jpg\n")
    planned = await bench.command("plan", said, "--json")
    assert (planned.code, planned.json["jobs"]) == (0, 1)


async def test_manifests_that_may_be_meant_are_suggested_all_at_once(tmp_path: Path) -> None:
    for name in ("Spring.csv", "SPRING.csv", "autumn.yaml"):
        (tmp_path / name).touch()
    planned = await Bench(tmp_path).command("plan", "spring.csv", "autumn.csv")
    assert (planned.code, planned.err.splitlines()) == (
        2,
        [
            "error: spring.csv: there is no such file (did you mean 'SPRING.csv' or 'Spring.csv'?)",
            "error: autumn.csv: there is no such file (did you mean 'autumn.yaml'?)",
        ],
    )
