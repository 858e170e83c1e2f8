"""What the ledger knows of one run: its attempts, and what they cost."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from batch_editor.ledger.providers import PROVIDER

# The request of an attempt.
OF_ATTEMPT = "FROM requests r WHERE r.fingerprint = attempts.fingerprint"
# What the image of an attempt `a` cost, as the provider said or the price list of that time says.
IMAGE_USD = (
    "coalesce(a.cost_usd, a.list_usd, (SELECT expected_usd FROM requests r WHERE r.fingerprint = a.fingerprint), 0.0)"
)
# Whether an attempt `a` has no outcome yet: what is set aside for it is neither confirmed nor possibly billed.
IS_OPEN = "(a.state IN ('sent', 'accepted', 'received') AND NOT a.possibly_billed)"


def attempts_of(db: sqlite3.Connection, run_id: str, *, provider: str | None = None) -> tuple[int, int, int]:
    """How many requests a run sent, how many of them were retries, how many may have been billed in vain.

    To one provider, or to all.
    """
    of = "" if provider is None else f" AND (SELECT {PROVIDER} {OF_ATTEMPT}) = ?"
    row = db.execute(
        # The first attempt of a redo is sent again to nobody, nor that of a picture that changed behind its link.
        "SELECT count(*), coalesce(sum(number > 1 AND redo_params IS NULL AND NOT pictures_changed), 0)"
        " + count(redo_params)"
        " - count(DISTINCT iif(redo_params IS NULL, NULL, fingerprint)), coalesce(sum(possibly_billed), 0)"
        f" FROM attempts WHERE run_id = ?{of}",
        (run_id,) if provider is None else (run_id, provider),
    ).fetchone()
    return row[0], row[1], row[2]


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run's attempts did: images, their charges, what was possibly billed in vain, 429s for pace."""

    images: int
    charged_usd: float
    possibly_usd: float
    possibly_billed: int
    refused: int


def cost_of(db: sqlite3.Connection, run_id: str) -> RunCost:
    """What a run has cost."""
    row = db.execute(
        "SELECT coalesce(sum(a.state = 'succeeded'), 0),"
        f" coalesce(sum(iif(a.state = 'succeeded', {IMAGE_USD}, 0.0)), 0),"
        " coalesce(sum(iif(a.possibly_billed, a.charged_usd, 0)), 0), coalesce(sum(a.possibly_billed), 0),"
        " coalesce(sum(a.http_status = 429 AND a.error_kind IS NOT 'credits'), 0) FROM attempts a WHERE run_id = ?",
        (run_id,),
    ).fetchone()
    return RunCost(*row)


def charged_before(db: sqlite3.Connection, run_id: str) -> float:
    """What a run's budget had been charged before, by the runs that it resumes, in USD."""
    (usd,) = db.execute(
        "SELECT coalesce(sum(charged_usd), 0) FROM attempts JOIN runs r USING (run_id)"
        " WHERE r.budget_id = (SELECT budget_id FROM runs WHERE run_id = ?1) AND r.run_id <> ?1",
        (run_id,),
    ).fetchone()
    return float(usd)
