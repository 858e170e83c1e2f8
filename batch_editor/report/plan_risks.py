"""What could make a run dearer than its plan expects, in sentences for who decides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from batch_editor.endpoints import WARN_DAYS, Prices
from batch_editor.ledger.staging_readings import PriceGroup
from batch_editor.planning import Planned
from batch_editor.planning.plan import Plan
from batch_editor.text import many

# The price lists of these models have changed once or twice a year; a list of last quarter may be another one by now.
OLD_PRICES_DAYS = 90
# A learnt price that is nearer to the list's than this isn't worth a sentence.
_ALIKE = 0.01


def worst_usd(planned: Planned) -> float:
    """What all requests come to at most, where nothing ends the run: each billed as often as its retries may be."""
    return attempts_billed(planned) * planned.plan.cost.max_usd


def attempts_billed(planned: Planned) -> int:
    """How many attempts of one request may be billed, by the settings of retries."""
    retry = planned.settings.retry
    return min(retry.max_attempts, retry.max_possibly_billed)


def risks(planned: Planned, *, amount_usd: float | None, left_usd: float | None) -> Iterator[str]:
    """The sentences, the weightier ones first.

    amount_usd: what a saved plan lets its runs spend. left_usd: what is left of the day and the month, if that is
    limited.
    """
    plan = planned.plan
    if not plan.requests:
        return
    yield from _billed_again(planned, amount_usd)
    yield from _asked(plan)
    yield from _spread(plan)
    yield from _learnt(plan)
    yield from _lists(planned)
    yield from _retiring(planned)
    if left_usd is not None and left_usd < plan.cost.max_usd:
        yield (
            f"Of the limits of the day and the month ${left_usd:,.2f} is left, less than the ${plan.cost.max_usd:,.2f}"
            " that this may cost: the run may stop there, and another day finishes it."
        )
    if plan.faulty:
        yield f"{many(plan.faulty, 'row')} with faults are left out: once they are mended, they cost extra."


def _billed_again(planned: Planned, amount_usd: float | None) -> Iterator[str]:
    retry = planned.settings.retry
    most, limit = attempts_billed(planned), planned.settings.budget.max_cost_usd
    if amount_usd is not None:
        end = f"The approved ${amount_usd:,.2f} ends it before that: retries count against it."
    elif limit is not None:
        end = f"--max-cost ${limit:,.2f} ends it before that: retries count against it."
    else:
        end = "Nothing ends it before that: --max-cost, or an approved plan, would."
    if most > 1:
        yield (
            "Attempts that fail may be billed all the same (errors of the server, no answer in time). Up to"
            f" {most} attempts of one request may be billed (retry.max_possibly_billed), so with every request failing"
            f" that way it is ${worst_usd(planned):,.2f}. {end}"
        )
    elif amount_usd is None and limit is None:
        yield f"The plan has no limit. {end}"
    if retry.bad_response:
        yield "Answers that are no usable picture are billed, and asked for again (retry.bad_response)."


def _asked(plan: Plan) -> Iterator[str]:
    """What is made, and paid for, again."""
    redone = plan.redos.sent if plan.redos else 0
    if redone:
        yield f"{many(redone, 'rejected picture is', 'rejected pictures are')} made, and paid for, again."
    if plan.changes.pruned:
        yield (
            f"{many(plan.changes.pruned, 'request')} had a picture that was pruned since, and would be paid for again."
        )
    for question in plan.to_confirm():
        yield f"A run asks before it sends: {question}."


def _spread(plan: Plan) -> Iterator[str]:
    for (one, several), why, groups in (
        (
            ("request leaves", "requests leave"),
            "quality or size to the model (auto). If it takes the most expensive each time",
            [each for each in plan.groups if _is_open(each)],
        ),
        (
            ("request has", "requests have"),
            "inputs and prompts that may be charged besides. At their most, or at the highest charge so far",
            [each for each in plan.groups if not _is_open(each)],
        ),
    ):
        more_usd = sum(each.high_usd - each.cost_usd for each in groups)
        if round(more_usd, 2) > 0:
            count = sum(each.requests for each in groups if each.high_usd > each.cost_usd)
            yield f"{many(count, one, several)} {why}, it is ${more_usd:,.2f} more than expected."


def _is_open(group: PriceGroup) -> bool:
    return "auto" in (group.quality, group.size)


def _learnt(plan: Plan) -> Iterator[str]:
    listed = [each for each in plan.groups if not each.charges]
    if listed:
        count = sum(each.requests for each in listed)
        yield (
            f"For {many(count, 'request')} nothing of their kind has been charged yet: the price list alone says what"
            " they cost. --canary 3 sends three first, and compares."
        )
    more = [each for each in plan.groups if each.charges and each.unit_usd > each.list_usd * (1 + _ALIKE)]
    if more:
        count = sum(each.requests for each in more)
        usd = sum(each.requests * (each.unit_usd - each.list_usd) for each in more)
        yield (
            f"The provider has charged more than the price list for {many(count, 'request')}: expected has ${usd:,.2f}"
            " for that."
        )


def _lists(planned: Planned) -> Iterator[str]:
    for name, prices in prices_of(planned).items():
        old = age_days(prices, planned.catalog.today)
        if old is not None and old > OLD_PRICES_DAYS:
            yield f"The price list of {name} is from {prices.as_of}, {old:,} days ago: it may have changed."


def _retiring(planned: Planned) -> Iterator[str]:
    used = {group.endpoint for group in planned.plan.groups}
    for each in planned.plan.retires:
        if each.endpoint in used and each.days_left is not None and each.days_left <= WARN_DAYS:
            when = f"in {many(each.days_left, 'day')}" if each.days_left > 0 else "and is served no longer"
            successor = f"; its successor {each.successor} has prices of its own" if each.successor else ""
            yield f"{each.endpoint} retires on {each.retires}, {when}: what isn't sent by then is refused{successor}."


def prices_of(planned: Planned) -> dict[str, Prices]:
    """The price lists that the requests to send are priced by, by endpoint."""
    names = dict.fromkeys(group.endpoint for group in planned.plan.groups)
    return {name: planned.catalog.prices(planned.catalog.sendable[name]) for name in names}


def age_days(prices: Prices, today: date) -> int | None:
    """How many days ago a price list was looked up; None where that isn't known."""
    return None if prices.as_of is None else max((today - prices.as_of).days, 0)
