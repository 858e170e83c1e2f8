"""Why a run is slower than its settings allow, in words for people."""

from __future__ import annotations

from collections.abc import Iterator

from batch_editor.output.run_status import Slow
from batch_editor.records import Rate
from batch_editor.scheduling import LimiterState
from batch_editor.text import duration

# Slots count as the limit where they give less than this share of the rate.
_SLOTS_SHARE = 0.95


def why_slow(state: LimiterState, *, in_flight: int, concurrency: int, latency_s: float | None) -> Iterator[Slow]:
    """The reasons that hold at present, the weightiest first. `latency_s`: how long half of the results take."""
    if state.outage_s:
        yield Slow(
            "outage",
            f"the provider has been down for {_span(state.outage_s)}; it is tried with one request at a time, next"
            f" in {_span(state.probe_s)}",
        )
    if state.pause_s:
        yield Slow("pause", f"the provider answered 429: nothing is sent for another {_span(state.pause_s)}")
    if state.allowed < state.limit.count:
        yield Slow("rate", f"the rate is lowered to {_number(state.allowed)} of {state.limit}: {state.why}")
    if state.most_in_flight is not None and state.most_in_flight < concurrency:
        yield Slow(
            "dropped",
            f"at most {state.most_in_flight} of {concurrency} requests are in flight, for the provider drops too many"
            " (503, 504, no answer in time)",
        )
    elif (
        latency_s
        and in_flight >= concurrency
        and _by_slots(concurrency, latency_s) < _SLOTS_SHARE * per_min(state.limit, state.allowed)
    ):
        yield Slow(
            "concurrency",
            f"all {concurrency} of `concurrency` are in flight, and an answer takes {_number(latency_s)} s: that is"
            f" {_number(_by_slots(concurrency, latency_s))} a minute",
        )


def per_min(rate: Rate, count: float) -> float:
    """So many requests a period of a rate, as requests a minute."""
    return count * 60.0 / rate.period_s


def _by_slots(concurrency: int, latency_s: float) -> float:
    return concurrency * 60.0 / latency_s


def _span(seconds: float) -> str:
    """As people read it; what is less than a second isn't nothing."""
    return duration(max(seconds, 1.0))


def _number(value: float) -> str:
    """As people write it: `90,000`, `45`, `3.5`."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
