"""The Dockerfile, in so far as no daemon is needed: what it copies, installs, runs as and leaves out."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from dockerfile_parse import DockerfileParser

from tests.install.fresh_tree import ROOT, check_out, run_well

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text(encoding="utf-8")


class Step(NamedTuple):
    """One instruction of the Dockerfile, in the stage that starts with that FROM, counted from 0."""

    stage: int
    instruction: str
    value: str


def steps() -> list[Step]:
    parser = DockerfileParser(fileobj=io.StringIO((ROOT / "Dockerfile").read_text(encoding="utf-8")))
    found: list[Step] = []
    stage = -1
    for each in parser.structure:
        stage += each["instruction"] == "FROM"
        found.append(Step(stage, each["instruction"], each["value"]))
    return [step for step in found if step.instruction != "COMMENT"]


STEPS = steps()
BUILD, FINAL = 0, 1


def values(instruction: str, stage: int | None = None) -> list[str]:
    return [step.value for step in STEPS if step.instruction == instruction and stage in (None, step.stage)]


def copied_from_here() -> list[str]:
    return [source for value in values("COPY") if "--from" not in value for source in shlex.split(value)[:-1]]


def test_both_stages_are_the_slim_image_of_one_python_that_is_supported() -> None:
    assert values("FROM") == ["python:${PYTHON}-slim AS build", "python:${PYTHON}-slim"]
    (python,) = [value.partition("=")[2] for value in values("ARG") if value.startswith("PYTHON=")]
    assert f"Programming Language :: Python :: {python}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_what_is_copied_exists_and_is_all_that_the_daemon_is_sent() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == sorted(copied_from_here())
    assert [rule for rule in rules[1:] if not rule.startswith("!")] == ["**/__pycache__"]
    assert [name for name in copied_from_here() if not (ROOT / name).exists()] == []


def test_the_command_is_run_by_a_user_of_the_number_that_was_asked_for() -> None:
    assert values("ARG", FINAL) == ["UID=1000"]
    assert any('useradd --uid "${UID}"' in value for value in values("RUN", FINAL))
    assert values("USER") == ["${UID}"]
    order = [step.instruction for step in STEPS if step.stage == FINAL]
    assert order.index("ARG") < order.index("RUN") < order.index("USER") < order.index("ENTRYPOINT")
    assert "RUN" not in order[order.index("USER") :]


def test_the_command_is_batch_editor_in_the_mounted_folder() -> None:
    assert [json.loads(value) for value in values("ENTRYPOINT")] == [["batch-editor"]]
    assert [json.loads(value) for value in values("CMD")] == [["--help"]]
    assert values("WORKDIR", FINAL) == ["/catalog"]
    assert "/opt/batch-editor/bin:$PATH" in values("ENV", FINAL)[0]


def test_no_key_is_an_argument_or_a_variable_of_the_image() -> None:
    named = re.findall(r"(\w+)=", " ".join(values("ARG") + values("ENV")))
    assert sorted(named) == ["PATH", "PYTHON", "UID", "XDG_STATE_HOME"]


def test_what_the_readme_shows_is_what_the_image_has() -> None:
    assert 'docker build --build-arg UID="$(id -u)" --tag batch-editor .' in README
    assert '--volume "$PWD:/catalog" --volume batch-editor-state:/state batch-editor run' in README
    assert "XDG_STATE_HOME=/state" in values("ENV", FINAL)[0]
    assert any("install --directory --owner editor /catalog /state" in value for value in values("RUN", FINAL))


@pytest.mark.timeout(600)
def test_the_steps_of_the_build_install_the_command_with_what_was_copied(tmp_path: Path) -> None:
    tree, source, root = check_out(tmp_path / "tree"), tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    for step in STEPS:
        if step.stage == BUILD and step.instruction == "COPY":
            *names, target = shlex.split(step.value)
            for name in names:
                if (tree / name).is_dir():
                    shutil.copytree(tree / name, source / target)
                else:
                    shutil.copy2(tree / name, source / target)
        if step.stage == BUILD and step.instruction == "RUN":
            run_well(step.value.replace("/opt/", f"{root}/"), source, PIP_COMPILE="0")
    assert run_well(f"{root}/batch-editor/bin/batch-editor --version", tmp_path).startswith(
        "batch-editor 0.1.0 (Python "
    )
    said = run_well(f"{root}/batch-editor/bin/batch-editor plan jobs/demo.yaml", tree)
    assert said.startswith("Jobs: 9 ")
    assert not list(root.glob("batch-editor/lib/python3.*/site-packages/pytest*"))
