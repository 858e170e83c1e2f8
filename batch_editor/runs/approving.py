"""A run by an approved plan: where what is spent of it is counted, once for all runs, and what is said of that."""

from __future__ import annotations

import os
from pathlib import Path

from batch_editor.config import Settings
from batch_editor.errors import UsageError
from batch_editor.files import open_regular
from batch_editor.ledger import GivenApproval
from batch_editor.money import ApprovedAmount, Spending, shared_spending
from batch_editor.naming import safe_output
from batch_editor.planning import Approval
from batch_editor.postgres import Database
from batch_editor.text import many


def spending_of(
    settings: Settings, output: Path, database: Database | None, approval: Approval | None, *, ledger_id: str
) -> Spending | None:
    """What a run shares of spending with others, the approved amount included; None where nothing limits it. Blocks.

    `database`: the one that `budget.ledger` names, see `shared_database`. `ledger_id`: see `shared_spending`.

    Raises:
        UsageError: what is spent of the approved amount can't be counted beside the plan's file.
        LedgerError: `budget.ledger` can't be used.
    """
    if approval is None:
        return shared_spending(settings, output, database, ledger_id=ledger_id)
    amount = ApprovedAmount(approval.plan_id, approval.amount_usd)
    file = spent_file(approval.path, approval.plan_id)
    if settings.budget.ledger is None:
        _expect_writable(file)
    return shared_spending(settings, output, database, ledger_id=ledger_id, approval=amount, spent_file=file)


def spent_file(plan: Path, plan_id: str) -> Path:
    """Where what is spent of an approved plan is counted, unless `budget.ledger` is set: beside its file.

    By the plan's id: a file that is renamed when it is approved, or copied, must not give the amount again.

    >>> spent_file(Path("/plans/spring.json"), "20261127T154819-7416a3")
    PosixPath('/plans/plan-20261127T154819-7416a3.spent')
    """
    return plan.resolve().with_name(f"plan-{safe_output(plan_id, folders=False)}.spent")


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


def _expect_writable(file: Path) -> None:
    try:
        os.close(open_regular(file, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise UsageError(
            f"{file}: what is spent of the approved plan can't be counted there ({error.strerror or error}). Put the"
            " plan's file into a folder that runs can write, or have budget.ledger name what they share of spending"
        ) from error
