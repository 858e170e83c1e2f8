"""What v2 says of a record: when it is submitted, while it is polled, and when its result is fetched."""

from __future__ import annotations

from typing import Any

from batch_editor.sandbox.records import Record


def submitted(record: Record, origin: str) -> dict[str, Any]:
    """The answer to a submission."""
    result = f"{origin}/v2/requests/{record.request_id}"
    return {
        "request_id": record.request_id,
        "status": record.state,
        "poll_url": f"{result}/status",
        "status_url": f"{result}/status",
        "response_url": result,
    }


def status_of(record: Record) -> tuple[int, dict[str, Any]]:
    """The answer to a poll, and its status: a job that failed is a 422 with a body like any other."""
    said: dict[str, Any] = {"request_id": record.request_id, "status": record.state, "metrics": _metrics(record)}
    if record.state == "FAILED":
        return 422, {**said, "error": record.error}
    return 200, said


def result_of(record: Record, origin: str, *, account: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The answer to who fetches the result; one that isn't there yet can't be fetched."""
    status, said = status_of(record)
    if record.state in ("QUEUED", "PROCESSING"):
        return 404, {"error": "The request has no result yet"}
    if record.state == "COMPLETED":
        url = f"{origin}/_sandbox/results/{record.file_name}"
        image = {
            "url": url,
            "content_type": f"image/{record.order.format}",
            "file_name": record.file_name,
            "file_size": record.file_size,
        }
        said |= {"output": url, "images": [image]}
        said["metrics"] |= account
    return status, said


def _metrics(record: Record) -> dict[str, Any]:
    took_s = 0.0 if record.ended_at is None else round(record.ended_at - record.created_at, 3)
    return {
        "cost": record.entry.billed_usd or 0.0,
        "inference_time": took_s,
        "queue_time": 0.0,
        "total_time": took_s,
        "retry_count": 0,
    }
