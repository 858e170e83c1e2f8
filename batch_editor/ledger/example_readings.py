"""What a page shows of the staged jobs: examples of requests, their input images, and rows that are left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from batch_editor.ledger.entries import files_from
from batch_editor.ledger.staging import Staging
from batch_editor.records import ParamValue


class LeftOut(NamedTuple):
    """A row that is left out: what its job is called, where it stands, and what is wrong with it."""

    job_id: str
    where: str
    fault: str


def left_out(staging: Staging, *, limit: int) -> list[LeftOut]:
    """The first rows that are left out for their faults."""
    rows = staging.query(
        "SELECT job_id, place, fault FROM staged WHERE selected AND fault IS NOT NULL ORDER BY position LIMIT ?", limit
    )
    return [LeftOut(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class ExampleRequest:
    """A request to send, as an example: its first job, where that stands, what is sent, and what one costs.

    files: paths of local inputs, by their content.
    """

    job_id: str
    where: str
    endpoint: str
    params: Mapping[str, ParamValue]
    files: Mapping[str, str]
    min_usd: float
    expected_usd: float
    max_usd: float


def jobs_by_standing(staging: Staging) -> dict[tuple[str, bool], int]:
    """How many selected jobs with a request of their own there are, by what the ledger has of them, and whether they
    aren't sent: for they have their picture; or they were refused for good (`failed`), or their fate is `unknown`.
    """
    rows = staging.query("SELECT known, done, sum(jobs) FROM tallies WHERE sends GROUP BY known, done")
    return {(known, bool(done)): jobs for known, done, jobs in rows}


def templates_count(staging: Staging) -> int:
    """How many templates the requests to send are from; single jobs count as one together."""
    ((several, single),) = staging.query(
        "SELECT coalesce(sum(requests > 1), 0), coalesce(max(requests = 1), 0) FROM"
        " (SELECT sum(jobs) AS requests FROM tallies JOIN kinds USING (kind) WHERE sends AND NOT done"
        " GROUP BY template)"
    )
    return int(several + single)


def example_requests(staging: Staging, fingerprints: Collection[str]) -> list[ExampleRequest]:
    """Some requests to send, in manifest order."""
    rows = staging.query(
        "SELECT job_id, place, endpoint, params, files, min_usd, expected_usd, max_usd FROM to_send"
        " WHERE fingerprint IN (SELECT value FROM json_each(?)) ORDER BY position",
        orjson.dumps(list(fingerprints)).decode(),
    )
    return [
        ExampleRequest(
            job_id,
            where,
            endpoint,
            orjson.loads(params),
            {sha256: path for sha256, (path, _) in files_from(files).items()},
            *usd,
        )
        for job_id, where, endpoint, params, files, *usd in rows
    ]


def image_links(staging: Staging, endpoint: str, images: str) -> Iterator[tuple[str, str]]:
    """The distinct input images of an endpoint's parameter, in manifest order, drawn as they are needed.

    Each with its request's local files as the staging holds them, see `files_from`.
    """
    rows = staging.each(
        f"SELECT each.value, min(position), files FROM to_send, json_each(params, '$.{images}') each"
        " WHERE each.value IS NOT NULL AND endpoint = ? GROUP BY each.value ORDER BY 2",
        endpoint,
    )
    for link, _, files in rows:
        yield link, files
