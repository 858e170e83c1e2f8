from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_editor.errors import LedgerError
from batch_editor.records import Failure, Rate
from batch_editor.scheduling.rate_limiter import LimiterClosed, RateLimiter
from batch_editor.scheduling.retry import RetryPolicy
from batch_editor.scheduling.send_policy import JITTER_S, JITTER_SHARE
from tests.support.simulated_provider import (
    FixedWindow,
    Log,
    Moody,
    Provider,
    SlidingWindow,
    TokenBucket,
    busy_run,
    most_in_a_window,
    refuse,
    running,
)
from tests.support.virtual_time import now, run

rates = st.builds(Rate, st.integers(1, 40), st.sampled_from([1.0, 2.0, 60.0, 3600.0]))


def jitter_of(rate: Rate) -> float:
    return min(JITTER_S, JITTER_SHARE * rate.period_s)


async def arrivals(limiter: RateLimiter, wanted_at: Iterable[float], way_s: Callable[[], float]) -> list[float]:
    """When requests that are wanted at these times arrive at the provider."""
    arrived: list[float] = []

    async def send(at: float) -> None:
        await asyncio.sleep(at)
        permit = await limiter.permit()
        await limiter.depart()
        await asyncio.sleep(way_s())
        arrived.append(now())
        limiter.succeeded(permit, now() - at)

    async with running(limiter), asyncio.TaskGroup() as group:
        for at in wanted_at:
            group.create_task(send(at))
    return arrived


# Never more than the limit ------------------------------------------------------------------------------------------


@given(
    rate=rates,
    bursts=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 30)), min_size=1, max_size=5),
    late=st.booleans(),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=250)
@example(rate=Rate(5, 1.0), bursts=[(0.0, 30)], late=False, seed=0)
@example(rate=Rate(40, 60.0), bursts=[(0.0, 30), (0.5, 30), (0.95, 30)], late=True, seed=1)
@pytest.mark.slow
def test_no_window_wherever_it_starts_holds_more_than_the_limit(
    rate: Rate, bursts: list[tuple[float, int]], late: bool, seed: int
) -> None:
    rng = random.Random(seed)
    wanted_at = [share * rate.period_s for share, count in bursts for _ in range(count)]
    lateness = (lambda: rng.expovariate(1000)) if late else (lambda: 0.0)
    arrived = run(arrivals(RateLimiter(rate), wanted_at, lambda: rng.uniform(0, jitter_of(rate))), lateness=lateness)
    assert len(arrived) == len(wanted_at)
    assert most_in_a_window(arrived, rate.period_s) <= rate.count


@given(
    rate=rates,
    ages=st.lists(st.floats(0, 0.999), max_size=40),
    fresh=st.integers(1, 50),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=100)
@pytest.mark.slow
def test_a_run_that_goes_on_keeps_the_window_of_the_run_before(
    rate: Rate, ages: list[float], fresh: int, seed: int
) -> None:
    rng = random.Random(seed)
    before = sorted((share * rate.period_s for share in ages), reverse=True)[-rate.count :]
    limiter = RateLimiter(rate, recent=before)
    # A little less than the jitter: the last word before sending reckons with nine tenths of it.
    arrived = run(arrivals(limiter, [0.0] * fresh, lambda: rng.uniform(0, 0.9 * jitter_of(rate))))
    assert most_in_a_window([-age for age in before] + arrived, rate.period_s) <= rate.count


def test_requests_that_a_stall_held_up_after_their_permit_do_not_leave_together() -> None:
    async def main() -> list[float]:
        limiter, left = RateLimiter(Rate(10, 60.0)), []

        async def send() -> None:
            await limiter.permit()
            # The disk is stuck for two minutes; everyone who has a permit by then waits for it.
            await asyncio.sleep(max(0.0, 120.0 - now()))
            await limiter.depart()
            left.append(now())

        async with running(limiter), asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(send())
        return left

    assert most_in_a_window(run(main()), 60.0) == 10


def test_the_first_request_waits_for_nothing() -> None:
    async def main() -> float:
        limiter = RateLimiter(Rate(1, 3600.0))
        async with running(limiter):
            await limiter.permit()
            await limiter.depart()
            return now()

    assert run(main()) < 1e-3


