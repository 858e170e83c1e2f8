"""How much a template may make: texts, widths, numbers, lists and loops have a largest size each.

Nothing is counted beyond that: what is left is bounded by the length of the template and of its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Characters, of what comes out and of each text that is made on the way.
MAX_OUTPUT = 100_000
# Loops in each other, and turns of each: a million turns take half a second.
MAX_LOOPS = 2
_MAX_TURNS = 1000
# Of a text's width, and of a number's decimals.
_MAX_WIDTH = 99
# Whole numbers are exact at any length: squared again and again they would fill the memory.
_MAX_FACTOR = 10**9
# Lists in each other. Whether two lists are equal takes time that grows with the power of it.
_MAX_LISTS = 2
# Filters and methods whose number makes much of little.
_WIDENING = frozenset(["center", "ljust", "rjust", "round", "zfill"])


class BeyondLimit(ValueError):
    """A template makes too much; the message continues `template of prompt fails: `."""


def check_length(length: int) -> None:
    """Let a text of that many characters pass.

    Raises:
        BeyondLimit: it is too long.
    """
    if length > MAX_OUTPUT:
        raise BeyondLimit(f"it makes a text of more than {MAX_OUTPUT:,} characters")


def check_widths(name: str, args: Iterable[object], named: Mapping[str, object]) -> None:
    """Let the arguments of a filter or method pass.

    Raises:
        BeyondLimit: one is a width beyond 99.
    """
    if name in _WIDENING:
        for value in (*args, *named.values()):
            if isinstance(value, (int, float)) and abs(value) > _MAX_WIDTH:
                raise BeyondLimit(f"{name}({value}); at most {_MAX_WIDTH} is taken")


def check_factors(left: object, right: object) -> None:
    """Let what is multiplied pass.

    Raises:
        BeyondLimit: it isn't two numbers of at most a billion.
    """
    for value in (left, right):
        if not isinstance(value, (int, float)):
            raise BeyondLimit(
                f"* of {'a text' if isinstance(value, str) else 'what is no number'}; it takes two numbers"
            )
        if abs(value) > _MAX_FACTOR:
            raise BeyondLimit(f"* of a number beyond {_MAX_FACTOR:,}")


def check_turns(items: Any) -> None:
    """Let what a loop goes over pass.

    Raises:
        BeyondLimit: it has too many items.
        TypeError: it has none.
    """
    if (turns := len(items)) > _MAX_TURNS:
        raise BeyondLimit(f"a loop over {turns:,} items; at most {_MAX_TURNS:,} are taken")


def check_depth(items: object) -> None:
    """Let a list, tuple or mapping that a template has written pass.

    Raises:
        BeyondLimit: there are lists in lists in lists.
    """
    level: list[Any] = [items]
    for _ in range(_MAX_LISTS + 1):
        level = [each for each in level if isinstance(each, (list, tuple, dict))]
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return
    raise BeyondLimit(f"lists in lists in lists; at most {_MAX_LISTS} deep is taken")
