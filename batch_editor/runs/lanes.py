"""What a run has of each provider, apart from the others: the trouble of one stops its own requests alone.

That is the bulkhead pattern (M. Nygard, Release It!): each provider has its own workers, limits and circuit breaker.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from pydantic import SecretStr

from batch_editor.config import Provider
from batch_editor.endpoints import SEGMIND
from batch_editor.records import Answer, Failure
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.run import Run
from batch_editor.runs.stops import StopReason
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import (
    GiveUp,
    Permit,
    RateLimiter,
    Retry,
    SharedRateDatabase,
    SharedRateFile,
    SharedRateLimit,
    shared_rate_name,
    shared_rate_path,
)
from batch_editor.text import duration
from batch_editor.threads import to_the_end

log = logging.getLogger("batch_editor")

# The latest latencies tell what the next ones will be; more would only make a change show late.
LATENCIES = 500


class Lane(AttemptListener):
    """What a run has of one provider: what limits it, what its answers took, and why it stopped, if it did.

    Parameters:
        limiter: lets the provider's requests go.
        left: how many requests to it are to be sent.
        is_alone: whether the run has no other provider; then what is said needn't name it.
    """

    def __init__(self, provider: Provider, run: Run, *, limiter: RateLimiter, left: int, is_alone: bool) -> None:
        self.provider = provider
        self.limiter = limiter
        self.endpoints = frozenset(name for name, each in run.endpoints.items() if each.provider == provider.name)
        self.stop: StopReason | None = None
        self.is_closed = False
        self.is_out_of_budget = False
        self._progress = run.options.progress
        self._called = "the provider" if is_alone else provider.name
        self._left = left
        self._in_flight: set[str] = set()  # by fingerprint: a request has one attempt at a time
        self.latencies_s: deque[float] = deque(maxlen=LATENCIES)
        self._close_callbacks: tuple[Callable[[], object], ...] = ()

    def on_close(self, *callbacks: Callable[[], object]) -> None:
        """What else to call when nothing more is to be drawn for this provider."""
        self._close_callbacks += callbacks

    def close(self) -> None:
        """Draw nothing more, and let what is in flight finish."""
        self.is_closed = True
        for callback in self._close_callbacks:
            callback()

    def run_dry(self) -> None:
        """The budget has no room for any request that is left."""
        self.is_out_of_budget = True
        self.close()

    def halt(self, stop: StopReason) -> None:
        """Draw nothing more, for this reason, which is the provider's own."""
        if stop.outranks(self.stop):
            self.stop = stop
            log.warning("stopping", extra={"provider": self.provider.name, "kind": stop.kind, "reason": stop.message})
        self.close()

    def upload_refused(self, task: Task, failure: Failure) -> None:
        """Stop if the provider refuses the account."""
        self._stop_if_refused(failure)

    def answered(self, task: Task, answer: Answer, permit: Permit | None) -> None:
        """Stop if the provider refuses the account or the model."""
        if isinstance(answer.outcome, Failure):
            self._stop_if_refused(answer.outcome)

    def started(self, task: Task, attempt_id: int) -> None:
        """Count a request that left."""
        self._in_flight.add(task.request.fingerprint)

    def ended(self, task: Task) -> None:
        """Count one less in flight."""
        self._in_flight.discard(task.request.fingerprint)

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """Learn how long an image takes."""
        self._left -= 1
        if answer.latency_s is not None:
            self.latencies_s.append(answer.latency_s)

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        """Count what is not sent again."""
        self._left -= isinstance(then, GiveUp) and then.status != "pending"

    def outage(self, failure: Failure | None, next_s: float) -> None:
        """The provider is down, or, without a failure, answers again."""
        name = self.provider.name
        if failure is None:
            self._progress.say(f"{self._called} answers again; resuming")
            log.warning("outage over", extra={"provider": name})
        else:
            holds = "the run holds, tries" if self._called == "the provider" else "its requests hold. It is tried"
            self._progress.say(
                f"{self._called} is down ({failure.message}): {holds} with one request at a time, next in"
                f" {next_s:.0f} s, and charges no job for it"
            )
            log.warning("outage", extra={"provider": name, "error": failure.message, "next_try_s": round(next_s, 3)})

    def gave_up(self, failure: Failure, lasted_s: float) -> None:
        """The provider is down for too long: leave the rest to the next run."""
        self.halt(
            StopReason(
                "outage",
                f"the provider has been down for {duration(lasted_s)} ({failure.message});"
                " run the same command again when it answers",
            )
        )

    def only_refused(self, failure: Failure, lasted_s: float) -> None:
        """The provider only refuses: leave the rest to the next run."""
        name = self.provider.name
        setting = "rate_limit" if name == SEGMIND else f"providers.{name}.rate_limit"
        self.halt(
            StopReason(
                "rate_limited",
                f"the provider has answered nothing but 429 for {duration(lasted_s)} ({failure.message}); see whether"
                f" something else uses this key, or lower {setting}, then run the same command again",
            )
        )

    @property
    def in_flight(self) -> int:
        """How many of its requests are out."""
        return len(self._in_flight)

    @property
    def prefix(self) -> str:
        """What to put before words about it: its name, where the run has several."""
        return "" if self._called == "the provider" else f"{self._called}: "

    def p95_s(self) -> float:
        """Seconds within which 95 % of its answers came; 0 before the first."""
        return latency_s([self], 0.95) or 0.0

    def eta_s(self) -> float | None:
        """Seconds to its end: what the rate limit allows, or what the slots can do, whichever is slower."""
        half_s = latency_s([self], 0.5)
        if half_s is None:
            return None
        by_rate = self._left * self.provider.rate.period_s / self.limiter.allowed
        by_slots = self._left * half_s / self.provider.concurrency
        return max(by_rate, by_slots) + (half_s if self._left else 0.0) + self.limiter.pause_left_s()

    def _stop_if_refused(self, failure: Failure) -> None:
        """Where a refusal is of the account or the model, nothing more would succeed."""
        if failure.scope == "run":
            name = self.provider.name
            settings = "api" if name == SEGMIND else f"providers.{name}"
            next_step = _NEXT_STEPS.get(failure.kind, _NEXT_STEP).format(base_url=f"{settings}.base_url")
            self.halt(StopReason("refused", f"{failure.message.rstrip('.')}. {next_step}", error_kind=failure.kind))


