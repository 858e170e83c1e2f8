"""Which jobs a page asks for, and in which order: as its address says it, `status=failed&row.vendor=Acme&q=mug`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from batch_editor.errors import UsageError
from batch_editor.review.index import Snapshot
from batch_editor.review.jobs import ReviewJob
from batch_editor.verdicts import Verdict

COLUMN = "row."
# What a query string may say besides filters, to whom it may concern.
_OTHERS = frozenset(["offset", "limit", "sort", "descending", "q"])
_MOST = 1_000


@dataclass(frozen=True)
class Filter:
    """What is wanted of a job: of each name one of the values; and `text` in it somewhere."""

    wanted: tuple[tuple[str, frozenset[str]], ...] = ()
    text: str = ""
    sort: str = "manifest"
    descending: bool = False

    @classmethod
    def parse(cls, query: str) -> Filter:
        """As it stands in an address.

        Raises:
            UsageError: it says what no filter says.
        """
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST)
        except ValueError as error:
            raise UsageError(f"the filter has more than {_MOST} parts") from error
        wanted: dict[str, set[str]] = {}
        for name, value in pairs:
            if name in _OTHERS:
                continue
            if name not in _VALUES and not name.startswith(COLUMN):
                raise UsageError(f"the filter names {name!r}; expected {', '.join(_VALUES)}, row.NAME or q")
            wanted.setdefault(name, set()).add(value)
        said = dict(pairs)
        sort = said.get("sort", "manifest")
        if sort not in _KEYS:
            raise UsageError(f"sort is {sort!r}; expected {', '.join(_KEYS)}")
        return cls(
            tuple((name, frozenset(values)) for name, values in sorted(wanted.items())),
            " ".join(said.get("q", "").split()).casefold(),
            sort,
            said.get("descending", "0") not in ("", "0", "false"),
        )

    def takes(self, job: ReviewJob, said: Verdict | None) -> bool:
        """Whether a job is wanted; `said` is what people said of its picture."""
        for name, values in self.wanted:
            if name.startswith(COLUMN):
                value = job.columns.get(name.removeprefix(COLUMN), "")
            else:
                value = _VALUES[name](job, said)
            if value not in values:
                return False
        return not self.text or any(self.text in each.casefold() for each in _texts(job, said))

    @lru_cache(maxsize=4)  # noqa: B019  # a page asks for the same jobs a window at a time
    def chosen(self, snapshot: Snapshot) -> Sequence[ReviewJob]:
        """The jobs that are wanted, in order."""
        if self.wanted or self.text:
            chosen = [job for job in snapshot.jobs if self.takes(job, snapshot.said_of(job))]
        else:
            chosen = list(snapshot.jobs)
        return self.sorted(chosen)

    def sorted(self, jobs: Iterable[ReviewJob]) -> list[ReviewJob]:
        """Jobs that come in the manifest's order in the one that is wanted; those without a value come last."""
        if self.sort == "manifest":
            return list(jobs)[:: -1 if self.descending else 1]
        key, sign = _KEYS[self.sort], -1 if self.descending else 1

        def order(job: ReviewJob) -> float:
            """Where a job stands; last where it has no value."""
            value = key(job)
            return math.inf if value is None else sign * value

        return sorted(jobs, key=order)


def verdict_word(job: ReviewJob, said: Verdict | None) -> str:
    """`approved`, `rejected`, or `none` of a picture that nobody has judged; nothing where there is no picture."""
    if job.picture is None:
        return ""
    return "none" if said is None or said.verdict is None else said.verdict


def _texts(job: ReviewJob, said: Verdict | None) -> Iterable[str]:
    yield job.row.job_id
    yield job.prompt
    yield from job.columns.values()
    if said is not None and said.note:
        yield said.note
    if job.row.error:
        yield job.row.error


_VALUES: Mapping[str, Callable[[ReviewJob, Verdict | None], str]] = {
    "status": lambda job, _: job.row.status,
    "verdict": verdict_word,
    "error_kind": lambda job, _: job.row.error_kind or "",
    "template": lambda job, _: job.row.template,
    "endpoint": lambda job, _: job.row.endpoint,
}
_KEYS: Mapping[str, Callable[[ReviewJob], float | None]] = {
    "manifest": lambda job: job.row.position,
    "cost": lambda job: job.charged_usd,
    "time": lambda job: job.row.latency_s,
    "fidelity": lambda _: None,
}


def facets(snapshot: Snapshot) -> dict[str, Any]:
    """What filters there are, with how many jobs each value has."""
    counts: dict[str, dict[str, int]] = {name: {} for name in _VALUES}
    columns: dict[str, dict[str, int]] = {}
    for job in snapshot.jobs:
        said = snapshot.said_of(job)
        for name, value_of in _VALUES.items():
            value = value_of(job, said)
            counts[name][value] = counts[name].get(value, 0) + 1
        for column, cell in job.columns.items():
            of = columns.setdefault(column, {})
            of[cell] = of.get(cell, 0) + 1
    listed = {name: _listed(values) for name, values in counts.items()}
    for name in ("error_kind", "verdict"):  # those that have one
        listed[name] = [each for each in listed[name] if each["value"]]
    return {
        **listed,
        "columns": [
            {"name": name, "distinct": len(values), "values": _listed(values)[:_SHOWN]}
            for name, values in columns.items()
        ],
    }


# Values of a column that are offered to choose from; another is found by its text.
_SHOWN = 50


def _listed(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Values, the most frequent first."""
    ordered: Sequence[tuple[str, int]] = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [{"value": value, "count": count} for value, count in ordered]
