"""The output manifest as a table for notebooks, typed, from the ledger: also while a run is at work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from batch_editor.errors import UsageError
from batch_editor.ledger import readings, spending_readings
from batch_editor.output import COLUMNS, manifest_table, verdicts_of
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

    Read from the ledger, so it is as new as that, also while a run is at work; nothing is written. Several output
    directories, such as the shards of a run, stand one below the other. The index is 0, 1, 2, …

    Columns and their types:

    - `output`: the directory, as it was given; category.
    - Those of `manifest.csv`, under their names and in their order. `status` and `verdict` are categories;
      `http_status`, `attempts`, `possibly_billed` (a count of attempts), `width`, `height` (pixels) and `bytes` are
      Int64; `latency_s` (seconds), `estimated_cost_usd`, `actual_cost_usd` (USD) and `fidelity` (0 to 1) are Float64;
      `started_at` and `finished_at` are datetime64 in UTC; all others are string.
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
    frames = [_frame(Path(output)) for output in outputs]
    names = [escape_bytes(os.fspath(output)) for output in outputs]
    for frame, name in zip(frames, names, strict=True):
        frame.insert(0, "output", name)
    table = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return _typed(table, categories={**_CATEGORIES, "output": list(dict.fromkeys(names))})


def _frame(output: Path) -> pd.DataFrame:
    with readings.reading(output) as db:
        db.execute("BEGIN")  # so that rows and money are of one instant
        names, rows = manifest_table(db, verdicts=verdicts_of(db, output))
        frame = pd.DataFrame(list(rows), columns=names, dtype=object)
        money = spending_readings.money_of_requests(db)
    own = frame["reused_from"].isna()
    for number, name in enumerate(_MONEY):
        sums = {fingerprint: usd[number] for fingerprint, usd in money.items()}
        frame[name] = frame["fingerprint"].map(sums).astype("Float64").fillna(0.0).where(own, 0.0)
    return frame


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
