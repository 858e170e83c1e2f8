"""The ledger: the only memory between runs, a SQLite file that is durable before money is spent."""

from batch_editor.ledger.choice import Choice
from batch_editor.ledger.comparison import Changes
from batch_editor.ledger.database import FILE_NAME, Ledger
from batch_editor.ledger.elsewhere import ImageElsewhere
from batch_editor.ledger.entries import (
    Charge,
    Connection,
    Counts,
    Expected,
    GivenApproval,
    GivenCommand,
    Gone,
    Interrupted,
    JobChanges,
    JobKind,
    JobRow,
    PendingRequest,
    Placement,
    RunStart,
    SubmittedAttempt,
    UnresolvedAttempt,
    files_from,
)
from batch_editor.ledger.finished import OF_CONFIG, Finishable, FinishedRow
from batch_editor.ledger.finished_readings import FinishedCount
from batch_editor.ledger.importing import import_jobs
from batch_editor.ledger.providers import note_providers, note_stops, providers_of, stops_of
from batch_editor.ledger.readings import Compared
from batch_editor.ledger.redos import RejectedImage
from batch_editor.ledger.results import Result, Results
from batch_editor.ledger.shards import note_shard, shard_of
from batch_editor.ledger.staging import Staging
from batch_editor.ledger.tracking import PictureChanges, Tracking, record_first, record_seen
from batch_editor.ledger.writer import LedgerWriter

__all__ = [
    "FILE_NAME",
    "OF_CONFIG",
    "Changes",
    "Charge",
    "Choice",
    "Compared",
    "Connection",
    "Counts",
    "Expected",
    "Finishable",
    "FinishedCount",
    "FinishedRow",
    "GivenApproval",
    "GivenCommand",
    "Gone",
    "ImageElsewhere",
    "Interrupted",
    "JobChanges",
    "JobKind",
    "JobRow",
    "Ledger",
    "LedgerWriter",
    "PendingRequest",
    "PictureChanges",
    "Placement",
    "RejectedImage",
    "Result",
    "Results",
    "RunStart",
    "Staging",
    "SubmittedAttempt",
    "Tracking",
    "UnresolvedAttempt",
    "files_from",
    "import_jobs",
    "note_providers",
    "note_shard",
    "note_stops",
    "providers_of",
    "record_first",
    "record_seen",
    "shard_of",
    "stops_of",
]
