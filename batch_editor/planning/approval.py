"""Whether what a run would send is what was approved: a part of the plan's requests, none dearer, as it was planned."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batch_editor.config import Settings
from batch_editor.errors import UsageError
from batch_editor.ledger import PendingRequest, Staging, staging_readings
from batch_editor.planning.catalog import Catalog
from batch_editor.planning.costly import SHARD, costly_endpoints, costly_settings
from batch_editor.planning.plan_file import TO_APPROVE, PlanFile, PlannedRequest
from batch_editor.planning.saving import planned_requests
from batch_editor.records import Redo
from batch_editor.shard import Shard
from batch_editor.text import many, printable

# List prices are written with nine digits.
_SAME_USD = 1e-8
_MISSING = object()

# What a request is known by: its fingerprint, and the rejected image that it makes again, if it does.
RequestKey = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Approval:
    """A plan that somebody approved, for a run that sends nothing else.

    amount_usd: what all runs with it may spend together, retries included. requests: the plan's, each by its
    fingerprint and whether it is a redo's. said: who approved what, and how much less than that the run would send, for
    people.
    """

    path: Path
    plan_id: str
    approved_by: str
    amount_usd: float
    requests: frozenset[tuple[str, bool]]
    said: tuple[str, ...] = ()

    def covers(self, request: PendingRequest) -> bool:
        """Whether the plan has that request, or the redo of its image."""
        return (request.fingerprint, request.is_redo) in self.requests


def read_approved(path: Path) -> PlanFile:
    """The plan at `path`, which somebody has approved. Blocks.

    Raises:
        UsageError: there is none, nobody has, or it was changed since it was saved.
    """
    plan = PlanFile.read(path)
    if plan.approved_by is None:
        raise UsageError(
            f"{path}: nobody has approved this plan. To approve it: {TO_APPROVE}. Or save it with --approved-by NAME"
        )
    return plan


def expect_approved(
    path: Path,
    plan: PlanFile,
    staging: Staging,
    catalog: Catalog,
    settings: Settings,
    *,
    redo: Collection[Redo],
    shard: Shard | None = None,
    rehearsal: bool = False,
) -> Approval:
    """See that the staged requests, and the settings that cost, are what was approved. Blocks.

    A rehearsal goes to a stand-in, wherever the plan's requests go. `shard` is the one that the run does: the plan's,
    or any one of a plan of all jobs where the shards share `budget.ledger`, and by it the whole amount.

    Raises:
        UsageError: they aren't; with the first difference of each kind.
    """
    found = _Comparison(plan)
    names: set[str] = set()
    for request in planned_requests(staging, catalog):
        found.look_at(request)
        names.add(request.endpoint)
    endpoints = costly_endpoints(sorted(names & set(plan.endpoints)), catalog, settings)
    shares_amount = settings.budget.shared_over_machines
    differences = [
        *found.differences(),
        *_settings(plan.settings, costly_settings(settings, redo, shard), shares_amount=shares_amount),
        *_endpoints(plan.endpoints, endpoints, but={"sends_to"} if rehearsal else set()),
    ]
    if differences:
        raise UsageError(
            "\n".join(
                [
                    f"{path}: this run isn't what {plan.approved_by} approved (plan {plan.plan_id}):",
                    *(f"  {each}" for each in differences),
                    "nothing was sent; save a plan of this run with `plan --save`, and have that approved",
                ]
            )
        )
    assert plan.approved_by is not None, "see read_approved"
    limit = settings.budget.max_cost_usd
    if limit is not None and shard is not None and plan.settings[SHARD] is None:
        limit *= shard.count  # of which the settings have a shard's part
    amount_usd = plan.amount_usd if limit is None else min(plan.amount_usd, limit)
    approved = f"approved by {plan.approved_by}: plan {plan.plan_id}, up to ${amount_usd:,.2f} over all runs with it"
    return Approval(
        path,
        plan.plan_id,
        plan.approved_by,
        amount_usd,
        frozenset((fingerprint, redo_of is not None) for fingerprint, redo_of in found.approved),
        (approved, *found.less(staging_readings.fingerprints_done(staging))),
    )


@dataclass
class _Comparison:
    """The requests of a run beside those of a plan."""

    plan: PlanFile
    approved: dict[RequestKey, PlannedRequest] = field(init=False)
    _by_job: dict[str, PlannedRequest] = field(init=False)
    _places: dict[RequestKey, int] = field(init=False)
    _seen: set[RequestKey] = field(default_factory=set)
    _others: list[str] = field(default_factory=list)
    _dearer: list[str] = field(default_factory=list)
    _other_count: int = 0
    _dearer_count: int = 0
    _renamed: int = 0
    _moved: bool = False
    _last_place: int = -1

    def __post_init__(self) -> None:
        self.approved = {(each.fingerprint, each.redo_of): each for each in self.plan.requests}
        self._by_job = {job: each for each in self.plan.requests for job in each.jobs}
        self._places = {key: place for place, key in enumerate(self.approved)}

    def look_at(self, request: PlannedRequest) -> None:
        """Take in a request of the run."""
        key = request.fingerprint, request.redo_of
        known = self.approved.get(key)
        # A fingerprint doesn't tell how many pictures an identity stands for, nor what a redo sends.
        if known is None or _changes(known, request):
            self._other_count += 1
            self._others = self._others or [_why(request, known or self._by_job.get(request.jobs[0]))]
            return
        self._seen.add(key)
        self._renamed += not set(request.jobs) <= set(known.jobs)
        self._moved |= self._places[key] < self._last_place
        self._last_place = self._places[key]
        if request.list_usd > known.list_usd + _SAME_USD:
            self._dearer_count += 1
            first = f"job {printable(request.jobs[0])}: ${request.list_usd:,.4f}, ${known.list_usd:,.4f} in the plan"
            self._dearer = self._dearer or [first]

    def differences(self) -> Iterator[str]:
        """The first request that the plan doesn't have, and the first that is dearer."""
        for first in self._others:
            yield f"{many(self._other_count, 'request')} not in the plan, such as job {first}"
        for first in self._dearer:
            yield f"{many(self._dearer_count, 'request')} with a higher list price, such as {first}"

    def less(self, done: Iterator[str]) -> Iterator[str]:
        """What the run leaves out of the plan, and what is called or placed otherwise."""
        left_out = {fingerprint for fingerprint, _ in self.approved.keys() - self._seen}
        if left_out:
            are_done = len(left_out.intersection(done))
            counts = ((are_done, "done"), (len(left_out) - are_done, "not asked for"))
            said = ", ".join(f"{count:,} {word}" for count, word in counts if count)
            yield f"  less than the plan: {len(self._seen):,} of its {many(len(self.approved), 'request')}; {said}"
        if self._renamed:
            yield f"  under other job ids than in the plan: {many(self._renamed, 'request')}"
        if self._moved:
            yield "  in another order than in the plan"