def test_permits_are_given_first_come_first_served() -> None:
    async def main() -> list[int]:
        limiter, served = RateLimiter(Rate(10, 1.0)), []

        async def send(name: int) -> None:
            await limiter.permit()
            served.append(name)

        async with running(limiter), asyncio.TaskGroup() as group:
            for name in range(20):
                group.create_task(send(name))
        return served

    assert run(main()) == list(range(20))


def test_a_run_that_goes_on_does_not_begin_with_two_requests_at_once() -> None:
    async def main() -> float:
        limiter = RateLimiter(Rate(60, 60.0), recent=[0.2])
        async with running(limiter):
            await limiter.permit()
            await limiter.depart()
            return now()

    # A turn is 1.01 s; 0.24 s of it may be caught up.
    assert run(main()) > 0.5


def test_a_waiter_that_gave_up_does_not_cost_the_next_one_its_permit() -> None:
    async def main() -> float:
        limiter = RateLimiter(Rate(1, 60.0))
        async with running(limiter):
            await limiter.permit()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await limiter.permit()
            await limiter.permit()
            return now()

    assert 60 < run(main()) < 61


# Most of the limit --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "share"),
    [
        (Rate(5, 60.0), 0.98),
        (Rate(60, 60.0), 0.98),
        (Rate(1000, 60.0), 0.98),
        (Rate(500, 3600.0), 0.99),
        (Rate(10, 1.0), 0.95),
        (Rate(100, 1.0), 0.95),
    ],
    ids=str,
)
@pytest.mark.parametrize("late_s", [0.0, 0.001])
@pytest.mark.slow
def test_nearly_all_of_the_limit_is_used_when_there_is_always_work(rate: Rate, share: float, late_s: float) -> None:
    periods = 20
    rng = random.Random(1)
    log = run(
        busy_run(RateLimiter(rate), Open(), for_s=periods * rate.period_s, workers=10, latency_s=0.0),
        lateness=lambda: rng.expovariate(1 / late_s) if late_s else 0.0,
    )
    assert len(log.left) >= share * rate.count * periods


class Open:
    """A provider without a limit."""

    def wait_s(self, at: float) -> float:
        return 0.0


# Pauses -------------------------------------------------------------------------------------------------------------


