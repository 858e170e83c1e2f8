"""The log lines of attempts."""

from __future__ import annotations

import logging

from batch_editor.errors import MachineError
from batch_editor.records import Answer, Failure
from batch_editor.runs.listener import AttemptListener
from batch_editor.runs.tasks import Task
from batch_editor.scheduling import GiveUp, Retry

log = logging.getLogger("batch_editor")


class AttemptLog(AttemptListener):
    """Writes a line of the log for what happens to each attempt."""

    def __init__(self) -> None:
        self._in_flight: set[str] = set()  # by fingerprint: a request has one attempt at a time

    def started(self, task: Task, attempt_id: int) -> None:
        """Log `sent`, with how many are in flight; or `fetching result`."""
        self._in_flight.add(task.request.fingerprint)
        if task.submitted is None:
            log.debug("sent", extra={**_job(task), "attempt_id": attempt_id, "in_flight": len(self._in_flight)})
        else:
            log.debug("fetching result", extra={**_job(task), "attempt_id": attempt_id})

    def succeeded(self, task: Task, answer: Answer, jobs: int, warning: str | None) -> None:
        """Log `succeeded`, and `other than asked` before it where that holds."""
        if warning is not None:
            log.warning("other than asked", extra={**_job(task), "difference": warning})
        log.info(
            "succeeded",
            extra={
                **_job(task),
                "latency_s": answer.latency_s,
                "cost_usd": answer.cost_usd,
                "request_id": answer.request_id,
            },
        )

    def failed(self, task: Task, failure: Failure, then: Retry | GiveUp) -> None:
        """Log `failed`, with what follows."""
        status, delay_s = (then.status, 0.0) if isinstance(then, GiveUp) else ("pending", then.delay_s)
        log.log(
            logging.INFO if status == "pending" else logging.WARNING,
            "failed",
            extra={
                **_job(task),
                "status": status,
                "error_kind": failure.kind,
                "http_status": failure.http_status,
                "error": failure.message,
                "possibly_billed": failure.maybe_billed,
                "again_in_s": round(delay_s, 3) if status == "pending" else None,
            },
        )

    def unsaved(self, task: Task, error: MachineError) -> None:
        """Log `unsaved`."""
        log.error("unsaved", extra={**_job(task), "error": str(error)})

    def ended(self, task: Task) -> None:
        """Count one less in flight."""
        self._in_flight.discard(task.request.fingerprint)


def _job(task: Task) -> dict[str, object]:
    redo = {"redo": True} if task.request.is_redo else {}
    return {"job_id": task.request.job_id, **redo}
