"""Every batch-editor command of the README and the docs is run as it stands, against a sandbox for the provider."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.docs.pages import ELSEWHERE, PAGES, ROOT, is_listed, ours, programs, saved_files, shown

BIN = Path(sys.executable).parent

# What a reader of that page has done or made before.
BEFORE = {
    "commands": "batch-editor run jobs/catalog.csv",
    "cost": "batch-editor run jobs/catalog.csv; batch-editor run jobs/minimal.yaml",
    "endpoints": "printf 'endpoint: studio-edit.yaml\\njobs: [{prompt: On white, photo: jobs/photos/coffee.jpg}]\\n' >"
    " my-jobs.yaml",
    "history": "batch-editor run jobs/catalog.csv --limit 1",
    "move-to-another-model": "batch-editor run jobs/catalog.csv --limit 3",
    "output": "batch-editor run jobs/catalog.csv --limit 1",
    "recovery": "batch-editor run jobs/catalog.csv --limit 1",
    "report": "batch-editor run jobs/catalog.csv --limit 1; batch-editor run jobs/minimal.yaml",
    "review": """
        printf '{jobs: [{id: mug, prompt: On white, image_urls: [photos/coffee.jpg]}]}' > jobs/spring.yaml
        batch-editor run jobs/spring.yaml""",
}
# What happens right before a command.
BETWEEN = {"batch-editor status outputs/catalog --rebuild": "rm outputs/catalog/ledger.sqlite3*"}
# What has an image afterwards, below outputs/.
MADE = {
    "choose-a-model": ["catalog-compare", "catalog"],
    "README": ["minimal", "catalog"],
    "tutorial": ["rehearsal-spring", "spring"],
    "start-from-a-file": ["products"],
    "nightly": ["catalog"],
    "shop-exports": ["shopify"],
    "back-into-your-shop": ["shopify", "woocommerce", "google"],
    "finished-files": ["marketplaces"],
    "sandbox": ["demo", "rehearsal"],
    "v1-or-v2": ["v2"],
}
# What they say, among other things.
SAID = {
    "choose-a-model": [
        "All 3: $0.0194 · $0.63 · $0.24 · $0.12",
        "Contact sheet: outputs/catalog-compare/compare.html",
        "  batch-editor run jobs/catalog.csv --set endpoint=seedream-4.5",
        "Jobs: 3   succeeded 3 (2 took another job's image)",
    ],
    "cost": [
        "outputs/catalog: money by the column shelf",
        "spending.sqlite3: money of all that share it, by endpoint",
    ],
    "move-to-another-model": [
        "Endpoint: gpt-image-2.5-sunburst, in place of gpt-image-1.5-edit, which retired on 2026-12-01",
        "kept: 3 done jobs that gpt-image-1.5-edit made",
    ],
    "finished-files": ["Finished amazon-main: 4 made", "Made 0 files", "Finished shopify-square: 4 made"],
    "README": ["Jobs: 1   succeeded 1", "succeeded 2, failed 0, unknown 0, pending 1", "Jobs: 3   succeeded 3"],
}
WITH_COMMANDS = [page for page in PAGES if ours(page)]


def test_every_command_is_run_or_listed() -> None:
    assert {
        page: left for page in PAGES if (left := [x for x in shown(page) if x not in ours(page) and not is_listed(x)])
    } == {}


def test_every_listed_command_is_shown_somewhere_and_has_its_reason() -> None:
    lines = [line for page in PAGES for line in shown(page)]
    assert [listed for listed in ELSEWHERE if not any(re.fullmatch(listed, line) for line in lines)] == []
    assert all(ELSEWHERE.values())


def test_there_are_many() -> None:
    assert len(WITH_COMMANDS) >= 12
    assert sum(len(ours(page)) for page in PAGES) > 35


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a sandbox, which serves the readers of all pages."""
    command = [str(BIN / "batch-editor"), "sandbox", "--port", "0", "--latency", "0.1"]
    folder = tmp_path_factory.mktemp("provider")
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server, ExitStack() as stack:
        stack.callback(server.terminate)
        assert server.stdout is not None
        url = re.search(r"http://\S+/v1", next(line for line in server.stdout if "/v1" in line))
        assert url is not None
        yield url[0]


@pytest.fixture
def variables(provider: str, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody whose provider is a sandbox of this machine; it is noon there."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "BATCH_EDITOR_API__BASE_URL": provider,
        "BATCH_EDITOR_RATE_LIMIT": "600/min",  # or the pages would take as long as they do for a reader
        "SEGMIND_API_KEY": "any",
        "TZ": f"noon{datetime.now(UTC).hour - 12:+d}",  # a deadline of 06:00 is far away
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_the_commands_of_a_page_do_what_they_say(page: str, variables: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    for name, text in saved_files(page).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    if page == "endpoints":
        (tmp_path / "studio-edit.yaml").write_text(studio_edit(), encoding="utf-8")
    lines = [step for line in ours(page) for step in (BETWEEN.get(line, ""), line)]
    script = "\n".join([BEFORE.get(page, ""), *lines])
    script = script.replace("8080", str(free_port())).replace("SEGMIND_API_KEY=…", "SEGMIND_API_KEY=any")
    done = subprocess.run(
        ["bash", "-mexc", script],
        cwd=tmp_path,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [words for words in SAID.get(page, ()) if words not in done.stdout] == []
    for name in MADE.get(page, ()):
        assert ",succeeded," in (tmp_path / "outputs" / name / "manifest.csv").read_text(encoding="utf-8")
    if page == "move-to-another-model":
        assert len(list((tmp_path / "outputs/catalog/images/.history").glob("mug*"))) == 1


def studio_edit() -> str:
    """The endpoint's file that the page about endpoints shows."""
    found = re.search(r"```yaml\n(name: studio-edit.*?)```", PAGES["endpoints"], re.DOTALL)
    assert found is not None
    return found[1]


# The programs of the pages, each with what it prints.
PROGRAMS = {
    "cost": ["3 3", "{'A1': 0.0156, 'A2': 0.0156, 'B1': 0.1596}", "True"],
    "python": ["expected: $0.24", "1 0"],
}


def test_every_program_is_run() -> None:
    assert {page: len(programs(page)) for page in PAGES if programs(page)} == dict.fromkeys(PROGRAMS, 1)


@pytest.mark.slow
@pytest.mark.parametrize("page", PROGRAMS)
def test_the_programs_do_what_they_say(page: str, variables: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    subprocess.run(
        ["bash", "-ec", BEFORE.get(page, "")], cwd=tmp_path, env=variables, stdin=subprocess.DEVNULL, check=True
    )
    (program,) = programs(page)
    made = subprocess.run(
        [sys.executable, "-c", program.replace("SG_…", "any")],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.stdout.splitlines() == PROGRAMS[page], made.stderr
