"""Whether a failed attempt is made again, and after how long. Pure arithmetic; the waiting is done elsewhere."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from batch_editor.records import Failure

# A request that meets 429 this often is taken for refused for good. The documentation names the figure.
MAX_REFUSALS = 100


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an attempt is repeated, and how long is waited between; see `retry` in config.example.yaml."""

    max_attempts: int = 5
    max_possibly_billed: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    retry_after_max_s: float = 600.0
    give_up_s: float = 1800.0
    bad_response: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a request was tried: attempts that count, those of them that may have been billed, and 429s."""

    attempts: int = 0
    possibly_billed: int = 0
    refusals: int = 0

    def after(self, failure: Failure) -> Tally:
        """The tally with one more failed attempt."""
        if failure.scope == "rate":
            return replace(self, refusals=self.refusals + 1)
        return replace(
            self,
            attempts=self.attempts + 1,
            possibly_billed=self.possibly_billed + failure.maybe_billed,
        )


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt is made again, in `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt is made; `status` is the request's, as in the output manifest."""

    status: Literal["failed", "unknown", "pending"]


def decide(failure: Failure, tally: Tally, policy: RetryPolicy, rng: random.Random) -> Retry | GiveUp:
    """What follows a failed attempt; `tally` includes it.

    - Scope `run`: the request stays pending, for the next run.
    - Scope `rate` (a 429): it is retried as soon as the rate limiter lets it.
    - Transient: it is retried, up to the policy's numbers of attempts and of attempts that may have been billed.
    - A whole answer that is no usable image: it is retried only with `policy.bad_response`.
    - Anything else is final: `unknown` if the attempt may have been billed, else `failed`.
    """
    if failure.scope == "run":
        return GiveUp("pending")
    if failure.scope == "rate":
        return Retry(0.0) if tally.refusals < MAX_REFUSALS else GiveUp("failed")
    last = GiveUp("unknown" if failure.maybe_billed else "failed")
    if (
        not (failure.transient or (policy.bad_response and _is_no_result(failure)))
        or tally.attempts >= policy.max_attempts
    ):
        return last
    if failure.maybe_billed and tally.possibly_billed >= policy.max_possibly_billed:
        return last
    asked_s = min(failure.retry_after_s or 0.0, policy.retry_after_max_s)
    return Retry(max(backoff(tally.attempts, policy, rng), asked_s))


def _is_no_result(failure: Failure) -> bool:
    """Whether an answer came and was paid for, and is no image, or not the one that was asked for."""
    return failure.kind == "bad_response" and failure.http_status == 200


def backoff(attempts: int, policy: RetryPolicy, rng: random.Random) -> float:
    """Seconds before the next attempt: exponential with full jitter, uniform in [0, min(max, base × 2ⁿ⁻¹)].

    Full jitter spreads retries best for a given load: https://aws.amazon.com/blogs/architecture/
    exponential-backoff-and-jitter/
    """
    ceiling = policy.backoff_s * 2.0 ** min(attempts - 1, 60)
    return rng.uniform(0.0, min(ceiling, policy.backoff_max_s))
