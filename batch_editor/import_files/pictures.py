"""Which new picture takes the place of a shop's: found by the product and the link that its job's row has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias

import orjson

from batch_editor.errors import UsageError
from batch_editor.import_files.addresses import address
from batch_editor.ledger import Connection, FinishedRow, Result, Results, finished_readings
from batch_editor.links.encoded import as_encoded
from batch_editor.links.signed import unsigned
from batch_editor.shops import Format, picture_of_job
from batch_editor.verdicts import Picture, Verdict


class New(NamedTuple):
    """A picture that goes out, at its address; its jobs are those of which it is the image, or the finished file.

    fails_check: whether that fails one of its checks.
    """

    address: str
    is_approved: bool
    jobs: tuple[str, ...]
    fails_check: bool = False


class Old(NamedTuple):
    """Why a picture stays as it is: in one word, in a sentence, and by which job, if there is one."""

    why: str
    reason: str
    job: Result | None = None


class Several(NamedTuple):
    """New pictures of which it could be any: nothing says which of them is meant."""

    new: Sequence[New]

    @property
    def jobs(self) -> tuple[str, ...]:
        """All that made one of them."""
        return tuple(job for each in self.new for job in each.jobs)


class Kept(NamedTuple):
    """No new picture: a reason for each job, or one."""

    old: Sequence[Old]

    @property
    def jobs(self) -> tuple[str, ...]:
        """The picture's jobs, if it has any."""
        return tuple(each.job.job_id for each in self.old if each.job is not None)


Found: TypeAlias = New | Several | Kept


class _File(NamedTuple):
    """A file that goes out: its path below the output directory, what it holds, and whether it fails a check."""

    path: str
    sha256: str
    fails_check: bool = False


