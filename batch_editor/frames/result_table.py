"""The output manifest as a table for notebooks, typed, from the ledger: also while a run is at work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from batch_editor.errors import UsageError
from batch_editor.ledger import readings, spending_readings
from batch_editor.output import COLUMNS, ExportedOutput, joined_table, verdicts_of
from batch_editor.text import escape_bytes

_CATEGORIES = {
    "status": ["succeeded", "failed", "pending", "unknown"],
    "verdict": ["approved", "rejected"],
}
_INTEGERS = ("http_status", "attempts", "possibly_billed", "width", "height", "bytes")
_FLOATS = ("latency_s", "estimated_cost_usd", "actual_cost_usd", "fidelity")
_TIMES = ("started_at", "finished_at")
_MONEY = ("confirmed_usd", "possibly_billed_usd", "reserved_usd")


def results(*outputs: str | os.PathLike[str]) -> pd.DataFrame:
    """The output manifest of one or several output directories as a pandas DataFrame, a row a job, in its order.

    Read from the ledger, so it is as new as that, also while a run is at work; nothing is written. The index is
    0, 1, 2, … Several output directories make one table, as with `export`: shards of one manifest in its order, others
    one below the other.

    Columns and their types:

    - Those of `manifest.csv`, under their names and in their order. `status` and `verdict` are categories;
      `http_status`, `attempts`, `possibly_billed` (a count of attempts), `width`, `height` (pixels) and `bytes` are
      Int64; `latency_s` (seconds), `estimated_cost_usd`, `actual_cost_usd` (USD) and `fidelity` (0 to 1) are Float64;
      `started_at` and `finished_at` are datetime64 in UTC; all others are string.
    - With several, `output` after these: the directory, as it was given; category.
    - The request's parameters as sent: Int64, Float64 or boolean where all of a column's values are, else string.
    - The row's other columns, `row.<name>`: string, exactly the cell's text, so 00123 stays 00123.
    - `confirmed_usd`, `possibly_billed_usd` (an upper bound) and `reserved_usd` (attempts without an outcome yet), in
      USD, Float64: of all attempts at the job's present request. 0 for jobs that took another's picture, and for
      rehearsals. What a job's former requests cost is in `spend` alone.

    What isn't known is missing (`pd.NA`, `pd.NaT`), and a missing value is never 0.

    Raises:
        UsageError: no directory is given, or nothing has run in one.
        LedgerError: a ledger can't be read.
        VerdictsError: the verdicts can't be read.
    """
    if not outputs:
        raise UsageError("results() needs an output directory, such as results('outputs/catalog')")
    paths = {Path(output).resolve(): Path(output) for output in outputs}.values()
    names = [escape_bytes(str(path)) for path in paths]
    money: dict[tuple[str, str], tuple[float, float, float]] = {}
    with ExitStack() as stack:
        exported = []
        for name, path in zip(names, paths, strict=True):
            db = stack.enter_context(readings.reading(path))
            db.execute("BEGIN")  # so that rows and money are of one instant
            exported.append(ExportedOutput(name, db, verdicts_of(db, path)))
            sums = spending_readings.money_of_requests(db)
            money.update({(name, fingerprint): usd for fingerprint, usd in sums.items()})
        columns, rows = joined_table(exported)
        frame = pd.DataFrame(list(rows), columns=columns, dtype=object)
    where = frame["output"] if len(names) > 1 else [names[0]] * len(frame)
    is_own = frame["reused_from"].isna()
    nothing = (0.0, 0.0, 0.0)
    spent = [
        money.get((output, fingerprint), nothing) if own else nothing
        for output, fingerprint, own in zip(where, frame["fingerprint"], is_own, strict=True)
    ]
    frame[list(_MONEY)] = pd.DataFrame(spent, columns=list(_MONEY), index=frame.index, dtype="float64")
    return _typed(frame, categories={**_CATEGORIES, "output": names})


def _typed(frame: pd.DataFrame, *, categories: dict[str, Sequence[str]]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        if name in categories:
            columns[name] = column.astype(pd.CategoricalDtype(list(categories[name])))
        elif name in _INTEGERS:
            columns[name] = column.astype("Int64")
        elif name in _FLOATS or name in _MONEY:
            columns[name] = column.astype("Float64")
        elif name in _TIMES:
            columns[name] = pd.to_datetime(column, format="ISO8601", utc=True).astype("datetime64[ns, UTC]")
        elif name in COLUMNS or str(name).startswith("row."):
            columns[name] = column.astype("string")
        else:
            columns[name] = _parameter(column)
    return pd.DataFrame(columns, index=frame.index)


def _parameter(column: pd.Series[Any]) -> pd.Series[Any]:
    kinds = {type(value) for value in column.dropna()}
    if kinds == {bool}:
        return column.astype("boolean")
    if kinds == {int}:
        return column.astype("Int64")
    if kinds and kinds <= {int, float}:
        return column.astype("Float64")
    return column.map(lambda value: value if value is None else str(value)).astype("string")
