"""What the ledger says, for people and for tables: counts, money, rows. Reads only, also while a run writes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import orjson

from batch_editor.errors import UsageError
from batch_editor.files import expect_side_files
from batch_editor.ledger.database import FILE_NAME, roll_back, unusable
from batch_editor.ledger.entries import Counts, JobRow
from batch_editor.ledger.finished_readings import PATHS, has_finished
from batch_editor.ledger.migrations import MIGRATIONS, migrate
from batch_editor.ledger.providers import PROVIDER
from batch_editor.ledger.run_readings import OF_ATTEMPT


@dataclass(frozen=True, slots=True)
class Example:
    """An error kind among the manifest's jobs: how many, and one of them."""

    kind: str
    count: int
    job_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Money:
    """USD. Estimated and actual are of jobs that succeeded; possibly billed is an upper bound."""

    estimated: float
    actual: float | None
    possibly_billed: float


@dataclass(frozen=True, slots=True)
class Standing:
    """The manifest's jobs by status, `wanted` those that the last run wanted, and the money of all of them."""

    jobs: Counts
    wanted: Counts
    money: Money


@dataclass(frozen=True, slots=True)
class LastRun:
    """An output directory's newest run: plan_* were expected of it, stop_* ended it; `sandbox` 1 is a rehearsal."""

    run_id: str
    started_at: float
    ended_at: float | None
    exit_code: int | None
    sandbox: int
    plan_requests: int
    plan_usd: float
    plan_s: float
    stop_kind: str | None
    stop_message: str | None


_STATES = ("succeeded", "failed", "pending", "unknown")
# What a job comes to: one whose row is left out fails, whatever became of the request that it keeps.
_STATUS = "iif(j.fault IS NULL, r.state, 'failed')"
# What the provider said that a request's images cost: the one that it has, and those which that one replaced.
_SAID_USD = "iif(r.cost_usd IS NULL, r.former_cost_usd, r.cost_usd + coalesce(r.former_cost_usd, 0))"
# Whose image a job has: the job's that it was sent for, or that of another output directory.
OWNER = "iif(r.state = 'succeeded' AND r.reused_from IS NOT NULL, r.reused_from, r.job_id)"
# Requests with the job that each belongs to, one of those of the manifest that ask for it. CROSS JOIN: both in the
# order of the file, while fingerprints lie in none.
_OWNED = "FROM requests r CROSS JOIN jobs j ON j.job_id = r.job_id AND j.fingerprint = r.fingerprint"
# The manifest's requests that have their image, each once.
_SUCCEEDED = f"{_OWNED} WHERE r.state = 'succeeded' AND j.active"


