"""The tables that runs share, which the first of them makes."""

from __future__ import annotations

from collections.abc import Mapping

from batch_editor.postgres.connection import Connection

# Whoever makes tables goes alone: of two that CREATE IF NOT EXISTS at once, one may fail. Any number does.
_MAKERS_LOCK = 5_118_263_104_229_847

# As docs/share-a-key.md has it, for a user who may not make tables.
SQL = """\
CREATE TABLE IF NOT EXISTS {spending} (  -- one row an attempt
    owner    text NOT NULL,              -- id of an output directory's ledger
    attempt  text NOT NULL,
    at       double precision NOT NULL,  -- seconds since 1970
    usd      double precision NOT NULL,  -- reserved, or charged
    is_open  boolean NOT NULL,           -- whether its charge is not known yet
    endpoint text,
    approval text,                       -- the id of the approved plan that it was made by
    in_vain  boolean,                    -- whether it was, or may have been, charged without giving a result
    PRIMARY KEY (owner, attempt)
);
CREATE INDEX IF NOT EXISTS batch_editor_spending_open ON {spending} (at) WHERE is_open;
CREATE TABLE IF NOT EXISTS {days} (      -- sums of all rows, and of those that are open
    day      integer PRIMARY KEY,        -- of UTC, since 1970
    usd      double precision NOT NULL,
    open_usd double precision NOT NULL
);
CREATE TABLE IF NOT EXISTS {approvals} (
    approval text PRIMARY KEY,
    usd      double precision NOT NULL,
    open_usd double precision NOT NULL
);
CREATE TABLE IF NOT EXISTS {turns} (     -- when the next request of a key may leave
    key      text PRIMARY KEY,           -- a hash of the API key and the provider's host
    due      double precision NOT NULL   -- seconds since 1970, by this server's clock
);
CREATE TABLE IF NOT EXISTS {lock} (      -- its one row is locked by whoever reserves
    id       integer PRIMARY KEY CHECK (id = 1)
);
INSERT INTO {lock} VALUES (1) ON CONFLICT DO NOTHING;
"""


def table_names(schema: str | None) -> Mapping[str, str]:
    """What the tables are called in SQL, by the names that statements have for them.

    >>> table_names("images")["turns"]
    'images.batch_editor_turns'
    """
    prefix = f"{schema}." if schema else ""
    return {name: f"{prefix}batch_editor_{name}" for name in ("spending", "days", "approvals", "turns", "lock")}


def has_tables(connection: Connection, schema: str | None) -> bool:
    """Whether all tables are there."""
    names = table_names(schema).values()
    found = connection.run("SELECT " + " AND ".join(f"to_regclass('{name}') IS NOT NULL" for name in names))
    return found == [(True,)]


def make_tables(connection: Connection, schema: str | None) -> None:
    """Make the tables, if they aren't there: a user without the right to may find those that somebody else made."""
    if not has_tables(connection, schema):
        own_schema = f"CREATE SCHEMA IF NOT EXISTS {schema}; " if schema else ""
        sql = SQL.format(**table_names(schema))
        connection.run(f"SELECT pg_advisory_xact_lock({_MAKERS_LOCK}); {own_schema}{sql}")
