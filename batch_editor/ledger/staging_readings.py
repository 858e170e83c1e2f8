"""What a plan asks of the staged jobs: how many requests there are, at which prices, and with which inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from batch_editor.ledger.staging import Staging

# Requests to send, by their kinds.
_BY_KIND = "(SELECT kind, jobs AS requests FROM tallies WHERE sends AND NOT done) JOIN kinds USING (kind)"
_TO_SEND = "(SELECT * FROM to_send WHERE endpoint = ?)"


@dataclass(frozen=True, slots=True)
class Totals:
    """Selected jobs and what is to be sent for them; USD are of all requests together.

    jobs: those that have a request. faulty: rows that are left out. reused: jobs that share an earlier one's request,
    and requests whose image another output directory has. done: jobs that have their image. uploads: local files that
    requests name. known: jobs by what the ledger has of them. first_usd: the max price of the first request, None where
    nothing is to be sent.
    """

    jobs: int
    faulty: int
    reused: int
    done: int
    uploads: int
    requests: int
    min_usd: float
    expected_usd: float
    max_usd: float
    first_usd: float | None
    known: dict[str, int]


def totals(staging: Staging, *, inline: Collection[str] = ()) -> Totals:
    """What there is. Counts the jobs anew: after `Staging.compare`, before the other questions.

    `inline`: the endpoints to which local files aren't uploaded.
    """
    staging.tally()
    ((faulty,),) = staging.query("SELECT count(*) FROM staged WHERE selected AND fault IS NOT NULL")
    ((jobs, reused, done, has_files),) = staging.query(
        "SELECT coalesce(sum(jobs), 0), coalesce(sum(jobs * (NOT sends)), 0),"
        " coalesce(sum(jobs * (sends AND done)), 0), coalesce(max(has_files), 0) FROM tallies"
    )
    ((taken,),) = staging.query("SELECT count(*) FROM elsewhere")
    uploads = 0
    if has_files:
        ((uploads,),) = staging.query(
            "SELECT count(DISTINCT file.key) FROM to_send, json_each(files) file WHERE files <> '{}'"
            " AND endpoint NOT IN (SELECT value FROM json_each(?))",
            orjson.dumps(sorted(inline)).decode(),
        )
    ((requests, low, expected, high),) = staging.query(
        "SELECT coalesce(sum(requests), 0), coalesce(sum(requests * min_usd), 0),"
        f" coalesce(sum(requests * expected_usd), 0), coalesce(sum(requests * max_usd), 0) FROM {_BY_KIND}"
    )
    known = dict.fromkeys(("new", "changed", "unchanged", "failed", "unknown"), 0)
    known.update(staging.query("SELECT known, sum(jobs) FROM tallies GROUP BY known"))
    first = staging.query(
        "SELECT max_usd FROM tallies JOIN kinds USING (kind) WHERE sends AND NOT done ORDER BY first LIMIT 1"
    )
    first_usd = first[0][0] if first else None
    return Totals(jobs, faulty, reused + taken, done - taken, uploads, requests, low, expected, high, first_usd, known)


def prices_of_kinds(staging: Staging) -> dict[int, tuple[float, float, float]]:
    """The min, expected and max price of each kind of jobs, by its number."""
    rows = staging.query("SELECT kind, min_usd, expected_usd, max_usd FROM kinds")
    return {kind: (low, expected, high) for kind, low, expected, high in rows}


class PriceGroup(NamedTuple):
    """Requests that cost alike: how many, the expected price of one, and where that price is from.

    inputs: input images of one. charges: how many charges `unit_usd` was learnt from; 0: it is the list's. list_usd:
    one's expected price by the price list alone. low_usd, high_usd: what all of them cost at least, and at most.
    """

    endpoint: str
    quality: str | None
    size: str | None
    inputs: int
    requests: int
    unit_usd: float
    source: str
    charges: int
    list_usd: float
    low_usd: float
    high_usd: float

    @property
    def cost_usd(self) -> float:
        """What they are expected to cost together."""
        return self.requests * self.unit_usd


def groups(staging: Staging) -> list[PriceGroup]:
    """Requests that cost alike, the most expensive group first."""
    rows = staging.query(
        "SELECT endpoint, quality, size, inputs, sum(requests), sum(requests * expected_usd) / sum(requests),"
        " source, max(charges), sum(requests * list_usd) / sum(requests), sum(requests * min_usd),"
        f" sum(requests * max_usd) FROM {_BY_KIND} GROUP BY 1, 2, 3, 4, 7 ORDER BY sum(requests * expected_usd) DESC"
    )
    return [PriceGroup(*row) for row in rows]


def endpoints(staging: Staging) -> list[str]:
    """The endpoints that the staged jobs go to, by name."""
    return [name for (name,) in staging.query("SELECT DISTINCT endpoint FROM kinds ORDER BY endpoint")]


def requests_by_endpoint(staging: Staging) -> list[tuple[str, int]]:
    """How many requests are to be sent to each endpoint."""
    rows = staging.query(f"SELECT endpoint, sum(requests) FROM {_BY_KIND} GROUP BY 1")
    return [(name, count) for name, count in rows]


def within_budget(staging: Staging, *, left_usd: float, limit_usd: float, has_begun: bool) -> int:
    """How many requests a budget of `limit_usd` pays for, of which `left_usd` is left; `has_begun`: it was spent from.

    A request is sent while what is expected of those before it leaves room for its max price; or, at the end of
    the budget and where the model has no choice, for the price that its kind is charged every time.
    """
    ((within,),) = staging.query(
        "SELECT count(*) FROM (SELECT sum(expected_usd) OVER (ORDER BY position)"
        " + iif(expected_usd > min_usd + 1e-9, max_usd - expected_usd, 0) AS needed,"
        " first_value(max_usd) OVER (ORDER BY position) AS first_usd FROM to_send)"
        " WHERE needed <= ? AND (first_usd <= ? OR ?)",
        *(left_usd, limit_usd, has_begun),
    )
    return int(within)


def input_links(staging: Staging, endpoint: str, *, images: str | None, mask: str | None) -> Iterator[str]:
    """The distinct http links in an endpoint's parameters of those names, drawn as they are needed."""
    if parts := _of_links(images, mask):
        for (link,) in staging.each(f"SELECT DISTINCT link {_from(parts)}", *[endpoint] * len(parts)):
            yield link


