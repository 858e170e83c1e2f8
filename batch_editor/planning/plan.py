"""What a run would do, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from batch_editor.ledger import Changes, JobChanges
from batch_editor.ledger.staging_readings import PriceGroup
from batch_editor.manifest import TableRead
from batch_editor.money import Price
from batch_editor.planning.comparison import Comparison
from batch_editor.planning.inputs import InputCheck, TrackedLinks
from batch_editor.planning.pace import Pace
from batch_editor.planning.redos import Redos
from batch_editor.planning.sharding import ShardJobs
from batch_editor.text import duration, many

IDENTIFIED = "done jobs are known by their identity from now on, and keep their images"
# Of the done jobs; a few may well be meant, however many they are of all.
REMADE_SHARE = 0.2
REMADE_MOST = 20


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a run keeps within a limit, and how many of its requests do; `limit` as it was given."""

    limit: str
    fits: bool
    requests: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long an endpoint of the plan is served, in days from now, and which one takes its place."""

    endpoint: str
    retires: date | None
    days_left: int | None
    successor: str | None

    def as_json(self) -> dict[str, Any]:
        """An entry of `retires` in a plan's `--json`."""
        return {
            "endpoint": self.endpoint,
            "date": None if self.retires is None else self.retires.isoformat(),
            "days_left": self.days_left,
            "successor": self.successor,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    paces: of each provider, which work at the same time; duration_s, made_of, limited_by and advice are the slowest
    one's. duration_s: p10, p50 and p90. known: jobs by what the ledger has of them. first_usd: the max price of the
    first request to send. spent_usd: what the budget that the run resumes with has spent. skipped: rows that the
    manifest leaves out on purpose, by reason. tables: those that are a shop's export or resemble one. faulty: rows that
    are left out for their faults. retires: endpoints of which the last day or the successor is known. notices: what is
    said first, of those that are retired. redos: what becomes of rejected images, where they are to be made again.
    taken: images that other output directories have paid for, by the directory's name. comparison: what jobs are
    compared, and over what; is_another_comparison: so it was before in this output directory. shard: whose jobs of the
    manifest's these are, where they are a shard's. tracked: links of done jobs, where their pictures may have changed.
    """

    jobs: int
    requests: int
    reused: int
    done: int
    uploads: int
    known: dict[str, int]
    cost: Price
    paces: tuple[Pace, ...]
    duration_s: tuple[float, float, float]
    made_of: str
    limited_by: str
    advice: str
    groups: tuple[PriceGroup, ...]
    budget: Fit | None
    deadline: Fit | None
    first_usd: float | None
    spent_usd: float
    changes: Changes
    warnings: tuple[str, ...]
    skipped: Mapping[str, int]
    faulty: int
    tables: tuple[TableRead, ...] = ()
    retires: tuple[Lifetime, ...] = ()
    notices: tuple[str, ...] = ()
    inputs: InputCheck | None = None
    tracked: TrackedLinks | None = None
    redos: Redos | None = None
    taken: Mapping[str, int] = field(default_factory=dict)
    comparison: Comparison | None = None
    is_another_comparison: bool = False
    shard: ShardJobs | None = None

    @property
    def requests_to(self) -> dict[str, int]:
        """How many requests go to each provider of the jobs, by their names; 0 where all of them are done."""
        return {pace.provider: pace.requests for pace in self.paces}

    @property
    def exit_code(self) -> int:
        """What `plan` ends with: 1 where jobs would fail unsent, for their rows or their checked inputs are faulty."""
        return int(self.faulty > 0 or bool(self.inputs and self.inputs.faulty))

    @property
    def job_changes(self) -> JobChanges:
        """How many of the chosen jobs are new, changed and unchanged, and how many are gone."""
        new, changed = self.known.get("new", 0), self.known.get("changed", 0)
        unchanged = sum(self.known.values()) - new - changed
        of_changes = self.changes
        return JobChanges(
            new, changed, of_changes.links_alone, unchanged, of_changes.gone, behind_links=of_changes.behind_links
        )

    def as_json(self) -> dict[str, Any]:
        """The `--json` object of `plan`."""
        p10, p50, p90 = self.duration_s
        return {
            "jobs": self.jobs,
            "requests": self.requests,
            "reused": self.reused,
            "taken": dict(self.taken),
            "done": self.done,
            "uploads": self.uploads,
            "skipped": dict(self.skipped),
            "faulty": self.faulty,
            "remade": self.changes.remade,
            "pruned": self.changes.pruned,
            "redone": self.redos.sent if self.redos else 0,
            "identified": self.changes.identified,
            "kept": dict(self.changes.kept.jobs),
            "kept_differs": dict(self.changes.kept.differs),
            "gone": self.changes.gone,
            "changes": self.job_changes._asdict(),
            "asks": list(self.to_confirm()),
            "cost_usd": {
                "low": round(self.cost.min_usd, 6),
                "expected": round(self.cost.expected_usd, 6),
                "high": round(self.cost.max_usd, 6),
            },
            "duration_s": {"p10": round(p10, 1), "p50": round(p50, 1), "p90": round(p90, 1)},
            "limited_by": self.limited_by,
            "advice": self.advice,
            "providers": {pace.provider: pace.as_json() for pace in self.paces},
            "groups": [
                {
                    "endpoint": group.endpoint,
                    "quality": group.quality,
                    "size": group.size,
                    "inputs": group.inputs,
                    "requests": group.requests,
                    "unit_usd": round(group.unit_usd, 6),
                    "cost_usd": round(group.cost_usd, 6),
                    "price_from": group.source,
                    "charges": group.charges,
                    "list_usd": round(group.list_usd, 6),
                    "low_usd": round(group.low_usd, 6),
                    "high_usd": round(group.high_usd, 6),
                }
                for group in self.groups
            ],
            "retires": [lifetime.as_json() for lifetime in self.retires],
            "known": self.known,
            "duration_from": self.made_of,
            "budget": _fit_json(self.budget),
            "deadline": _fit_json(self.deadline),
            "inputs": None if self.inputs is None else self.inputs.as_json(),
            "tracked": None if self.tracked is None else self.tracked.as_json(),
            "tables": [table.as_json() for table in self.tables],
            "compare": None if self.comparison is None else self.comparison.as_json(),
            "moved": self.changes.moved,
            "shard": None if self.shard is None else self.shard.as_json(),
        }

    def introduction(self) -> Iterator[str]:
        """What it is a plan of: before its figures, and before what a run does."""
        yield from self.notices
        yield from (table.said for table in self.tables)
        yield from self.comparison.lines() if self.comparison else ()
        yield from () if self.shard is None else [self.shard.line]

    def lines(self, *, now: datetime | None = None) -> Iterator[str]:
        """The plan for people; `now` is when the run would start."""
        now = now or datetime.now().astimezone()
        yield from self.introduction()
        sharing = f"sharing another's image {self.reused - sum(self.taken.values()):,}"
        yield f"Jobs: {self.jobs:,}   to send {self.requests:,}, {sharing}, done {self.done:,}"
        if not self.job_changes.are_all_new:
            bad = ", ".join(f"{kind} {self.known[kind]:,}" for kind in ("failed", "unknown") if self.known.get(kind))
            yield f"  {self.job_changes}{bad and f'; of the unchanged {bad}'}"
        for directory, count in self.taken.items():
            yield f"  taken from {directory}, for nothing: {many(count, 'image')}"
        yield from self._changed()
        yield from (f"  {line}" for line in (self.redos.lines() if self.redos else ()))
        if self.uploads:
            yield f"Uploads: {many(self.uploads, 'local file')}, once each"
        cost = self.cost
        yield f"Cost: ${cost.expected_usd:,.2f} expected, ${cost.min_usd:,.2f} at least, ${cost.max_usd:,.2f} at most"
        yield from self._table()
        if cost.min_usd < cost.max_usd:
            yield "  at least: auto is the cheapest, inputs and prompt are free"
            yield "  at most: auto is the most expensive, inputs and prompt cost the most they can"
        yield from self._time(now)
        yield f"Speed: {self.advice}"
        for name, fit in (("Budget", self.budget), ("Deadline", self.deadline)):
            if fit is not None:
                left = "" if fit.fits else f": {fit.requests:,} of {self.requests:,} requests do"
                yield f"{name}: {fit.limit} {'fits' if fit.fits else 'does not fit'}{left}"

        for question in self.to_confirm():
            yield f"Asks before it sends: {question}"
        yield from self.tracked.lines() if self.tracked else ()
        yield from self.inputs.lines() if self.inputs else ()

    def _time(self, now: datetime) -> Iterator[str]:
        if not self.requests:
            return
        p10, p50, p90 = self.duration_s
        end = now + timedelta(seconds=p50)
        yield (
            f"Time: {duration(p50)} expected, one run in ten below {duration(p10)}, one in ten above"
            f" {duration(p90)}; started now, done at {end:%Y-%m-%d %H:%M}"
        )
        yield f"  {self.made_of}"
        if len(self.paces) > 1:
            yield "  at the same time: " + ", ".join(
                f"{pace.provider} {pace.requests:,} in {duration(pace.duration_s[1])}" for pace in self.paces
            )

    def _changed(self) -> Iterator[str]:
        changes = self.changes
        for reason, count in self.skipped.items():
            yield f"  skipped: {many(count, 'row')} ({reason})"
        if self.faulty:
            yield f"  left out: {many(self.faulty, 'row')} with faults, to fail unsent"
        for endpoint, count in changes.kept.jobs.items():
            yield f"  kept: {many(count, 'done job')} that {endpoint} made; --redo endpoint makes them again"
        if changes.kept.differs:
            yield f"  of these, what is asked for now is another in {_counted(changes.kept.differs)}"
        yield from self._made_again()
        if changes.identified:
            yield f"  {changes.identified:,} {IDENTIFIED}"
        if changes.moved:
            yield f"  in another shard by their new inputs: {many(changes.moved, 'job')}; that one makes them anew"
        if changes.gone:
            renamed = f" ({changes.renamed:,} under another id now)" if changes.renamed else ""
            moves = "a run moves the images to images/.history"
            yield f"  gone from the manifest: {many(changes.gone, 'job')}{renamed}; {moves}"

    def _made_again(self) -> Iterator[str]:
        changes = self.changes
        if changes.forced:
            yield f"  made again, as asked for: {many(changes.forced, 'done job')}"
        if changes.remade:
            yield f"  made again: {many(changes.remade, 'done job')}, different in {_counted(changes.differs)}"
        if changes.pruned:
            yield f"  would be made again: {many(changes.pruned, 'request')} whose former image was pruned"
        if changes.links_alone:
            yield (
                f"  {many(changes.links_alone, 'job')} changed in their links alone; if these are the same pictures"
                " under other links, name them by what stays the same, such as identity: '{{ sku }}'"
            )

    def to_confirm(self) -> Iterator[str]:
        """What a run asks about before it sends anything: that it may not be what was meant."""
        changes, done = self.changes, self.done + self.changes.remade
        if changes.forced:
            yield f"{many(changes.forced, 'done job')} would be made, and paid, again"
        if changes.remade - changes.meant > max(REMADE_MOST, REMADE_SHARE * done):
            yield (
                f"{changes.remade - changes.meant:,} of {done:,} done jobs would be made, and paid, again:"
                f" they differ in {_counted(changes.differs)}"
            )
        if changes.moved > max(REMADE_MOST, REMADE_SHARE * (done + changes.moved)):
            yield (
                f"{changes.moved:,} of the {changes.known:,} jobs of this output directory have other inputs, and are"
                " in another shard by these: it would make, and pay, them again"
            )
        # A job under another id asks for the same, and keeps its image: elsewhere it would be paid for again.
        # A comparison over other values than the one before is no mistake; what that has made is found in the history.
        if not self.is_another_comparison and changes.known - changes.gone + changes.renamed < changes.known / 2:
            others = f", and {changes.renamed:,} more under other ids" if changes.renamed else ""
            yield (
                f"the manifest names {changes.known - changes.gone:,} of the {changes.known:,} jobs of this output"
                f" directory{others}; the others' images would move to images/.history. Another manifest wants another"
                " --output"
            )

    def brief(self) -> Iterator[str]:
        """The plan in three lines, for a question before a run."""
        cost = self.cost
        yield f"{many(self.requests, 'request')}, ${cost.expected_usd:,.2f} expected (up to ${cost.max_usd:,.2f})"
        yield f"about {duration(self.duration_s[1])}; {self.advice}"
        yield f"price from: {', '.join(dict.fromkeys(group.source for group in self.groups)) or 'nothing to send'}"

    def _table(self) -> Iterator[str]:
        total = self.cost.expected_usd or 1.0
        for group in self.groups:
            kind = ", ".join(part for part in (group.quality, group.size) if part) or "one price"
            inputs = f"{group.inputs} input{'' if group.inputs == 1 else 's'}"
            source = group.source if not group.charges else f"{group.source}, {group.charges} charges"
            cost = f"${group.cost_usd:,.2f}"
            yield (
                f"  {group.requests:>7,} × ${group.unit_usd:.4f} = {cost:>11}"
                f" {group.cost_usd / total:>5.0%}  {group.endpoint}, {kind}, {inputs} ({source})"
            )


def _counted(differs: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in differs.items())


def _fit_json(fit: Fit | None) -> dict[str, Any] | None:
    return None if fit is None else {"limit": fit.limit, "fits": fit.fits, "requests": fit.requests}
