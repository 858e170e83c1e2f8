"""What one run is made of."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_editor.config import Keys, Settings
from batch_editor.endpoints import Endpoint
from batch_editor.ledger import Ledger, LedgerWriter, RunStart
from batch_editor.money import SharedBudget
from batch_editor.output import Acceptance, Store
from batch_editor.planning import Approval
from batch_editor.postgres import Database
from batch_editor.processes import Pool
from batch_editor.runs.options import BatchOptions

if TYPE_CHECKING:
    from batch_editor.runs.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run is made of; whoever opened a part of it closes it.

    start: the run's id, and what its budget has already spent.
    settings, options, endpoints: what is wanted, and of which models. keys: the API keys of their providers.
    writer: the ledger's thread; every statement of a run goes by it.
    store, acceptance: where images get their names, and who checks them.
    processes: where images are decoded, for checks and for finished files.
    metrics: who counts for Prometheus; None if nobody does.
    shared: the budget of days and months, and of the approval, which other runs share; None if nothing limits them.
    database: the one that runs of several machines share; None if they share nothing.
    approval: the plan that somebody approved, and that the run is made by; None where none was given.
    clock, rng: seconds since 1970, and what spreads retries.
    """

    start: RunStart
    settings: Settings
    options: BatchOptions
    keys: Keys
    endpoints: Mapping[str, Endpoint]
    writer: LedgerWriter
    store: Store
    acceptance: Acceptance
    processes: Pool
    metrics: Metrics | None = None
    shared: SharedBudget | None = None
    database: Database | None = None
    approval: Approval | None = None
    clock: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)

    @property
    def budget_usd(self) -> float | None:
        """What this run and those that it resumes may spend together; None: no limit.

        What the output directory's runs have spent of an approval counts here, the finished ones too: so it does where
        the file is lost in which all runs with it count.
        """
        limit = self.settings.budget.max_cost_usd
        if self.approval is None:
            return limit
        left_usd = self.approval.amount_usd - self.start.approved_spent_usd
        approved_usd = self.start.spent_usd + left_usd
        return round(approved_usd if limit is None else min(limit, approved_usd), 9)

    @property
    def ledger(self) -> Ledger:
        """The ledger that `writer` writes."""
        return self.writer.ledger
