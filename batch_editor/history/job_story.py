"""One job's whole story: what was asked for, what was tried and charged, which files there are, what people said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from batch_editor.errors import UsageError
from batch_editor.history.moments import local, zones
from batch_editor.ledger import Connection, readings, story_readings
from batch_editor.ledger.readings import iso
from batch_editor.ledger.review_readings import AttemptRow
from batch_editor.ledger.story_readings import JobOnRecord, StoryRequest, parameters_of
from batch_editor.output import REJECTED, PictureStore, picture_store, verdicts_of
from batch_editor.text import printable, quoted
from batch_editor.verdicts import Picture, Verdict

_LONGEST = 300
_OPEN = ("sent", "accepted", "received")


class StoryFile(NamedTuple):
    """A file of the job, what it is (`kind`), and where below OUT; path: None where it is no longer there."""

    kind: str
    path: str | None
    sha256: str | None
    about: str


@dataclass(frozen=True, slots=True)
class JobStory:
    """What `explain` shows of a job."""

    output: Path
    job: JobOnRecord
    files: Sequence[StoryFile]
    verdicts: Mapping[Picture, Verdict]

    def as_json(self) -> dict[str, Any]:
        """The `--json` object of `explain`."""
        job = self.job
        confirmed_usd, possibly_usd = _money(job)
        return {
            "output": str(self.output),
            "job_id": job.job_id,
            "status": job.status,
            "in_manifest": job.active,
            "fault": job.fault,
            "template": job.template,
            "requests": [_request_json(job, request) for request in job.requests],
            "files": [file._asdict() for file in self.files],
            "verdicts": [
                {
                    "fingerprint": picture.fingerprint,
                    "sha256": picture.sha256,
                    "verdict": said.verdict,
                    "note": said.note,
                    "by": said.by,
                    "at": iso(said.at),
                }
                for picture, said in self.verdicts.items()
            ],
            "redo": None if job.redo is None else job.redo._asdict(),
            "cost_usd": {"confirmed": round(confirmed_usd, 6), "possibly_billed": round(possibly_usd, 6)},
            "sandbox": job.is_rehearsal,
        }

    def lines(self) -> Iterator[str]:
        """For people, the present request first."""
        job = self.job
        gone = "" if job.active else "; it has left the manifest"
        yield f"{job.job_id}: {job.status}{gone}"
        if job.template:
            yield f"  made by the manifest's entry {printable(job.template, limit=_LONGEST)}"
        if job.fault is not None:
            yield f"  its row is left out: {printable(job.fault, limit=_LONGEST)}"
        for number, request in enumerate(job.requests):
            yield from _request_lines(job, request, is_present=number == 0)
        if self.files:
            yield "Files:"
        for file in self.files:
            yield f"  {file.kind}: {file.path or 'no longer there'}{file.about and f', {file.about}'}"
        for picture, said in self.verdicts.items():
            note = f": {printable(said.note, limit=_LONGEST)}" if said.note else ""
            which = f"picture {picture.sha256[:12]}"
            yield f"Verdict: {which} {said.verdict or 'without'}, by {said.by} on {local(said.at)}{note}"
        if job.redo is not None:
            why = (
                f" ({job.redo.error_kind}: {printable(job.redo.error or '', limit=_LONGEST)})" if job.redo.error else ""
            )
            yield f"Redo: {job.redo.state}{why}; prompt: {printable(job.redo.prompt, limit=_LONGEST)}"
        confirmed_usd, possibly_usd = _money(job)
        possibly = f", up to ${possibly_usd:,.4f} more possibly billed" if possibly_usd else ""
        named = zones(attempt.sent_at for attempt in job.attempts)
        times = f"; times in {named}" if named else ""
        rehearsal = ", of a rehearsal: nothing is paid" if job.is_rehearsal else ""
        yield f"Money: ${confirmed_usd:,.4f} confirmed{possibly}{rehearsal}{times}"


def story_of(output: Path, job_id: str) -> JobStory:
    """The story of a job. Blocks.

    Raises:
        UsageError: nothing has run there, or no manifest ever named the job; it says which ids are near.
        MachineError: the ledger, the verdicts or the pictures can't be read.
    """
    with readings.reading(output) as db:
        job = story_readings.job_on_record(db, job_id)
        if job is None:
            raise UsageError(_not_there(db, output, job_id))
        known = {request.fingerprint for request in job.requests}
        verdicts = {picture: said for picture, said in verdicts_of(db, output).items() if picture.fingerprint in known}
    with closing(picture_store(output)) as pictures:
        return JobStory(output, job, list(_files(pictures, job)), verdicts)


def _not_there(db: Connection, output: Path, job_id: str) -> str:
    near = story_readings.nearest_ids(db, job_id)
    hint = f"; did you mean {', '.join(map(quoted, near))}?" if near else f"; {output}/manifest.csv lists its jobs"
    return f"{output}: no job {quoted(job_id)}{hint}"


def _files(pictures: PictureStore, job: JobOnRecord) -> Iterator[StoryFile]:
    present = job.requests[0]
    if job.path is not None and present.sha256 is not None:
        size = f"{present.width}x{present.height} {present.format}, {present.size_bytes or 0:,} bytes"
        yield StoryFile("picture", pictures.find(job.path, present.sha256), present.sha256, size)
    seen = {present.sha256} if job.path is not None else set()
    for attempt in reversed(job.attempts):
        if attempt.state == "succeeded" and attempt.sha256 is not None and attempt.sha256 not in seen:
            seen.add(attempt.sha256)
            path = next(iter(pictures.former(attempt.sha256)), None)
            pruned = "" if path or attempt.pruned_at is None else f", pruned {local(attempt.pruned_at)}"
            yield StoryFile("former picture", path, attempt.sha256, f"of {local(attempt.sent_at)}{pruned}")
    if pictures.folder is not None:
        for rejected in sorted(pictures.folder.glob(f"{REJECTED}/{escape(job.output)}.attempt-*")):
            yield StoryFile("rejected answer", rejected.relative_to(pictures.folder).as_posix(), None, "")
    for row in job.finished:
        faults = [check["rule"] for check in orjson.loads(row.checks) if not check["ok"]]
        about = row.fault or (f"fails {', '.join(faults)}" if faults else "")
        yield StoryFile(f"finished for {row.name}", row.path, row.sha256, printable(about, limit=_LONGEST))


def _attempts_of(job: JobOnRecord, request: StoryRequest) -> Iterator[tuple[AttemptRow, float | None]]:
    """The attempts at a request, each with how long it waited since the end of the one before it, in seconds."""
    before: AttemptRow | None = None
    for attempt in job.attempts:
        if attempt.fingerprint == request.fingerprint:
            ended_at = None if before is None else before.ended_at
            yield attempt, None if ended_at is None else max(attempt.sent_at - ended_at, 0.0)
            before = attempt


def _confirmed_usd(request: StoryRequest, attempt: AttemptRow) -> float:
    if attempt.state != "succeeded":
        return 0.0
    if attempt.cost_usd is not None:
        return attempt.cost_usd
    return request.expected_usd if attempt.list_usd is None else attempt.list_usd


def _money(job: JobOnRecord) -> tuple[float, float]:
    """What the job has cost: confirmed, and at most possibly billed in vain. Requests of other jobs are theirs."""
    own = {request.fingerprint: request for request in job.requests if request.job_id == job.job_id}
    attempts = [attempt for attempt in job.attempts if attempt.fingerprint in own]
    return (
        sum(_confirmed_usd(own[attempt.fingerprint], attempt) for attempt in attempts),
        sum(attempt.charged_usd for attempt in attempts if attempt.possibly_billed),
    )


def _source(job: JobOnRecord, request: StoryRequest) -> str | None:
    """Where the image was taken from, None where it was made for this job."""
    if request.reused_from is not None:
        return request.reused_from
    return None if request.job_id == job.job_id else request.job_id


def _request_json(job: JobOnRecord, request: StoryRequest) -> dict[str, Any]:
    return {
        "fingerprint": request.fingerprint,
        "present": request is job.requests[0],
        "endpoint": request.endpoint,
        "state": request.state,
        "reused_from": _source(job, request),
        "parameters": parameters_of(request),
        "attempts": [
            {
                "number": attempt.number,
                "run_id": attempt.run_id,
                "state": attempt.state,
                "redo": attempt.redo_params is not None,
                "pictures_changed": bool(attempt.pictures_changed),
                "sent_at": iso(attempt.sent_at),
                "ended_at": iso(attempt.ended_at),
                "waited_s": None if waited_s is None else round(waited_s, 3),
                "latency_s": None if attempt.latency_s is None else round(attempt.latency_s, 3),
                "http_status": attempt.http_status,
                "error_kind": attempt.error_kind,
                "error": attempt.error,
                "possibly_billed": bool(attempt.possibly_billed),
                "cost_usd": {
                    "confirmed": round(_confirmed_usd(request, attempt), 6),
                    "possibly_billed": round(attempt.charged_usd, 6) if attempt.possibly_billed else 0.0,
                },
                "request_id": attempt.request_id,
                "sha256": attempt.sha256,
            }
            for attempt, waited_s in _attempts_of(job, request)
        ],
    }


def _request_lines(job: JobOnRecord, request: StoryRequest, *, is_present: bool) -> Iterator[str]:
    what = "Request" if is_present else "Former request"
    yield f"{what} {request.fingerprint[:12]} to {request.endpoint or 'nobody'}:"
    for name, value in parameters_of(request).items():
        if value is not None:
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"  {name}: {printable(text, limit=_LONGEST)}"
    if (source := _source(job, request)) is not None:
        yield f"  its image is that of {source}, for nothing"
    count = 0
    for attempt, waited_s in _attempts_of(job, request):
        count += 1
        waited = "" if waited_s is None else f" after {waited_s:,.1f} s of waiting"
        what = "redo, " if attempt.redo_params is not None else ""
        what = "another picture behind a link, " if attempt.pictures_changed else what
        sent = f"{local(attempt.sent_at, seconds=True)}  {what}attempt {attempt.number}{waited}"
        yield f"  {sent}: {_fate(request, attempt)}"
        if attempt.error:
            yield f"    {printable(attempt.error, limit=_LONGEST)}"
    if not count and request.state != "succeeded":
        why = f": {printable(request.error, limit=_LONGEST)}" if request.error else ""
        yield f"  never sent{why}"


def _fate(request: StoryRequest, attempt: AttemptRow) -> str:
    """What became of an attempt, in a line."""
    status = "" if attempt.http_status is None else f"HTTP {attempt.http_status}, "
    took = "" if attempt.latency_s is None else f" in {attempt.latency_s:,.1f} s"
    if attempt.state == "succeeded":
        by = "by the price list" if attempt.cost_usd is None else "by the provider"
        return f"{status}an image{took}, ${_confirmed_usd(request, attempt):,.4f} {by}"
    if attempt.state in _OPEN and not attempt.possibly_billed:
        return f"no outcome yet, up to ${attempt.charged_usd:,.4f} reserved"
    billed = f"possibly billed, up to ${attempt.charged_usd:,.4f}" if attempt.possibly_billed else "not billed"
    return f"{status}{attempt.error_kind or attempt.state}{took}, {billed}"
