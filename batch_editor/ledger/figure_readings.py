"""What runs did over time and by kind of request, as plots show it: in short transactions, also while a run writes."""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from batch_editor.ledger.entries import GivenApproval
from batch_editor.ledger.readings import LastRun

# Of one transaction, as in `review_readings`: 20 ms of them, for each has two parameters looked up in its request.
RANGE = 2_000
# Parameters that are longer hold a picture as a `data:` link: to look into them takes milliseconds each.
LONGEST = 30_000
# As many as a plot has room for.
BUCKETS = 60
_LENGTHS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600),
    *(7200, 14_400, 21_600, 43_200, 86_400, 7 * 86_400, 30 * 86_400),
)
_LATEST = 200


class RunRow(NamedTuple):
    """A run, as the ledger has it; plan_* were expected of it, stop_* ended it. Instants are seconds since 1970."""

    run_id: str
    budget_id: str
    sandbox: int
    started_at: float
    ended_at: float | None
    exit_code: int | None
    host: str
    pid: int
    plan_requests: int
    plan_usd: float
    plan_s: float
    stop_kind: str | None
    stop_message: str | None
    approval_id: str | None = None
    approved_by: str | None = None
    approved_usd: float | None = None

    @property
    def approval(self) -> GivenApproval | None:
        """The plan that it was made by, and who approved it; None where none was given."""
        if self.approval_id is None or self.approved_by is None or self.approved_usd is None:
            return None
        return GivenApproval(self.approval_id, self.approved_by, self.approved_usd)


@dataclass(frozen=True, slots=True)
class Sums:
    """What some attempts came to, in USD and seconds.

    failed: attempts that gave no image, refused those of them that were answered with 429. confirmed_usd: what images
    cost, as the provider said or the price list says; possibly_usd: an upper bound of what was charged in vain, for
    possibly_billed attempts. open: attempts without an outcome, for which open_usd is reserved. p50_s, p95_s: latency
    of those that gave an image.
    """

    images: int
    failed: int
    refused: int
    confirmed_usd: float
    possibly_billed: int
    possibly_usd: float
    open: int
    open_usd: float
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """What ended within `length_s` seconds, from `at_s` on: seconds of work since the first run began."""

    at_s: float
    length_s: float
    sums: Sums

    @property
    def per_min(self) -> float:
        """Images a minute."""
        return 60.0 * self.sums.images / self.length_s if self.length_s else 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """What requests of one kind came to."""

    endpoint: str
    quality: str | None
    size: str | None
    sums: Sums

    @property
    def label(self) -> str:
        """As people read it: `nano, high, 1024x1024`."""
        return ", ".join(filter(None, (self.endpoint, self.quality, self.size)))


@dataclass(frozen=True, slots=True)
class Figures:
    """A run and those that it resumed, which share a budget, as if they had been one, without what lay between them.

    elapsed_s: seconds of work. The plan is that of the first of them, which was for all the work.
    """

    runs: Sequence[RunRow]
    elapsed_s: float
    sums: Sums
    buckets: Sequence[Bucket]
    groups: Sequence[Group]

    @property
    def plan(self) -> RunRow:
        """The run whose plan was for all of it."""
        return self.runs[0]


def run_rows(db: sqlite3.Connection) -> list[RunRow]:
    """Every run on record, oldest first."""
    return [
        RunRow._make(row)
        for row in db.execute(
            "SELECT run_id, budget_id, sandbox, started_at, ended_at, exit_code, host, pid, coalesce(plan_requests, 0),"
            " coalesce(plan_usd, 0), coalesce(plan_s, 0), stop_kind, stop_message,"
            " approval_id, approved_by, approved_usd FROM runs ORDER BY rowid"
        ).fetchall()
    ]


