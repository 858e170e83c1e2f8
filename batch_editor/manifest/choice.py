"""Which jobs `--only` chooses, by their ids: the same that SQLite's GLOB does, which chooses among the sound ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


class Choice:
    """Whether jobs are chosen: all are where there is no pattern."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [re.compile(_expression(pattern.replace("[!", "[^")), re.DOTALL) for pattern in patterns]

    def has_any(self, job_ids: Iterable[str]) -> bool:
        """Whether one of the jobs is chosen.

        >>> Choice(["mug-*", "[!a-c]?"]).has_any(["cup-1", "mug-1"])
        True
        """
        if not self._patterns:
            return True
        return any(pattern.fullmatch(job_id) for job_id in job_ids for pattern in self._patterns)


def _expression(pattern: str) -> str:
    """SQLite's GLOB as a regular expression. It has no escapes; a set that isn't closed matches nothing."""
    made, at = "", 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            made += ".*"
        elif character == "?":
            made += "."
        elif character == "[":
            negated = pattern.startswith("^", at)
            start = at + negated
            end = pattern.find("]", start + 1)  # a ] that comes first is one of the set
            if end < 0:
                return r"(?!)"
            made += _set(pattern[start:end], negated=negated)
            at = end + 1
        else:
            made += re.escape(character)
    return made


def _set(members: str, *, negated: bool) -> str:
    """One character of a set. A range's end begins no other range, and one from high to low is empty."""
    pieces, at, low = [], 0, ""
    while at < len(members):
        if members[at] == "-" and low and at + 1 < len(members):
            high = members[at + 1]
            if low <= high:
                pieces.append(f"{re.escape(low)}-{re.escape(high)}")
            at, low = at + 2, ""
        else:
            low = members[at]
            pieces.append(re.escape(low))
            at += 1
    if not pieces:
        return "." if negated else r"(?!)"
    return f"[{'^' if negated else ''}{''.join(pieces)}]"
