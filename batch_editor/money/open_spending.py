"""From the settings to what a run's spending is shared by, and to what is on record there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from batch_editor.config import Settings
from batch_editor.errors import UsageError
from batch_editor.files import path_to_text
from batch_editor.money.database_readings import read_days_in_database
from batch_editor.money.spending import ApprovedAmount, SharedDay, Spending
from batch_editor.money.spending_database import SpendingDatabase
from batch_editor.money.spending_file import SpendingFile, SpentOfPlan
from batch_editor.money.spending_readings import read_days
from batch_editor.postgres import Database, DatabaseAddress


def shared_database(settings: Settings, say: Callable[[str], None]) -> Database | None:
    """The database that `budget.ledger` names; None where it names none. `say` gets a line about one that is away.

    Raises:
        UsageError: the extra isn't installed, or the variable that should hold the password isn't set.
    """
    ledger = settings.budget.ledger
    if not isinstance(ledger, DatabaseAddress):
        return None
    return Database(ledger, wait_s=settings.outputs.wait_s, say=say)


def shared_spending(
    settings: Settings,
    output: Path,
    database: Database | None,
    *,
    approval: ApprovedAmount | None = None,
    spent_file: Path | None = None,
) -> Spending | None:
    """What an output directory's runs share with others by `budget.ledger`; None without it. Whoever asks, closes it.

    `database`: the one that `budget.ledger` names, see `shared_database`; that it can be used is seen first.
    `approval`: what a run may spend besides, see `ApprovedAmount`. `spent_file`: where that is counted without
    `budget.ledger`.

    Raises:
        UsageError: the database refuses what the settings say.
        LedgerError: it can't be used.
    """
    budget, attempt_s = settings.budget, settings.api.timeout_s
    folder = path_to_text(str(output.resolve()))
    limits: dict[str, float | None] = {"per_day_usd": budget.per_day_usd, "per_month_usd": budget.per_month_usd}
    if database is not None:
        owner = f"{socket.gethostname()}:{folder}"
        shared = SpendingDatabase(database, owner, **limits, approval=approval, attempt_s=attempt_s)
        shared.prove(time.time())
        return shared
    if isinstance(budget.ledger, Path):
        return SpendingFile(budget.ledger, folder, **limits, approval=approval, attempt_s=attempt_s)
    if approval is None or spent_file is None:
        return None
    return SpentOfPlan(spent_file, folder, per_day_usd=None, per_month_usd=None, approval=approval, attempt_s=attempt_s)


def shared_days(settings: Settings) -> list[SharedDay]:
    """What all that share `budget.ledger` have spent, by day and endpoint; also while they spend.

    Raises:
        UsageError: it isn't set, or nothing is there.
        LedgerError: it can't be read.
    """
    ledger = settings.budget.ledger
    if ledger is None:
        raise UsageError(
            "which output directories? Name them: spend OUT…; or set budget.ledger, which knows what all runs that"
            " share it have spent"
        )
    return read_days(ledger) if isinstance(ledger, Path) else read_days_in_database(ledger)
