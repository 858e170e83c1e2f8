"""When a request may leave, how many at once, and whether a failed one is tried again."""

from batch_editor.scheduling.limits import GateClosed, RateGate
from batch_editor.scheduling.pace import Ticket
from batch_editor.scheduling.pool import Later, Pool
from batch_editor.scheduling.retry import Again, Final, Policy, Tally, decide
from batch_editor.scheduling.schedule import Schedule, schedule_path
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
from batch_editor.scheduling.throttle import slack_s, spacing_s

__all__ = [
    "SAMPLE",
    "Again",
    "Course",
    "Failed",
    "Final",
    "GateClosed",
    "Later",
    "Policy",
    "Pool",
    "RateGate",
    "Schedule",
    "Tally",
    "Ticket",
    "Workload",
    "at_share",
    "decide",
    "schedule_path",
    "simulate_often",
    "slack_s",
    "smoothed",
    "spacing_s",
    "spread_latencies",
]
