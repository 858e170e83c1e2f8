"""Which provider each endpoint is of, and why a run stopped to send to some of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import orjson

from batch_editor.text import escape_bytes

# The provider that a request `r` goes to. Ledgers of the time when there was one don't name it.
PROVIDER = "coalesce((SELECT provider FROM endpoints WHERE name = r.endpoint), 'segmind')"


def note_providers(db: sqlite3.Connection, providers: Mapping[str, str]) -> None:
    """Record the providers of these endpoints."""
    db.executemany("INSERT OR REPLACE INTO main.endpoints VALUES (?, ?)", providers.items())


def providers_of(db: sqlite3.Connection) -> list[str]:
    """The providers of the endpoints that the manifest names, or that made images which it keeps; sorted."""
    row = db.execute("SELECT value FROM columns WHERE name = 'parameters'").fetchone()
    known = dict(db.execute("SELECT name, provider FROM endpoints"))
    return sorted({known.get(endpoint, "segmind") for endpoint in (orjson.loads(row[0]) if row else ())})


def note_stops(db: sqlite3.Connection, run_id: str, stops: Mapping[str, tuple[str, str]]) -> None:
    """Record why a run stopped to send to some of its providers: kind and words, by their names."""
    db.executemany(
        "INSERT OR REPLACE INTO provider_stops VALUES (?, ?, ?, ?)",
        [(run_id, provider, kind, escape_bytes(message)) for provider, (kind, message) in stops.items()],
    )


def stops_of(db: sqlite3.Connection, run_id: str) -> dict[str, tuple[str, str]]:
    """What `note_stops` recorded of a run."""
    rows = db.execute("SELECT provider, kind, message FROM provider_stops WHERE run_id = ?", (run_id,))
    return {provider: (kind, message) for provider, kind, message in rows}
