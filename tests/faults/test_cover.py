"""Every fault of the table has a test that carries its number, or a reason why it has none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FAULTS = range(1, 105)
NUMBERS = re.compile(r"test_fault((?:_\d{3})+)_")


def modules() -> Iterator[ast.Module]:
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def covered() -> set[int]:
    names = [
        node.name
        for module in modules()
        for node in ast.walk(module)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    matches = [match for name in names if (match := NUMBERS.match(name))]
    return {int(number) for match in matches for number in match[1].split("_")[1:]}


def excepted() -> dict[int, str]:
    """What the modules' `EXCEPTIONS: dict[int, str]` say."""
    found: dict[int, str] = {}
    for module in modules():
        for node in module.body:
            if isinstance(node, ast.AnnAssign) and node.value is not None and ast.unparse(node.target) == "EXCEPTIONS":
                found |= ast.literal_eval(node.value)
    return found


def test_every_fault_is_tested_or_argued_away() -> None:
    by_tests, by_reasons = covered(), excepted()
    assert by_tests & by_reasons.keys() == set()
    assert [fault for fault in FAULTS if fault not in by_tests | by_reasons.keys()] == []
    assert all(by_reasons.values())
