"""A run in figures for Prometheus: on a port while it is at work, in a textfile when it has ended.

The only importer of prometheus_client, which takes a tenth of a second to load: only runs whose settings have
`metrics` import this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server

from batch_editor.config import MetricsSettings
from batch_editor.files import whole_file
from batch_editor.ledger import Counts
from batch_editor.output.run_status import RunStatus
from batch_editor.records import Answer, Failure
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.summary import Summary
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import GiveUp, Permit, Retry
from batch_editor.text import escape_bytes

M = TypeVar("M", Counter, Gauge, Histogram)

# An edit takes a minute, and is given up after five by the defaults.
_BUCKETS_S = (1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600)
_STATUSES = ("succeeded", "failed", "unknown", "pending")


class Metrics(AttemptListener):
    """Counts what a process does for one output directory, over all its runs. Each figure has the label `output`.

    Counters and gauges may be read by the port's threads at any time. `close` ends the port.
    """

    def __init__(self, output: Path, settings: MetricsSettings, *, say: Callable[[str], None]) -> None:
        self.registry = CollectorRegistry()
        self._output = escape_bytes(str(output.resolve()))
        self._settings = settings
        self._say = say
        self._server: Any = None
        self._figures = Figures.registered(self.registry)
        self._jobs = dict.fromkeys(_STATUSES, 0)
        for kind in ("confirmed", "possibly_billed"):
            self._of(self._figures.spent, kind)
        self._of(self._figures.retries)
        self._of(self._figures.rate_wait)

    def serve(self) -> None:
        """Answer on `metrics.port`; where that can't be had, say so: a night isn't lost for it. Blocks."""
        if self._settings.port is None:
            return
        host, port = self._settings.address
        try:
            self._server, _ = start_http_server(port, host, self.registry)
        except OSError as error:
            self._say(
                f"warning: metrics.port {self._settings.port} can't be had ({error.strerror or error}); the run goes on"
                " without it"
            )

    def close(self) -> None:
        """Answer no more. Blocks."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def began(self, counts: Counts, *, succeeded_at: float | None) -> None:
        """A run begins with these jobs; `succeeded_at`: when a run of this output directory last ended with 0."""
        self._show_success(succeeded_at)
        self._jobs = {status: getattr(counts, status) for status in _STATUSES}
        self._show_jobs()
        self._of(self._figures.at_work).set(1)

    def permitted(self, task: Task, waited_s: float) -> None:
        """Add up what requests waited for the rate."""
        self._of(self._figures.rate_wait).inc(waited_s)

    def started(self, task: Task, attempt_id: int) -> None:
        """Count a request that is sent again."""
        if task.is_retry:
            self._of(self._figures.retries).inc()

    def answered(self, task: Task, answer: Answer, permit: Permit | None) -> None:
        """Count an attempt by its status, or by what went wrong where it has none; and how long it took."""
        outcome = answer.outcome
        status = outcome.http_status if isinstance(outcome, Failure) else answer.http_status
        kind = outcome.kind if isinstance(outcome, Failure) else "succeeded"
        self._of(self._figures.attempts, kind if status is None else str(status)).inc()
        if answer.latency_s is not None:
            self._of(self._figures.latency).observe(answer.latency_s)

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """Add up what an image cost, as the provider said, or else by the price list."""
        usd = task.request.expected_usd if answer.cost_usd is None else answer.cost_usd
        self._of(self._figures.spent, "confirmed").inc(usd)
        if not task.request.is_redo:  # those have their former image until then
            self._move("succeeded", jobs)

    def possibly_billed(self, task: Task, usd: float) -> None:
        """Add up what may have been charged in vain."""
        self._of(self._figures.spent, "possibly_billed").inc(usd)

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        """Count jobs that ended without an image."""
        if isinstance(then, GiveUp) and then.status != "pending" and not task.request.is_redo:
            self._move(then.status, task.request.jobs)

    def take(self, status: RunStatus) -> None:
        """How the run stands, once a second."""
        self._of(self._figures.in_flight).set(status.in_flight)
        self._of(self._figures.pace).set(status.per_min)
        self._of(self._figures.reserved).set(status.reserved_usd)
        self._of(self._figures.breaker).set(any(each.cause == "outage" for each in status.slow))

    def run_ended(self, summary: Summary, *, succeeded_at: float | None) -> None:
        """The last figures; `succeeded_at` as in `began`. Blocks."""
        figures = self._figures
        for gauge in (figures.at_work, figures.in_flight, figures.pace, figures.reserved, figures.breaker):
            self._of(gauge).set(0)
        self._jobs = {status: getattr(summary.jobs, status) for status in _STATUSES}
        self._show_jobs()
        self._of(figures.exit_code).set(summary.exit_code)
        self._of(figures.ended_at).set(time.time())
        self._show_success(succeeded_at)
        # Of a rehearsal there is nothing to watch, and its figures would take the place of the real run's.
        if self._settings.textfile is not None and not summary.sandbox:
            self._write(self._settings.textfile, summary.output.name)

    def _write(self, path: Path, name: str) -> None:
        try:
            if path.is_dir():
                path /= f"batch_editor_{name}.prom"
            with whole_file(path) as file:
                file.write(generate_latest(self.registry))
        except OSError as error:
            self._say(f"warning: metrics.textfile {path}: can't be written ({error.strerror or error})")

    def _move(self, status: str, jobs: int) -> None:
        self._jobs[status] += jobs
        self._jobs["pending"] = max(0, self._jobs["pending"] - jobs)
        self._show_jobs()

    def _show_success(self, at: float | None) -> None:
        if at is not None:
            self._of(self._figures.succeeded_at).set(at)

    def _show_jobs(self) -> None:
        for status, count in self._jobs.items():
            self._of(self._figures.jobs, status).set(count)

    def _of(self, figure: M, *labels: str) -> M:
        """The figure of this output directory."""
        return figure.labels(self._output, *labels)