@contextmanager
def reading(output: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to the ledger of an output directory, at the newest schema.

    A ledger of an earlier version stays as it is: what is read then is a migrated copy, gone afterwards.

    Raises:
        UsageError: there is none.
        LedgerError: it can't be read.
    """
    if not begun(output):
        raise UsageError(f"{output}: no ledger here; expected the output directory of a run")
    path = output / FILE_NAME
    with _errors(path), closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version >= len(MIGRATIONS):
            yield db
            return
        with (
            tempfile.TemporaryDirectory(prefix="batch-editor-") as folder,
            closing(sqlite3.connect(Path(folder) / FILE_NAME, isolation_level=None)) as copy,
        ):
            copy.execute("PRAGMA synchronous = OFF")
            db.backup(copy)
            migrate(copy)
            yield copy


def file_of(db: sqlite3.Connection) -> Path:
    """The file that a connection of `reading` reads."""
    db.text_factory = os.fsdecode  # a path may be no UTF-8
    try:
        return Path(next(file for _, name, file in db.execute("PRAGMA database_list") if name == "main"))
    finally:
        db.text_factory = str


def begun(output: Path) -> bool:
    """Whether an output directory has a ledger to read. One whose first run died at once has only its empty file.

    Raises:
        LedgerError: it can't be read.
    """
    path = output / FILE_NAME
    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        expect_side_files(path)
    except OSError as error:
        raise unusable(path, error) from error
    with _errors(path):
        roll_back(path)
    return path.stat().st_size > 0


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise unusable(path, error) from error


def standing(db: sqlite3.Connection, *, provider: str | None = None) -> Standing:
    """How the manifest's jobs stand, and what they cost over all runs, each request once; of one provider, or of all.

    A request is counted with the job that it belongs to, in one look at all of them; only those that several jobs ask
    for are looked up by their fingerprints.
    """
    tallies = [
        f"count(*) FILTER (WHERE {_STATUS} = '{state}'{wanted})"
        for wanted in ("", " AND j.selected")
        for state in _STATES
    ]
    done = "FILTER (WHERE r.state = 'succeeded')"
    of, name = ("", ()) if provider is None else (f" AND {PROVIDER} = ?", (provider,))
    *owned, taken, estimated, actual, known = db.execute(
        f"SELECT {', '.join(tallies)}, count(r.reused_from) {done},"
        f" coalesce(sum(expected_usd + former_expected_usd) {done}, 0), coalesce(sum({_SAID_USD}) {done}, 0),"
        f" count({_SAID_USD}) {done} {_OWNED} WHERE j.active{of}",
        name,
    ).fetchone()
    shared = db.execute(
        f"SELECT {', '.join(tallies)} FROM (SELECT fingerprint FROM jobs GROUP BY fingerprint HAVING count(*) > 1)"
        " CROSS JOIN jobs j USING (fingerprint) CROSS JOIN requests r USING (fingerprint)"
        f" WHERE j.active AND r.job_id <> j.job_id{of}",
        name,
    ).fetchone()
    of = of and f" AND EXISTS (SELECT 1 {OF_ATTEMPT}{of})"
    (possibly,) = db.execute(
        "SELECT coalesce(sum(charged_usd), 0) FROM attempts WHERE possibly_billed"
        f" AND EXISTS (SELECT 1 FROM jobs WHERE jobs.fingerprint = attempts.fingerprint AND active){of}",
        name,
    ).fetchone()
    count = len(_STATES)
    return Standing(
        jobs=_counts(owned[:count], shared[:count], taken=taken),
        wanted=_counts(owned[count:], shared[count:]),
        money=Money(estimated, actual if known else None, possibly),
    )


def _counts(owned: Sequence[int], shared: Sequence[int], *, taken: int = 0) -> Counts:
    by_state = {state: mine + others for state, mine, others in zip(_STATES, owned, shared, strict=True)}
    return Counts(total=sum(by_state.values()), reused=shared[0] + taken, **by_state)


def examples(db: sqlite3.Connection) -> list[Example]:
    """The error kinds of jobs that are failed, unknown or stopped, the commonest first."""
    return [
        Example(*row)
        for row in db.execute(
            "SELECT iif(j.fault IS NULL, r.error_kind, 'invalid_row') AS kind, count(*), j.job_id,"
            " coalesce(j.fault, r.error), min(j.position) FROM requests r CROSS JOIN jobs j USING (fingerprint)"
            f" WHERE j.active AND {_STATUS} <> 'succeeded' AND kind IS NOT NULL GROUP BY kind ORDER BY count(*) DESC"
        ).fetchall()
        for row in [row[:4]]
    ]


def latencies(db: sqlite3.Connection) -> tuple[float | None, float | None]:
    """p50 and p95 in seconds of the attempts that gave the manifest's images."""
    return percentiles(all_latencies(db))


def all_latencies(db: sqlite3.Connection) -> array[float]:
    """The latencies in seconds of the attempts that gave the manifest's images, the least first."""
    rows = db.execute(f"SELECT latency_s {_SUCCEEDED} AND latency_s IS NOT NULL ORDER BY latency_s")
    return array("d", (latency_s for (latency_s,) in rows))  # 8 MB a million


def percentiles(latencies_s: Sequence[float]) -> tuple[float | None, float | None]:
    """p50 and p95 of ordered latencies; None of none."""
    if not latencies_s:
        return None, None
    return latencies_s[int(0.5 * len(latencies_s))], latencies_s[int(0.95 * len(latencies_s))]


def last_run(db: sqlite3.Connection) -> LastRun | None:
    """The newest run, None before the first."""
    row = db.execute(
        "SELECT run_id, started_at, ended_at, exit_code, sandbox, plan_requests, plan_usd, plan_s,"
        " stop_kind, stop_message FROM runs"
        " ORDER BY rowid DESC LIMIT 1"
    ).fetchone()
    return None if row is None else LastRun(*row)


def is_rehearsal(db: sqlite3.Connection) -> bool:
    """Whether no run has been anything but a rehearsal."""
    return not db.execute("SELECT EXISTS (SELECT 1 FROM runs WHERE NOT sandbox)").fetchone()[0]


def is_comparison(db: sqlite3.Connection) -> bool:
    """Whether the jobs of the last manifest were a comparison's."""
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM columns WHERE name = 'compared')").fetchone()[0])


