"""What the pages get of jobs, as JSON: a card for each in the gallery, all of it for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from batch_editor.ledger import readings
from batch_editor.ledger.review_readings import AttemptRow, FormerPicture, JobFiles
from batch_editor.records import LOCAL
from batch_editor.review.filters import Filter, facets
from batch_editor.review.grid import Grid, compared_job, has_several
from batch_editor.review.index import Snapshot
from batch_editor.review.jobs import ReviewJob, prompt_of
from batch_editor.text import printable
from batch_editor.verdicts import Picture, Verdict

Json = dict[str, Any]

# Characters of a prompt on a card.
_BRIEF = 200


def card(snapshot: Snapshot, job: ReviewJob) -> Json:
    """A job as the gallery shows it."""
    row, picture, said = job.row, job.picture, snapshot.said_of(job)
    return {
        "job_id": row.job_id,
        "status": row.status,
        **_said(said),
        "fingerprint": row.fingerprint,
        "sha256": row.sha256 if picture else None,
        "width": row.width if picture else None,
        "height": row.height if picture else None,
        "thumb": thumb_url(picture) if picture and row.path else None,
        "before": before_url(row.fingerprint, 0) if job.inputs else None,
        "prompt": job.prompt[:_BRIEF],
        "template": row.template,
        "endpoint": row.endpoint,
        "error_kind": row.error_kind,
        "error": row.error,
        "cost_usd": _usd(job.charged_usd),
        "latency_s": _rounded(row.latency_s),
        "redo": None
        if row.redo_state is None
        else {"state": row.redo_state, "error_kind": row.redo_error_kind, "error": row.redo_error},
        "redone": snapshot.redone.get(row.fingerprint, 0),
        "reused_from": row.owner if row.owner != row.job_id else None,
        "possibly_billed": row.possibly_billed if row.owner == row.job_id else 0,
    }


def cards(snapshot: Snapshot, chosen: Sequence[ReviewJob], *, offset: int, limit: int) -> Json:
    """Some of the jobs that a filter has chosen."""
    return {
        "version": snapshot.version,
        "total": len(chosen),
        "offset": offset,
        "pictures": sum(job.picture is not None for job in chosen),
        "jobs": [card(snapshot, job) for job in chosen[offset : offset + limit]],
    }


def grid_page(snapshot: Snapshot, grid: Grid, *, offset: int, limit: int) -> Json:
    """Some rows of a grid."""
    return {
        "version": snapshot.version,
        "total": len(grid.rows),
        "offset": offset,
        "pictures": sum(job.picture is not None for _, cells in grid.rows for job in cells.values()),
        "columns": [
            {
                "key": column.key,
                "label": column.label,
                "price_usd": {name: _usd(usd) for name, usd in grid.prices(column).items()},
            }
            for column in grid.columns
        ],
        "rows": [
            {
                "input": {
                    "label": compared_job(first)[0] if snapshot.is_comparison else _label(first),
                    "before": before_url(first.row.fingerprint, 0) if first.inputs else None,
                },
                "cells": [card(snapshot, cells[column]) if column in cells else None for column in grid.columns],
            }
            for first, cells in grid.rows[offset : offset + limit]
        ],
    }


def _label(job: ReviewJob) -> str:
    """What to call the inputs of a job."""
    return job.row.identity or " + ".join(link_name(link, job.local) for link in job.inputs) or job.row.job_id


def overview(snapshot: Snapshot, *, output: str, user: str, read_only: str | None) -> Json:
    """Everything in sums, and what can be filtered by."""
    jobs, found = snapshot.jobs, facets(snapshot)
    by_status = {each["value"]: each["count"] for each in found["status"]}
    by_verdict = {each["value"]: each["count"] for each in found["verdict"]}
    charged = [job.charged_usd for job in jobs if job.row.status == "succeeded"]
    expected = [
        job.row.expected_usd for job in jobs if job.row.status == "succeeded" and job.row.owner == job.row.job_id
    ]
    return {
        "output": output,
        "manifest_name": _manifest_name(jobs),
        "running": snapshot.is_running,
        "version": snapshot.version,
        "jobs": {
            "total": len(jobs),
            **{status: by_status.get(status, 0) for status in ("succeeded", "failed", "pending", "unknown")},
        },
        "verdicts": {word: by_verdict.get(word, 0) for word in ("approved", "rejected", "none")},
        "filters": found,
        "has_fidelity": False,
        "has_grid": has_several(jobs),
        "money": {
            "estimated_usd": _usd(sum(expected)),
            "actual_usd": _usd(sum(usd for usd in charged if usd is not None)),
        },
        "user": user,
        "read_only": read_only or snapshot.outdated,
    }


def place(snapshot: Snapshot, job: ReviewJob, chosen: Sequence[ReviewJob], wanted: Filter) -> Json:
    """Where a job is among those that a filter has chosen, and which are beside it.

    One that the filter doesn't choose any more keeps its place in the order.
    """
    at = next((at for at, each in enumerate(chosen) if each.row.job_id == job.row.job_id), None)
    matches = at is not None
    if at is None:
        together = wanted.sorted(sorted([*chosen, job], key=lambda each: each.row.position))
        at = next(at for at, each in enumerate(together) if each.row.job_id == job.row.job_id)
    before = chosen[at - 1] if at > 0 else None
    after = at + 1 if matches else at
    return {
        "position": at,
        "total": len(chosen),
        "matches": matches,
        "previous": before.row.job_id if before else None,
        "next": chosen[after].row.job_id if after < len(chosen) else None,
    }


def details(snapshot: Snapshot, job: ReviewJob, files: JobFiles, attempts: Sequence[AttemptRow]) -> Json:
    """All that is known of a job, but its place among others."""
    row, picture = job.row, job.picture
    settings: Mapping[str, Any] = orjson.loads(job.settings)
    return {
        "version": snapshot.version,
        **card(snapshot, job),
        "image": image_url(picture) if picture and row.path else None,
        "inputs": [
            {
                "label": f"Input {number + 1}" if len(job.inputs) > 1 else "Before",
                "url": f"/input/{row.fingerprint}/{number}",
                "thumb": before_url(row.fingerprint, number),
                "name": link_name(link, job.local),
            }
            for number, link in enumerate(job.inputs)
        ],
        "mask": None
        if job.mask is None
        else {
            "label": "Mask",
            "url": f"/input/{row.fingerprint}/mask",
            "thumb": before_url(row.fingerprint, "mask"),
            "name": link_name(job.mask, job.local),
        },
        "prompt": job.prompt,
        "sent_prompt": job.prompt if files.sent_params is None else _prompt(job, files.sent_params),
        "params": [[name, value] for name, value in settings.items() if value is not None],
        "row": [[name, value] for name, value in job.columns.items()],
        "axes": [[name, value] for name, value in job.axes.items()],
        "attempts": [_attempt(job, each) for each in attempts],
        "former": [_former(snapshot, each) for each in files.former],
        "output_path": files.output_path,
        "bytes": files.size_bytes if picture else None,
        "format": files.format if picture else None,
    }


def thumb_url(picture: Picture) -> str:
    """Where a picture's thumbnail is."""
    return f"/thumb/{picture.fingerprint}/{picture.sha256}"


