"""From the settings to what a run's spending is shared by, and to what is on record there."""

from __future__ import annotations

from pathlib import Path

from batch_editor.config import Settings
from batch_editor.errors import UsageError
from batch_editor.files import path_to_text
from batch_editor.money.spending import ApprovedAmount, SharedDay, Spending
from batch_editor.money.spending_file import SpendingFile, SpentOfPlan
from batch_editor.money.spending_readings import read_days


def shared_spending(
    settings: Settings, output: Path, *, approval: ApprovedAmount | None = None, spent_file: Path | None = None
) -> Spending | None:
    """What an output directory's runs share with others by `budget.ledger`; None without it. Whoever asks, closes it.

    `approval`: what a run may spend besides, see `ApprovedAmount`. `spent_file`: where that is counted without
    `budget.ledger`.

    Raises:
        LedgerError: it can't be used.
    """
    budget, attempt_s = settings.budget, settings.api.timeout_s
    owner = path_to_text(str(output.resolve()))
    if budget.ledger is not None:
        return SpendingFile(
            budget.ledger,
            owner,
            per_day_usd=budget.per_day_usd,
            per_month_usd=budget.per_month_usd,
            approval=approval,
            attempt_s=attempt_s,
        )
    if approval is None or spent_file is None:
        return None
    return SpentOfPlan(spent_file, owner, per_day_usd=None, per_month_usd=None, approval=approval, attempt_s=attempt_s)


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
    return read_days(ledger)