class Answering:
    """A limiter under test whose requests are sent one at a time and get the answers of a list."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.limiter = limiter

    async def gap_after_429(self, retry_after_s: float | None) -> float:
        """Seconds between a refusal and the next departure."""
        permit = await self.limiter.permit()
        await self.limiter.depart()
        refused_at = now()
        refuse(self.limiter, permit, retry_after_s)
        await self.limiter.permit()
        await self.limiter.depart()
        return now() - refused_at


FAST = Rate(20_000, 60.0)


def test_after_a_429_nobody_leaves_until_the_retry_after_is_over() -> None:
    async def main() -> tuple[float, list[float]]:
        limiter, left, refused_at = RateLimiter(Rate(600, 60.0)), [], 0.0

        async def worker(name: int) -> None:
            nonlocal refused_at
            while now() < 30:
                permit = await limiter.permit()
                await limiter.depart()
                left.append(now())
                if not refused_at and now() > 5:
                    refused_at = now()
                    refuse(limiter, permit, 7.0)
                    assert limiter.pause_left_s() == pytest.approx(7.0)

        async with running(limiter), asyncio.TaskGroup() as group:
            for name in range(20):
                group.create_task(worker(name))
        return refused_at, left

    refused_at, left = run(main())
    assert not [at for at in left if refused_at < at < refused_at + 7]
    assert min(at for at in left if at > refused_at) == pytest.approx(refused_at + 7, abs=0.5)


def test_who_has_a_permit_but_has_not_left_waits_out_the_pause_as_well() -> None:
    async def main() -> float:
        limiter = RateLimiter(Rate(600, 60.0))
        async with running(limiter):
            first = await limiter.permit()
            await limiter.permit()
            refuse(limiter, first, 9.0)
            await limiter.depart()
            return now()

    assert run(main()) == pytest.approx(9.1, abs=0.1)


class At:
    """A provider that refuses the first request after each of these instants."""

    def __init__(self, *instants: float, wait_s: float) -> None:
        self._instants = list(instants)
        self._wait_s = wait_s

    def wait_s(self, at: float) -> float:
        if not self._instants or at < self._instants[0]:
            return 0.0
        del self._instants[0]
        return self._wait_s


@pytest.mark.parametrize("says_when", [True, False], ids=["retry-after", "silent"])
@pytest.mark.parametrize("pause_s", [1.0, 30.0])
@pytest.mark.parametrize("refused_after", [0.0, 0.5, 3.0], ids=lambda periods: f"after {periods:g} periods")
@pytest.mark.parametrize(
    ("rate", "share"), [("60/min", 0.99), ("1000/min", 0.99), ("10/s", 0.95), ("100/s", 0.95)], ids=str
)
@pytest.mark.slow
def test_after_a_stray_429_the_whole_rate_is_used_again_at_once(
    rate: str, share: float, refused_after: float, pause_s: float, says_when: bool
) -> None:
    limit, rng, periods = Rate.parse(rate), random.Random(0), 5
    refused_at = refused_after * limit.period_s
    log = run(
        busy_run(
            RateLimiter(limit, retry=RetryPolicy(backoff_s=pause_s)),
            At(refused_at, wait_s=pause_s),
            for_s=refused_at + pause_s + (periods + 1) * limit.period_s,
            workers=300,
            latency_s=limit.period_s / 4,
            says_when=says_when,
            way_s=lambda: rng.uniform(0, jitter_of(limit)),
        )
    )
    (refused_at,) = log.refused
    again_at = min(at for at in log.left if at > refused_at + 0.99 * pause_s)
    assert again_at < refused_at + pause_s + limit.period_s / limit.count + 0.01
    after = [at for at in log.left if again_at <= at < again_at + periods * limit.period_s]
    assert len(after) >= share * periods * limit.count
    assert most_in_a_window(log.let_in + log.refused, limit.period_s) <= limit.count


def test_a_stray_429_every_two_minutes_costs_its_pauses_and_nothing_else() -> None:
    for_s, pause_s = 3600.0, 30.0
    provider = At(*(120.0 * number for number in range(1, 30)), wait_s=pause_s)
    log = run(busy_run(RateLimiter(Rate(60, 60.0)), provider, for_s=for_s, workers=64, latency_s=1.0))
    assert len(log.refused) == 29
    assert len(log.left) >= 0.99 * (for_s - 29 * pause_s)


def test_pauses_that_were_too_short_cut_nothing() -> None:
    class Hiccup:
        def wait_s(self, at: float) -> float:
            return float(600 <= at < 610)

    log = run(busy_run(RateLimiter(Rate(60, 60.0)), Hiccup(), for_s=900, workers=64, latency_s=1.0, says_when=False))
    assert len(log.refused) > 3
    assert len([at for at in log.left if 620 <= at < 680]) >= 59


@pytest.mark.slow
def test_after_the_second_429_within_a_period_speed_comes_back_step_by_step() -> None:
    log = run(
        busy_run(RateLimiter(Rate(60, 60.0)), At(600.0, 625.0, wait_s=5.0), for_s=7200, workers=64, latency_s=1.0)
    )
    gaps = [later - earlier for earlier, later in pairwise(at for at in log.left if at > log.refused[1] + 6)]
    assert gaps[0] > 1.1
    assert gaps[-1] == pytest.approx(60.59 / 60, abs=0.01)
    # A step is a tenth; 0.4 % of the period is what the bucket may catch up.
    assert all(later >= earlier / 1.1 - 0.25 for earlier, later in pairwise(gaps))


def test_a_retry_after_is_capped() -> None:
    async def main() -> float:
        limiter = RateLimiter(FAST, retry=RetryPolicy(retry_after_max_s=30.0))
        async with running(limiter):
            return await Answering(limiter).gap_after_429(1e21)

    assert run(main()) == pytest.approx(30.0, abs=0.1)


def test_pauses_double_while_the_first_request_after_each_is_refused_again_and_names_no_time() -> None:
    async def main() -> list[float]:
        pauses: list[float] = []
        limiter = RateLimiter(FAST, retry=RetryPolicy(backoff_s=1.0, backoff_max_s=10.0))
        async with running(limiter):
            for _ in range(6):
                permit = await limiter.permit()
                await limiter.depart()
                refuse(limiter, permit, None)
                pauses.append(limiter.pause_left_s())
        return pauses

    assert run(main()) == pytest.approx([1.0, 2.0, 4.0, 8.0, 10.0, 10.0])


def test_a_retry_after_of_zero_is_no_leave_to_hammer() -> None:
    async def main() -> float:
        limiter = RateLimiter(FAST, retry=RetryPolicy(backoff_s=3.0))
        async with running(limiter):
            return await Answering(limiter).gap_after_429(0.0)

    assert run(main()) == pytest.approx(3.0, abs=0.1)


def test_after_requests_that_were_taken_the_pause_is_short_again() -> None:
    async def main() -> list[float]:
        pauses: list[float] = []
        limiter = RateLimiter(Rate(60, 60.0))
        async with running(limiter):
            for refused in (True, True, True, False, False, True):
                permit = await limiter.permit()
                await limiter.depart()
                if refused:
                    refuse(limiter, permit, None)
                    pauses.append(limiter.pause_left_s())
                else:
                    limiter.succeeded(permit, 1.0)
        return pauses

    assert run(main()) == pytest.approx([1.0, 2.0, 4.0, 1.0])


def test_requests_refused_together_are_one_refusal() -> None:
    async def main() -> tuple[float, float, float]:
        limiter = RateLimiter(Rate(600, 60.0))
        async with running(limiter):
            permits = [await limiter.permit() for _ in range(40)]
            refuse(limiter, permits[0], None)
            once = limiter.allowed
            for permit in permits[1:]:
                refuse(limiter, permit, None)
            return limiter.pause_left_s(), once, limiter.allowed

    pause_s, once, often = run(main())
    assert pause_s == pytest.approx(1.0)
    assert often == once


def test_a_refusal_of_the_same_time_may_ask_for_a_longer_pause() -> None:
    async def main() -> list[float]:
        pauses: list[float] = []
        limiter = RateLimiter(Rate(600, 60.0))
        async with running(limiter):
            permits = [await limiter.permit() for _ in range(3)]
            for permit, retry_after_s in zip(permits, (5.0, 9.0, 2.0), strict=True):
                refuse(limiter, permit, retry_after_s)
                pauses.append(limiter.pause_left_s())
        return pauses

    assert run(main()) == pytest.approx([5.0, 9.0, 9.0])


# A limit that is set too high ----------------------------------------------------------------------------------------

HALF_AN_HOUR = 1800.0
PROVIDERS: list[type[SlidingWindow | FixedWindow | TokenBucket]] = [SlidingWindow, FixedWindow, TokenBucket]


def too_high(
    configured: Rate, provider: Provider, *, says_when: bool, seed: int = 0, for_s: float = HALF_AN_HOUR
) -> Log:
    rng = random.Random(seed)
    return run(
        busy_run(
            RateLimiter(configured),
            provider,
            for_s=for_s,
            workers=64,
            latency_s=2.0,
            says_when=says_when,
            way_s=lambda: rng.uniform(0, 0.3),
        )
    )


@pytest.mark.parametrize("says_when", [True, False], ids=["retry-after", "silent"])
@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize(
    ("configured", "true"),
    [("600/min", 60), ("60/min", 6), ("60/min", 5), ("60/min", 30), ("60/min", 50), ("120/min", 60), ("1000/min", 100)],
)
@pytest.mark.slow
def test_a_run_whose_limit_is_set_too_high_settles_near_the_true_one(
    configured: str, true: int, kind: type[SlidingWindow | FixedWindow | TokenBucket], says_when: bool
) -> None:
    log = too_high(Rate.parse(configured), kind(true, 60.0), says_when=says_when)
    settled = log.since(HALF_AN_HOUR / 2)
    assert len(settled.let_in) >= 0.92 * true * HALF_AN_HOUR / 2 / 60
    # Learning costs time and 429s, but no more than this; 429s are not billed.
    assert len(log.let_in) >= 0.85 * true * HALF_AN_HOUR / 60
    assert log.refused_share < 0.3
    # A step is a twentieth of the configured count: where that is ten times too high, many steps go beyond the limit.
    half_right = 2 * true >= Rate.parse(configured).count
    assert settled.refused_share < (0.02 if half_right else 0.2)


@pytest.mark.parametrize("true", [40, 50])
@pytest.mark.slow
def test_a_pause_that_was_too_short_is_not_taken_for_a_mood_of_the_provider(true: int) -> None:
    shares = [
        too_high(Rate.parse("60/min"), FixedWindow(true, 60.0), says_when=False, seed=seed).since(900).refused_share
        for seed in range(8)
    ]
    assert sum(shares) / len(shares) < 0.025


@pytest.mark.slow
def test_a_limit_that_falls_is_followed_and_one_that_rises_again_is_used() -> None:
    class Changing:
        def __init__(self) -> None:
            self._day, self._night = SlidingWindow(50, 60.0), SlidingWindow(20, 60.0)

        def wait_s(self, at: float) -> float:
            return (self._night if 1800 <= at < 3600 else self._day).wait_s(at)

    log = too_high(Rate.parse("60/min"), Changing(), says_when=True, for_s=7200)
    night = Log(*([at for at in times if 2700 <= at < 3600] for times in (log.left, log.let_in, log.refused)))
    assert len(night.let_in) >= 0.85 * 20 * 15
    assert night.refused_share < 0.1
    morning = log.since(5700)
    assert len(morning.let_in) >= 0.85 * 50 * 25
    assert morning.refused_share < 0.05


@pytest.mark.slow
def test_a_pace_of_hundreds_a_second_catches_up_with_late_timers() -> None:
    rng = random.Random(1)
    log = run(
        busy_run(RateLimiter(Rate(500, 1.0)), SlidingWindow(250, 1.0), for_s=120, workers=64, latency_s=0.01),
        lateness=lambda: rng.expovariate(500),
    )
    assert len(log.since(60).let_in) >= 0.85 * 250 * 60


def test_a_run_below_the_true_limit_is_never_slowed() -> None:
    log = too_high(Rate.parse("60/min"), SlidingWindow(60, 60.0), says_when=True)
    assert log.refused == []


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("configured", ["60/min", "600/min"])
@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_429s_at_random_cost_their_pauses_and_less_than_half_the_rate(share: float, configured: str, seed: int) -> None:
    for_s = 1200.0
    rate = Rate.parse(configured)
    log = too_high(rate, Moody(random.Random(seed), share), says_when=True, for_s=for_s)
    work_s = len(log.left) * rate.period_s / rate.count
    pauses_s = len(log.refused) * 1.0
    assert for_s < 1.9 * (work_s + pauses_s)


# The log --------------------------------------------------------------------------------------------------------------


def carried(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    """What records of that event carry."""
    names = ("requests", "limit", "old", "new", "why")
    return [{name: vars(each)[name] for name in names} for each in caplog.records if each.message == event]


def test_why_the_rate_is_lowered_and_raised_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "batch_editor")
    provider = At(600.0, 625.0, wait_s=5.0)
    run(busy_run(RateLimiter(Rate(60, 60.0)), provider, for_s=900, workers=64, latency_s=1.0))
    (lowered,) = carried(caplog, "rate_lowered")
    assert lowered == {
        "requests": "edits",
        "limit": "60/min",
        "old": 60.0,
        "new": 54.0,
        "why": "429 after 54 requests within 60 s",
    }
    raised = carried(caplog, "rate_raised")
    assert [(each["old"], each["new"]) for each in raised] == [(54.0, 57.0), (57.0, 60.0)]
    assert raised[0]["why"] == "not lowered for 120 s"


def test_why_the_concurrency_is_lowered_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limiter = RateLimiter(Rate(600, 60.0))
        async with running(limiter):
            permits = [await limiter.permit() for _ in range(40)]
            for permit in permits:
                timeout = Failure("timeout", "504", http_status=504)
                limiter.failed(permit, f"request {permit.number}", timeout)

    caplog.set_level("INFO", "batch_editor")
    run(main())
    (lowered,) = [each for each in caplog.records if each.message == "concurrency_lowered"]
    # 0.7 of the 17 that were in flight when 24 had been dropped.
    assert (vars(lowered)["old"], vars(lowered)["new"]) == (None, 11)


# Beside other runs ---------------------------------------------------------------------------------------------------


class Turns:
    """Turns that other runs share, one a second, each good for 0.4 s; or an error in the place of one."""

    def __init__(self, *errors: LedgerError | None) -> None:
        self.errors = list(errors)
        self.last_at = -1.0

    async def turn(self) -> float:
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        self.last_at = max(self.last_at + 1.0, now())
        await asyncio.sleep(self.last_at - now())
        return 0.4

    def close(self) -> None:
        pass


@pytest.mark.fault(113)
@pytest.mark.parametrize("held_up_s", [0.0, 0.39, 0.41, 2.5])
def test_a_turn_that_is_too_old_when_the_request_would_leave_is_taken_anew(held_up_s: float) -> None:
    async def main() -> list[float]:
        turns, ages = Turns(), []
        limiter = RateLimiter(Rate(100, 1.0), shared=turns)

        async def send() -> None:
            permit = await limiter.permit()
            await asyncio.sleep(held_up_s)
            await limiter.depart(permit)
            ages.append(now() - turns.last_at)

        async with running(limiter):
            for _ in range(5):
                await send()
        return ages

    fresh = held_up_s > 0.4
    assert run(main()) == pytest.approx([0.0 if fresh else held_up_s] * 5, abs=1e-6)


def test_a_pause_that_outlasts_the_turn_takes_it_anew_too() -> None:
    async def main() -> float:
        turns = Turns()
        limiter = RateLimiter(Rate(60, 60.0), shared=turns)
        async with running(limiter):
            permit = await limiter.permit()
            refuse(limiter, permit, 30.0)
            await limiter.depart(permit)
        return now() - turns.last_at

    assert run(main()) == pytest.approx(0.0, abs=1e-6)


def test_who_waits_is_told_that_what_the_runs_share_cannot_be_used_and_the_next_one_is_not() -> None:
    async def main() -> None:
        limiter = RateLimiter(Rate(100, 1.0), shared=Turns(LedgerError("away"), None, LedgerError("away again")))
        async with running(limiter):
            first = [asyncio.create_task(limiter.permit()) for _ in range(3)]
            assert {str(each) for each in await asyncio.gather(*first, return_exceptions=True)} == {"away"}
            permit = await limiter.permit()
            await asyncio.sleep(1)
            with pytest.raises(LedgerError, match="away again"):
                await limiter.depart(permit)

    run(main())


# The end ------------------------------------------------------------------------------------------------------------


def test_closing_turns_away_everyone_who_waits_and_everyone_who_comes() -> None:
    async def main() -> int:
        limiter, turned_away = RateLimiter(Rate(1, 3600.0)), 0

        async def send() -> None:
            nonlocal turned_away
            with pytest.raises(LimiterClosed):
                await limiter.permit()
            turned_away += 1

        async with running(limiter), asyncio.TaskGroup() as group:
            await limiter.permit()
            for _ in range(10):
                group.create_task(send())
            await asyncio.sleep(1)
            limiter.close()
            group.create_task(send())
        return turned_away

    assert run(main()) == 11


def test_who_has_a_permit_may_not_leave_after_closing() -> None:
    async def main() -> None:
        limiter = RateLimiter(Rate(60, 60.0))
        async with running(limiter):
            await limiter.permit()
            limiter.close()
            with pytest.raises(LimiterClosed):
                await limiter.depart()

    run(main())


def test_closing_wakes_who_waits_out_a_pause_with_a_permit() -> None:
    async def main() -> float:
        limiter = RateLimiter(Rate(60, 60.0))
        async with running(limiter), asyncio.TaskGroup() as group:
            permit = await limiter.permit()
            refuse(limiter, permit, 300.0)

            async def depart() -> None:
                with pytest.raises(LimiterClosed):
                    await limiter.depart()

            group.create_task(depart())
            await asyncio.sleep(1)
            limiter.close()
        return now()

    assert run(main()) == pytest.approx(1.0, abs=0.01)
