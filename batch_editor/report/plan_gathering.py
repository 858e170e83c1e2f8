"""What the page about a plan says, for who decides about the money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from batch_editor.endpoints import Endpoint
from batch_editor.ledger import example_readings
from batch_editor.ledger.example_readings import ExampleRequest, LeftOut
from batch_editor.ledger.staging_readings import PriceGroup
from batch_editor.money import Limits, limits_left
from batch_editor.planning import Planned, SavedPlan
from batch_editor.planning.moving import retiring_line
from batch_editor.planning.plan import Plan
from batch_editor.records import LOCAL, ParamValue
from batch_editor.report.plan_inputs import FoundInputs, ShownInput, file_of, find_inputs, name_of
from batch_editor.report.plan_risks import age_days, attempts_billed, prices_of, risks, worst_usd
from batch_editor.text import many

# With their pictures they come to less than a megabyte.
MOST_EXAMPLES = 36
MOST_INPUTS = 60
MOST_LEFT_OUT = 100
MOST_GROUPS = 100
_EXAMPLES_EACH = 3
_SHOWN_OF_EXAMPLE = 4


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type, each as a shell takes it: in which folder, to save the plan, to approve it, and to run it then.

    save, approve: None where that has been done. variables: names of settings in the environment, that a run needs too.
    """

    folder: str
    variables: Sequence[str]
    save: str | None
    approve: str | None
    run: str


class PriceList(NamedTuple):
    """Where the prices of an endpoint are from."""

    endpoint: str
    title: str
    as_of: str
    age_days: int | None
    source: str
    factor: float
    adds: str
    learnt: int
    requests: int


