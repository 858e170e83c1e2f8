"""The dry run: what a manifest will cost and how long it will take, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_editor.config import Settings
from batch_editor.intake import Catalog, Selection, take_in
from batch_editor.ledger import Spool
from batch_editor.ledger.ledger import FILE_NAME
from batch_editor.pricing import Price
from batch_editor.progress import duration


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that cost alike."""

    endpoint: str
    quality: str | None
    size: str | None
    inputs: int
    requests: int
    unit_usd: float

    @property
    def cost_usd(self) -> float:
        """What they cost together."""
        return self.requests * self.unit_usd


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. `duration_s` is p10, p50 and p90."""

    jobs: int
    requests: int
    reused: int
    done: int
    uploads: int
    cost: Price
    duration_s: tuple[float, float, float]
    limited_by: str
    advice: str
    groups: tuple[Group, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The `--json` object of `plan`."""
        p10, p50, p90 = self.duration_s
        return {
            "jobs": self.jobs,
            "requests": self.requests,
            "reused": self.reused,
            "done": self.done,
            "uploads": self.uploads,
            "cost_usd": {
                "low": round(self.cost.low_usd, 6),
                "expected": round(self.cost.expected_usd, 6),
                "high": round(self.cost.high_usd, 6),
            },
            "duration_s": {"p10": round(p10, 1), "p50": round(p50, 1), "p90": round(p90, 1)},
            "limited_by": self.limited_by,
            "advice": self.advice,
            "groups": [
                {
                    "endpoint": group.endpoint,
                    "quality": group.quality,
                    "size": group.size,
                    "inputs": group.inputs,
                    "requests": group.requests,
                    "unit_usd": round(group.unit_usd, 6),
                    "cost_usd": round(group.cost_usd, 6),
                }
                for group in self.groups
            ],
        }

    def lines(self) -> Iterator[str]:
        """The plan for people."""
        cost = self.cost
        yield f"Jobs: {self.jobs}   to send {self.requests}, sharing another's image {self.reused}, done {self.done}"
        if self.uploads:
            yield f"Uploads: {self.uploads} local files"
        yield (
            f"Cost: ${cost.expected_usd:,.2f} expected (low ${cost.low_usd:,.2f}, high ${cost.high_usd:,.2f}),"
            " by the endpoint's price list"
        )
        yield f"Time: about {duration(self.duration_s[1])}"
        yield f"Limit: {self.limited_by}. {self.advice}"
        for group in self.groups:
            kind = ", ".join(part for part in (group.quality, group.size) if part)
            yield (
                f"  {group.requests} × {group.endpoint} ({kind or 'one price'}, {group.inputs} input"
                f"{'' if group.inputs == 1 else 's'}) at ${group.unit_usd:.4f} = ${group.cost_usd:,.2f}"
            )


def make_plan(
    manifests: Sequence[Path | str],
    settings: Settings,
    *,
    selection: Selection | None = None,
    output: Path | None = None,
) -> Plan:
    """What a run of these manifests would do. Sends nothing, needs no key, changes nothing. Blocks.

    Raises:
        UsageError: the settings or a manifest are wrong.
    """
    paths = [Path(manifest) for manifest in manifests]
    catalog = Catalog(settings)
    with Spool() as spool:
        warnings = take_in(paths, catalog, selection or Selection(), spool)
        root = output or settings.outputs.directory / paths[0].stem
        spool.compare(root / FILE_NAME)
        return _plan(spool, catalog, settings, tuple(warnings))


def _plan(spool: Spool, catalog: Catalog, settings: Settings, warnings: tuple[str, ...]) -> Plan:
    ((jobs, reused),) = spool.query("SELECT count(*), count(*) - count(DISTINCT fingerprint) FROM jobs WHERE selected")
    ((done,),) = spool.query("SELECT count(DISTINCT fingerprint) FROM jobs WHERE selected AND done")
    ((uploads,),) = spool.query(
        "SELECT count(DISTINCT file.key) FROM jobs, json_each(files) file WHERE selected AND NOT done"
    )
    to_send = "(SELECT *, min(position) FROM jobs WHERE selected AND NOT done GROUP BY fingerprint)"
    ((requests, low, expected, high),) = spool.query(
        "SELECT count(*), coalesce(sum(low_usd), 0), coalesce(sum(expected_usd), 0), coalesce(sum(high_usd), 0)"
        f" FROM {to_send}"
    )
    groups = tuple(
        Group(*row)
        for row in spool.query(
            "SELECT endpoint, params ->> 'quality', params ->> 'size',"
            " coalesce(json_array_length(params, '$.image_urls'), 0) AS inputs, count(*), avg(expected_usd)"
            f" FROM {to_send} GROUP BY 1, 2, 3, 4 ORDER BY sum(expected_usd) DESC"
        )
    )
    latency_s = catalog.default.latency_s
    rate = settings.rate
    by_rate = requests * rate.period_s / rate.count
    by_slots = -(-requests // settings.concurrency) * latency_s
    seconds = max(by_rate + latency_s, by_slots) if requests else 0.0
    needed = max(1, round(rate.count / rate.period_s * latency_s))
    if by_rate + latency_s >= by_slots:
        limited_by = "rate limit"
        advice = f"{rate} is the limit; about {needed} requests would be in flight"
    else:
        limited_by = "concurrency"
        advice = f"concurrency {settings.concurrency} is the limit; {needed} would use {rate}"
    return Plan(
        jobs=jobs,
        requests=requests,
        reused=reused,
        done=done,
        uploads=uploads,
        cost=Price(low, expected, high),
        duration_s=(seconds, seconds, seconds),
        limited_by=limited_by,
        advice=advice,
        groups=groups,
        warnings=warnings,
    )
