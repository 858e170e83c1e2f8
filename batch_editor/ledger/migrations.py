"""The ledger's schema as numbered steps: step n brings a ledger from `user_version` n-1 to n."""

from __future__ import annotations

import sqlite3

M001_INITIAL = """
-- One row a `batch-editor run`. budget_id joins a run and those that went on with it; plan_* is what was expected.
CREATE TABLE runs (
    run_id     TEXT PRIMARY KEY,
    budget_id  TEXT NOT NULL,
    sandbox    INTEGER NOT NULL,
    started_at REAL NOT NULL,
    ended_at   REAL,
    exit_code  INTEGER,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    plan_requests INTEGER,
    plan_usd      REAL,
    plan_s        REAL,
    stop_kind     TEXT,
    stop_message  TEXT
) STRICT;

-- One row a job that a manifest ever named. active: the last manifest names it; selected: the last run wanted it.
-- placed_*: the image that stands under the job's name now, and the request it came from.
CREATE TABLE jobs (
    job_id             TEXT PRIMARY KEY,
    position           INTEGER NOT NULL,
    active             INTEGER NOT NULL,
    selected           INTEGER NOT NULL,
    fingerprint        TEXT NOT NULL,
    output             TEXT NOT NULL,
    extras             TEXT NOT NULL,
    placed_path        TEXT,
    placed_output      TEXT,
    placed_fingerprint TEXT
) STRICT;
CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint);
CREATE INDEX jobs_by_position ON jobs (position) WHERE active;

-- One row an image edit, by what would be sent. position: its turn in this run, NULL if the run doesn't want it.
-- forgiven: attempts that may have been billed, but no longer count against retry.max_possibly_billed.
CREATE TABLE requests (
    fingerprint     TEXT PRIMARY KEY,
    endpoint        TEXT NOT NULL,
    params          TEXT NOT NULL,
    files           TEXT NOT NULL,
    job_id          TEXT NOT NULL,
    position        INTEGER,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed', 'unknown')),
    expected_usd    REAL NOT NULL,
    high_usd        REAL NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    possibly_billed INTEGER NOT NULL DEFAULT 0,
    forgiven        INTEGER NOT NULL DEFAULT 0,
    passing         INTEGER NOT NULL DEFAULT 0,
    http_status     INTEGER,
    error_kind      TEXT,
    error           TEXT,
    latency_s       REAL,
    cost_usd        REAL,
    request_id      TEXT,
    sent_at         REAL,
    ended_at        REAL,
    image_path      TEXT,
    sha256          TEXT,
    size_bytes      INTEGER,
    format          TEXT,
    width           INTEGER,
    height          INTEGER
) STRICT;
CREATE INDEX requests_to_send ON requests (position) WHERE state = 'pending' AND position IS NOT NULL;

-- One row a request that left, or was about to. charged_usd counts against the budget: the max price while the
-- attempt is in flight or its fate unknown, what it cost once that is known, 0 when it surely cost nothing.
-- accepted: the provider keeps its result under request_id, and runs ask for it until they have an answer.
CREATE TABLE attempts (
    attempt_id      INTEGER PRIMARY KEY,
    fingerprint     TEXT NOT NULL,
    run_id          TEXT NOT NULL,
    number          INTEGER NOT NULL,
    state           TEXT NOT NULL
                    CHECK (state IN ('sent', 'accepted', 'received', 'succeeded', 'failed', 'unknown')),
    sent_at         REAL NOT NULL,
    ended_at        REAL,
    latency_s       REAL,
    http_status     INTEGER,
    error_kind      TEXT,
    error           TEXT,
    possibly_billed INTEGER NOT NULL DEFAULT 0,
    charged_usd     REAL NOT NULL,
    cost_usd        REAL,
    request_id      TEXT,
    sha256          TEXT,
    size_bytes      INTEGER,
    format          TEXT,
    width           INTEGER,
    height          INTEGER
) STRICT;
CREATE INDEX attempts_by_sending ON attempts (sent_at);
CREATE INDEX attempts_by_run ON attempts (run_id);
CREATE INDEX attempts_open ON attempts (attempt_id) WHERE state IN ('sent', 'accepted', 'received');

-- The output manifest's columns beyond the fixed ones: `parameters` (of each endpoint) and `extras`, as JSON.
CREATE TABLE columns (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Local files that were uploaded, by content: each is uploaded once.
CREATE TABLE uploads (
    sha256      TEXT PRIMARY KEY,
    url         TEXT NOT NULL,
    uploaded_at REAL NOT NULL,
    sandbox     INTEGER NOT NULL
) STRICT;
"""

