"""From the settings to what a run's spending is shared by."""

from __future__ import annotations

from pathlib import Path

from batch_editor.config import Settings
from batch_editor.files import path_to_text
from batch_editor.money.spending import ApprovedAmount, Spending
from batch_editor.money.spending_file import SpendingFile


def shared_spending(settings: Settings, output: Path, *, approval: ApprovedAmount | None = None) -> Spending | None:
    """What an output directory's runs share with others by `budget.ledger`; None without it. Whoever asks, closes it.

    `approval`: what a run may spend besides, see `ApprovedAmount`.

    Raises:
        LedgerError: it can't be used.
    """
    budget = settings.budget
    if budget.ledger is None:
        return None
    return SpendingFile(
        budget.ledger,
        path_to_text(str(output.resolve())),
        per_day_usd=budget.per_day_usd,
        per_month_usd=budget.per_month_usd,
        approval=approval,
        attempt_s=settings.api.timeout_s,
    )
