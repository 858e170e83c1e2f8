"""What all runs that share `budget.ledger` have spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from batch_editor.errors import UsageError
from batch_editor.frames.grouping import By, Spent, grouped
from batch_editor.frames.outputs import NOT_RECORDED, day_name, month_name
from batch_editor.money import SharedDay
from batch_editor.text import many

_KINDS = ("day", "month", "endpoint")
_HOW_IT_COUNTS = (
    "As it counts against the limits: at the max price where the provider didn't say. Attempts that cost nothing aren't"
    " on record."
)


def shared_by(days: Sequence[SharedDay], by: By, *, ledger: str) -> Spent:
    """Money that counts against the limits of `budget.ledger`, by day, month or endpoint.

    Raises:
        UsageError: it is to be grouped by something that is known to output directories alone.
    """
    if by.kind not in _KINDS:
        written = f"column:{by.column}" if by.kind == "column" else by.kind
        raise UsageError(
            f"budget.ledger knows days, months and endpoints alone; name the output directories: spend OUT… --by"
            f" {written}"
        )
    name = str(by)
    frame = pd.DataFrame(
        {
            name: pd.Series([_group(day, by) for day in days], dtype=object),
            "attempts": _integers(day.attempts for day in days),
            "requests": pd.Series([pd.NA] * len(days), dtype="Int64"),
            "pictures": _integers(day.attempts - day.possibly_billed - day.open for day in days),
            "possibly_billed": _integers(day.possibly_billed for day in days),
            "open": _integers(day.open for day in days),
            "confirmed_usd": pd.Series([day.confirmed_usd for day in days], dtype="float64"),
            "possibly_billed_usd": pd.Series([day.possibly_usd for day in days], dtype="float64"),
            "reserved_usd": pd.Series([day.open_usd for day in days], dtype="float64"),
        }
    )
    notes = [_HOW_IT_COUNTS]
    if unrecorded := sum(day.unrecorded for day in days):
        notes.append(
            f"{many(unrecorded, 'attempt')} of an earlier version, which didn't record whether there was a picture,"
            f" {'is' if unrecorded == 1 else 'are'} among the possibly billed."
        )
    if any(day.endpoint is None for day in days) and by.kind == "endpoint":
        notes.append(f"{NOT_RECORDED}: an earlier version didn't record the endpoint.")
    said = f"{by.kind} of UTC" if by.is_time else by.kind
    return Spent(by, f"{ledger}: money of all that share it, by {said}", grouped(by, frame, names=[name]), notes)


def _group(day: SharedDay, by: By) -> str:
    if by.kind == "endpoint":
        return day.endpoint or NOT_RECORDED
    return month_name(day.day) if by.kind == "month" else day_name(day.day)


def _integers(values: Any) -> pd.Series[Any]:
    return pd.Series(list(values), dtype="Int64")
