from __future__ import annotations

import ast
import importlib
import io
import pkgutil
import re
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import batch_editor

REPOSITORY = Path(__file__).parents[1]


def imported_by(*arguments: str, folder: Path) -> set[str]:
    """The modules that `python -m batch_editor …` loads."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "batch_editor", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_public_names_are_sorted_and_all_there() -> None:
    assert batch_editor.__all__ == sorted(batch_editor.__all__)
    for name in batch_editor.__all__:
        assert getattr(batch_editor, name).__name__ == name


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'batch_editor' has no attribute 'run_bach'$"):
        batch_editor.run_bach  # noqa: B018


def test_public_names_are_listed_by_dir_or_import_star() -> None:
    names: dict[str, object] = {}
    exec("from batch_editor import *", names)
    assert set(batch_editor.__all__) <= set(names)


def test_help_waits_for_no_heavy_library(tmp_path: Path) -> None:
    loaded = imported_by("--help", folder=tmp_path)
    assert "click" in loaded
    assert not loaded & {"asyncio", "pandas", "numpy", "aiohttp", "pydantic", "PIL", "yaml", "orjson"}


@pytest.mark.slow
def test_a_plan_needs_neither_the_network_s_library_nor_pandas(tmp_path: Path) -> None:
    loaded = imported_by("plan", str(REPOSITORY / "jobs" / "minimal.yaml"), folder=tmp_path)
    assert "pydantic" in loaded
    assert not loaded & {"pandas", "numpy", "aiohttp"}


PACKAGE = Path(batch_editor.__file__).parent


@cache
def texts() -> dict[str, str]:
    """The package's modules."""
    return {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def trees() -> dict[str, ast.Module]:
    return {module: ast.parse(text) for module, text in texts().items()}


def test_an_import_within_a_function_says_why() -> None:
    unexplained = []
    for module, tree in trees().items():
        if "imported when it runs" in (ast.get_docstring(tree) or ""):
            continue
        lines = texts()[module].splitlines()
        functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        inner = {
            node.lineno
            for each in functions
            for node in ast.walk(each)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        unexplained += [f"{module}:{number}" for number in sorted(inner) if "#" not in lines[number - 1]]
    assert unexplained == []


# Those of sqlite3, Pillow, aiohttp, tqdm and pandas are import-linter's affair.
@pytest.mark.parametrize(
    ("library", "known"),
    [
        ("jinja2", ["compare/sheet.py", "manifest/jinja.py", "report/rendering.py", "review/pages.py"]),
        ("yaml", ["strict_yaml/parser.py"]),
        ("apprise", ["notify/by_apprise.py"]),
        ("prometheus_client", ["runs/metrics.py"]),
    ],
)
def test_each_library_has_its_home(library: str, known: list[str]) -> None:
    homes = [
        module
        for module, text in texts().items()
        if any(line.split()[:2] in (["import", library], ["from", library]) for line in text.splitlines())
    ]
    assert homes == known


@pytest.mark.parametrize("room", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_room_says_in_a_line_what_it_is_for(room: str) -> None:
    words = ast.get_docstring(trees()[f"{room}/__init__.py"])
    assert words is not None
    first, *_ = words.splitlines()
    assert first.endswith(".")


@pytest.mark.parametrize("room", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_room_s_door_holds_no_code(room: str) -> None:
    body = trees()[f"{room}/__init__.py"].body[1:]
    assert all(isinstance(each, ast.ImportFrom | ast.Assign) for each in body)


def test_no_constructor_takes_more_than_six_arguments() -> None:
    """More are a missing noun, as `Run` was. Records and settings are dataclasses, whose fields are no arguments."""
    found = [
        f"{module}: {each.name}"
        for module, tree in trees().items()
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef)
        for method in each.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
        if len(method.args.args) - 1 + len(method.args.kwonlyargs) > 6
    ]
    assert found == []


def test_functions_are_shorter_than_sixty_lines() -> None:
    found = [
        f"{module}: {each.name}"
        for module, tree in trees().items()
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and (each.end_lineno or 0) - each.lineno + 1 >= 60
    ]
    assert found == []


def test_no_object_sets_an_attribute_of_another_one_that_it_has() -> None:
    """`self._books.uploads += 1` is the books' own affair: a method of theirs."""
    found = [
        f"{module}:{each.lineno}: {ast.unparse(target)}"
        for module, tree in trees().items()
        for each in ast.walk(tree)
        if isinstance(each, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Attribute)
    ]
    # A setting of the library, which has no method for it.
    assert [each for each in found if not each.endswith("Image.MAX_IMAGE_PIXELS")] == []


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Before Python 3.11.5, which Debian 12 is, `(?:…)*+` takes what it shouldn't."""
    names = [each.name for each in pkgutil.walk_packages(batch_editor.__path__, "batch_editor.")]
    # Ray is installed for its own tests alone.
    modules = [importlib.import_module(name) for name in names if not name.endswith(("__main__", ".ray_driver"))]
    patterns = {value for module in modules for value in vars(module).values() if isinstance(value, re.Pattern)}
    assert len(patterns) > 100
    assert [each.pattern for each in patterns if repeats_a_group_possessively(each)] == []


def test_a_group_that_is_repeated_possessively_is_seen() -> None:
    assert repeats_a_group_possessively(re.compile("a(?:b|(?:cd?)*+)"))
    assert not repeats_a_group_possessively(re.compile(r"a[)*+]\s*+(?:b|c)*"))


def repeats_a_group_possessively(pattern: re.Pattern[Any]) -> bool:
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    with redirect_stdout(io.StringIO()) as shown:
        re.compile(text, (pattern.flags & (re.IGNORECASE | re.DOTALL | re.VERBOSE | re.MULTILINE)) | re.DEBUG)
    # Of one character the engine makes an instruction of its own.
    return re.search(r"^ *\d+[:.] +POSSESSIVE_REPEAT \d", shown.getvalue(), re.MULTILINE) is not None
