"""What was found of input links, in figures and for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batch_editor.text import many


@dataclass(frozen=True, slots=True)
class FaultyInput:
    """A request that would be wasted: its first job, and what is wrong with which input."""

    job_id: str
    fingerprint: str
    fault: str


@dataclass(frozen=True, slots=True)
class InputCheck:
    """How many distinct links were looked at, and the requests that have a faulty one."""

    looked_at: int
    faulty: tuple[FaultyInput, ...]

    def as_json(self) -> dict[str, Any]:
        """The `inputs` object of a plan's `--json`."""
        return {
            "looked_at": self.looked_at,
            "faulty": [{"job_id": faulty.job_id, "fault": faulty.fault} for faulty in self.faulty],
        }

    def lines(self, *, limit: int = 20) -> Iterator[str]:
        """The check for people."""
        faulty_requests = many(len(self.faulty), "request")
        yield f"Inputs: {many(self.looked_at, 'link')} looked at, {faulty_requests} with a faulty one"
        for faulty in self.faulty[:limit]:
            yield f"  {faulty.job_id}: {faulty.fault}"
        if len(self.faulty) > limit:
            yield f"  … and {len(self.faulty) - limit:,} more"


@dataclass(frozen=True, slots=True)
class TrackedLinks:
    """Links of jobs that were made before, which are asked whether their pictures changed (`inputs.track`: `by`).

    links: how many there are. asked: how many were asked, None where nobody did. unseen: how many of these gave no
    picture to compare, and count as unchanged; example: one of them, and why. jobs: those that have another picture
    behind a link now.
    """

    by: str
    links: int
    asked: int | None = None
    unseen: int = 0
    example: str | None = None
    jobs: int = 0

    def as_json(self) -> dict[str, Any]:
        """The `tracked` object of a plan's `--json`."""
        return {
            "by": self.by,
            "links": self.links,
            "asked": self.asked,
            "unseen": self.unseen,
            "example": self.example,
            "jobs": self.jobs,
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        if not self.links:
            return
        of_done = f"{many(self.links, 'link')} of jobs made before"
        if self.asked is None:
            yield (
                f"Pictures behind links: a run asks {of_done} whether another one is there (inputs.track: {self.by});"
                " --check-inputs asks now"
            )
            return
        yield f"Pictures behind links: {self.asked:,} of {of_done} asked, {many(self.jobs, 'job')} changed by them"
        if self.asked < self.links:
            yield "  the others are asked by a run, for the first time, which changes no job"

    def warnings(self) -> Iterator[str]:
        """What is to be warned of: links that couldn't be seen."""
        if self.unseen:
            yield (
                f"{many(self.unseen, 'link')} of jobs made before gave no picture to compare, and"
                f" count{'s' * (self.unseen == 1)} as unchanged; for example {self.example}"
            )
