"""What a database of spending has on record, for those who only look: nothing is made or changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from batch_editor.errors import UsageError
from batch_editor.money.spending import SharedDay
from batch_editor.postgres import Connection, Database, DatabaseAddress, has_tables, table_names

_DAYS = """
SELECT floor(at / 86400)::integer, endpoint, count(*),
    sum(CASE WHEN is_open OR coalesce(in_vain, true) THEN 0 ELSE usd END),
    count(*) FILTER (WHERE NOT is_open AND coalesce(in_vain, true)),
    coalesce(sum(usd) FILTER (WHERE NOT is_open AND coalesce(in_vain, true)), 0),
    count(*) FILTER (WHERE is_open),
    coalesce(sum(usd) FILTER (WHERE is_open), 0),
    count(*) FILTER (WHERE NOT is_open AND in_vain IS NULL)
    FROM {spending} GROUP BY 1, 2 ORDER BY 1, 2
"""


@contextmanager
def reading_database(address: DatabaseAddress) -> Iterator[Connection]:
    """A connection to look by, which waits for nobody.

    Raises:
        UsageError: the extra isn't installed, or the variable that should hold the password isn't set.
    """
    with closing(Database(address, wait_s=0, say=lambda _: None).connect()) as connection:
        yield connection


def days_in_database_usd(connection: Connection, schema: str | None, first_day: int, next_day: int) -> float:
    """What the days come to, the last one left out; 0 where no run has been yet.

    Raises:
        LedgerError: it can't be asked.
    """
    if not has_tables(connection, schema):
        return 0.0
    query = "SELECT coalesce(sum(usd), 0) FROM {days} WHERE day >= %(first)s AND day < %(next)s"
    ((usd,),) = connection.run(query.format(**table_names(schema)), first=first_day, next=next_day)
    return float(usd)


def read_days_in_database(address: DatabaseAddress) -> list[SharedDay]:
    """What was spent by day and endpoint.

    Raises:
        UsageError: no run has been there yet, or the database refuses what the settings say.
        LedgerError: it can't be asked.
    """
    database = Database(address, wait_s=0, say=lambda _: None)
    with closing(database.connect()) as connection:
        if not database.proved(connection, lambda: has_tables(connection, address.schema)):
            raise UsageError(f"budget.ledger {address}: has no tables of ours; the first run makes them")
        rows = database.proved(connection, lambda: connection.run(_DAYS.format(**table_names(address.schema))))
        return list(map(SharedDay._make, rows))
