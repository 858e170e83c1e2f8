"""The ledger: the only memory between runs, a SQLite file that is durable before money is spent."""

from sqlite3 import Connection

from batch_editor.ledger.choice import Choice
from batch_editor.ledger.comparison import Changes
from batch_editor.ledger.entries import (
    AcceptedAttempt,
    Charge,
    Counts,
    Doubt,
    Expected,
    Gone,
    Interrupted,
    JobKind,
    JobRow,
    PendingRequest,
    Placement,
    RunStart,
)
from batch_editor.ledger.ledger import Ledger
from batch_editor.ledger.spool import Spool
from batch_editor.ledger.writer import LedgerWriter

__all__ = [
    "AcceptedAttempt",
    "Changes",
    "Charge",
    "Choice",
    "Connection",
    "Counts",
    "Doubt",
    "Expected",
    "Gone",
    "Interrupted",
    "JobKind",
    "JobRow",
    "Ledger",
    "LedgerWriter",
    "PendingRequest",
    "Placement",
    "RunStart",
    "Spool",
]