def image_url(picture: Picture) -> str:
    """Where a picture is, as it came."""
    return f"/image/{picture.fingerprint}/{picture.sha256}"


def before_url(fingerprint: str, number: int | str) -> str:
    """Where the thumbnail of a request's input is."""
    return f"/before/{fingerprint}/{number}"


def link_name(link: str, local: Mapping[str, str]) -> str:
    """What to call an input: its file's name, or its link without what may be a signature.

    >>> link_name("https://example.com/a%20b.jpg?sig=1", {})
    'example.com/a b.jpg'
    """
    if link.startswith(LOCAL):
        return printable(PurePosixPath(local.get(link.removeprefix(LOCAL), "a local file")).name)
    if link.startswith("data:"):
        return "a picture in the manifest itself"
    try:
        parts = urlsplit(link)
        return printable(f"{parts.hostname or ''}{unquote(parts.path)}", limit=200)
    except ValueError:
        return printable(link, limit=200)


def _said(said: Verdict | None) -> Json:
    if said is None:
        return {"verdict": None, "note": None, "by": None, "at": None}
    return {"verdict": said.verdict, "note": said.note, "by": said.by, "at": readings.iso(said.at)}


def _prompt(job: ReviewJob, params: str) -> str:
    return prompt_of(job.row.endpoint, orjson.loads(params))


def _attempt(job: ReviewJob, row: AttemptRow) -> Json:
    return {
        "number": row.number,
        "started_at": readings.iso(row.sent_at),
        "latency_s": _rounded(row.latency_s),
        "http_status": row.http_status,
        "state": row.state,
        "error_kind": row.error_kind,
        "error": row.error,
        "cost_usd": _usd(row.charged_usd if row.cost_usd is None else row.cost_usd),
        "possibly_billed": bool(row.possibly_billed),
        "request_id": row.request_id,
        "redo_prompt": None if row.redo_params is None else _prompt(job, row.redo_params),
    }


def _former(snapshot: Snapshot, former: FormerPicture) -> Json:
    picture = Picture(former.fingerprint, former.sha256)
    return {
        "label": "Before it was made again" if former.is_same_request else "Before the job changed",
        "url": image_url(picture),
        "thumb": thumb_url(picture),
        "sha256": picture.sha256,
        "fingerprint": picture.fingerprint,
        "made_at": readings.iso(former.ended_at),
        **_said(snapshot.verdicts.get(picture)),
    }


def _manifest_name(jobs: Sequence[ReviewJob]) -> str | None:
    """The manifest's file, as jobs tell where they come from: `catalog.yaml:7`."""
    names = {PurePosixPath(job.row.template.rpartition(":")[0]).name for job in jobs}
    return ", ".join(sorted(names - {""})) or None


def _usd(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
