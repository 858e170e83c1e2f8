"""Which jobs `--only` chooses, by their ids."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence


class Choice:
    """Whether jobs are chosen: all are where there is no pattern."""

    def __init__(self, patterns: Sequence[str]) -> None:
        # SQLite's own GLOB, which chooses among the sound jobs.
        self._patterns = [pattern.replace("[!", "[^") for pattern in patterns]
        self._db = sqlite3.connect(":memory:", check_same_thread=False)

    def has_any(self, job_ids: Iterable[str]) -> bool:
        """Whether one of the jobs is chosen.

        >>> Choice(["mug-*", "[!a-c]?"]).has_any(["cup-1", "mug-1"])
        True
        """
        return not self._patterns or any(self._matches(job_id, each) for job_id in job_ids for each in self._patterns)

    def _matches(self, job_id: str, pattern: str) -> bool:
        ((matches,),) = self._db.execute("SELECT ? GLOB ?", (job_id, pattern))
        return bool(matches)


def matching(only: Sequence[str]) -> tuple[str, list[str]]:
    """The condition that the id of a staged job matches a pattern, and its values."""
    globs = [pattern.replace("[!", "[^") for pattern in only]  # SQLite's GLOB negates with ^
    return " OR ".join(["job_id GLOB ?"] * len(globs)), globs
