"""What was really charged corrects the next plan."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from batch_editor.ledger.experience import NEWEST
from batch_editor.money.pricing import ENOUGH, Charged, Charges, Kind, Price
from tests.support.bench import LOW_USD, MEDIUM_USD, Bench, jobs, priced, sandbox, with_options

NAME = "gpt-image-1.5-edit"
BY_LIST = Price(min_usd=1.0, expected_usd=2.0, max_usd=4.0)


# The provider charges other prices than the list says: twice as much, and 1.7 times as much for medium.
DEARER = priced(
    1.2,
    {
        "low": {"1024x1024": 0.018, "1024x1536": 0.026, "1536x1024": 0.026},
        "medium": {"1024x1024": 0.0578, "1024x1536": 0.085, "1536x1024": 0.085},
        "high": {"1024x1024": 0.266, "1024x1536": 0.400, "1536x1024": 0.398},
    },
)


@pytest.mark.slow
async def test_after_a_run_the_next_plan_expects_what_is_charged(bench: Bench) -> None:
    mixed = [*jobs(6, name="l"), *jobs(4, name="m", quality="medium")]
    more = [*jobs(20, name="l2"), *jobs(10, name="m2", quality="medium")]
    async with sandbox(endpoint=DEARER) as provider:
        naive = bench.plan(mixed)
        await bench.run(mixed, provider)
        assert naive.cost.min_usd <= provider.books.billed_usd <= naive.cost.max_usd
        plan = bench.plan(more)
        before_usd = provider.books.billed_usd
        await bench.run(more, provider)
    assert plan.cost.expected_usd == pytest.approx(provider.books.billed_usd - before_usd, rel=0.05)
    assert [(group.source, group.charges) for group in plan.groups] == [
        ("charged for the same", 4),
        ("charged for the same", 6),
    ]
    assert any(line.endswith("(charged for the same, 6 charges)") for line in plan.lines())


@pytest.mark.slow
async def test_what_the_model_chooses_is_expected_as_it_was_charged_on_average(bench: Bench) -> None:
    free = {"quality": "auto", "size": "auto"}
    async with sandbox() as provider:
        await bench.run(jobs(60, name="a", **free), provider)
        before_usd = provider.books.billed_usd
        plan = bench.plan(jobs(60, name="b", **free))
        await bench.run(jobs(60, name="b", **free), provider)
    billed_usd = provider.books.billed_usd - before_usd
    assert plan.cost.min_usd <= billed_usd <= plan.cost.max_usd
    # Sixty draws of three prices vary by a tenth of their mean; the list would have expected three times as much.
    assert plan.cost.expected_usd == pytest.approx(billed_usd, rel=0.25)
    assert bench.plan(jobs(60, name="b", **free), out=bench.folder / "none").cost.expected_usd > 2 * billed_usd


@pytest.mark.slow
async def test_charges_of_other_directories_count_when_they_are_named(bench: Bench) -> None:
    async with sandbox(endpoint=DEARER) as provider:
        await bench.run(jobs(5), provider, out=bench.folder / "before")
    by_list = bench.plan(jobs(10, name="new"))
    by_history = bench.plan(jobs(10, name="new"), history=[bench.folder / "before"])
    assert by_list.cost.expected_usd == pytest.approx(10 * LOW_USD)
    assert by_history.cost.expected_usd == pytest.approx(20 * LOW_USD)
    assert by_history.groups[0].charges == 5
    finished = await bench.command("plan", bench.write(jobs(10, name="new")), "--history", "before", "--json", key=None)
    assert finished.json["cost_usd"]["expected"] == pytest.approx(20 * LOW_USD)
    refused = await bench.command("plan", "jobs.yaml", "--history", "nowhere", key=None)
    assert (refused.code, refused.err) == (
        2,
        "error: nowhere: no ledger here; expected the output directory of a run\n",
    )


async def test_a_list_that_was_corrected_since_is_not_corrected_once_more(bench: Bench) -> None:
    async with sandbox(endpoint=priced(2.4)) as provider:
        await bench.run(jobs(5), provider)
    # Nothing was charged for medium yet: the charges for low say by how much the list is wrong.
    wanted = jobs(10, name="m", quality="medium")
    wrong, right = bench.plan(wanted), bench.plan(wanted, pricing__factor=2.4)
    assert wrong.cost.expected_usd == right.cost.expected_usd == pytest.approx(10 * 2 * MEDIUM_USD)
    assert wrong.groups[0].source == "price list × 2.00, as charged for others"
    assert right.groups[0].source == "price list × 1.00, as charged for others"


@pytest.mark.slow
async def test_so_many_newer_charges_take_the_place_of_the_old_ones(bench: Bench) -> None:
    async with sandbox(endpoint=DEARER) as provider:
        await bench.run([*jobs(4, name="m", quality="medium"), *jobs(5)], provider)
    wanted = [*jobs(10, name="l2"), *jobs(10, name="m2", quality="medium")]
    assert [group.charges for group in bench.plan(wanted).groups] == [4, 5]
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db, db:
        db.execute(
            "WITH RECURSIVE numbers AS (SELECT 2 AS number UNION ALL SELECT number + 1 FROM numbers LIMIT ?)"
            " INSERT INTO attempts (fingerprint, run_id, number, state, sent_at, latency_s, charged_usd, cost_usd)"
            " SELECT fingerprint, run_id, n.number, 'succeeded', a.sent_at, a.latency_s, 0.01, 0.01 FROM attempts a"
            " JOIN requests USING (fingerprint) CROSS JOIN numbers n WHERE requests.job_id = 'job-0' ORDER BY n.number",
            (NEWEST,),
        )
    medium, low = bench.plan(wanted).groups
    assert low.charges == NEWEST
    assert low.unit_usd == pytest.approx(0.01)
    assert medium.source.endswith("as charged for others")


async def test_a_rehearsal_teaches_nothing(bench: Bench) -> None:
    async with sandbox(endpoint=DEARER) as provider:
        await bench.run(jobs(5), provider, options=with_options(sandbox=True))
    plan = bench.plan(jobs(5), history=[bench.out])
    assert plan.cost.expected_usd == pytest.approx(5 * LOW_USD)
    assert (plan.groups[0].source, plan.groups[0].charges) == ("price list", 0)
    assert "published average of 56.95 s" in plan.made_of


def kind(*, quality: str = "low", inputs: int = 1, endpoint: str = NAME) -> Kind:
    return Kind(endpoint, (quality, "1024x1024"), inputs)


def charged(count: int, each_usd: float, *, list_usd: float = 2.0) -> Charged:
    return Charged(count, count * each_usd, count * list_usd, each_usd, each_usd)


def test_without_charges_the_list_is_quoted() -> None:
    quote = Charges().quote(kind(), BY_LIST)
    assert (quote.price, quote.source, quote.charges) == (BY_LIST, "price list", 0)


def test_enough_charges_for_the_same_are_quoted_before_all_others() -> None:
    charges = Charges()
    charges.add(kind(), charged(ENOUGH, 3.0))
    charges.add(kind(inputs=2), charged(100, 9.0))
    quote = charges.quote(kind(), BY_LIST)
    assert (quote.price, quote.source, quote.charges) == (Price(3.0, 3.0, 4.0), "charged for the same", ENOUGH)


def test_too_few_charges_for_the_same_fall_back_to_those_with_other_inputs() -> None:
    charges = Charges()
    charges.add(kind(), charged(ENOUGH - 1, 3.0))
    charges.add(kind(inputs=2), charged(4, 6.0))
    quote = charges.quote(kind(), BY_LIST)
    assert (quote.source, quote.charges) == ("charged for the same with other inputs", ENOUGH + 3)
    assert (quote.price.min_usd, quote.price.max_usd) == (3.0, 6.0)
    assert quote.price.expected_usd == pytest.approx((2 * 3.0 + 4 * 6.0) / 6)


def test_then_the_charges_of_the_endpoint_are_a_factor_on_the_list() -> None:
    charges = Charges()
    charges.add(kind(quality="high"), charged(10, 3.0))
    quote = charges.quote(kind(), BY_LIST)
    assert quote.price == Price(1.0, 3.0, 6.0)
    assert (quote.source, quote.charges) == ("price list × 1.50, as charged for others", 10)


def test_charges_below_the_list_lower_what_is_expected_but_never_the_max_price() -> None:
    charges = Charges()
    charges.add(kind(quality="high"), charged(10, 1.0))
    assert charges.quote(kind(), BY_LIST).price == Price(0.5, 1.0, 4.0)


def test_charges_of_another_endpoint_say_nothing() -> None:
    charges = Charges()
    charges.add(kind(endpoint="nano-banana"), charged(100, 9.0))
    assert charges.quote(kind(), BY_LIST).source == "price list"


def test_free_requests_beside_a_list_of_zero_are_no_factor() -> None:
    charges = Charges()
    charges.add(kind(quality="high"), charged(10, 0.0, list_usd=0.0))
    assert charges.quote(kind(), BY_LIST).source == "price list"
