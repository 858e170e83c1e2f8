"""What a file of spending has on record, for those who only look: nothing is made or changed, also while runs write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batch_editor.errors import LedgerError, UsageError
from batch_editor.files import expect_regular
from batch_editor.money.spending import DAY_S, SharedDay


@contextmanager
def reading_spending(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads.

    Raises:
        LedgerError: the file can't be read.
    """
    real = file.resolve()
    # A reader of a WAL file would leave the WAL's own files beside it. Where there are none, nobody is writing.
    alone = "" if real.with_name(f"{real.name}-wal").exists() else "&immutable=1"
    try:
        expect_regular(real)
        with closing(sqlite3.connect(f"{real.as_uri()}?mode=ro{alone}", uri=True)) as db:
            yield db
    except (OSError, sqlite3.Error) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise LedgerError(f"{file}: budget.ledger can't be read ({words})") from error


def days_spent_usd(file: Path, first_day: int, next_day: int) -> float:
    """What the days of a file come to, the last one left out; 0 where there is no file yet.

    Raises:
        LedgerError: the file can't be read.
    """
    if not file.exists():
        return 0.0
    with reading_spending(file) as db:
        ((usd,),) = db.execute(
            "SELECT coalesce(sum(usd), 0) FROM days WHERE day >= ? AND day < ?", (first_day, next_day)
        )
        return float(usd)


def read_days(file: Path) -> list[SharedDay]:
    """What was spent by day and endpoint.

    Raises:
        UsageError: there is no such file.
        LedgerError: it can't be read.
    """
    if not file.exists():
        raise UsageError(f"{file}: there is no such file; budget.ledger names what the first run makes")
    with reading_spending(file) as db:
        columns = {row[1] for row in db.execute("PRAGMA table_info (spending)")}
        endpoint, in_vain = (name if name in columns else "NULL" for name in ("endpoint", "in_vain"))
        is_in_doubt = f"NOT open AND coalesce({in_vain}, 1)"
        rows = db.execute(
            f"SELECT CAST(at / {DAY_S} AS INTEGER), {endpoint}, count(*), sum(iif(open OR {is_in_doubt}, 0.0, usd)),"
            f" sum({is_in_doubt}), sum(iif({is_in_doubt}, usd, 0.0)), sum(open), sum(iif(open, usd, 0.0)),"
            f" sum(NOT open AND {in_vain} IS NULL) FROM spending GROUP BY 1, 2 ORDER BY 1, 2"
        )
        return list(map(SharedDay._make, rows))
