"""Jobs without an image by cause, for the command that sends just these again. Reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from operator import itemgetter
from typing import NamedTuple


class JobsOfCause(NamedTuple):
    """The jobs of an error kind. patterns: what `--only` takes for them and for none of `others`; None where that would
    be more than was asked for.

    refused: some were refused for good; unknown: some may have been billed without a result. others: whether jobs of
    other kinds have no image either.
    """

    patterns: list[str] | None
    refused: bool
    unknown: bool
    others: bool


def jobs_of_cause(db: sqlite3.Connection, kind: str, *, few: int, most: int) -> JobsOfCause:
    """Which jobs of the manifest have no image for that cause: each by its id, in the manifest's order, where they are
    `few`; else by what their ids begin with, in `most` patterns.
    """
    without = (
        "FROM jobs j CROSS JOIN requests r USING (fingerprint)"
        " WHERE j.active AND (r.state <> 'succeeded' OR j.fault IS NOT NULL)"
    )
    is_kind = "iif(j.fault IS NULL, r.error_kind, 'invalid_row') IS ?"
    refused, unknown = db.execute(
        "SELECT coalesce(max(r.state = 'failed' AND NOT r.passing AND j.fault IS NULL), 0),"
        f" coalesce(max(r.state = 'unknown' AND j.fault IS NULL), 0) {without} AND {is_kind}",
        (kind,),
    ).fetchone()
    ids = db.execute(f"SELECT j.job_id {without} AND {is_kind} ORDER BY j.position LIMIT ?", (kind, few + 1)).fetchall()
    ((others,),) = db.execute(f"SELECT EXISTS (SELECT 1 {without} AND NOT ({is_kind}))", (kind,))
    patterns: list[str] | None = [as_pattern(job_id) for (job_id,) in ids]
    if len(ids) > few:
        patterns = None
        if others:
            rows = db.execute(f"SELECT j.job_id, {is_kind} {without} ORDER BY j.job_id", (kind,))
            patterns = patterns_for(rows, most)
    return JobsOfCause(patterns, bool(refused), bool(unknown), bool(others))


def patterns_for(rows: Iterable[tuple[str, int]], most: int) -> list[str] | None:
    """Patterns for the ids that are meant and for none of the others, of all in order; None: more than `most`."""
    patterns: list[str] = []
    meant: list[str] = []
    before = None
    for is_meant, group in groupby(rows, key=itemgetter(1)):
        ids = [job_id for job_id, _ in group]
        if is_meant:
            meant = ids
            continue
        patterns += _between(before, meant, ids[0])
        meant, before = [], ids[-1]
        if len(patterns) > most:
            return None
    patterns += _between(before, meant, None)
    return patterns if len(patterns) <= most else None


def _between(before: str | None, ids: Sequence[str], after: str | None) -> Iterator[str]:
    """Patterns for ids in order that fit neither the id before them nor the one after: none fits any other then.

    >>> list(_between("cup", ["mug", "mug-a1", "mug-a2", "mug-a3"], "mug-b"))
    ['mug', 'mug-a*']
    """
    others = [each for each in (before, after) if each is not None]
    number = 0
    while number < len(ids):
        job_id, last = ids[number], number
        own = max(len(_shared(job_id, other)) for other in others) + 1
        if own <= len(job_id):
            while last + 1 < len(ids) and ids[last + 1].startswith(job_id[:own]):
                last += 1
        together = _shared(job_id, ids[last])
        yield as_pattern(job_id) if last == number else f"{as_pattern(together)}*"
        number = last + 1


def _shared(one: str, other: str) -> str:
    """What both begin with."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return one[: sum(1 for _ in alike)]


def as_pattern(job_id: str) -> str:
    """What `--only` takes for that id alone.

    >>> as_pattern("mug[1]*")
    'mug[[]1][*]'
    """
    return "".join(f"[{each}]" if each in "[*?" else each for each in job_id)
