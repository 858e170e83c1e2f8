"""Every command of the README is run as it stands there, against a sandbox in the provider's place."""

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

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.strip() for line in re.sub(r" +# .*", "", SHELL).replace("\\\n", " ").splitlines() if line.strip()]
BIN = Path(sys.executable).parent

# What installs is tried in tests/install; CI runs `make check`, `make audit` and `make test` themselves.
RUN_ELSEWHERE = re.compile(r"git clone |cd batch_editor$|make \w+$|pip install|pipx |uvx |docker ")


def test_every_command_is_one_that_is_tried() -> None:
    known = re.compile(r"(SEGMIND_API_KEY=any )?(\.venv/bin/)?batch-editor \w|export SEGMIND_API_KEY=|kill %1$")
    assert [line for line in COMMANDS if not known.match(line) and not RUN_ELSEWHERE.match(line)] == []
    assert len(COMMANDS) > 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody whose provider is a sandbox of this machine; it is noon there."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    command = [str(BIN / "batch-editor"), "sandbox", "--port", "0", "--latency", "0.1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server, ExitStack() as stack:
        stack.callback(server.terminate)
        assert server.stdout is not None
        url = re.search(r"http://\S+/v1", next(line for line in server.stdout if "/v1" in line))
        assert url is not None
        yield {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "BATCH_EDITOR_API__BASE_URL": url[0],
            "TZ": f"noon{datetime.now(UTC).hour - 12:+d}",  # a deadline of 06:00 is far away
        }


@pytest.mark.timeout(600)
def test_the_commands_of_the_readme_do_what_they_say(variables: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    lines = [line for line in COMMANDS if not RUN_ELSEWHERE.match(line)]
    script = "\n".join(lines).replace("8080", str(free_port())).replace("SEGMIND_API_KEY=…", "SEGMIND_API_KEY=any")
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
    for manifest in ("demo", "minimal", "catalog", "shopify", "rehearsal"):
        assert ",succeeded," in (tmp_path / "outputs" / manifest / "manifest.csv").read_text(encoding="utf-8")

    for program in PYTHON:
        made = subprocess.run(
            [sys.executable, "-c", program.replace("SG_…", "any")],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.stdout.splitlines() == ["expected: $0.00", "1 0"], made.stderr


@pytest.mark.timeout(300)
def test_the_commands_that_move_a_catalog_do_what_they_say(variables: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    page = (ROOT / "docs/move-to-another-model.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    done = subprocess.run(
        ["bash", "-exc", f"batch-editor run jobs/catalog.csv --limit 3\n{script}"],
        cwd=tmp_path,
        env={**variables, "SEGMIND_API_KEY": "any"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (
        "Endpoint: gpt-image-2.5-sunburst, in place of gpt-image-1.5-edit, which retired on 2026-12-01" in done.stdout
    )
    assert "kept: 3 done jobs that gpt-image-1.5-edit made" in done.stdout
    former = list((tmp_path / "outputs/catalog/images/.history").glob("mug*"))
    assert len(former) == 1