M002_IDENTITY = """
-- What a request is known by besides its parameters: `identity` stands for its input links, `variant` tells it from the
-- same one again. variant is NULL where an earlier version, or a rebuilt ledger, doesn't say.
ALTER TABLE requests ADD COLUMN identity TEXT;
ALTER TABLE requests ADD COLUMN variant INTEGER;

-- What is wrong with the job's row in the last manifest, where such rows are left out: then the job keeps the request
-- that it had.
ALTER TABLE jobs ADD COLUMN fault TEXT;
"""

M003_REDO = """
-- The manifest entry that the job comes from, and its values of the entry's matrix, by name, as JSON.
ALTER TABLE jobs ADD COLUMN template TEXT;
ALTER TABLE jobs ADD COLUMN axes TEXT NOT NULL DEFAULT '{}';

-- sent_params: what the image was made of, where that is not `params`: the image is that of a redo. former_*: what the
-- images before that one cost, by the price list and by the provider's word.
ALTER TABLE requests ADD COLUMN sent_params TEXT;
ALTER TABLE requests ADD COLUMN former_expected_usd REAL NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN former_cost_usd REAL;

-- What an attempt of a redo sent in place of its request's own params and files; NULL of any other attempt.
ALTER TABLE attempts ADD COLUMN redo_params TEXT;
ALTER TABLE attempts ADD COLUMN redo_files TEXT;

-- One row a request whose image was rejected and is to be made again; its own state stays 'succeeded', and the row
-- goes when there is a new image. sha256: the image to be replaced. prompt: what is sent in place of the request's own.
-- position: its turn in this run, NULL if the run doesn't want it.
CREATE TABLE redos (
    fingerprint  TEXT PRIMARY KEY,
    sha256       TEXT NOT NULL,
    prompt       TEXT NOT NULL,
    params       TEXT NOT NULL,
    files        TEXT NOT NULL,
    position     INTEGER,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'failed', 'unknown')),
    expected_usd REAL NOT NULL,
    high_usd     REAL NOT NULL,
    passing      INTEGER NOT NULL DEFAULT 0,
    error_kind   TEXT,
    error        TEXT
) STRICT;

-- What requests were called before, for verdicts that were given under these fingerprints.
CREATE TABLE former_fingerprints (
    former      TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (former, fingerprint)
) STRICT, WITHOUT ROWID;
"""

M_REUSE = """
-- Where the image was taken from: <directory>/<job id> of the output directory that has paid for it.
ALTER TABLE requests ADD COLUMN reused_from TEXT;
"""

M_PROVIDERS = """
-- The provider of each endpoint that a manifest ever named. One that is missing here is of the time when there was one
-- provider, 'segmind'.
CREATE TABLE endpoints (
    name     TEXT PRIMARY KEY,
    provider TEXT NOT NULL
) STRICT;

-- Why a run stopped to send to one of its providers, where it did; `kind` as in runs.stop_kind.
CREATE TABLE provider_stops (
    run_id   TEXT NOT NULL,
    provider TEXT NOT NULL,
    kind     TEXT NOT NULL,
    message  TEXT NOT NULL,
    PRIMARY KEY (run_id, provider)
) STRICT, WITHOUT ROWID;
"""

M_STORAGE = """
-- What the ledger is known by elsewhere: a bucket's marker says whose pictures are there. One row.
CREATE TABLE ledger_id (id TEXT NOT NULL) STRICT;
INSERT INTO ledger_id VALUES (lower(hex(randomblob(16))));
"""

