"""The table of faults in docs/faults.md and the tests that carry its numbers know the same faults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)


def rows() -> list[int]:
    """The numbers of the table."""
    return [int(number) for number in ROW.findall((ROOT / "docs/faults.md").read_text(encoding="utf-8"))]


def marks() -> Iterator[int]:
    """The numbers in `@pytest.mark.fault(…)` of every test."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fault":
                yield from (ast.literal_eval(argument) for argument in node.args)


def test_the_faults_are_numbered_without_a_gap() -> None:
    assert rows() == list(range(1, 114))


def test_every_fault_has_a_test_and_no_test_names_another() -> None:
    assert sorted(set(marks())) == rows()
