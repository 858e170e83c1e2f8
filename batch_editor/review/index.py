"""All jobs of an output directory in memory, as pages ask for them; renewed when the ledger or a verdict changed."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batch_editor.errors import MachineError
from batch_editor.files import SIDE_FILES
from batch_editor.ledger import FILE_NAME as LEDGER_NAME
from batch_editor.ledger import image_readings, readings, review_readings
from batch_editor.ledger.database import MOUNTS, on_network
from batch_editor.output import holder_of, under_present_names
from batch_editor.review.jobs import ReviewJob, review_job, stamp_of
from batch_editor.verdicts import FILE_NAME as VERDICTS_NAME
from batch_editor.verdicts import Picture, Verdict, read_verdicts

# Pages ask every two seconds.
RENEWED_AFTER_S = 1.0
# A reading takes 0.2 s for 10,000 jobs: beside a run, which changes the ledger all the time, it is at most a tenth of
# one core.
SHARE_OF_TIME = 10
# Two changes of a file may have one time of change, as coarse as the system's clock for files.
CLOCK_S = 0.1


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The jobs and what people said of them, as they were at one instant. `version` is another one after any change.

    redone: how many former pictures a request has, by fingerprint. is_running: a run is at work. outdated: why the
    ledger isn't read just now. places, requests: where jobs are in `jobs`, by id and by fingerprint. is_comparison:
    they are jobs that are made in several ways.
    """

    version: str
    jobs: Sequence[ReviewJob]
    verdicts: Mapping[Picture, Verdict]
    redone: Mapping[str, int]
    is_running: bool
    outdated: str | None
    places: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    is_comparison: bool = False

    def job(self, job_id: str) -> ReviewJob | None:
        """The job of that id."""
        at = self.places.get(job_id)
        return None if at is None else self.jobs[at]

    def job_of(self, fingerprint: str) -> ReviewJob | None:
        """One of the jobs that ask for a request."""
        at = self.requests.get(fingerprint)
        return None if at is None else self.jobs[at]

    def said_of(self, job: ReviewJob) -> Verdict | None:
        """What people said of a job's picture."""
        picture = job.picture
        return None if picture is None else self.verdicts.get(picture)


class Index:
    """Snapshots of an output directory. Everything blocks; threads may share it."""

    def __init__(self, output: Path, *, mounts: Path = MOUNTS) -> None:
        self._output = output
        self._mounts = mounts
        self._lock = threading.Lock()  # one reading at a time
        self._name = secrets.token_hex(3)  # versions of another server are others
        self._generation = 0
        self._next_at = 0.0
        self._renamed: Mapping[str, Sequence[str]] = {}  # what requests were called, to what they are
        self._seen_ledger: object = None
        self._seen_verdicts: object = None
        self._snapshot = Snapshot("", [], {}, {}, is_running=False, outdated=None)

    def snapshot(self) -> Snapshot:
        """The jobs as they were a second ago at most, or longer where reading them takes long.

        Raises:
            UsageError: there is no ledger.
            MachineError: the ledger or the verdicts can't be read, and were not before.
        """
        with self._lock:
            if time.monotonic() >= self._next_at:
                began_at = time.monotonic()
                try:
                    self._read_ledger()
                    self._read_verdicts()
                except MachineError:
                    # A run may hold it just now: what is known is shown, and the next page asks again.
                    if self._seen_ledger is None or self._seen_verdicts is None:
                        raise
                ended_at = time.monotonic()
                self._next_at = ended_at + max(RENEWED_AFTER_S, SHARE_OF_TIME * (ended_at - began_at))
            return self._snapshot

    def expire(self) -> None:
        """Have the next snapshot be as things are then, however short ago the last one was."""
        with self._lock:
            self._next_at = 0.0

    def judged(self) -> Snapshot:
        """As `snapshot`, with what people have said by now.

        Raises:
            MachineError: the verdicts can't be read.
        """
        with self._lock:
            self._read_verdicts()
            return self._snapshot

    def _read_ledger(self) -> None:
        running = is_running(self._output)
        outdated = self._outdated(running=running)
        seen = (_seen(self._output, LEDGER_NAME), running, outdated)
        if seen == self._seen_ledger:
            return
        known = self._snapshot
        changes: dict[str, Any] = {"is_running": running, "outdated": outdated}
        jobs = known.jobs
        if outdated is None:
            jobs, changes["redone"], changes["is_comparison"] = self._jobs(known.jobs)
        changes["jobs"] = jobs
        if jobs is not known.jobs:
            changes["places"] = {job.row.job_id: at for at, job in enumerate(jobs)}
            changes["requests"] = {job.row.fingerprint: at for at, job in enumerate(jobs)}
        self._change(**changes)
        self._seen_ledger = seen

    def _read_verdicts(self) -> None:
        seen = (_seen(self._output, VERDICTS_NAME), self._renamed)
        if seen != self._seen_verdicts:
            self._change(verdicts=under_present_names(read_verdicts(self._output), self._renamed))
            self._seen_verdicts = seen

    def _change(self, **changes: Any) -> None:
        if self._generation and all(getattr(self._snapshot, name) == value for name, value in changes.items()):
            return
        self._generation += 1
        self._snapshot = replace(self._snapshot, version=f"{self._name}-{self._generation}", **changes)

    def _outdated(self, *, running: bool) -> str | None:
        if running and on_network(self._output / LEDGER_NAME, self._mounts):
            return f"{NETWORK}; what is shown is older"
        return None

    def _jobs(self, known: Sequence[ReviewJob]) -> tuple[Sequence[ReviewJob], Counter[str], bool]:
        before = {job.row.job_id: job for job in known}
        jobs: dict[str, ReviewJob] = {}
        with readings.reading(self._output) as db:
            for row in review_readings.review_rows(db):
                former = before.get(row.job_id)
                same = former is not None and former.stamp == stamp_of(row)
                jobs[row.job_id] = former if same and former is not None else review_job(row)
            redone = review_readings.former_pictures(db)
            self._renamed = image_readings.fingerprints_since(db)
            is_comparison = readings.is_comparison(db)
        return list(jobs.values()), redone, is_comparison


NETWORK = (
    "a run is at work here, and the ledger lies on a network's file system, where a page that reads it would hold up"
    " the run"
)


def is_running(output: Path) -> bool:
    """Whether a run, or another command that changes the ledger, is at work on an output directory."""
    return holder_of(output) is not None


def _seen(output: Path, name: str) -> list[object]:
    """What changes with the content of a database; always something else within `CLOCK_S` of a change."""
    found: list[object] = []
    # -shm changes with each reader.
    for ending in ("", *(ending for ending in SIDE_FILES if ending != "-shm")):
        with suppress(OSError):
            status = (output / f"{name}{ending}").stat()
            now = time.time()
            is_fresh = abs(now - status.st_mtime) < CLOCK_S
            found.append((ending, status.st_ino, status.st_size, status.st_mtime_ns, now if is_fresh else 0.0))
    return found