class Files:
    """What goes out of a job: its picture as it came."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url

    def of(self, result: Result) -> _File:
        """What goes out of a job of which `why_not` says nothing."""
        assert result.output_path is not None
        assert result.sha256 is not None
        return _File(result.output_path, result.sha256)

    def why_not(self, result: Result) -> Old | None:
        """Why nothing goes out of a job that has its picture; None: it does."""
        return None

    def address(self, result: Result) -> str:
        """Where the shop finds it."""
        file = self.of(result)
        return address(self._public_url, file.path, file.sha256)


class FinishedFiles(Files):
    """Or its finished file of one name."""

    def __init__(self, public_url: str, db: Connection, name: str) -> None:
        super().__init__(public_url)
        self._db = db
        self._name = name

    def of(self, result: Result) -> _File:
        """See `Files`."""
        row = self._row(result)
        assert row is not None
        assert row.path is not None
        assert row.sha256 is not None
        return _File(row.path, row.sha256, row.failing > 0)

    def why_not(self, result: Result) -> Old | None:
        """See `Files`."""
        row = self._row(result)
        if row is None:
            return Old("not finished", f"it has no finished file {self._name}; make it by batch-editor finish", result)
        if row.path is None:
            return Old("not finished", f"its finished file {self._name} could not be made: {row.fault}", result)
        return None

    def _row(self, result: Result) -> FinishedRow | None:
        rows = finished_readings.finished_of(self._db, result.job_id)
        return next((row for row in rows if row.name == self._name), None)


class OutputPictures(NamedTuple):
    """What an output directory has: its ledger, what people said, and what goes out of its jobs."""

    db: Connection
    verdicts: Mapping[Picture, Verdict]
    files: Files


class _Job(NamedTuple):
    """A job, and the output directory that it is of."""

    result: Result
    output: OutputPictures

    @property
    def sha256(self) -> str:
        """What goes out of it, by its content."""
        return self.output.files.of(self.result).sha256

    @property
    def verdict(self) -> Verdict | None:
        """What people said of its image."""
        return self.output.verdicts.get(Picture(self.result.fingerprint, self.result.sha256 or ""))


def expect_finished(outputs: Sequence[OutputPictures], name: str) -> None:
    """See that some output directory has finished files of that name.

    Raises:
        UsageError: none has.
    """
    names = list(dict.fromkeys(each for output in outputs for each in finished_readings.finished_names(output.db)))
    if name not in names:
        there = ", ".join(names) if names else "none; `batch-editor finish OUT --preset NAME` makes some"
        raise UsageError(f"--finished {name}: there are no finished files of that name; there are: {there}")


class Pictures:
    """What output directories have for a shop. `approved`: approved images alone go out; rejected ones never do.

    only: patterns of job ids; images of other jobs don't go out.

    Raises:
        UsageError: no job's id matches a pattern.
    """

    def __init__(
        self,
        outputs: Sequence[OutputPictures],
        format: Format,
        *,
        approved: bool = False,
        only: Sequence[str] = (),
    ) -> None:
        self._outputs = [(each, Results(each.db, partial(_keys_of_job, format), only=only)) for each in outputs]
        self._approved = approved
        if only and next(self._chosen(), None) is None:
            raise UsageError(f"--only {' '.join(map(repr, only))} matches no job of a {format.label}")

    def of(self, names: Sequence[str], link: str) -> Found:
        """What takes the place of the picture behind the link in the product of these names."""
        jobs = next(filter(None, (self._jobs_of(key) for key in _keys(names, link))), [])
        if not jobs:
            return Kept([Old("no job", "no job has this picture")])
        chosen = [job for job in jobs if job.result.chosen]
        if not chosen:
            return Kept([Old("not chosen", "not chosen by --only", job.result) for job in jobs])
        judged = [(job, self._why_not(job)) for job in chosen]
        ready = [job for job, why_not in judged if why_not is None]
        if not ready:
            return Kept([why_not for _, why_not in judged if why_not is not None])
        by_content: dict[str, list[_Job]] = {}
        for job in ready:
            by_content.setdefault(job.sha256, []).append(job)
        new = [self._new(same) for same in by_content.values()]
        return new[0] if len(new) == 1 else Several(new)

    def ready(self) -> Iterator[str]:
        """The jobs whose image may go out."""
        return (job.result.job_id for job in self._chosen() if self._why_not(job) is None)

    def _jobs_of(self, key: str) -> list[_Job]:
        return [_Job(result, output) for output, results in self._outputs for result in results.of(key)]

    def _chosen(self) -> Iterator[_Job]:
        return (_Job(result, output) for output, results in self._outputs for result in results.chosen())

    def _new(self, jobs: Sequence[_Job]) -> New:
        first, files = jobs[0], jobs[0].output.files
        verdict = first.verdict
        place, fails_check = files.address(first.result), files.of(first.result).fails_check
        is_approved = verdict is not None and verdict.verdict == "approved"
        return New(place, is_approved, tuple(each.result.job_id for each in jobs), fails_check)

    def _why_not(self, job: _Job) -> Old | None:
        """Why a job's image doesn't go out; None: it does."""
        result, verdict = job.result, job.verdict
        if result.status != "succeeded":
            kind = f" ({result.error_kind})" if result.error_kind else ""
            return Old(result.status, f"{result.status}{kind}{f': {result.error}' if result.error else ''}", result)
        if result.output_path is None or result.sha256 is None:
            return Old("not in place", "its image isn't in its place; run again", result)
        if verdict is not None and verdict.verdict == "rejected":
            return Old("rejected", f"rejected{f': {verdict.note}' if verdict.note else ''}", result)
        if self._approved and (verdict is None or verdict.verdict is None):
            return Old("not approved", "nobody has approved it yet", result)
        return job.output.files.why_not(result)


def _keys_of_job(format: Format, row: str, params: str) -> list[str]:
    """What a job is found by. One whose table was taken as it stands may have sent another link than the row's main
    one, and is none of that picture's.
    """
    cells = {name: text for name, text in orjson.loads(row).items() if isinstance(text, str)}
    names, link = picture_of_job(format, cells)
    if link is None or ("image" not in cells and as_encoded(link) not in params):
        return []
    return _keys(names, link)


def _keys(names: Sequence[str], link: str) -> list[str]:
    """What a picture is found by, the surest first: the link as it is written; then what stays of it, for a product may
    have one picture by two links.
    """
    named = names or ("",)
    return [*(f"{name}\n{link}" for name in named), *(f"{name}\n\n{_known_by(link)}" for name in named)]


@lru_cache(maxsize=1024)
def _known_by(link: str) -> str:
    """What stays of a link that a shop signs anew with every export."""
    return unsigned(as_encoded(link))
