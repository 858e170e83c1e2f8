"""What the ledger hands out and takes in."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import orjson

from batch_editor.files import path_from_text
from batch_editor.records import Answer, ParamValue

# For readings, which others hand on: they need not know of SQLite for that.
Connection: TypeAlias = sqlite3.Connection


def files_from(text: str) -> dict[str, tuple[str, str]]:
    """Local files of a request, path and format by content, as the ledger holds them."""
    found: dict[str, Sequence[str]] = orjson.loads(text)
    return {sha256: (path_from_text(path), format) for sha256, (path, format) in found.items()}


@dataclass(frozen=True, slots=True)
class RunStart:
    """What a run needs to know of those before it: what its budget has already spent, and what its approval has."""

    run_id: str
    budget_id: str
    spent_usd: float
    approved_spent_usd: float = 0.0


class GivenApproval(NamedTuple):
    """The plan that a run was made by, who approved it, and what all runs with it may spend together."""

    plan_id: str
    approved_by: str
    amount_usd: float

    def __str__(self) -> str:
        """For people.

        >>> str(GivenApproval("20261127T051112-a1b2c3", "Mara Lind", 1200.0))
        'by Mara Lind, plan 20261127T051112-a1b2c3, up to $1,200.00'
        """
        return f"by {self.approved_by}, plan {self.plan_id}, up to ${self.amount_usd:,.2f}"


class JobChanges(NamedTuple):
    """The jobs that a run is about, beside what its output directory had of them.

    changed: those that ask for something else than before, `links_alone` of them for other input links only;
    `behind_links`, with other pictures behind the same links. gone: jobs that left the manifest.
    """

    new: int
    changed: int
    links_alone: int
    unchanged: int
    gone: int
    behind_links: int = 0

    @property
    def by_links(self) -> dict[str, int]:
        """How many changed in nothing but links, or in what is behind them, in words; without those that are 0."""
        found = {"their links alone": self.links_alone, "the pictures behind their links": self.behind_links}
        return {what: count for what, count in found.items() if count}

    @property
    def are_all_new(self) -> bool:
        """Whether there is nothing to tell: the output directory had none of these jobs, and no others."""
        return not (self.changed or self.unchanged or self.gone)

    def __str__(self) -> str:
        """For people.

        >>> str(JobChanges(45, 143, 12, 9812, 3))
        'new 45, changed 143 (12 in their links alone), unchanged 9,812, gone 3'
        >>> str(JobChanges(0, 3, 0, 9, 0, behind_links=2))
        'new 0, changed 3 (2 in the pictures behind their links), unchanged 9, gone 0'
        """
        some = ", ".join(f"{count:,} in {what}" for what, count in self.by_links.items())
        changed = f"changed {self.changed:,}{some and f' ({some})'}"
        return f"new {self.new:,}, {changed}, unchanged {self.unchanged:,}, gone {self.gone:,}"


class GivenCommand(NamedTuple):
    """A command line: its words as a shell reads them, the program's name left out, and the working directory."""

    words: Sequence[str]
    folder: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run's plan expected of it. changes: None where an earlier run of the same command has them."""

    requests: int
    cost_usd: float
    duration_s: float
    changes: JobChanges | None = None


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request to send. `billed` counts the attempts that retry.max_possibly_billed is about, `jobs` those
    of the run that share it. `is_redo`: it has its image, which was rejected, and these are the parameters of another.
    """

    fingerprint: str
    position: int
    endpoint: str
    params: Mapping[str, ParamValue]
    files: Mapping[str, tuple[str, str]]
    job_id: str
    expected_usd: float
    max_usd: float
    attempts: int
    billed: int
    jobs: int
    is_redo: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """A job whose request has an image, and where that image is and should be.

    `former_path` is what stands under the job's name now, if anything.
    """

    job_id: str
    output: str
    fingerprint: str
    sha256: str
    format: str
    image_path: str | None
    former_path: str | None
    former_sha256: str | None


@dataclass(frozen=True, slots=True)
class Gone:
    """A job that the manifest no longer has; `path` is its image's, None where that is another job's by now."""

    rowid: int
    job_id: str
    path: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An attempt that a dead run left open; `answer` is what it had received, its image without a path.

    `not_fetched` if a run has reported it already. `is_redo`: its request has its image, which it was to replace.
    """

    attempt_id: int
    fingerprint: str
    number: int
    state: Literal["sent", "accepted", "received"]
    endpoint: str
    params: Mapping[str, ParamValue]
    files: Mapping[str, tuple[str, str]]
    answer: Answer | None
    not_fetched: bool
    is_redo: bool


@dataclass(frozen=True, slots=True)
class SubmittedAttempt:
    """An attempt whose result the provider keeps under `request_id`.

    `counted_usd` is what the present run's budget has counted for it: 0 if it belongs to another budget.
    """

    attempt_id: int
    run_id: str
    number: int
    request_id: str
    charged_usd: float
    counted_usd: float
    request: PendingRequest


@dataclass(frozen=True, slots=True)
class UnresolvedAttempt:
    """An attempt that may have been billed without a result; `request_state` is that of its request by now, or of the
    redo that it belongs to: `succeeded` once there is the image that it was to give.
    """

    attempt_id: int
    run_id: str
    number: int
    state: str
    sent_at: float
    request_id: str | None
    charged_usd: float
    fingerprint: str
    job_id: str
    request_state: str
    provider: str
    params: Mapping[str, ParamValue]
    files: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Charge:
    """An attempt that gave its image, and so was charged."""

    attempt_id: int
    request_id: str | None
    sent_at: float
    params: Mapping[str, ParamValue]


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs of the manifest by status."""

    total: int
    succeeded: int
    failed: int
    pending: int
    unknown: int
    reused: int


class JobRow(NamedTuple):
    """A job of the manifest, with what became of its request.

    `owner` is the job that the request was sent for; `params`, `files` and `extras` are JSON; `finished` has
    the paths of its finished files, joined by `|`. A named tuple, for it is made a million times for one file.
    """

    job_id: str
    status: str
    output_path: str | None
    http_status: int | None
    attempts: int
    latency_s: float | None
    expected_usd: float
    cost_usd: float | None
    possibly_billed: int
    error_kind: str | None
    error: str | None
    owner: str
    sent_at: float | None
    ended_at: float | None
    width: int | None
    height: int | None
    format: str | None
    size_bytes: int | None
    sha256: str | None
    request_id: str | None
    fingerprint: str
    endpoint: str
    params: str
    files: str
    extras: str
    finished: str | None
    position: int


@dataclass(frozen=True, slots=True)
class JobKind:
    """What many jobs of a manifest have in common, prices in USD included; in the order of the table's columns.

    inputs: the number of input images. list_usd: what the price list alone expects. source, charges: where the price
    is from, and from how many charges.
    """

    template: str
    endpoint: str
    quality: str | None
    size: str | None
    inputs: int
    min_usd: float
    expected_usd: float
    max_usd: float
    list_usd: float
    source: str
    charges: int
