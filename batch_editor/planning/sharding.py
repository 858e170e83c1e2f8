"""Which of the manifests' jobs a shard has: those whose inputs are its own, whatever their prompts and endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from batch_editor.endpoints import Endpoint
from batch_editor.errors import UsageError
from batch_editor.ledger import readings, shard_of
from batch_editor.records import EditRequest, FaultyRow, Job, known_by
from batch_editor.shard import WHOLE, Shard
from batch_editor.text import shell_word


@dataclass(frozen=True, slots=True)
class ShardJobs:
    """How many of the manifests' jobs a shard has; and its part of each limit that is divided, in words."""

    shard: Shard
    jobs: int
    of_jobs: int
    limits: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The `shard` object of a plan's `--json`."""
        return {"number": self.shard.number, "count": self.shard.count, "jobs": self.jobs, "of_jobs": self.of_jobs}

    @property
    def line(self) -> str:
        """The same for people."""
        said = f"{self.shard.said.capitalize()}: {self.jobs:,} of {self.of_jobs:,} jobs"
        said += "" if self.jobs else ", so that there is nothing to do"
        return f"{said}; its part of the limits: {', '.join(self.limits)}" if self.limits else said


class Sharding:
    """Tells the jobs that are read apart by their inputs. `endpoints` are those that the manifests name, by name."""

    def __init__(self, shard: Shard, endpoints: Mapping[str, Endpoint]) -> None:
        self._shard = shard
        self._endpoints = endpoints
        self._parameters: dict[str, tuple[str, str]] = {}
        self._own = bytearray()

    def watch(self, jobs: Iterable[Job | FaultyRow]) -> Iterator[Job | FaultyRow]:
        """Hand on what is read, and note whose it is."""
        for job in jobs:
            self._own.append(self._shard.has(self._key(job)))
            yield job

    @property
    def is_own(self) -> Callable[[int], bool]:
        """Whether the job that was read at a place, counted from 0, is the shard's."""
        return lambda position: bool(self._own[position])

    def _key(self, job: Job | FaultyRow) -> str:
        """What says whose a job is. A faulty row of which no inputs can be read goes by its id."""
        if job.request is None:
            return job.id
        name = job.request.endpoint
        if name not in self._parameters:
            endpoint = self._endpoints[name]
            self._parameters[name] = (endpoint.images or "", endpoint.prompt or "")
        images, prompt = self._parameters[name]
        if isinstance(job, FaultyRow) and job.request.identity is None and not job.request.params.get(images):
            return job.id
        return inputs_key(job.request, images=images, prompt=prompt)


def inputs_key(request: EditRequest, *, images: str, prompt: str) -> str:
    """What a job's inputs are known by: jobs that would send the same request have the same.

    That is its identity, else its input images in their order: a link without its tokens, a local file by its content.
    Not its mask, which another endpoint may not take. A request without input images goes by its prompt.
    """
    if request.identity is not None:
        return f"identity {request.identity}"
    links = request.params.get(images) or ()
    listed = known_by(list(links) if isinstance(links, (list, tuple)) else [str(links)])
    if not listed:
        return f"prompt {request.params.get(prompt) or ''}"
    return f"images {orjson.dumps(listed).decode()}"


def expect_shard(output: Path, shard: Shard | None, *, rehearsal: bool) -> None:
    """See that an output directory is of the same part of its manifest as the runs before. A rehearsal leaves no trace.

    Raises:
        UsageError: it is of another one.
        LedgerError: its ledger can't be read.
    """
    if not readings.begun(output):
        return
    with readings.reading(output) as db:
        run = readings.last_run(db)
        if run is not None and (rehearsal or not run.sandbox):
            check_shard(output, shard_of(db), shard)


def check_shard(output: Path, known: Shard | None, shard: Shard | None) -> None:
    """As `expect_shard`, of what its ledger says.

    Raises:
        UsageError: it is of another part.
    """
    wanted = shard or WHOLE
    if known is not None and known != wanted:
        raise UsageError(
            f"{output}: has {known.said}, and this is {wanted.said}; expected"
            f" {f'--shard {known}' if known != WHOLE else 'no --shard'}, or another output directory. --reuse"
            f" {shell_word(str(output))} takes what is paid for over into that one, for nothing"
        )
