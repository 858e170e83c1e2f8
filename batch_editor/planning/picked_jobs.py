"""Which jobs of the manifests are compared: a few that stand for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from batch_editor.errors import UsageError
from batch_editor.ledger import Choice
from batch_editor.records import FaultyRow, Job


class PickedJobs:
    """The jobs that are compared: of those that are chosen the first of each template in turn, each request once.

    Single jobs are taken together as one template. The first reading picks them, the others find them by their ids.
    """

    def __init__(self, only: Sequence[str], limit: int) -> None:
        self.ids: list[str] = []
        self._choice = Choice(only)
        self._limit = limit
        self._templates: dict[str, list[tuple[int, Job]]] = {}
        self._found: dict[str, Job] = {}

    def watch(self, jobs: Iterable[Job | FaultyRow]) -> Iterator[Job | FaultyRow]:
        """Hand on what is read, and note what is to be compared."""
        for position, job in enumerate(jobs):
            if isinstance(job, Job) and job.request.variant == 1:
                self._note(position, job)
            yield job

    def _note(self, position: int, job: Job) -> None:
        if self.ids:
            if job.id in self.ids:
                self._found[job.id] = job
        elif self._choice.has_any([job.id]):
            known = self._templates.setdefault(job.template, [])
            if len(known) < self._limit and all(job.request != each.request for _, each in known):
                known.append((position, job))

    def jobs(self) -> dict[str, Job]:
        """What was read last, by id; in the order of the manifests.

        Raises:
            UsageError: no job is chosen.
        """
        if not self.ids:
            picked = sorted(self._pick())
            if not picked:
                raise UsageError("no job is chosen to be compared; --only chooses by ids")
            self.ids = [job.id for _, job in picked]
            self._found = {job.id: job for _, job in picked}
            self._templates.clear()
        found, self._found = self._found, {}
        return {job_id: found[job_id] for job_id in self.ids if job_id in found}

    def _pick(self) -> list[tuple[int, Job]]:
        several = [jobs for jobs in self._templates.values() if len(jobs) > 1]
        single = [job for jobs in self._templates.values() if len(jobs) == 1 for job in jobs]
        turns = [entry for turn in zip_longest(single, *several) for entry in turn if entry is not None]
        picked: dict[str, tuple[int, Job]] = {}
        known: set[str] = set()
        for position, job in turns:
            if job.id not in known and job.request.fingerprint not in picked:
                known.add(job.id)
                picked[job.request.fingerprint] = (position, job)
        return list(picked.values())[: self._limit]
