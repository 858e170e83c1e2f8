"""What earlier runs teach about the next one: what was charged, how long answers took, how many failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batch_editor.endpoints import Endpoint, Prices
from batch_editor.ledger import experience, readings
from batch_editor.money import Charged, Charges, Kind, price_of

# So many attempts are enough that p90 means something, and few enough that it is of these days.
RECENT = 2000


class Calibration:
    """The ledgers of a run's own output directory and of others. Rehearsals teach nothing, and are left out.

    `latencies_s` holds seconds by endpoint, `failures` those of transient failures and whether they were dropped by an
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
                for alike in experience.charges(
                    db, endpoint.name, by=prices.by, images=endpoint.images, prompt=endpoint.prompt
                ):
                    self.charges.add(*_charged(endpoint, prices, alike))
                latencies, failures, attempts = experience.speeds(db, endpoint.name, limit=RECENT)
                self.latencies_s[endpoint.name] += latencies
                self.failures[endpoint.name] += failures
                self.attempts[endpoint.name] += attempts
                self.refusals[endpoint.name].append(experience.refusals(db, endpoint.name, limit=RECENT))


def _charged(endpoint: Endpoint, prices: Prices, alike: experience.ChargedAlike) -> tuple[Kind, Charged]:
    """What was charged, beside what `prices` lists: a list that was corrected since must not be corrected again."""
    unsent = {name: str(value) for name, value in endpoint.unsent_defaults.items()}
    named = zip(prices.by, alike.values, strict=True)
    params = {name: unsent.get(name) if value is None else value for name, value in named}
    listed = price_of(prices, params, inputs=alike.inputs, prompt_length=alike.prompt_length).expected_usd
    charged = Charged(alike.count, alike.total_usd, alike.count * listed, alike.min_usd, alike.max_usd)
    return Kind(endpoint.name, tuple(params.values()), alike.inputs), charged
