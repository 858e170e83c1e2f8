"""What earlier runs teach about the next one: what was charged, how long answers took, how many failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batch_editor.endpoints import Endpoint, Prices
from batch_editor.ledger import experience, readings
from batch_editor.money.pricing import Charges

# So many attempts are enough that p90 means something, and few enough that it is of these days.
RECENT = 2000


class History:
    """The ledgers of a run's own output directory and of others. Rehearsals teach nothing, and are left out.

    `latencies_s` holds seconds by endpoint, `failures` those of passing failures and whether they were dropped by an
    overloaded provider; `attempts` counts what they are from. `refusals` are the 429s besides.

    Raises:
        LedgerError: the own directory's ledger can't be looked at.
    """

    def __init__(self, own: Path, others: Sequence[Path] = (), *, rehearsal: bool = False) -> None:
        # A first run has no ledger yet; a directory that somebody names must have one.
        self._outputs = list(dict.fromkeys([*([own] if readings.begun(own) else []), *others]))
        self._rehearsal = rehearsal
        self._read: set[str] = set()
        self.charges = Charges()
        self.latencies_s: dict[str, list[float]] = {}
        self.failures: dict[str, list[tuple[float, bool]]] = {}
        self.attempts: dict[str, int] = {}
        self.refusals: dict[str, list[experience.Refusals]] = {}

    def read(self, endpoint: Endpoint, prices: Prices) -> None:
        """Take in what the ledgers have of an endpoint, beside what these prices say; once.

        Raises:
            UsageError: one of the others has no ledger.
            LedgerError: one of them can't be read.
        """
        if endpoint.name in self._read:
            return
        self._read.add(endpoint.name)
        self.latencies_s[endpoint.name], self.failures[endpoint.name] = [], []
        self.attempts[endpoint.name] = 0
        self.refusals[endpoint.name] = []
        for output in self._outputs:
            with readings.reading(output) as db:
                run = readings.last_run(db)
                if run is None or (run.sandbox and not self._rehearsal):
                    continue
                for kind, charged in experience.charges(db, endpoint, prices):
                    self.charges.add(kind, charged)
                latencies, failures, attempts = experience.speeds(db, endpoint.name, limit=RECENT)
                self.latencies_s[endpoint.name] += latencies
                self.failures[endpoint.name] += failures
                self.attempts[endpoint.name] += attempts
                self.refusals[endpoint.name].append(experience.refusals(db, endpoint.name, limit=RECENT))