def figures(db: sqlite3.Connection, *, now: float | None = None) -> Figures | None:
    """What the newest run did, with those that it resumed; None where no run has sent anything.

    `now`: the instant, if a run is at work; then it is that one, whatever it has sent so far. Else one that sent
    nothing makes way for the newest that did.
    """
    rows = run_rows(db)
    newest = rows[-1].run_id if rows and now is not None else _last_that_sent(db)
    budget_id = next((row.budget_id for row in rows if row.run_id == newest), None)
    if budget_id is None:
        return None
    runs = [row for row in rows if row.budget_id == budget_id]
    lengths = {row.run_id: length_s(db, row, now if row is rows[-1] else None) for row in runs}
    elapsed_s = sum(lengths.values())
    bucket_s = next((length for length in _LENGTHS_S if elapsed_s <= length * BUCKETS), _LENGTHS_S[-1])
    whole, groups = _Tally(), dict[tuple[str, str | None, str | None], _Tally]()
    # The last one is half as long to half as long again: a minute's images of its first second would be a peak.
    buckets = [_Tally() for _ in range(max(math.floor(elapsed_s / bucket_s + 0.5), 1))]
    starts_s = {row.run_id: sum(lengths[each.run_id] for each in runs[:number]) for number, row in enumerate(runs)}
    began_at = {row.run_id: row.started_at for row in runs}
    for row in _attempts(db, list(lengths)):
        whole.add(row)
        groups.setdefault((row.endpoint, row.quality, row.size), _Tally()).add(row)
        if row.ended_at is not None and not row.is_open:
            into_s = min(max(row.ended_at - began_at[row.run_id], 0.0), lengths[row.run_id])
            buckets[min(int((starts_s[row.run_id] + into_s) // bucket_s), len(buckets) - 1)].add(row)
    return Figures(
        runs,
        elapsed_s,
        whole.sums(),
        [
            Bucket(
                number * bucket_s,
                bucket_s if number + 1 < len(buckets) else elapsed_s - number * bucket_s,
                each.sums(),
            )
            for number, each in enumerate(buckets)
        ],
        [Group(*kind, each.sums()) for kind, each in sorted(groups.items(), key=lambda item: -item[1].confirmed_usd)],
    )


def latest_images(db: sqlite3.Connection, count: int) -> list[tuple[str, str]]:
    """Fingerprint and SHA-256 of the images that came last, those of the requests that were sent last first."""
    return db.execute(
        "SELECT fingerprint, sha256 FROM attempts WHERE state = 'succeeded' AND sha256 IS NOT NULL"
        " ORDER BY attempt_id DESC LIMIT ?",
        (count,),
    ).fetchall()


class _Attempt(NamedTuple):
    run_id: str
    state: str
    ended_at: float | None
    latency_s: float | None
    http_status: int | None
    possibly_billed: int
    charged_usd: float
    cost_usd: float | None
    expected_usd: float
    endpoint: str
    quality: str | None
    size: str | None

    @property
    def is_open(self) -> bool:
        """Whether its outcome is not known yet."""
        return self.state in ("sent", "accepted", "received")


@dataclass(slots=True)
class _Tally:
    images: int = 0
    failed: int = 0
    refused: int = 0
    confirmed_usd: float = 0.0
    possibly_billed: int = 0
    possibly_usd: float = 0.0
    open: int = 0
    open_usd: float = 0.0
    latencies_s: array[float] = field(default_factory=lambda: array("d"))

    def add(self, row: _Attempt) -> None:
        """Count an attempt and its money."""
        if row.state == "succeeded":
            self.images += 1
            self.confirmed_usd += row.expected_usd if row.cost_usd is None else row.cost_usd
            if row.latency_s is not None:
                self.latencies_s.append(row.latency_s)
        elif row.is_open and not row.possibly_billed:
            self.open += 1
            self.open_usd += row.charged_usd
        else:
            self.failed += 1
            self.refused += row.http_status == 429
            self.possibly_billed += row.possibly_billed
            self.possibly_usd += row.charged_usd if row.possibly_billed else 0.0

    def sums(self) -> Sums:
        """All attempts so far: counts, US dollars, and the median and 95th percentile of seconds; None without any."""
        ordered = sorted(self.latencies_s)
        p50_s, p95_s = (ordered[int(share * len(ordered))] if ordered else None for share in (0.5, 0.95))
        return Sums(
            *(self.images, self.failed, self.refused, self.confirmed_usd, self.possibly_billed, self.possibly_usd),
            *(self.open, self.open_usd, p50_s, p95_s),
        )


def _last_that_sent(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT run_id FROM attempts ORDER BY attempt_id DESC LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def length_s(db: sqlite3.Connection, run: RunRow | LastRun, now: float | None = None) -> float:
    """For how many seconds a run was at work; of one that died, until the last sign of it."""
    if run.ended_at is not None:
        return max(run.ended_at - run.started_at, 0.0)
    if now is not None:
        return max(now - run.started_at, 0.0)
    # Not their ends: those of attempts that it left open are of the run that resolved them.
    (last,) = db.execute(
        "SELECT coalesce(max(sent_at + coalesce(latency_s, 0)), ?) FROM (SELECT sent_at, latency_s FROM attempts"
        f" WHERE run_id = ? ORDER BY attempt_id DESC LIMIT {_LATEST})",
        (run.started_at, run.run_id),
    ).fetchone()
    return max(float(last) - run.started_at, 0.0)


def _attempts(db: sqlite3.Connection, run_ids: Sequence[str]) -> Iterator[_Attempt]:
    places = ", ".join("?" for _ in run_ids)
    first, last = db.execute(
        f"SELECT min(attempt_id), max(attempt_id) FROM attempts WHERE run_id IN ({places})", run_ids
    ).fetchone()
    if first is None:
        return
    known = f"length(r.params) <= {LONGEST}"
    for start in range(first, last + 1, RANGE):
        yield from map(
            _Attempt._make,
            db.execute(
                "SELECT a.run_id, a.state, a.ended_at, a.latency_s, a.http_status, a.possibly_billed, a.charged_usd,"
                " a.cost_usd, coalesce(a.list_usd, r.expected_usd), r.endpoint,"
                f" iif({known}, r.params ->> '$.quality', NULL), iif({known}, r.params ->> '$.size', NULL)"
                f" FROM attempts a JOIN requests r USING (fingerprint) WHERE a.run_id IN ({places})"
                " AND a.attempt_id >= ? AND a.attempt_id < ? ORDER BY a.attempt_id",
                (*run_ids, start, start + RANGE),
            ).fetchall(),
        )