M_FINISHED = """
-- What manifests say of finished files, as JSON, by a hash of that text; '' is what the config says.
CREATE TABLE finish_rules (
    digest TEXT PRIMARY KEY,
    rules  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What the manifest says of the job's finished files; NULL: nothing, and what the config says holds.
ALTER TABLE jobs ADD COLUMN finish TEXT;

-- One row a job and name of its finished files. path: the file below the output directory; NULL: none could be made,
-- for `fault`. rules, image_sha256: a digest of what it was made by, and the picture it was made from. by_command: only
-- a command asked for it, no manifest and no config. failing: how many of the `checks` it fails.
CREATE TABLE finished (
    job_id       TEXT NOT NULL,
    name         TEXT NOT NULL,
    path         TEXT,
    rules        TEXT NOT NULL,
    image_sha256 TEXT NOT NULL,
    by_command   INTEGER NOT NULL,
    sha256       TEXT,
    size_bytes   INTEGER,
    format       TEXT,
    width        INTEGER,
    height       INTEGER,
    notes        TEXT NOT NULL DEFAULT '[]',
    checks       TEXT NOT NULL DEFAULT '[]',
    failing      INTEGER NOT NULL DEFAULT 0,
    fault        TEXT,
    PRIMARY KEY (job_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX finished_by_path ON finished (path COLLATE NOCASE);

-- Finished files that no row tells of: former ones, and those on their way to a name. They are removed, unless a row
-- tells of them by then.
CREATE TABLE former_finished (path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""

M_HISTORY = """
-- command, folder: the words that the run was started with, as a shell reads them, and where; JSON. NULL: no command.
ALTER TABLE runs ADD COLUMN command TEXT;
ALTER TABLE runs ADD COLUMN folder TEXT;
-- changes: the jobs that the run was about, beside what the output directory had of them; JSON. NULL: not on record.
-- jobs: the manifest's jobs by status at the run's end; JSON. NULL: it died, or an earlier version made it.
ALTER TABLE runs ADD COLUMN changes TEXT;
ALTER TABLE runs ADD COLUMN jobs TEXT;
"""

M_PRUNED = """
-- When the image was removed, for it was old and no job's any more; NULL: it wasn't. A request whose image was pruned
-- is pending, and is sent again by the run of a manifest that asks for it.
ALTER TABLE requests ADD COLUMN pruned_at REAL;
ALTER TABLE attempts ADD COLUMN pruned_at REAL;
CREATE INDEX requests_pruned ON requests (fingerprint) WHERE pruned_at IS NOT NULL;
"""

M_SHARD = """
-- The part of its manifest's jobs that the output directory has: `number` of `count`, 0 of 1 is all of them. One row;
-- none: it isn't known yet.
CREATE TABLE shard (
    number INTEGER NOT NULL,
    count  INTEGER NOT NULL
) STRICT;
INSERT INTO shard SELECT 0, 1 WHERE EXISTS (SELECT 1 FROM runs);
"""

M_APPROVAL = """
-- The plan that the run was made by, who approved it, and what all runs with it may spend; NULL: no plan was given.
ALTER TABLE runs ADD COLUMN approval_id TEXT;
ALTER TABLE runs ADD COLUMN approved_by TEXT;
ALTER TABLE runs ADD COLUMN approved_usd REAL;
"""

M_TRACK = """
-- What was behind an input link when it was asked last, if inputs.track has it asked. link: encoded, without signatures
-- and tokens; content: the first half of the picture's SHA-256.
CREATE TABLE input_links (
    link          TEXT PRIMARY KEY,
    content       TEXT NOT NULL,
    etag          TEXT,
    last_modified TEXT
) STRICT, WITHOUT ROWID;

-- What was behind the request's input links when it was to be sent last, or was first seen there since: content by the
-- input's number, as JSON, see `tracking`. NULL: not known.
ALTER TABLE requests ADD COLUMN contents TEXT;

-- 1: the pictures behind the links changed: of a request until it is sent for that, of an attempt for good.
ALTER TABLE requests ADD COLUMN pictures_changed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN pictures_changed INTEGER NOT NULL DEFAULT 0;
"""

M_SPENT = """
-- The job that an attempt was sent for, and what the price list says that an image of it costs. NULL: of an earlier
-- version, and what the request says now holds.
ALTER TABLE attempts ADD COLUMN job_id TEXT;
ALTER TABLE attempts ADD COLUMN list_usd REAL;

-- Rows of the manifest that money was spent for and that are others by now, so that edits of a row change no former
-- bill. extras: the row as it was up to that attempt of the job.
CREATE TABLE former_rows (
    job_id          TEXT NOT NULL,
    last_attempt_id INTEGER NOT NULL,
    extras          TEXT NOT NULL,
    PRIMARY KEY (job_id, last_attempt_id)
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (
    M001_INITIAL,
    M002_IDENTITY,
    M003_REDO,
    M_STORAGE,
    M_REUSE,
    M_FINISHED,
    M_PROVIDERS,
    M_HISTORY,
    M_PRUNED,
    M_SHARD,
    M_APPROVAL,
    M_TRACK,
    M_SPENT,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a ledger to the newest schema, each step in a transaction of its own.

    Raises:
        ValueError: the ledger's schema is newer than this program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ValueError(f"its schema is version {version}, this program knows {len(MIGRATIONS)}")
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{step}\nPRAGMA user_version = {number};\nCOMMIT;")