def input_links_count(staging: Staging, endpoint: str, *, images: str | None, mask: str | None) -> int:
    """How many `input_links` are."""
    if not (parts := _of_links(images, mask)):
        return 0
    ((count,),) = staging.query(f"SELECT count(DISTINCT link) {_from(parts)}", *[endpoint] * len(parts))
    return int(count)


def _from(parts: Sequence[str]) -> str:
    return f"FROM ({' UNION ALL '.join(parts)}) WHERE link LIKE 'http%'"


def _of_links(images: str | None, mask: str | None) -> list[str]:
    parts = []
    if images:
        parts.append(f"SELECT each.value AS link FROM {_TO_SEND}, json_each(params, '$.{images}') each")
    if mask:
        parts.append(f"SELECT params ->> '$.{mask}' AS link FROM {_TO_SEND}")
    return parts


def has_linked_masks(staging: Staging, endpoint: str, mask: str | None) -> bool:
    """Whether a request to an endpoint has a link in its parameter `mask`."""
    sql = f"SELECT 1 FROM {_TO_SEND} WHERE params ->> '$.{mask}' LIKE 'http%' LIMIT 1"
    return mask is not None and bool(staging.query(sql, endpoint))


@dataclass(frozen=True, slots=True)
class RequestInputs:
    """A request's first job, its input links, and its turn: the share of requests that have left when it does."""

    job_id: str
    fingerprint: str
    images: list[str]
    mask: str | None
    turn: float


def inputs_of_requests(
    staging: Staging, endpoint: str, *, images: str | None, mask: str | None
) -> Iterator[RequestInputs]:
    """The inputs of each request to an endpoint, in manifest order."""
    rows = staging.each(
        f"SELECT job_id, fingerprint, params ->> '$.{images}', params ->> '$.{mask}',"
        f" 1.0 * row_number() OVER (ORDER BY position) / count(*) OVER () FROM {_TO_SEND} ORDER BY position",
        endpoint,
    )
    for job_id, fingerprint, links, mask_link, turn in rows:
        yield RequestInputs(job_id, fingerprint, orjson.loads(links or "[]"), mask_link, turn)


class StagedRequest(NamedTuple):
    """A request to send as it is staged: the jobs that share it, its list price, and what is sent.

    redo: the SHA-256 of the image that is to be made again; then `params` are those of what is sent for that. contents:
    what is behind its links now, as JSON, where it was done and is sent again for that; else None.
    """

    fingerprint: str
    job_ids: list[str]
    endpoint: str
    list_usd: float
    params: dict[str, Any]
    identity: str | None
    redo: str | None
    contents: str | None


def requests_to_send(staging: Staging) -> Iterator[StagedRequest]:
    """Every request to send, in manifest order; drawn as they are needed."""
    sharing: dict[str, list[str]] = {}
    for fingerprint, job_id in staging.each(
        "SELECT fingerprint, job_id FROM staged WHERE selected AND NOT sends AND fault IS NULL ORDER BY position"
    ):
        sharing.setdefault(fingerprint, []).append(job_id)
    rows = staging.each(
        "SELECT s.fingerprint, s.job_id, s.endpoint, s.list_usd, s.params, s.identity, s.redo, t.now FROM to_send s"
        " LEFT JOIN tracked t ON t.fingerprint = s.fingerprint AND t.changed ORDER BY s.position"
    )
    for fingerprint, job_id, endpoint, list_usd, params, *rest in rows:
        job_ids = [job_id, *sharing.get(fingerprint, ())]
        yield StagedRequest(fingerprint, job_ids, endpoint, list_usd, orjson.loads(params), *rest)


def fingerprints_done(staging: Staging) -> Iterator[str]:
    """The requests of the selected jobs that are done, or whose image another output directory has."""
    for (fingerprint,) in staging.each(
        "SELECT DISTINCT fingerprint FROM jobs WHERE selected AND fault IS NULL AND done"
    ):
        yield fingerprint