@dataclass(frozen=True, slots=True)
class Figures:
    """Every figure, by what it is called here."""

    attempts: Counter
    latency: Histogram
    retries: Counter
    rate_wait: Counter
    spent: Counter
    reserved: Gauge
    in_flight: Gauge
    jobs: Gauge
    pace: Gauge
    breaker: Gauge
    at_work: Gauge
    exit_code: Gauge
    ended_at: Gauge
    succeeded_at: Gauge

    @classmethod
    def registered(cls, registry: CollectorRegistry) -> Figures:
        """All of them, in that registry."""

        def counter(name: str, about: str, *labels: str) -> Counter:
            """One that only grows."""
            return Counter(f"batch_editor_{name}", about, ("output", *labels), registry=registry)

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            """One that goes up and down."""
            return Gauge(f"batch_editor_{name}", about, ("output", *labels), registry=registry)

        return cls(
            attempts=counter("attempts", "Attempts by HTTP status, or by error kind where there was none.", "status"),
            latency=Histogram(
                "batch_editor_latency_seconds",
                "From sending a request to the last byte of its answer.",
                ("output",),
                buckets=_BUCKETS_S,
                registry=registry,
            ),
            retries=counter("retries", "Requests that were sent again."),
            rate_wait=counter("rate_wait_seconds", "What requests waited for their turn of the rate, added up."),
            spent=counter("spent_usd", "Money: confirmed, or possibly billed without a result.", "kind"),
            reserved=gauge("reserved_usd", "Money set aside for what is in flight, at its max price."),
            in_flight=gauge("in_flight_requests", "Requests that wait for their answer."),
            jobs=gauge("jobs", "Jobs of the manifest by status.", "status"),
            pace=gauge("pace_per_minute", "Requests that were answered with an image within the last minute."),
            breaker=gauge("breaker_open", "1 while the provider is taken to be down."),
            at_work=gauge("run_at_work", "1 while a run is at work."),
            exit_code=gauge("last_run_exit_code", "How the last run ended."),
            ended_at=gauge("last_run_timestamp_seconds", "When the last run ended."),
            succeeded_at=gauge("last_success_timestamp_seconds", "When a run last ended with exit code 0."),
        )
