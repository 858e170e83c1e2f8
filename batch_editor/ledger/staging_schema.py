"""The tables of a staging database: the jobs of a manifest that is being expanded, and what is known of them."""

from __future__ import annotations

from batch_editor.ledger.comparison import RENAMED
from batch_editor.ledger.elsewhere import ELSEWHERE
from batch_editor.ledger.tracking import TRACKING

# What many jobs have in common stands once, as their kind. What is already known of a job stands apart, for a wide
# row that changes is written anew. owns: the first job of the manifest with its request; sends: the first selected.
# fault: why the job's row is left out; then it has no request. links: a hash of the input links that an identity stands
# for. known_as: what the ledger calls the request, where that is something else. redo: the image that is to be made
# again, by its content; then kind and params are those of what is sent for that, and redo_prompt what came of it.
# finish: what the manifest says of the job's finished files is called, see `finishes`.
# of_other_shards: the jobs of the manifest that aren't this shard's.
# Pages of 32 KiB take a fifth less time to fill, and to look through, than those of 4 KiB: rows have half a kilobyte.
SCHEMA = (
    """
PRAGMA page_size = 32768;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16000;
CREATE TABLE kinds (
    kind INTEGER PRIMARY KEY, template TEXT, endpoint TEXT, quality TEXT, size TEXT, inputs INTEGER,
    min_usd REAL, expected_usd REAL, max_usd REAL, list_usd REAL, source TEXT, charges INTEGER
);
CREATE TABLE staged (
    position INTEGER PRIMARY KEY, job_id TEXT, place TEXT, kind INTEGER, named TEXT, output TEXT, output_key TEXT,
    fingerprint TEXT, params TEXT, files TEXT, extras TEXT, variant INTEGER, identity TEXT, links TEXT, fault TEXT,
    axes TEXT, redo_prompt TEXT, finish TEXT, known_as TEXT, redo TEXT,
    selected INTEGER DEFAULT 1, owns INTEGER DEFAULT 1, sends INTEGER DEFAULT 1
);
CREATE TABLE of_other_shards (job_id TEXT);
CREATE TABLE finishes (digest TEXT PRIMARY KEY, rules TEXT);
CREATE TABLE past (position INTEGER PRIMARY KEY, known TEXT, done INTEGER, was_active INTEGER);
CREATE INDEX past_that_changed ON past (was_active) WHERE was_active;
CREATE VIEW jobs AS
    SELECT staged.*, kinds.*, coalesce(past.known, 'new') AS known, coalesce(past.done, 0) AS done
    FROM staged LEFT JOIN kinds USING (kind) LEFT JOIN past USING (position);
CREATE VIEW to_send AS SELECT * FROM jobs WHERE selected AND sends AND NOT done AND fault IS NULL;
"""
    + RENAMED
    + ELSEWHERE
    + TRACKING
)


INTO_STAGED = (
    "INTO staged (position, job_id, place, kind, named, output, output_key, fingerprint, params, files, extras,"
    " variant, identity, links, fault, axes, redo_prompt, finish) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
