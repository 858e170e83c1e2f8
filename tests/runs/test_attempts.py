"""The order of an attempt's steps, which holds the money: what is durable before what, and what isn't done at all."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

import pytest

from batch_editor.money import SpendingFile
from batch_editor.output import Acceptance, Verdict
from batch_editor.records import LOCAL, Failure, ParamValue, SavedImage
from batch_editor.runs.listener import AttemptListener, Listeners
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import GiveUp, Requeue, Retry, Tally
from tests.support.attempts_desk import PARAMS, PRICE_USD, Desk, Heard, desk
from tests.support.bench import Bench
from tests.support.sandbox_client import png
from tests.support.scripted_client import Priced, ScriptedClient, ServerFault, Submitted

IMAGE = png((1024, 1024))
OTHER_SIZE = png((60, 40))
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


async def until(what: Any) -> None:
    """Wait until that holds; what a thread is doing has no event."""
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


# Before the request leaves ------------------------------------------------------------------------------------------


async def test_the_intent_is_durable_before_the_bytes_go_out(bench: Bench) -> None:
    client = ScriptedClient(IMAGE)
    async with desk(bench, client) as at:
        client.on_send = at.states
        await at.work()
    assert client.saw == [["sent"]]


async def test_the_intent_holds_the_max_price_until_the_provider_says_what_it_charged(bench: Bench) -> None:
    client = ScriptedClient(Priced(IMAGE, 0.1))
    async with desk(bench, client) as at:

        async def charged() -> list[float]:
            return at.charged_usd()

        client.on_send = charged
        await at.work()
        assert client.saw == [[PRICE_USD]]
        assert at.charged_usd() == [0.1]
        assert at.budget.spent_usd == pytest.approx(0.1)
        assert at.budget.reserved_usd == 0.0


async def test_money_is_set_aside_before_a_permit_is_asked_for(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(), limiter_runs=False) as at:
        waiting = asyncio.create_task(at.work())
        await asyncio.sleep(0.05)  # for a permit, which nobody gives
        assert (at.budget.reserved_usd, await at.states()) == (PRICE_USD, [])
        at.limiter.close()
        assert await waiting is None
        assert (at.budget.reserved_usd, at.budget.spent_usd) == (0.0, 0.0)


async def test_a_spent_budget_asks_for_no_permit_and_sends_nothing(bench: Bench) -> None:
    client = ScriptedClient()
    async with desk(bench, client, limiter_runs=False, budget__max_cost_usd=0.2) as at:
        assert await at.work() is None
        assert (client.sent, at.reservations.turned_away, await at.states()) == ([], 1, [])
        assert at.heard.events == ["ended"]


async def test_a_budget_for_one_request_sends_one(bench: Bench) -> None:
    client = ScriptedClient(IMAGE)
    async with desk(bench, client, requests=("mug", "cup"), budget__max_cost_usd=1.5 * PRICE_USD) as at:
        await at.work("mug")
        assert await at.work("cup") is None
        assert (len(client.sent), at.request_state("mug"), at.request_state("cup")) == (1, "succeeded", "pending")


async def test_a_file_that_changed_fails_its_jobs_before_any_money_is_set_aside(bench: Bench) -> None:
    (bench.folder / "mug.png").write_bytes(b"another picture")
    params = {**PARAMS, "image_urls": [f"{LOCAL}planned"]}
    files = {"planned": (str(bench.folder / "mug.png"), "png")}
    client = ScriptedClient()
    async with desk(bench, client, params=params, files=files, budget__max_cost_usd=0.01) as at:
        assert await at.work() is None
        assert (client.sent, at.reservations.turned_away) == ([], 0)
        assert (at.request_state(), at.heard.events) == ("failed", ["failed", "ended"])


async def test_a_refused_upload_counts_an_attempt_and_sends_nothing(bench: Bench) -> None:
    (bench.folder / "mug.png").write_bytes(b"")
    params = {**PARAMS, "image_urls": [f"{LOCAL}{EMPTY_SHA256}"]}
    files = {EMPTY_SHA256: (str(bench.folder / "mug.png"), "png")}
    client = ScriptedClient()
    client.refuses_uploads = Failure("server_error", "upload: HTTP 503", transient=True, http_status=503)
    async with desk(bench, client, params=params, files=files) as at:
        again = await at.work()
        assert again is not None
        assert (again.item.tally.attempts, client.sent, await at.states()) == (1, [], [])
        assert at.heard.events == ["upload_refused", "failed", "ended"]


async def test_nothing_leaves_that_would_not_be_back_before_the_deadline(bench: Bench) -> None:
    client = ScriptedClient()
    async with desk(bench, client, deadline="1s") as at:
        await asyncio.sleep(1.1)
        assert await at.work() is None
        assert (client.sent, await at.states()) == ([], [])
        assert at.monitor.stop is not None
        assert at.monitor.stop.kind == "deadline"


async def test_a_pause_that_began_meanwhile_withdraws_the_intent(bench: Bench) -> None:
    """It would look sent after a crash, for as long as the provider asks to wait."""
    client = ScriptedClient()
    async with desk(bench, client) as at:
        other = await at.limiter.permit()
        async with at.ledger_held_up():
            waiting = asyncio.create_task(at.work())
            await asyncio.sleep(0.05)  # its intent waits for the ledger
            at.limiter.failed(other, "cup", Failure("rate_limited", "429", scope="rate", retry_after_s=5))
        assert await waiting == Requeue(at.tasks["mug"], 0.0)
        assert (client.sent, await at.states(), at.budget.spent_usd) == ([], [], 0.0)
        assert at.heard.events == ["ended"]


async def test_a_run_that_stops_meanwhile_withdraws_the_intent(bench: Bench) -> None:
    client = ScriptedClient()
    async with desk(bench, client) as at:
        async with at.ledger_held_up():
            waiting = asyncio.create_task(at.work())
            await asyncio.sleep(0.05)
            at.limiter.close()
        assert await waiting is None
        assert (client.sent, await at.states(), at.budget.spent_usd) == ([], [], 0.0)


# The shared budget ---------------------------------------------------------------------------------------------------


def of_spending(bench: Bench) -> list[tuple[str, float, int]]:
    with closing(sqlite3.connect(bench.folder / "spending")) as db:
        return db.execute("SELECT attempt, usd, open FROM spending").fetchall()


async def test_the_day_s_budget_has_an_attempt_before_the_ledger_has_it(bench: Bench) -> None:
    """A crash in between leaves a reservation without an attempt, and never an attempt without a reservation."""
    client = ScriptedClient()
    with closing(SpendingFile(bench.folder / "spending", "here", per_day_usd=1.0, per_month_usd=None)) as spending:
        async with desk(bench, client, spending=spending) as at:
            at.refuse("sent")
            assert await at.work() is None
            assert (client.sent, await at.states(), at.budget.spent_usd) == ([], [], 0.0)
        assert of_spending(bench) == [("run-1:mug:1", PRICE_USD, 1)]


async def test_the_day_is_charged_what_the_attempt_cost(bench: Bench) -> None:
    with closing(SpendingFile(bench.folder / "spending", "here", per_day_usd=1.0, per_month_usd=None)) as spending:
        async with desk(bench, ScriptedClient(Priced(IMAGE, 0.1)), spending=spending) as at:
            await at.work()
        assert of_spending(bench) == [("run-1:mug:1", 0.1, 0)]


async def test_an_attempt_that_the_day_has_no_room_for_is_in_no_ledger(bench: Bench) -> None:
    client = ScriptedClient(IMAGE)
    with closing(SpendingFile(bench.folder / "spending", "here", per_day_usd=0.3, per_month_usd=None)) as spending:
        async with desk(bench, client, requests=("mug", "cup"), spending=spending) as at:
            await at.work("mug")
            assert await at.work("cup") is None
            assert (len(client.sent), await at.states(), at.reservations.turned_away) == (1, ["succeeded"], 1)


# After the answer -----------------------------------------------------------------------------------------------------


class Watched(Acceptance):
    """Looks at the ledger before it judges."""

    at: Desk
    saw: list[list[str]]

    async def verdict(
        self, endpoint: str, params: Mapping[str, ParamValue], files: Mapping[str, tuple[str, str]], image: SavedImage
    ) -> Verdict:
        self.saw = [await self.at.states(), self.at.files("images/.landing"), self.at.files("images")]
        return await super().verdict(endpoint, params, files, image)


async def test_what_is_received_is_durable_before_it_is_checked_and_has_no_name_yet(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(IMAGE), acceptance=Watched) as at:
        watched = at.run.acceptance
        assert isinstance(watched, Watched)
        watched.at = at
        await at.work()
        assert watched.saw == [["received"], ["1.full"], []]
        assert (await at.states(), at.files("images/.landing"), at.files("images")) == (["succeeded"], [], ["mug.png"])


async def test_an_image_that_its_name_refuses_has_not_succeeded(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(IMAGE)) as at:
        (bench.images / "mug.png").mkdir()
        await at.work()
        assert (await at.states(), at.files("images/.landing")) == (["received"], ["1.full"])
        assert at.heard.events == ["started", "answered", "local_error", "local_error", "ended"]


async def test_an_image_has_its_name_before_the_ledger_says_succeeded_and_stays_staged_until_then(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(IMAGE)) as at:
        at.refuse("succeeded")
        await at.work()
        assert (await at.states(), at.files("images"), at.files("images/.landing")) == (
            ["received"],
            ["mug.png"],
            ["1.full"],
        )


async def test_the_day_is_charged_once_the_row_says_so(bench: Bench) -> None:
    """A crash in between leaves a reservation that is higher than the charge, which the next run takes back."""
    with closing(SpendingFile(bench.folder / "spending", "here", per_day_usd=1.0, per_month_usd=None)) as spending:
        async with desk(bench, ScriptedClient(Priced(IMAGE, 0.1)), spending=spending) as at:
            at.refuse("succeeded")
            await at.work()
        assert of_spending(bench) == [("run-1:mug:1", PRICE_USD, 1)]


async def test_an_image_that_the_check_rejects_is_kept_among_the_rejected_and_charged(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(OTHER_SIZE), checks="full") as at:
        assert await at.work() is None
        (kept,) = at.files("images/.rejected")
        assert kept.startswith("mug.attempt-1.")
        assert (await at.states(), at.request_state()) == (["unknown"], "unknown")
        assert (at.charged_usd(), at.budget.spent_usd) == ([PRICE_USD], PRICE_USD)
        assert (at.files("images/.landing"), at.heard.ends) == ([], [GiveUp("unknown")])


async def test_a_200_that_is_no_image_is_kept_among_the_rejected_and_charged(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(b"<html>Thanks!</html>")) as at:
        assert await at.work() is None
        (kept,) = at.files("images/.rejected")
        assert (bench.images / ".rejected" / kept).read_bytes() == b"<html>Thanks!</html>"
        assert (await at.states(), at.charged_usd(), at.budget.spent_usd) == (["unknown"], [PRICE_USD], PRICE_USD)


async def test_what_is_rejected_is_kept_before_its_row_says_failed_and_stays_staged_until_then(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(b"<html>Thanks!</html>")) as at:
        at.refuse("unknown")
        await at.work()
        assert (await at.states(), len(at.files("images/.rejected"))) == (["sent"], 1)
        assert at.files("images/.landing") == ["1.bad"]


# v2 -------------------------------------------------------------------------------------------------------------------


async def test_a_request_id_is_durable_before_the_first_poll(bench: Bench) -> None:
    client = ScriptedClient(Submitted("id-7", IMAGE))
    async with desk(bench, client) as at:

        async def submitted() -> list[tuple[Any, ...]]:
            return at.look("SELECT state, request_id FROM attempts")

        client.on_poll = submitted
        await at.work()
        assert (client.saw, await at.states()) == ([[("accepted", "id-7")]], ["succeeded"])


async def test_a_result_that_is_not_fetched_is_left_to_the_next_run_at_its_price(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(Submitted("id-7", None))) as at:
        assert await at.work() is None
        assert (await at.states(), at.request_state(), at.budget.spent_usd) == (["accepted"], "pending", PRICE_USD)
        assert at.heard.ends == [GiveUp("pending")]


async def test_a_submitted_result_is_fetched_without_budget_or_permit(bench: Bench) -> None:
    client = ScriptedClient(Submitted("id-7", None), Priced(IMAGE, 0.1))
    async with desk(bench, client, budget__max_cost_usd=PRICE_USD) as at:
        await at.work()
        at.limiter.close()
        (submitted,) = at.run.ledger.attempts.all_submitted(at.run.start.budget_id)
        assert await at.work(Task(submitted.request, Tally(), submitted)) is None
        assert (client.fetched, len(client.sent), await at.states()) == (["id-7"], 1, ["succeeded"])
        assert at.budget.spent_usd == pytest.approx(0.1)
        assert at.budget.reserved_usd == 0.0
        assert at.heard.events[-4:] == ["started", "answered", "succeeded", "ended"]


# Failures -------------------------------------------------------------------------------------------------------------


async def test_a_502_may_have_been_billed_and_comes_again_after_a_pause(bench: Bench) -> None:
    client = ScriptedClient(ServerFault("502"), IMAGE)
    async with desk(bench, client, retry__backoff_s=0.05) as at:
        again = await at.work()
        assert again is not None
        assert 0 < again.delay_s <= 0.05
        assert again.item.tally == Tally(attempts=1, possibly_billed=1)
        assert (await at.states(), at.request_state(), at.budget.spent_usd) == (["unknown"], "pending", PRICE_USD)
        assert await at.work(again.item) is None
        assert (await at.states(), at.charged_usd()) == (["unknown", "succeeded"], [PRICE_USD, PRICE_USD])


async def test_a_429_uses_no_attempt_costs_nothing_and_pauses_the_others(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(ServerFault("429", after_s=5))) as at:
        again = await at.work()
        assert again == Requeue(Task(at.tasks["mug"].request, Tally(refusals=1)), 0.0)
        assert (await at.states(), at.charged_usd(), at.budget.spent_usd) == (["failed"], [0.0], 0.0)
        assert at.limiter.pause_left_s() > 4


async def test_a_refusal_of_the_account_stops_the_run_before_the_ledger_has_it(bench: Bench) -> None:
    client = ScriptedClient(ServerFault("401"))
    async with desk(bench, client) as at:
        arrived = asyncio.Event()
        go = asyncio.Event()

        async def wait() -> None:
            arrived.set()
            await go.wait()

        client.on_send = wait
        working = asyncio.create_task(at.work())
        await arrived.wait()
        async with at.ledger_held_up():
            go.set()
            await until(lambda: at.lane.stop is not None)
            assert await at.states() == ["sent"]
        assert await working is None
        assert at.lane.stop is not None
        assert at.lane.stop.kind == "refused"
        assert (at.request_state(), at.heard.ends) == ("pending", [GiveUp("pending")])


async def test_an_outage_s_failure_counts_for_no_attempt(bench: Bench) -> None:
    client = ScriptedClient(ServerFault("502"))
    async with desk(bench, client) as at:

        async def the_provider_goes_down() -> None:
            for name in "abcde":
                at.limiter.unreached(name)

        client.on_send = the_provider_goes_down
        again = await at.work()
        assert again is not None
        assert again.item.tally == Tally()
        assert at.heard.ends == [Retry(again.delay_s)]
        assert at.look("SELECT possibly_billed, forgiven FROM requests") == [(1, 1)]


async def test_a_disk_that_refuses_a_paid_answer_leaves_the_attempt_open_and_its_price_spent(bench: Bench) -> None:
    client = ScriptedClient(IMAGE)
    async with desk(bench, client) as at:

        async def break_staging() -> None:
            at.break_staging()

        client.on_send = break_staging
        assert await at.work() is None
        assert (await at.states(), at.request_state(), at.budget.spent_usd) == (["sent"], "pending", PRICE_USD)
        assert at.monitor.stop is not None
        assert at.monitor.stop.kind == "machine"
        assert at.heard.events[-3:] == ["unsaved", "local_error", "ended"]
        assert "mug: its answer could not be saved and may have been billed" in at.said.getvalue()


async def test_one_that_is_dropped_in_flight_stays_open_at_its_price(bench: Bench) -> None:
    client = ScriptedClient(IMAGE)
    async with desk(bench, client) as at:
        arrived = asyncio.Event()

        async def hang() -> None:
            arrived.set()
            await asyncio.Event().wait()

        client.on_send = hang
        working = asyncio.create_task(at.work())
        await arrived.wait()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        assert (await at.states(), at.budget.spent_usd, at.budget.reserved_usd) == (["sent"], PRICE_USD, 0.0)
        assert at.heard.events == ["started", "ended"]


# Listeners ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "events"),
    [
        (IMAGE, ["started", "answered", "succeeded", "ended"]),
        (ServerFault("502"), ["started", "answered", "failed", "ended"]),
        (ServerFault("429", after_s=0), ["started", "answered", "failed", "ended"]),
        (b"no image", ["started", "answered", "failed", "ended"]),
        (Submitted("id-7", IMAGE), ["started", "answered", "succeeded", "ended"]),
        (Submitted("id-7", None), ["started", "answered", "failed", "ended"]),
    ],
    ids=["image", "502", "429", "no image", "submitted", "not fetched"],
)
async def test_a_listener_is_told_of_each_step_once_and_in_order(bench: Bench, step: Any, events: list[str]) -> None:
    async with desk(bench, ScriptedClient(step)) as at:
        await at.work()
        assert at.heard.events == events


async def test_a_success_is_told_when_it_is_durable(bench: Bench) -> None:
    async with desk(bench, ScriptedClient(IMAGE)) as at:
        working = asyncio.create_task(at.work())
        await until(lambda: "succeeded" in at.heard.events)
        assert (await at.states(), at.files("images")) == (["succeeded"], ["mug.png"])
        await working


EVENTS = [name for name, _ in inspect.getmembers(AttemptListener, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("event", EVENTS)
def test_listeners_pass_everything_on_to_each_in_their_order(event: str) -> None:
    heard: list[tuple[int, tuple[object, ...]]] = []

    class Numbered(AttemptListener):
        def __init__(self, number: int) -> None:
            self.number = number

        def __getattribute__(self, name: str) -> Any:
            if name == event:
                return lambda *values: heard.append((self.number, values))
            return super().__getattribute__(name)

    values = tuple(object() for _ in list(inspect.signature(getattr(AttemptListener, event)).parameters)[1:])
    getattr(Listeners(Numbered(1), Numbered(2)), event)(*values)
    assert heard == [(1, values), (2, values)]


def test_a_listener_hears_of_nothing_that_it_did_not_ask_for() -> None:
    class Counted(AttemptListener):
        endings = 0

        def ended(self, task: Task) -> None:
            self.endings += 1

    counted = Counted()
    Listeners(counted, Heard()).started(None, 1)  # type: ignore[arg-type]
    Listeners(counted, Heard()).ended(None)  # type: ignore[arg-type]
    assert counted.endings == 1
