"""A run by an approved plan: where what is spent of it is counted, once for all runs, and what is said of that."""

from __future__ import annotations

from pathlib import Path

from batch_editor.config import Settings
from batch_editor.ledger import GivenApproval
from batch_editor.money import ApprovedAmount, Spending, shared_spending
from batch_editor.planning import Approval
from batch_editor.postgres import Database
from batch_editor.runs.spent_places import place_of_count
from batch_editor.text import many


def expect_countable(settings: Settings, approval: Approval) -> Path | None:
    """The file in which what is spent of an approved plan is counted; None where that is `budget.ledger`. Blocks.

    Raises:
        UsageError: it can't be made or written, or it is gone.
    """
    return place_of_count(approval.path, approval.plan_id) if settings.budget.ledger is None else None


def spending_of(
    settings: Settings,
    output: Path,
    database: Database | None,
    approval: Approval | None,
    *,
    counted_in: Path | None,
    ledger_id: str,
) -> Spending | None:
    """What a run shares of spending with others, the approved amount included; None where nothing limits it. Blocks.

    `database`: the one that `budget.ledger` names, see `shared_database`. `counted_in`: see `expect_countable`.
    `ledger_id`: see `shared_spending`.

    Raises:
        LedgerError: `budget.ledger`, or the file of what is spent of the approved plan, can't be used.
    """
    if approval is None:
        return shared_spending(settings, output, database, ledger_id=ledger_id)
    amount = ApprovedAmount(approval.plan_id, approval.amount_usd)
    return shared_spending(settings, output, database, ledger_id=ledger_id, approval=amount, spent_file=counted_in)


def on_record(approval: Approval) -> GivenApproval:
    """An approval as the ledger notes it of a run."""
    return GivenApproval(approval.plan_id, approval.approved_by, approval.amount_usd)


def spent_words(approval: Approval, spent_usd: float, requests: int, usd: float) -> str:
    """That an approved amount has no room for any request that is left; `usd` is what those are expected to cost."""
    return (
        f"the approval is spent: {approval.approved_by} approved ${approval.amount_usd:,.2f} (plan {approval.plan_id}),"
        f" of which ${spent_usd:,.2f} is spent or may have been, and the rest is less than the max price of any request"
        f" that is left: {many(requests, 'request')}, about ${usd:,.2f}. Save a plan of them with `plan --save`, and"
        " have that approved"
    )
