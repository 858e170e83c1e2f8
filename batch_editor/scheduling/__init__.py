"""When a request may leave, how many at once, and whether a failed one is tried again."""

from batch_editor.scheduling.pool import Pool, Requeue
from batch_editor.scheduling.rate_limiter import LimiterClosed, LimiterState, RateLimiter
from batch_editor.scheduling.retry import GiveUp, Retry, RetryPolicy, Tally, decide
from batch_editor.scheduling.send_policy import Permit, slack_s, spacing_s
from batch_editor.scheduling.shared_rate import SharedRateLimit, shared_rate_name
from batch_editor.scheduling.shared_rate_database import SharedRateDatabase
from batch_editor.scheduling.shared_rate_file import SharedRateFile, shared_rate_path
from batch_editor.scheduling.simulation import (
    SAMPLE,
    Course,
    Failed,
    Workload,
    at_share,
    simulate_often,
    smoothed,
    spread_latencies,
)

__all__ = [
    "SAMPLE",
    "Course",
    "Failed",
    "GiveUp",
    "LimiterClosed",
    "LimiterState",
    "Permit",
    "Pool",
    "RateLimiter",
    "Requeue",
    "Retry",
    "RetryPolicy",
    "SharedRateDatabase",
    "SharedRateFile",
    "SharedRateLimit",
    "Tally",
    "Workload",
    "at_share",
    "decide",
    "shared_rate_name",
    "shared_rate_path",
    "simulate_often",
    "slack_s",
    "smoothed",
    "spacing_s",
    "spread_latencies",
]
