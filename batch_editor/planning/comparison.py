"""A comparison in figures: which values it is over, what each way costs, for a few jobs and for all. Pure data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_editor.money import Price
from batch_editor.planning.compared_values import with_sent
from batch_editor.text import duration, many, printable, table


@dataclass(frozen=True, slots=True)
class Way:
    """One combination of values, and what it comes to; several that give the same requests are one.

    values: by name, as people read them. overrides: what a run is given by `--set` to do all jobs so. job_ids: the
    comparison's jobs by the manifest's that they are made from. requests, cost: of these. all_jobs, all_requests,
    all_cost: of all jobs of the manifests, of which nothing is done. by_endpoint: the latter requests by endpoint.
    all_s: how long they take.
    """

    values: Mapping[str, str]
    overrides: Mapping[str, str]
    job_ids: Mapping[str, str]
    requests: int
    cost: Price
    all_jobs: int
    all_requests: int
    all_cost: Price
    by_endpoint: Sequence[tuple[str, int]] = ()
    all_s: float = 0.0

    @property
    def said(self) -> dict[str, str]:
        """Its values as people read them; of one that the endpoint lacks, what is sent instead: `xhigh → high`."""
        return {name: with_sent(value, self.overrides.get(name)) for name, value in self.values.items()}

    @property
    def label(self) -> str:
        """Its values in one line: `flash-2, low`."""
        return ", ".join(self.said.values())

    @property
    def each_usd(self) -> float:
        """What one image is expected to cost."""
        return self.cost.expected_usd / self.requests if self.requests else 0.0

    def as_json(self) -> dict[str, Any]:
        """An entry of `ways` in `plan --json` and `compare --json`."""
        return {
            "values": dict(self.values),
            "set": dict(self.overrides),
            "requests": self.requests,
            "cost_usd": _rounded(self.cost),
            "all": {
                "jobs": self.all_jobs,
                "requests": self.all_requests,
                "cost_usd": _rounded(self.all_cost),
                "duration_s": round(self.all_s, 1),
            },
        }


@dataclass(frozen=True, slots=True)
class ComparedJob:
    """A job of the manifests that is made in every way; `inputs` are links, and paths of local files."""

    job_id: str
    prompt: str
    inputs: Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The ways in which a few jobs are made, `jobs` of `all_jobs` of the manifests; `names` are those of the values."""

    names: Sequence[str]
    jobs: Sequence[ComparedJob]
    all_jobs: int
    ways: Sequence[Way]

    def as_json(self) -> dict[str, Any]:
        """The `compare` object of a plan's `--json`."""
        return {
            "over": list(self.names),
            "jobs": [job.job_id for job in self.jobs],
            "all_jobs": self.all_jobs,
            "ways": [way.as_json() for way in self.ways],
        }

    def lines(self) -> Iterator[str]:
        """The cost first: of these few, and of the whole manifest."""
        few = many(len(self.jobs), "job")
        yield f"Compares: {few} of {self.all_jobs:,} in {len(self.ways)} ways"
        head = [*self.names, "requests", f"these {len(self.jobs):,}", f"all {self.all_jobs:,}", "time for all"]
        rows = [
            [
                *(printable(way.said[name], limit=40) for name in self.names),
                f"{way.requests:,}",
                usd(way.cost.expected_usd),
                usd(way.all_cost.expected_usd),
                duration(way.all_s),
            ]
            for way in self.ways
        ]
        yield from (f"  {line}" for line in table(head, rows, right=4))
        yield f"All {self.all_jobs:,}: {' · '.join(usd(way.all_cost.expected_usd) for way in self.ways)}"


def usd(amount: float) -> str:
    """An amount as people read it; more digits where it is small.

    >>> usd(2400), usd(0.0108), usd(0)
    ('$2,400.00', '$0.0108', '$0.00')
    """
    return f"${amount:,.4f}" if 0 < amount < 0.1 else f"${amount:,.2f}"


def usd_each(amount: float) -> str:
    """The price of one image.

    >>> usd_each(0.1596)
    '$0.1596'
    """
    return f"${amount:,.4f}"


def _rounded(price: Price) -> dict[str, float]:
    return {
        "low": round(price.min_usd, 6),
        "expected": round(price.expected_usd, 6),
        "high": round(price.max_usd, 6),
    }
