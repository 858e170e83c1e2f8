from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAID = (
    "batch-editor needs Linux, macOS or another POSIX system: this Python has no module {}. "
    "On Windows, run it inside WSL (https://learn.microsoft.com/windows/wsl/install)"
)
CONSOLE_SCRIPT = [str(Path(sys.executable).with_name("batch-editor"))]
MODULE = [sys.executable, "-m", "batch_editor"]


def run_without(module: str, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in a Python whose every import of that module fails, as on Windows."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n", encoding="utf-8")
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("module", ["fcntl", "resource"])
@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["--version"], ["plan", "a.yaml"], ["run", "a.yaml"], ["sandbox"]]
)
def test_a_system_that_is_not_posix_is_told_in_one_line(module: str, arguments: list[str], tmp_path: Path) -> None:
    done = run_without(module, [*MODULE, *arguments], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {SAID.format(module)}\n")


def test_the_console_script_says_the_same(tmp_path: Path) -> None:
    done = run_without("fcntl", CONSOLE_SCRIPT, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {SAID.format('fcntl')}\n")


@pytest.mark.parametrize("name", ["run_batch", "make_plan", "load_settings", "last_summary"])
def test_from_python_it_is_an_error_of_the_package(name: str, tmp_path: Path) -> None:
    program = (
        f"import batch_editor\ntry:\n    batch_editor.{name}\n"
        "except Exception as error:\n    print(type(error).__name__, error, sep=': ')\n"
    )
    done = run_without("fcntl", [sys.executable, "-c", program], tmp_path)
    assert (done.stdout, done.stderr) == (f"UsageError: {SAID.format('fcntl')}\n", "")
