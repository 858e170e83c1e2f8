"""Money by groups, each figure exact to a millionth of a dollar, so that what is shown adds up."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import pandas as pd

from batch_editor.errors import UsageError, did_you_mean
from batch_editor.output import defused
from batch_editor.text import printable, quoted, table

KINDS = ("day", "month", "run", "endpoint", "template")
_COLUMN = "column:"

# Whole numbers: attempts sent; those that were the first of their request; those that gave a picture; those that may
# have been charged without giving one; those without an outcome yet.
COUNTS = ("attempts", "requests", "pictures", "possibly_billed", "open")
_SHOWN = ("attempts", "requests", "pictures")
MONEY = ("confirmed_usd", "possibly_billed_usd", "reserved_usd")
_MICROS = 1_000_000
_WIDEST = 60
_LEAST_DIGITS, _MOST_DIGITS = 2, 6


@dataclass(frozen=True, slots=True)
class By:
    """What money is grouped by: one of `KINDS`, or a column of the rows.

    >>> By.parse("column:Brand")
    By(kind='column', column='Brand')
    """

    kind: str
    column: str = ""

    @classmethod
    def parse(cls, text: str) -> By:
        """As it is written.

        Raises:
            UsageError: it is nothing of the kind.
        """
        if text in KINDS:
            return cls(text)
        name = text.removeprefix(_COLUMN)
        if name != text and name:
            return cls("column", name)
        near = did_you_mean(text, KINDS)
        raise UsageError(f"--by is {quoted(text)}; expected {', '.join(KINDS)} or column:NAME{near}")

    @property
    def is_time(self) -> bool:
        """Whether groups have an order of their own."""
        return self.kind in ("day", "month", "run")

    def __str__(self) -> str:
        return f"{_COLUMN}{self.column}" if self.kind == "column" else self.kind


@dataclass(frozen=True, slots=True)
class Spent:
    """Money by groups. notes: what is to be known of it.

    frame: a row a group, with its name in the column `str(by)`, `COUNTS` as Int64 and `MONEY` in USD. Counts that
    nobody recorded are missing.
    """

    by: By
    title: str
    frame: pd.DataFrame
    notes: Sequence[str] = ()

    @property
    def total(self) -> dict[str, Any]:
        """The sums over all groups."""
        counts = {name: None if self.frame[name].isna().any() else int(self.frame[name].sum()) for name in COUNTS}
        return {**counts, **{name: _micros(self.frame[name]).sum() / _MICROS for name in MONEY}}

    def as_json(self) -> dict[str, Any]:
        """The object of `--format json`."""
        return {
            "by": str(self.by),
            "rows": [{**self._names(row), **_figures(row)} for row in self._rows()],
            "total": _figures(self.total),
            "notes": list(self.notes),
        }

    def write_csv(self, file: IO[str]) -> None:
        """A row a group, without one of totals, so that sums over a column are right; formulas are defused."""
        writer = csv.writer(file, lineterminator="\n")
        names = self._name_columns
        writer.writerow([*names, *COUNTS, *MONEY])
        for row in self._rows():
            figures = (*(row[name] for name in COUNTS), *(f"{row[name]:.6f}" for name in MONEY))
            writer.writerow([*(defused(row[name]) for name in names), *figures])

    def lines(self) -> Iterator[str]:
        """A table for people. Money has as many digits as it takes for the figures that are shown to add up."""
        yield self.title
        rows = [*self._rows(), {**dict.fromkeys(self._name_columns, ""), str(self.by): "total", **self.total}]
        counts = [name for name in _SHOWN if self.total[name] is not None]
        money = [name for name in MONEY if name != "reserved_usd" or self.total[name]]
        usd = {name: _usd([row[name] for row in rows]) for name in money}
        cells = [
            [
                *(printable(row[name], limit=_WIDEST) for name in self._name_columns),
                *(f"{row[name]:,}" for name in counts),
                *(usd[name][number] for name in money),
            ]
            for number, row in enumerate(rows)
        ]
        shown = (printable(name, limit=_WIDEST) for name in self._name_columns)
        head = [*shown, *counts, *(name.removesuffix("_usd").replace("_", " ") for name in money)]
        yield from table(head, cells, right=len(counts) + len(money))
        yield from self.notes

    @property
    def _name_columns(self) -> list[str]:
        return [name for name in self.frame.columns if name not in COUNTS and name not in MONEY]

    def _names(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: row[name] for name in self._name_columns}

    def _rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.frame.astype(object).to_dict("records")  # type: ignore[assignment]
        return [{name: _count(value) if name in COUNTS else value for name, value in row.items()} for row in found]


def grouped(by: By, attempts: pd.DataFrame, *, names: Sequence[str], also: pd.DataFrame | None = None) -> pd.DataFrame:
    """The sums of `COUNTS` and `MONEY` over the groups that `names` tell apart; also of groups that have none.

    In the order of time, or the most expensive first; what is said in parentheses comes last.
    """
    sums = attempts.groupby(list(names), sort=False, dropna=False)[[*COUNTS, *MONEY]].sum(min_count=1).reset_index()
    if also is not None:
        every = pd.concat([also, sums[list(names)]]).drop_duplicates()
        sums = every.merge(sums, how="left", on=list(names))  # in this order, which an outer join would not keep
    for name in MONEY:
        sums[name] = _micros(sums[name].fillna(0.0)) / _MICROS
    counts = sums[list(COUNTS)].astype("Int64")
    sums[list(COUNTS)] = counts if attempts[list(COUNTS)].isna().any(axis=None) else counts.fillna(0)
    name = str(by)
    if by.is_time:
        ordered = sums if by.kind == "run" else sums.sort_values(name, kind="stable")
    else:
        sums["_last"] = sums[name].str.startswith("(")
        sums["_usd"] = -(sums["confirmed_usd"] + sums["possibly_billed_usd"])
        ordered = sums.sort_values(["_last", "_usd", name], kind="stable").drop(columns=["_last", "_usd"])
    return ordered.reset_index(drop=True)


def _micros(usd: pd.Series[Any]) -> pd.Series[Any]:
    """Millionths of a dollar: whole numbers, whose sums are exact, and of which none is a negative zero."""
    return (usd * _MICROS).round().astype("int64")


def _count(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    usd = {name.removesuffix("_usd"): float(row[name]) for name in MONEY}
    return {**{name: row[name] for name in COUNTS}, "cost_usd": usd}


def _usd(values: Sequence[float]) -> list[str]:
    micros = [round(usd * _MICROS) for usd in values]
    digits = next(
        (
            digits
            for digits in range(_LEAST_DIGITS, _MOST_DIGITS)
            if all(each % 10 ** (_MOST_DIGITS - digits) == 0 for each in micros)
        ),
        _MOST_DIGITS,
    )
    return [f"${each / _MICROS:,.{digits}f}" for each in micros]
