"""Shell completion, by what the shells run; and the version."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from batch_editor.cli.main import main

BIN = Path(sys.executable).parent


def run(*command: str, **variables: str) -> str:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_bash_completes_commands_and_options_once_it_has_read_the_script() -> None:
    script = """
        eval "$(batch-editor completion bash)"
        COMP_WORDS=(batch-editor schedu); COMP_CWORD=1; _batch_editor_completion batch-editor schedu
        echo "${COMPREPLY[@]}"
        COMPREPLY=(); COMP_WORDS=(batch-editor schedule --as k); COMP_CWORD=3; _batch_editor_completion batch-editor k
        echo "${COMPREPLY[@]}"
        complete -p batch-editor"""
    commands, values, registered = run("bash", "-c", script).splitlines()
    assert (commands, values) == ("schedule", "kubernetes")
    assert registered == "complete -o nosort -F _batch_editor_completion batch-editor"


@pytest.mark.parametrize(
    ("shell", "words", "wanted"),
    [
        ("zsh", {"COMP_WORDS": "batch-editor comp", "COMP_CWORD": "1"}, ["plain", "completion"]),
        ("fish", {"COMP_WORDS": "batch-editor run --expect", "COMP_CWORD": "--expect"}, ["plain,--expect-ledger"]),
    ],
)
def test_the_other_shells_are_answered(shell: str, words: dict[str, str], wanted: list[str]) -> None:
    script = run("batch-editor", "completion", shell)
    assert f"_BATCH_EDITOR_COMPLETE={shell}_complete" in script
    answered = run("batch-editor", _BATCH_EDITOR_COMPLETE=f"{shell}_complete", **words).split()
    assert answered[: len(wanted)] == wanted or answered[0].startswith(wanted[0])


def test_the_version_names_python_and_the_platform(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    python = re.escape(platform.python_version())
    said = capsys.readouterr().out
    assert re.fullmatch(rf"batch-editor \d+\.\d+\.\d+ \(Python {python}, {platform.system()} \S+ \S+\)\n", said)
