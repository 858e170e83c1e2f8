"""The ways to install that the README names, each tried in an empty place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.install.fresh_tree import ROOT, check_out, run_well

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README[README.index("\n## Install") : README.index("\n## A first real run")]
FIRST, CONTAINER = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
COMMANDS = re.sub(r" +# .*", "", FIRST).splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout, and beside it the locked versions as constraints: no release of today decides what is tested."""
    (tmp_path / "constraints.txt").write_text(
        "\n".join(
            re.findall(r"^\S+==.*?(?= \\$)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
        ),
        encoding="utf-8",
    )
    return check_out(tmp_path / "tree")


def variables(folder: Path) -> dict[str, str]:
    constraints = str(folder / "constraints.txt")
    return {
        "PIP_CONSTRAINT": constraints,
        "PIP_COMPILE": "0",
        "UV_CONSTRAINT": constraints,
        "PIPX_HOME": str(folder / "pipx"),
        "PIPX_BIN_DIR": str(folder / "bin"),
        "PIPX_MAN_DIR": str(folder / "man"),
        "UV_TOOL_DIR": str(folder / "uv"),
    }


def planned(program: str, tree: Path) -> str:
    return run_well(f"{program} --version && {program} plan jobs/demo.yaml", tree)


def test_the_readme_names_three_ways() -> None:
    assert COMMANDS == ["pip install .", "pipx install .", "uvx --from . batch-editor plan jobs/demo.yaml"]


@pytest.mark.timeout(600)
def test_pip_install_gives_the_command_in_an_empty_environment(tree: Path) -> None:
    run_well("python3 -m venv --without-pip ../env", tree)
    run_well(COMMANDS[0], tree, **variables(tree.parent), PIP_PYTHON=str(tree.parent / "env/bin/python"))
    assert planned("../env/bin/batch-editor", tree).startswith("batch-editor 0.1.0 (Python ")


@pytest.mark.timeout(600)
def test_pipx_install_gives_the_command(tree: Path) -> None:
    run_well(COMMANDS[1], tree, **variables(tree.parent))
    assert planned("../bin/batch-editor", tree).startswith("batch-editor 0.1.0 (Python ")


@pytest.mark.timeout(600)
def test_uvx_runs_the_command_without_installing_it(tree: Path) -> None:
    assert run_well(COMMANDS[2], tree, **variables(tree.parent)).startswith("Jobs: 9 ")
    assert list((tree.parent / "uv").glob("batch*")) == []
