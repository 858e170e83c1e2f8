"""When the next request of an API key may leave: one rate limit for the runs of several machines, in a database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from batch_editor.postgres import Database, table_names
from batch_editor.postgres.connection import DatabaseAway
from batch_editor.records import Rate
from batch_editor.scheduling.send_policy import slack_s, spacing_s
from batch_editor.threads import GroupThread

# How late a request may leave after its turn: the way from the database and back, and our own fsync before sending.
# Longer on a way of its own than `send_policy.JITTER_S`, which is for the way to the provider: turns are as much
# further apart.
LATE_S = 0.35
# A run asks for few turns at a time. An instant that is more turns away than this was written by another clock.
MOST_TURNS = 2000

_NOW = "extract(epoch FROM clock_timestamp())::float8"
# The instant is read when the row is locked, so turns of all runs are as far apart by one clock, the server's.
_TAKE = f"""
INSERT INTO {{turns}} AS held (key, due) VALUES (%(key)s, {_NOW} + %(taken_s)s)
    ON CONFLICT (key) DO UPDATE SET due = %(taken_s)s + CASE
        WHEN held.due > {_NOW} + %(most_s)s THEN {_NOW} + %(spacing_s)s
        ELSE greatest(held.due, {_NOW} - %(slack_s)s)
    END
    RETURNING due - %(taken_s)s - {_NOW}
"""


class SharedRateDatabase:
    """Turns to send, over all runs that share a database, see `SharedRateLimit`. Belongs to the running loop.

    Why no window of the provider holds more than the limit: as in `send_policy`, but a request leaves up to `LATE_S`
    after its turn, which is taken for as old as it may be: from when it was asked for. One that is older is dropped,
    and another one taken. So turns are (T + late + jitter + slack) / N apart.

    key: what the runs of an API key have in common, see `shared_rate_name`.
    """

    def __init__(self, database: Database, key: str, rate: Rate) -> None:
        self._database = database
        self._connection = database.connect()
        self._take = _TAKE.format(**table_names(database.address.schema))
        self._key = key
        self._slack_s = slack_s(rate)
        self._spacing_s = spacing_s(rate) + (1 + 1e-6) * LATE_S / rate.count
        self._thread: GroupThread[None, tuple[float, float]] = GroupThread(self._take_together, name="rate")

    async def turn(self) -> float:
        """See `SharedRateLimit.turn`."""
        while True:
            # It is due that long after an instant between these two.
            earliest_at, latest_at = await self._thread.do(None)
            if (early_s := latest_at - time.monotonic()) > 0:
                await asyncio.sleep(early_s)
            left_s = earliest_at + self._slack_s + LATE_S - time.monotonic()
            if left_s > 0:
                return left_s

    def close(self) -> None:
        """See `SharedRateLimit.close`."""
        self._connection.hurry()
        self._thread.close()
        self._connection.close()

    def _take_together(self, asked: Sequence[None]) -> list[tuple[float, float]]:
        return self._database.patiently(self._connection, lambda: self._turns(len(asked)))

    def _turns(self, count: int) -> list[tuple[float, float]]:
        asked_at = time.monotonic()
        ((wait_s,),) = self._connection.run(
            self._take,
            key=self._key,
            taken_s=count * self._spacing_s,
            spacing_s=self._spacing_s,
            slack_s=self._slack_s,
            most_s=MOST_TURNS * self._spacing_s,
        )
        answered_at = time.monotonic()
        if (took_s := answered_at - asked_at) > LATE_S:
            raise DatabaseAway(
                f"budget.ledger {self._database.address}: too slow for turns of the rate limit; it answered after"
                f" {took_s:.2f} s, expected less than {LATE_S} s"
            )
        turns = [wait_s + number * self._spacing_s for number in range(count)]
        return [(asked_at + each, answered_at + each) for each in turns]
