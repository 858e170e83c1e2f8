"""`reconcile` beside a database of spending, whose connection stands idle while the provider's history is read."""

from __future__ import annotations

import time
from typing import Any

import pytest

from batch_editor.recovery.reconcile import reconcile
from tests.servers.postgres.conftest import Shared
from tests.support.bench import KEYS, LOW_USD, Bench, jobs, sandbox

# An attempt is settled for good this long after it was sent, with the time-out of these runs.
LATER_S = 2000.0


@pytest.mark.fault(110)
async def test_a_connection_that_was_closed_meanwhile_loses_no_settlement(bench: Bench, shared: Shared) -> None:
    flags: dict[str, Any] = {"budget__ledger": shared.url, "budget__per_day_usd": 10.0}
    async with sandbox(faults=("504:prompt~job-1", "504:billed=1:prompt~job-2")) as provider:
        await bench.run(jobs(4), provider, retry__max_attempts=1, **flags)
        before, _ = shared.sums()
        closed: list[object] = []

        def clock() -> float:
            closed.extend(
                shared.server.ask(
                    "postgres",
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE datname = '{shared.name}' AND pid <> pg_backend_pid()",
                )
            )
            return time.time() + LATER_S

        found = await reconcile(bench.out, bench.settings(provider, **flags), KEYS, say=print, clock=clock)
        assert sorted(each.outcome for each in found.findings) == ["image", "not_billed"]
        assert closed, "what is shared was connected to before the history was read"
        assert provider.books.billed_usd == pytest.approx(3 * LOW_USD)
        assert shared.sums() == pytest.approx((3 * LOW_USD, 0))
        assert before > 3 * LOW_USD
