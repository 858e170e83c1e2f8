"""Jobs side by side that edit the same input: a row for each input, a column for each way of editing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from batch_editor.review.filters import Filter
from batch_editor.review.index import Snapshot
from batch_editor.review.jobs import ReviewJob

Inputs = tuple[object, ...]
MOST_ALIKE = 9


class Column(NamedTuple):
    """A way of editing: what tells it from the others, by name. `number` counts jobs that nothing else tells apart."""

    values: tuple[tuple[str, str], ...]
    number: int = 1

    @property
    def key(self) -> str:
        """The same for the same column."""
        return orjson.dumps([*self.values, self.number]).decode()

    @property
    def label(self) -> str:
        """As people read it: `beach`, `beach, high`, `beach (2)`."""
        words = ", ".join(value for _, value in self.values)
        if self.number == 1:
            return words or "1"
        return f"{words} ({self.number})" if words else str(self.number)


class Grid(NamedTuple):
    """Columns, and of each input the jobs by column."""

    columns: Sequence[Column]
    rows: Sequence[tuple[ReviewJob, Mapping[Column, ReviewJob]]]

    def prices(self, column: Column) -> dict[str, float | None]:
        """What a picture of that column cost, or is expected to cost, in USD."""
        usd = [price_of(cells[column]) for _, cells in self.rows if column in cells]
        mean = sum(usd) / len(usd) if usd else None
        return {"min": min(usd, default=None), "mean": mean, "max": max(usd, default=None)}


def price_of(job: ReviewJob) -> float:
    """What a picture like this job's costs, in USD, whoever paid it."""
    return job.row.expected_usd if job.row.cost_usd is None else job.row.cost_usd


def has_several(jobs: Iterable[ReviewJob]) -> bool:
    """Whether several pictures are made of one input anywhere."""
    return any(count > 1 for count in Counter(map(_inputs, jobs)).values())


@lru_cache(maxsize=2)  # a page asks for the same rows a window at a time
def grid_of(snapshot: Snapshot, wanted: Filter) -> Grid:
    """The grid of the jobs that a filter chooses."""
    begin = compared_job if snapshot.is_comparison else _inputs
    return grid(snapshot.jobs, wanted.chosen(snapshot), begin=begin)


def compared_job(job: ReviewJob) -> Inputs:
    """Which job a comparison's is made from; it has that one's id before the last `@`."""
    return (job.row.job_id.rpartition("@")[0],)


def grid(jobs: Sequence[ReviewJob], chosen: Sequence[ReviewJob], *, begin: Callable[[ReviewJob], Inputs]) -> Grid:
    """The jobs that are chosen, of what several pictures are made of, in the order of the chosen ones.

    `begin` is what a picture is made of, the same for a row: its inputs, or in a comparison a job. Of jobs that nothing
    tells apart but their prompts, `MOST_ALIKE` of a row are there: a logo may be in thousands.
    """
    groups: dict[Inputs, list[ReviewJob]] = {}
    for job in jobs:
        groups.setdefault(begin(job), []).append(job)
    several = {inputs: group for inputs, group in groups.items() if len(group) > 1}
    ways = _differences(several.values())
    columns: dict[Column, None] = {}
    column_of: dict[str, Column] = {}
    for group in several.values():
        seen: Counter[tuple[tuple[str, str], ...]] = Counter()
        for job in group:
            values = tuple((name, value) for name, value_of in ways.items() if (value := value_of(job)) is not None)
            seen[values] += 1
            if seen[values] <= MOST_ALIKE:
                column_of[job.row.job_id] = column = Column(values, seen[values])
                columns[column] = None
    rows: dict[Inputs, dict[Column, ReviewJob]] = {}
    for job in chosen:
        if (inputs := begin(job)) in several and job.row.job_id in column_of:
            rows.setdefault(inputs, {})[column_of[job.row.job_id]] = job
    used = {column for cells in rows.values() for column in cells}
    return Grid(
        [column for column in columns if column in used],
        [(several[inputs][0], cells) for inputs, cells in rows.items()],
    )


def _inputs(job: ReviewJob) -> Inputs:
    """What an edit begins with: equal for jobs that edit the same pictures."""
    return (job.row.identity,) if job.row.identity else (*job.inputs, None, job.mask)


ValueOf = Callable[[ReviewJob], str | None]


def _differences(groups: Iterable[Sequence[ReviewJob]]) -> dict[str, ValueOf]:
    """What tells jobs of one input apart anywhere: axes of a matrix first; else endpoints, parameters, variants."""
    found: dict[str, ValueOf] = {}
    for group in groups:
        left = [
            (name, value_of) for name, value_of in _candidates(group) if name not in found and _differs(group, value_of)
        ]
        axes = [name for name in found if name.startswith(_AXIS)]
        for name, value_of in left:
            # What an axis of the matrix decides need not be said once more.
            if name.startswith(_AXIS) or not axes or not _follows(group, value_of, [found[axis] for axis in axes]):
                found[name] = value_of
                if name.startswith(_AXIS):
                    axes.append(name)
    return found


_AXIS = "axis "


def _candidates(group: Sequence[ReviewJob]) -> Iterable[tuple[str, ValueOf]]:
    for name in dict.fromkeys(name for job in group for name in job.axes):
        yield f"{_AXIS}{name}", lambda job, name=name: job.axes.get(name)  # type: ignore[misc]  # bound at once
    yield "endpoint", lambda job: job.row.endpoint
    if len({job.settings for job in group}) > 1:
        names = dict.fromkeys(name for job in group for name in _settings(job.settings))
        for name in names:
            yield name, lambda job, name=name: _setting(job, name)  # type: ignore[misc]
    yield "variant", lambda job: None if job.row.variant in (None, 1) else f"variant {job.row.variant}"


def _setting(job: ReviewJob, name: str) -> str | None:
    value = _settings(job.settings).get(name)
    return None if value is None else str(value)


@lru_cache(maxsize=1024)
def _settings(text: str) -> Mapping[str, Any]:
    settings: dict[str, Any] = orjson.loads(text)
    return settings


def _differs(group: Sequence[ReviewJob], value_of: ValueOf) -> bool:
    return len({value_of(job) for job in group}) > 1


def _follows(group: Sequence[ReviewJob], value_of: ValueOf, deciding: Sequence[ValueOf]) -> bool:
    """Whether the values that decide are equal only where this one is as well."""
    seen: dict[tuple[str | None, ...], str | None] = {}
    return all(seen.setdefault(tuple(of(job) for of in deciding), value_of(job)) == value_of(job) for job in group)
