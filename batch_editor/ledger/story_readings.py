"""What the ledger has of one job: its requests, the former ones included, and what was tried. Reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import orjson

from batch_editor.ledger.entries import files_from
from batch_editor.ledger.finished import FinishedRow
from batch_editor.ledger.finished_readings import finished_of
from batch_editor.ledger.readings import is_rehearsal
from batch_editor.ledger.review_readings import AttemptRow, attempts_of
from batch_editor.records import LOCAL

# To compare an id with so many takes a fifth of a second.
_MOST_IDS = 20_000


class StoryRequest(NamedTuple):
    """A request that a job asks for, or asked for once; `params` and `files` are JSON.

    sent_params: what the redo sent that made its image, None where none did. job_id: the job that it was sent for.
    reused_from: where its image was taken from, in another output directory. expected_usd, cost_usd: of its image, by
    the price list and by the provider.
    """

    fingerprint: str
    endpoint: str
    params: str
    sent_params: str | None
    files: str
    state: str
    job_id: str
    reused_from: str | None
    expected_usd: float
    cost_usd: float | None
    http_status: int | None
    error_kind: str | None
    error: str | None
    sha256: str | None
    size_bytes: int | None
    format: str | None
    width: int | None
    height: int | None


class StoryRedo(NamedTuple):
    """The redo of an image that is wanted, and isn't there yet."""

    sha256: str
    prompt: str
    state: str
    error_kind: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class JobOnRecord:
    """A job as the ledger has it, be it in the manifest no more (`active`).

    requests: the present one first, then the former ones, newest first. attempts: of all of them, oldest first.
    path: where its picture stands. output: its file's name without ending. fault: of its row, which is left out.
    """

    job_id: str
    active: bool
    template: str | None
    output: str
    path: str | None
    fault: str | None
    requests: Sequence[StoryRequest]
    attempts: Sequence[AttemptRow]
    redo: StoryRedo | None
    is_rehearsal: bool
    finished: Sequence[FinishedRow]

    @property
    def status(self) -> str:
        """As the output manifest has it."""
        return "failed" if self.fault is not None else self.requests[0].state


def job_on_record(db: sqlite3.Connection, job_id: str) -> JobOnRecord | None:
    """What is known of a job; None if no manifest ever named it."""
    row = db.execute(
        "SELECT active, template, output, placed_path, fault, fingerprint, placed_fingerprint FROM jobs"
        " WHERE job_id = ?",
        (job_id,),
    ).fetchone()
    if row is None:
        return None
    active, template, output, path, fault, present, placed = row
    found = {
        request.fingerprint: request
        for request in map(
            StoryRequest._make,
            db.execute(
                f"SELECT {', '.join(StoryRequest._fields)} FROM requests WHERE fingerprint IN (?, ?) OR job_id = ?",
                (present, placed, job_id),
            ),
        )
    }
    attempts = attempts_of(db, *found)
    last = {attempt.fingerprint: number for number, attempt in enumerate(attempts)}
    order = sorted(found, key=lambda each: (each != present, -last.get(each, -1)))
    redo = db.execute(f"SELECT {', '.join(StoryRedo._fields)} FROM redos WHERE fingerprint = ?", (present,)).fetchone()
    return JobOnRecord(
        job_id=job_id,
        active=bool(active),
        template=template,
        output=output,
        path=path if placed == present and found[present].state == "succeeded" else None,
        fault=fault,
        requests=[found[each] for each in order],
        attempts=attempts,
        redo=None if redo is None else StoryRedo._make(redo),
        is_rehearsal=is_rehearsal(db),
        finished=finished_of(db, job_id),
    )


def nearest_ids(db: sqlite3.Connection, job_id: str, *, most: int = 3) -> list[str]:
    """Ids of jobs that one may be a slip for, the nearest first."""
    like = "".join(f"\\{each}" if each in "%_\\" else each for each in job_id)
    within = db.execute(
        "SELECT job_id FROM jobs WHERE job_id LIKE ? ESCAPE '\\' ORDER BY length(job_id), position LIMIT ?",
        (f"%{like}%", most),
    ).fetchall()
    if within:
        return [each for (each,) in within]
    ids = [each for (each,) in db.execute("SELECT job_id FROM jobs ORDER BY position LIMIT ?", (_MOST_IDS,))]
    return get_close_matches(job_id, ids, n=most, cutoff=0.6)


def parameters_of(request: StoryRequest) -> dict[str, Any]:
    """What a request sends, local files by their paths; of one with the image of a redo, what that sent."""
    found: dict[str, Any] = orjson.loads(request.sent_params or request.params)
    paths = {f"{LOCAL}{sha256}": path for sha256, (path, _) in files_from(request.files).items()}
    return {
        name: [paths.get(str(each), each) for each in value]
        if isinstance(value, list)
        else paths.get(value, value)
        if isinstance(value, str)
        else value
        for name, value in found.items()
    }