@dataclass(frozen=True, slots=True)
class MoreGroups:
    """Groups that there is no room for, taken together."""

    kinds: int
    requests: int
    low_usd: float
    cost_usd: float
    high_usd: float


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure of the plan, in a row with what it is and what there is to say of it."""

    name: str
    count: int
    remark: str


@dataclass(frozen=True, slots=True)
class Example:
    """A request as an example.

    shown: its input pictures that are on this machine. names: what others are called. more_inputs: how many there are
    besides.
    """

    request: ExampleRequest
    prompt: str
    settings: str
    shown: Sequence[ShownInput]
    names: Sequence[str]
    more_inputs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredPlan:
    """All that the page says.

    jobs, left_out: what is new, what is kept, and what is sent for none. kept: jobs that keep their picture. groups:
    the most expensive ones. billed: attempts of one request that may be billed; worst_usd: what that comes to.
    """

    plan: Plan
    kept: int
    groups: Sequence[PriceGroup]
    more_groups: MoreGroups | None
    manifests: Sequence[str]
    output: str
    shard: str
    saved: SavedPlan | None
    commands: Commands
    jobs: Sequence[Fact]
    skipped: Sequence[Fact]
    left_out: Sequence[LeftOut]
    price_lists: Sequence[PriceList]
    risks: Sequence[str]
    billed: int
    worst_usd: float
    limits: Limits | None
    settings: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    templates: int
    examples: Sequence[Example]
    inputs: FoundInputs


def gather_plan(planned: Planned, commands: Commands, saved: SavedPlan | None, *, now: float) -> GatheredPlan:
    """What the page says of a plan, while its jobs are staged. Blocks; sends and changes nothing.

    Raises:
        LedgerError: what the day and the month have spent can't be read.
    """
    plan, staging = planned.plan, planned.staging
    limits = limits_left(planned.settings, now=now)
    templates = example_readings.templates_count(staging)
    standing = example_readings.jobs_by_standing(staging)
    kept = plan.done - standing.get(("failed", True), 0) - standing.get(("unknown", True), 0)
    wanted = min(MOST_EXAMPLES, max(_EXAMPLES_EACH * templates, 2 * _EXAMPLES_EACH))
    return GatheredPlan(
        plan=plan,
        kept=kept,
        groups=plan.groups[:MOST_GROUPS],
        more_groups=_together(plan.groups[MOST_GROUPS:]),
        manifests=[str(each) for each in planned.manifests],
        output=str(planned.output),
        shard="" if planned.selection.shard is None else planned.selection.shard.said,
        saved=saved,
        commands=commands,
        jobs=list(_facts(plan, kept, standing)),
        skipped=[Fact(reason, count, "") for reason, count in plan.skipped.items()],
        left_out=example_readings.left_out(staging, limit=MOST_LEFT_OUT),
        price_lists=_price_lists(planned),
        risks=list(
            risks(
                planned,
                amount_usd=None if saved is None else saved.amount_usd,
                left_usd=None if limits is None else limits.left_usd,
            )
        ),
        billed=attempts_billed(planned),
        worst_usd=worst_usd(planned),
        limits=limits,
        settings=list(_settings(planned)),
        warnings=_warnings(planned),
        templates=templates,
        examples=[
            _example(each, planned) for each in example_readings.example_requests(staging, staging.spread(wanted))
        ],
        inputs=find_inputs(planned, most=MOST_INPUTS),
    )


def _together(groups: Sequence[PriceGroup]) -> MoreGroups | None:
    if not groups:
        return None
    return MoreGroups(
        len(groups),
        sum(each.requests for each in groups),
        sum(each.low_usd for each in groups),
        sum(each.cost_usd for each in groups),
        sum(each.high_usd for each in groups),
    )


def _facts(plan: Plan, kept: int, standing: Mapping[tuple[str, bool], int]) -> Iterator[Fact]:
    """What becomes of the jobs; what there is none of is left out, but for the first ones."""
    changes, jobs = plan.changes, plan.job_changes
    taken = sum(plan.taken.values())
    yield Fact("Jobs of the manifest", plan.jobs, "")
    yield Fact("Requests to send", plan.requests, "each is paid for once")
    yield Fact("New", jobs.new, "not in the output directory before")
    rest = [
        Fact("Changed", jobs.changed, "ask for something else than before"),
        Fact("Changed in their links alone", jobs.links_alone, "maybe the same pictures under other links"),
        Fact("Unchanged", jobs.unchanged, ""),
        Fact("Keep their picture", kept, "done, for nothing"),
        Fact("Share another job's picture", plan.reused - taken, "the same request, sent once"),
        *(Fact(f"Taken from {name}", count, "pictures of the same requests") for name, count in plan.taken.items()),
        *(
            Fact(f"Keep the picture that {endpoint} made", count, "another endpoint by now; --redo endpoint buys anew")
            for endpoint, count in changes.kept.jobs.items()
        ),
        Fact("Made, and paid for, again: done jobs that changed", changes.remade, _differs(changes.differs)),
        Fact("Made, and paid for, again: as asked for", changes.forced, "--redo all"),
        Fact("Made, and paid for, again: rejected", plan.redos.sent if plan.redos else 0, "--redo rejected"),
        Fact("Would be made again: pruned", changes.pruned, "their picture was removed as old"),
        Fact("Not finished before", standing.get(("unchanged", False), 0), "sent now"),
        Fact("Refused for good before, sent again", standing.get(("failed", False), 0), "--redo failed"),
        Fact("Refused for good before", standing.get(("failed", True), 0), "not sent, unless --redo failed"),
        Fact("Maybe billed in vain before, sent again", standing.get(("unknown", False), 0), "--redo unknown"),
        Fact("Maybe billed in vain before", standing.get(("unknown", True), 0), "not sent, unless --redo unknown"),
        Fact("Gone from the manifest", changes.gone, "their pictures move to images/.history"),
        Fact("Rows with faults, left out", plan.faulty, "fail unsent"),
        Fact("Rows skipped on purpose", sum(plan.skipped.values()), ""),
        Fact("Inputs that were looked at and are faulty", len(plan.inputs.faulty) if plan.inputs else 0, ""),
        Fact("Local files to upload", plan.uploads, "once each, for nothing"),
    ]
    yield from (fact for fact in rest if fact.count)


def _warnings(planned: Planned) -> list[str]:
    """The plan's warnings but those that stand among what could make it dearer."""
    retiring = {retiring_line(each, planned.catalog.today) for each in planned.catalog.sendable.values()}
    return [each for each in planned.plan.warnings if each not in retiring]