@dataclass(frozen=True, slots=True)
class Compared:
    """What some requests were expected to cost, and what became of them."""

    succeeded: int
    expected_usd: float
    charged_usd: float
    p50_s: float | None


def compared(db: sqlite3.Connection, expected_usd: Mapping[str, float]) -> Compared:
    """What became of some requests: the succeeded ones' charges beside what was expected, by fingerprint.

    A redo has succeeded when its request has the new image.
    """
    rows = db.execute(
        "SELECT fingerprint, coalesce(cost_usd, expected_usd), latency_s FROM requests WHERE state = 'succeeded'"
        " AND fingerprint NOT IN (SELECT fingerprint FROM redos WHERE position IS NOT NULL)"
        " AND fingerprint IN (SELECT value FROM json_each(?)) ORDER BY latency_s",
        (orjson.dumps(list(expected_usd)).decode(),),
    ).fetchall()
    return Compared(
        succeeded=len(rows),
        expected_usd=sum(expected_usd[fingerprint] for fingerprint, _, _ in rows),
        charged_usd=sum(charged for _, charged, _ in rows),
        p50_s=rows[len(rows) // 2][2] if rows else None,
    )


def spent_usd(db: sqlite3.Connection) -> float:
    """What the budget that the next run resumes with has spent; 0 if the last run had finished."""
    run = db.execute("SELECT budget_id, exit_code FROM runs ORDER BY rowid DESC LIMIT 1").fetchone()
    if run is None or run[1] in (0, 1):
        return 0.0
    (spent,) = db.execute(
        "SELECT coalesce(sum(charged_usd), 0) FROM attempts JOIN runs USING (run_id) WHERE budget_id = ?", (run[0],)
    ).fetchone()
    return float(spent)


def columns(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """The names of the parameters and of the rows' other columns, in the order of the output manifest."""
    found = {name: orjson.loads(value) for name, value in db.execute("SELECT name, value FROM columns")}
    parameters = dict.fromkeys(name for names in found.get("parameters", {}).values() for name in names)
    return list(parameters), found.get("extras", [])


def rows(db: sqlite3.Connection) -> Iterator[JobRow]:
    """The manifest's jobs in order."""
    finished = PATHS if has_finished(db) else "NULL"  # a million looks into an empty table take a second
    return map(
        JobRow._make,
        db.execute(
            f"SELECT j.job_id, {_STATUS}, CASE WHEN j.placed_fingerprint = j.fingerprint"
            " AND r.state = 'succeeded' THEN j.placed_path END, r.http_status, r.attempts, r.latency_s,"
            f" r.expected_usd + r.former_expected_usd, {_SAID_USD}, r.possibly_billed,"
            " iif(j.fault IS NULL, r.error_kind, 'invalid_row'),"
            f" coalesce(j.fault, r.error), {OWNER}, r.sent_at, r.ended_at, r.width, r.height, r.format,"
            " r.size_bytes, r.sha256, r.request_id, r.fingerprint, r.endpoint,"
            f" coalesce(r.sent_params, r.params), r.files, j.extras, {finished}, j.position"
            " FROM jobs j JOIN requests r USING (fingerprint) WHERE j.active ORDER BY j.position"
        ),
    )


def uploads(db: sqlite3.Connection) -> dict[str, str]:
    """Links of uploaded local files, by content."""
    return dict(db.execute("SELECT sha256, url FROM uploads"))


def iso(instant: float | None) -> str | None:
    """An instant as UTC in ISO 8601, to the millisecond.

    >>> iso(0.5)
    '1970-01-01T00:00:00.500Z'
    """
    if instant is None:
        return None
    second, microseconds = divmod(round(instant * 1_000_000), 1_000_000)
    return f"{_second(second)}.{microseconds // 1000:03}Z"


def moment(instant: float | None) -> str:
    """An instant for people: UTC, to the second; nothing for None.

    >>> moment(0.9)
    '1970-01-01 00:00:00 UTC'
    """
    return "" if instant is None else f"{_second(int(instant)).replace('T', ' ')} UTC"


@lru_cache(maxsize=1024)
def _second(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def other_endpoints(db: sqlite3.Connection, names: Collection[str]) -> list[str]:
    """The endpoints that requests of the ledger went to, without those of these names."""
    among = orjson.dumps(list(names)).decode()
    sql = "SELECT DISTINCT endpoint FROM requests WHERE endpoint NOT IN (SELECT value FROM json_each(?))"
    return [name for (name,) in db.execute(sql, (among,))]
