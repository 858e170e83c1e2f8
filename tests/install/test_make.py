"""`make` on a clean checkout: each target installs what it needs, once, and says what it lacks."""

from __future__ import annotations

import csv
import os
import tomllib
from pathlib import Path

import pytest

from tests.install.fresh_tree import ROOT, check_out, run, run_well

pytestmark = pytest.mark.slow

STAMPS = (".libraries", ".ready", ".ready-dev")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return check_out(tmp_path / "tree")


@pytest.mark.timeout(600)
def test_make_demo_installs_what_running_needs_and_edits_the_photographs(tree: Path) -> None:
    failed = run("make demo", tree, PIP_NO_INDEX="1")
    assert failed.returncode != 0
    assert [stamp for stamp in STAMPS if (tree / ".venv" / stamp).exists()] == []

    said = run_well("make demo", tree)
    assert said.endswith("\nEdited images:    outputs/demo/images/\nA row for each:   outputs/demo/manifest.csv\n")
    with (tree / "outputs/demo/manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["succeeded"] * 9
    assert all((tree / "outputs/demo" / row["output_path"]).stat().st_size == int(row["bytes"]) for row in rows)

    installed = {
        path.name.partition("-")[0].lower() for path in tree.glob(".venv/lib/python3.*/site-packages/*.dist-info")
    }
    assert {"batch_editor", "aiohttp", "pandas"} <= installed
    assert installed & {"mypy", "uv", "pip_audit", "pyarrow", "pytest", "hypothesis", "ruff"} == set()


def stamped(tree: Path) -> None:
    """As after `make test`, without the minute that it takes."""
    (tree / ".venv").mkdir()
    for second, stamp in enumerate(STAMPS):
        (tree / ".venv" / stamp).touch()
        os.utime(tree / ".venv" / stamp, (2_000_000_000 + second, 2_000_000_000 + second))


def would_install(target: str, tree: Path) -> list[str]:
    lines = run_well(f"make --dry-run {target}", tree).splitlines()
    names = {"--editable": "package", "requirements.lock": "run", "requirements-dev.lock": "dev"}
    names |= {"requirements-servers.lock": "servers", "requirements-ray.lock": "ray"}
    return [name for line in lines if " install " in line for end, name in names.items() if f" {end}" in line]


@pytest.mark.parametrize(
    ("target", "installs"),
    [
        ("demo", ["run", "package"]),
        ("check", ["run", "package", "dev"]),
        ("audit", ["run", "package", "dev"]),
        ("test-servers", ["run", "package", "dev", "servers"]),
        ("test-ray", ["run", "package", "dev", "ray"]),
    ],
)
def test_a_clean_checkout_gets_what_the_target_needs(target: str, installs: list[str], tree: Path) -> None:
    assert would_install(target, tree) == installs


@pytest.mark.parametrize(
    ("changed", "target", "installs"),
    [
        (None, "demo", []),
        (None, "test", []),
        ("pyproject.toml", "demo", ["package"]),
        ("pyproject.toml", "test", ["package", "dev"]),
        ("requirements.lock", "demo", ["run", "package"]),
        ("requirements.lock", "test", ["run", "package", "dev"]),
        ("requirements-dev.lock", "demo", ["run", "package"]),
        ("requirements-dev.lock", "test", ["run", "package", "dev"]),
    ],
)
def test_what_has_changed_is_installed_again(changed: str | None, target: str, installs: list[str], tree: Path) -> None:
    stamped(tree)
    if changed:
        os.utime(tree / changed, (2_100_000_000, 2_100_000_000))
    assert would_install(target, tree) == installs


@pytest.mark.parametrize("found", ["2.7", "3.9", "3.10"])
def test_an_old_python_is_told_before_anything_is_installed(found: str, tree: Path) -> None:
    old = tree / "python-of-old"
    pretended = f"import sys; sys.version_info = ({found.replace('.', ', ')}, 18)"
    old.write_text(f'#!/bin/sh\nexec python3 -c "{pretended}; exec(sys.argv[1])" "$2"\n', encoding="utf-8")
    old.chmod(0o755)
    done = run("make demo PYTHON=./python-of-old", tree)
    assert done.stderr.splitlines()[0] == (
        f"error: ./python-of-old is Python {found}; 3.11 or newer is needed, as in: make demo PYTHON=python3.12"
    )
    assert done.returncode == 2
    assert not (tree / ".venv").exists()


def test_the_oldest_python_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "sys.version_info >= (3, 11)" in makefile
    assert "--python-version 3.11 " in makefile
    pythons = [each for each in project["classifiers"] if each.startswith("Programming Language :: Python :: 3.")]
    assert [each.rpartition(" ")[2] for each in pythons] == ["3.11", "3.12", "3.13", "3.14"]
    assert "Operating System :: OS Independent" not in project["classifiers"]