def _differs(differs: Mapping[str, int]) -> str:
    return "differ in " + ", ".join(f"{name} ({count:,})" for name, count in differs.items())


def _price_lists(planned: Planned) -> list[PriceList]:
    groups = planned.plan.groups
    return [
        PriceList(
            name,
            planned.catalog.sendable[name].title,
            "" if prices.as_of is None else prices.as_of.isoformat(),
            age_days(prices, planned.catalog.today),
            prices.source or "its endpoint file",
            prices.factor,
            _adds(prices.maker, prices.margin),
            sum(each.requests for each in groups if each.endpoint == name and each.charges),
            sum(each.requests for each in groups if each.endpoint == name),
        )
        for name, prices in prices_of(planned).items()
    ]


def _adds(maker: str | None, margin: float | None) -> str:
    """What the provider adds to the price of who made the model.

    >>> _adds("OpenAI", 0.25), _adds("OpenAI", 0.0), _adds(None, None)
    ('25% on top of OpenAI', 'nothing on top of OpenAI', 'not known')
    """
    if maker is None or margin is None:
        return "not known"
    if abs(margin) < 0.0005:
        return f"nothing on top of {maker}"
    return f"{margin:.0%} on top of {maker}" if margin > 0 else f"{-margin:.0%} below {maker}"


def _settings(planned: Planned) -> Iterator[tuple[str, str]]:
    """The settings that decide what is paid for."""
    settings = planned.settings
    yield "retry.max_attempts", str(settings.retry.max_attempts)
    yield "retry.max_possibly_billed", str(settings.retry.max_possibly_billed)
    yield "retry.bad_response", str(settings.retry.bad_response).lower()
    yield "checks", str(settings.checks)
    yield "api.version", settings.api.version
    if settings.pricing.factor is not None:
        yield "pricing.factor", f"{settings.pricing.factor:g}"
    if settings.pricing.table is not None:
        yield "pricing.table", "of the config"
    if planned.redo:
        yield "--redo", ", ".join(sorted(planned.redo))
    if settings.redo.endpoint:
        yield "redo.endpoint", "true"


def _example(request: ExampleRequest, planned: Planned) -> Example:
    endpoint = planned.catalog.sendable[request.endpoint]
    outputs = [planned.output, *planned.sources]
    links = _links(request.params.get(endpoint.images or ""))
    files = [(link, file_of(link, request.files, outputs)) for link in links[:_SHOWN_OF_EXAMPLE]]
    prompt = request.params.get(endpoint.prompt or "")
    return Example(
        request,
        prompt if isinstance(prompt, str) else "",
        ", ".join(_chosen(endpoint, request)),
        [ShownInput(link, name_of(link, file), file) for link, file in files if file is not None],
        [name_of(link, file) for link, file in files if file is None],
        max(len(links) - _SHOWN_OF_EXAMPLE, 0),
    )


def _chosen(endpoint: Endpoint, request: ExampleRequest) -> Iterator[str]:
    """The parameters that the price goes by, and those that aren't at their default."""
    edit = {endpoint.prompt, endpoint.images}
    for name, value in request.params.items():
        parameter = endpoint.parameters.get(name)
        if name in edit or parameter is None or value in (None, [], ""):
            continue
        if name in endpoint.prices.by or value != parameter.default_value:
            yield f"{name} {_said(value)}"


def _said(value: ParamValue) -> str:
    if isinstance(value, str) and value.startswith(LOCAL):
        return "a local file"
    return many(len(value), "link") if isinstance(value, list) else str(value)


def _links(value: ParamValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []
