"""What became of the newest runs of several output directories, such as the shards of one manifest."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from batch_editor.ledger import readings
from batch_editor.ledger.readings import Money
from batch_editor.runs.summary import Summary, last_summary, money_said, rest_said
from batch_editor.shard import Shard
from batch_editor.text import many, printable

# Where several hold, the first of these wins, as for one run.
_WORST_FIRST = (130, 143, 6, 3, 4, 1, 0)
# Of one run or directory: what there is one of for each.
_OF_EACH = ("run_id", "output", "manifest", "shard", "stopped_by")
# Directories are worked on beside each other.
_LONGEST = ("elapsed_s", "duration_s")

# Shards that nobody named: so many are named, and the rest counted.
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class SeveralSummaries:
    """The summaries of several output directories. Counts and money are of all of them together."""

    summaries: Sequence[Summary]
    p50_s: float | None
    p95_s: float | None

    @property
    def exit_code(self) -> int:
        """The worst of all, by the order in which one run's would be chosen."""
        return min((each.exit_code for each in self.summaries), key=_WORST_FIRST.index)

    @property
    def missing(self) -> list[Shard]:
        """The shards of the same manifest that aren't among them, where all of these are shards of one number."""
        known = {each.shard for each in self.summaries}
        counts = {None if each is None else each.count for each in known}
        if len(counts) != 1 or None in counts:
            return []
        (count,) = counts
        return [each for each in (Shard(number, count or 0) for number in range(count or 0)) if each not in known]

    def as_json(self) -> dict[str, Any]:
        """The `--json` object of `status` for several: that for one with the sums of all, and `outputs`, one each.

        What there is one of for each directory is null. Of times the longest counts. Money is that of runs that cost
        some, if there are any, and not what rehearsals would have cost.
        """
        each = [summary.as_json() for summary in self.summaries]
        paid = [one for one in each if not one["sandbox"]]
        return {
            **reduce(_sum, each),
            **dict.fromkeys(_OF_EACH),
            "cost_usd": reduce(_sum, [one["cost_usd"] for one in paid or each]),
            "sandbox": not paid,
            "exit_code": self.exit_code,
            "latency_s": {"p50": _rounded(self.p50_s), "p95": _rounded(self.p95_s)},
            "missing": [str(shard) for shard in self.missing],
            "outputs": each,
        }

    def lines(self) -> Iterator[str]:
        """The same for people: the sums, then a line for each directory."""
        total = self.as_json()
        jobs = total["jobs"]
        reused = f" ({jobs['reused']} took another job's image)" if jobs["reused"] else ""
        yield f"Jobs: {jobs['total']}   succeeded {jobs['succeeded']}{reused}, {rest_said(**jobs)}"
        for cause in total["causes"]:
            said = printable(cause["error"] or "", limit=200)
            yield f"  {cause['kind']}: {cause['count']}, for example {cause['job_id']}: {said}"
        requests = total["requests"]
        yield f"Requests: {requests['sent']} sent in the newest runs, {requests['retried']} of them again"
        rehearsals = sum(summary.sandbox for summary in self.summaries)
        without = f"; without {many(rehearsals, 'rehearsal')}" if rehearsals and not total["sandbox"] else ""
        yield f"Money: {money_said(Money(**total['cost_usd']), sandbox=total['sandbox'])}{without}"
        if self.p50_s is not None and self.p95_s is not None:
            yield f"Latency: half within {self.p50_s:.1f} s, 95 % within {self.p95_s:.1f} s"
        for summary in self.summaries:
            yield _line(summary)
        if missing := self.missing:
            more = f" and {len(missing) - _MOST_NAMED:,} more" if len(missing) > _MOST_NAMED else ""
            yield f"Not among them: {', '.join(shard.said for shard in missing[:_MOST_NAMED])}{more}"


def last_summaries(outputs: Sequence[Path]) -> SeveralSummaries:
    """The summaries of the newest runs of several output directories, also while these are at work.

    Raises:
        UsageError: nothing has run in one of them.
        LedgerError: a ledger can't be read.
    """
    latencies_s = array("d")
    summaries = []
    for output in outputs:
        summaries.append(last_summary(output))
        with readings.reading(output) as db:
            latencies_s.extend(readings.all_latencies(db))
    return SeveralSummaries(summaries, *readings.percentiles(array("d", sorted(latencies_s))))


def _line(summary: Summary) -> str:
    jobs, stop = summary.jobs, summary.stop
    shard = f" ({summary.shard.said})" if summary.shard is not None else ""
    why = f" ({stop.kind}: {printable(stop.message, limit=200)})" if stop is not None else ""
    rest = ((jobs.failed, "failed"), (jobs.unknown, "unknown"), (jobs.pending, "pending"))
    counts = "".join(f", {count} {word}" for count, word in rest if count)
    money = "a rehearsal" if summary.sandbox else money_said(summary.cost, sandbox=False)
    return (
        f"{summary.output}{shard}: {jobs.succeeded} of {jobs.total} succeeded{counts};"
        f" exit {summary.exit_code}{why}; {money}"
    )


def _sum(one: Any, other: Any, *, longest: bool = False) -> Any:
    """Two values of `--json` together: numbers are added, lists joined, objects taken key by key.

    longest: numbers are times, of which the longer one counts. What both say in the same words is said once.
    """
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, bool):
        return one or other
    if isinstance(one, dict):
        names = dict.fromkeys((*one, *other))
        return {name: _sum(one.get(name), other.get(name), longest=longest or name in _LONGEST) for name in names}
    if longest:
        return max(one, other)
    if isinstance(one, list):
        return [*one, *(each for each in other if not isinstance(each, str) or each not in one)]
    if isinstance(one, float):
        return round(one + other, 6)
    return one if isinstance(one, str) else one + other


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