def _why(request: PlannedRequest, known: PlannedRequest | None) -> str:
    """The first job of a request that isn't in the plan, and what the plan has for it."""
    job = printable(request.jobs[0])
    if known is None:
        return f"{job}, which the plan doesn't have"
    if changes := _changes(known, request):
        return f"{job}: {', '.join(changes)}"
    if request.redo_of is not None and known.redo_of != request.redo_of:
        return f"{job}: it makes another rejected image again than in the plan"
    if request.redo_of != known.redo_of:
        return f"{job}: the plan makes its rejected image again"
    return f"{job}: its request has another fingerprint than in the plan"


def _changes(known: PlannedRequest, now: PlannedRequest) -> list[str]:
    """In what a request differs from the plan's."""
    if now.endpoint != known.endpoint:
        return [_is("endpoint", now.endpoint, known.endpoint)]
    changes = []
    # What is behind links is known only once they were asked, and then only of what was done before.
    if now.contents not in (None, known.contents):
        changes.append("another picture behind its links than in the plan")
    if now.prompt != known.prompt:
        changes.append("another prompt than in the plan")
    if now.inputs != known.inputs:
        changes.append("other input pictures than in the plan")
    for name in dict.fromkeys((*now.parameters, *known.parameters)):
        value, planned = now.parameters.get(name), known.parameters.get(name)
        if value != planned:
            changes.append(_is(name, value, planned))
    return changes


def _settings(planned: Mapping[str, Any], now: Mapping[str, Any], *, shares_amount: bool) -> Iterator[str]:
    """Each setting that is another one; what isn't made again, though it was to be, is less."""
    for name in dict.fromkeys((*planned, *now)):
        value, former = now.get(name, _MISSING), planned.get(name, _MISSING)
        if name == "redo" and isinstance(value, list) and isinstance(former, list) and set(value) <= set(former):
            continue
        if name == SHARD and value != former:
            if former is not None or not shares_amount:
                hint = (
                    "each shard takes a plan of its own, or budget.ledger: postgresql://… and one plan without --shard"
                )
                yield f"{_is(name, value, former)}; {hint}"
        elif value != former:
            yield _is(name, value, former)


def _endpoints(planned: Mapping[str, Any], now: Mapping[str, Any], *, but: set[str]) -> Iterator[str]:
    """The first difference in each of what is noted of the endpoints."""
    for name, found in now.items():
        for part, value in found.items():
            if part not in but and (difference := _first(f"{name}: {part}", value, planned[name].get(part, _MISSING))):
                yield difference


def _first(place: str, now: Any, planned: Any) -> str | None:
    """The first difference of two JSON values, by its place; None where there is none."""
    if isinstance(now, list) and isinstance(planned, list) and len(now) == len(planned):
        now, planned = dict(enumerate(now, 1)), dict(enumerate(planned, 1))
    if not isinstance(now, dict) or not isinstance(planned, dict):
        return None if now == planned else _is(place, now, planned)
    for name in dict.fromkeys((*now, *planned)):
        value, former = now.get(name, _MISSING), planned.get(name, _MISSING)
        if difference := _first(f"{place}.{name}", value, former):
            return difference
    return None


def _is(place: str, now: Any, planned: Any) -> str:
    return f"{place} is {_shown(now)}, {_shown(planned)} in the plan"


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "not there"
    return printable(json.dumps(value, ensure_ascii=False), limit=200)