_NEXT_STEP = "Nothing was sent after that"
_NEXT_STEPS = {
    "auth": "Check the API key and that it may use this model, then run the same command again",
    "credits": "Add credits or raise the spend limit at the provider, then run the same command again",
    "not_found": "Check {base_url} and the endpoint's path",
    "retired": "Move to its successor with --endpoint",
    "connection": "Check this machine's clock and certificates, and {base_url}",
}


def latency_s(lanes: Iterable[Lane], share: float) -> float | None:
    """The seconds within which that share of the latest results came, of these providers; None before the first."""
    ordered = sorted(latency for lane in lanes for latency in lane.latencies_s)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


@asynccontextmanager
async def open_lanes(run: Run) -> AsyncIterator[list[Lane]]:
    """A lane for each provider that the run has something of, as long as the block lasts. Those without a key are
    stopped.

    Raises:
        MachineError: the ledger can't be read.
    """
    left = await _left(run)
    submitted = await run.writer.do(run.ledger.attempts.all_submitted, run.start.budget_id)
    named = [each.request.endpoint for each in submitted if each.request.endpoint in run.endpoints]
    wanted = list(dict.fromkeys([*left, *(run.endpoints[name].provider for name in named)]))
    shared: list[SharedRateLimit] = []
    try:
        lanes = []
        for name in wanted:
            provider, key = run.settings.provider(name), run.keys.found.get(name)
            turns = None if key is None else await _shared_rate(run, provider, key)
            shared += [] if turns is None else [turns]
            limiter = await _limiter(run, provider, turns, is_alone=len(wanted) == 1)
            lane = Lane(provider, run, limiter=limiter, left=left.get(name, 0), is_alone=len(wanted) == 1)
            if key is None:
                lane.halt(StopReason("refused", run.keys.missing[name], error_kind="auth"))
            lanes.append(lane)
        yield lanes
    finally:
        for turns in shared:
            await to_the_end(turns.close)


async def _left(run: Run) -> dict[str, int]:
    """How many requests are to be sent to each provider that has any."""
    providers = {endpoint.provider for endpoint in run.endpoints.values()}
    if len(providers) == 1:  # to look at every request's endpoint takes a second of a million
        count = await run.writer.do(run.ledger.requests.pending_count)
        return {name: count for name in providers if count}
    left: dict[str, int] = {}
    for endpoint, count in (await run.writer.do(run.ledger.requests.pending_by_endpoint)).items():
        provider = run.endpoints[endpoint].provider
        left[provider] = left.get(provider, 0) + count
    return left


def stopped_by(run_stop: StopReason | None, lanes: Iterable[Lane]) -> StopReason | None:
    """Why a run stopped: the strongest reason, its own or a provider's, with those of all providers in words."""
    lanes = list(lanes)
    stops = {lane.provider.name: lane.stop for lane in lanes if lane.stop is not None}
    if not stops:
        return run_stop
    strongest = min([*([run_stop] if run_stop is not None else []), *stops.values()], key=lambda stop: stop.rank)
    message = strongest.message
    if len(lanes) > 1:
        said = [f"{name}: {stop.message}" for name, stop in stops.items()]
        message = "; ".join(said if run_stop is None else [run_stop.message, *said])
    return replace(strongest, message=message, providers={n: (stop.kind, stop.message) for n, stop in stops.items()})


async def _shared_rate(run: Run, provider: Provider, key: SecretStr) -> SharedRateLimit | None:
    """The turns that all runs of this key share; a rehearsal's provider is its own."""
    if run.options.sandbox:
        return None
    secret, base_url = key.get_secret_value(), provider.api.base_url
    if provider.name != SEGMIND:  # apart where two providers are at one address, as stand-ins may be
        secret = f"{provider.name}\n{secret}"
    if run.database is not None:
        return SharedRateDatabase(run.database, shared_rate_name(secret, base_url), provider.shared_rate)
    return await asyncio.to_thread(_shared_rate_file, run, provider, secret)


def _shared_rate_file(run: Run, provider: Provider, secret: str) -> SharedRateFile | None:
    say = run.options.progress.say
    try:
        path = shared_rate_path(secret, provider.api.base_url)
    except RuntimeError as error:  # a user without a home, as containers may have
        say(
            f"warning: {error} Without XDG_STATE_HOME, other runs of the same key at the same time would not share"
            " the rate limit with this one"
        )
        return None
    return SharedRateFile(path, provider.shared_rate, say=say)


async def _limiter(run: Run, provider: Provider, shared_rate: SharedRateLimit | None, *, is_alone: bool) -> RateLimiter:
    """A limiter that knows what runs before this one sent within the last period."""
    rate, now = provider.rate, run.clock()
    # A little longer than a period: an intent is a little older than the departure that followed it.
    since = now - 1.05 * rate.period_s
    recent = [max(0.0, now - at) for at in await run.writer.do(run.ledger.attempts.sent_since, since, provider.name)]
    return RateLimiter(
        rate,
        retry=run.settings.retry.policy,
        recent=recent[-rate.count :],
        shared=shared_rate,
        requests="edits" if is_alone else f"edits at {provider.name}",
    )
