"""What output directories have spent, from their ledgers: every attempt belongs to one group with its money."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from batch_editor.errors import UsageError, did_you_mean
from batch_editor.frames.grouping import COUNTS, MONEY, By, Spent, grouped
from batch_editor.ledger import Connection, readings, spending_readings
from batch_editor.ledger.spending_readings import SpentSums
from batch_editor.text import escape_bytes, many, printable, quoted

DAY_S = 86_400
BLANK = "(blank)"
NO_COLUMN = "(no such column)"
NOT_KNOWN = "(no longer known)"
NOT_RECORDED = "(not recorded)"
_WORDS = {
    NO_COLUMN: "the row doesn't have the column",
    NOT_KNOWN: "the ledger has lost what it was for",
    NOT_RECORDED: "an earlier version, or a rebuilt ledger, doesn't say",
}
_MOST_NAMES = 12
_LONGEST_NAME = 60
_MOST_OUTPUTS = 3


@dataclass(frozen=True, slots=True)
class _Output:
    """What an output directory has spent: the name of each group with its sums, and of groups that may have none."""

    path: Path
    spent: Sequence[tuple[str, SpentSums]]
    others: Sequence[str]


def spent_by(outputs: Sequence[Path], by: By) -> Spent:
    """Money of output directories by groups, confirmed and possibly billed apart; also while runs are at work.

    The money of an attempt belongs to the job that it was sent for, and to the row that this job had then; jobs that
    share its request, or take its picture, have none of it. Rehearsals have none.

    Raises:
        UsageError: nothing has run there, or no row has that column.
        LedgerError: a ledger can't be read.
    """
    paths = list({output.resolve(): output for output in outputs}.values())
    if by.kind == "column":
        _expect_column(paths, by.column)
    copied, notes = _look_at_runs(paths)
    found = [_read(path, by, copied[path]) for path in paths]
    names = [str(by), "output"] if by.kind == "run" else [str(by)]
    sums = pd.concat([_frame(each, names) for each in found], ignore_index=True)
    also = pd.concat([_others(each, names) for each in found], ignore_index=True)
    groups = grouped(by, sums, names=names, also=also)
    words = [f"{name}: {words}." for name, words in _WORDS.items() if (groups[str(by)] == name).any()]
    where = ", ".join(escape_bytes(str(path)) for path in paths[:_MOST_OUTPUTS])
    more = f" and {len(paths) - _MOST_OUTPUTS:,} more" if len(paths) > _MOST_OUTPUTS else ""
    return Spent(by, f"{where}{more}: money by {_said(by)}", groups, [*words, *_in_doubt(groups), *notes])


def _look_at_runs(paths: Sequence[Path]) -> tuple[dict[Path, list[str]], list[str]]:
    """The runs that are counted with another directory, by directory; and what is to be said of that, and of others.

    Only of a directory that is a copy of another one do runs have the same name. The longer record counts.
    """
    notes, attempts = [], dict[Path, dict[str, int]]()
    for path in paths:
        with readings.reading(path) as db:
            attempts[path] = spending_readings.paid_runs(db)
            rehearsed = spending_readings.rehearsed_attempts(db)
        if rehearsed:
            are = "is" if rehearsed == 1 else "are"
            notes.append(f"{path}: {many(rehearsed, 'attempt')} of rehearsals cost nothing, and {are} not counted.")
    owner: dict[str, Path] = {}
    for path in paths:
        for run_id, count in attempts[path].items():
            if run_id not in owner or attempts[owner[run_id]][run_id] < count:
                owner[run_id] = path
    copied = {path: [run_id for run_id in attempts[path] if owner[run_id] != path] for path in paths}
    notes += [
        f"{path}: {many(len(runs), 'run is', 'runs are')} on record in another of these directories too, of which it is"
        f" a copy, and counted there."
        for path, runs in copied.items()
        if runs
    ]
    return copied, notes


def _said(by: By) -> str:
    if by.kind == "column":
        return f"the column {printable(by.column, limit=_LONGEST_NAME)}"
    return f"{by.kind} of UTC" if by.kind in ("day", "month") else by.kind


def _in_doubt(frame: pd.DataFrame) -> Iterator[str]:
    billed, open_ = int(frame["possibly_billed"].sum()), int(frame["open"].sum())
    if billed:
        yield f"Possibly billed is an upper bound, for {many(billed, 'attempt')} that gave no picture."
    if open_:
        yield f"Reserved is for {many(open_, 'attempt')} without an outcome yet."


def day_name(day: int) -> str:
    """A day of UTC, by its number since 1970; a rebuilt ledger has attempts of no known day.

    >>> day_name(20784), day_name(0)
    ('2026-11-27', '(not recorded)')
    """
    return f"{datetime.fromtimestamp(day * DAY_S, UTC):%Y-%m-%d}" if day > 0 else NOT_RECORDED


def month_name(day: int) -> str:
    """The month that such a day is in.

    >>> month_name(20784)
    '2026-11'
    """
    return f"{datetime.fromtimestamp(day * DAY_S, UTC):%Y-%m}" if day > 0 else NOT_RECORDED


def _read(output: Path, by: By, copied: Sequence[str]) -> _Output:
    with readings.reading(output) as db:
        spent, others = _GROUPS[by.kind](db, by.column, copied)
        return _Output(output, spent, others)


def _frame(output: _Output, names: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame([sums for _, sums in output.spent], columns=SpentSums._fields)
    frame = frame.rename(columns={"possibly_usd": "possibly_billed_usd", "open_usd": "reserved_usd"})
    kinds = {**dict.fromkeys(COUNTS, "int64"), **dict.fromkeys(MONEY, "float64")}
    return _named(frame[list(kinds)].astype(kinds), names, [name for name, _ in output.spent], output.path)


def _others(output: _Output, names: Sequence[str]) -> pd.DataFrame:
    return _named(pd.DataFrame(index=range(len(output.others))), names, output.others, output.path)


def _named(frame: pd.DataFrame, names: Sequence[str], groups: Sequence[str], output: Path) -> pd.DataFrame:
    frame[names[0]] = pd.Series(groups, index=frame.index, dtype=object)
    for name in names[1:]:
        frame[name] = escape_bytes(str(output))
    return frame


_Groups = tuple[list[tuple[str, SpentSums]], Sequence[str]]


def _by_day(db: Connection, _: str, copied: Sequence[str]) -> _Groups:
    return [(day_name(each.key), each) for each in spending_readings.spent_by(db, "day", without=copied)], ()


def _by_month(db: Connection, _: str, copied: Sequence[str]) -> _Groups:
    return [(month_name(each.key), each) for each in spending_readings.spent_by(db, "day", without=copied)], ()


def _by_run(db: Connection, _: str, copied: Sequence[str]) -> _Groups:
    spent = [(str(each.key), each) for each in spending_readings.spent_by(db, "run", without=copied)]
    return spent, [run_id for run_id in spending_readings.paid_runs(db) if run_id not in copied]


def _by_endpoint(db: Connection, _: str, copied: Sequence[str]) -> _Groups:
    return [(each.key or NOT_KNOWN, each) for each in spending_readings.spent_by(db, "endpoint", without=copied)], ()


def _by_template(db: Connection, _: str, copied: Sequence[str]) -> _Groups:
    templates = {job: template or NOT_RECORDED for job, template in spending_readings.templates(db).items()}
    sums = spending_readings.spent_by(db, "job", without=copied)
    return (
        [(templates.get(each.key, NOT_KNOWN), each) for each in sums],
        [templates[job] for job in spending_readings.active_jobs(db)],
    )


def _by_column(db: Connection, column: str, copied: Sequence[str]) -> _Groups:
    rows = spending_readings.column_of_jobs(db, column)
    if rows is None:
        _, parameters = spending_readings.column_names(db)
        if column in parameters:
            sent = spending_readings.spent_by_parameter(db, column, without=copied)
            return [(_name(each.key), each) for each in sent], ()
        return [(NO_COLUMN, each) for each in spending_readings.spent_by(db, "job", without=copied)], ()
    spent = []
    for each in spending_readings.spent_by(db, "row", without=copied):
        if each.key not in rows.present:
            spent.append((NOT_KNOWN, each))
        else:
            value = rows.present[each.key] if each.until is None else rows.former[each.key, each.until]
            spent.append((_name(value), each))
    return spent, [_name(rows.present[job]) for job in spending_readings.active_jobs(db)]


_GROUPS: dict[str, Callable[[Connection, str, Sequence[str]], _Groups]] = {
    "day": _by_day,
    "month": _by_month,
    "run": _by_run,
    "endpoint": _by_endpoint,
    "template": _by_template,
    "column": _by_column,
}


def _name(value: str | None) -> str:
    if value is None:
        return NO_COLUMN
    return value if value.strip() else BLANK


def _expect_column(outputs: Sequence[Path], name: str) -> None:
    """See that any of the output directories has that column."""
    names: dict[str, None] = {}
    for output in outputs:
        with readings.reading(output) as db:
            extras, parameters = spending_readings.column_names(db)
            known = [*extras, *parameters]
            if name in known or spending_readings.column_of_jobs(db, name) is not None:
                return
            names.update(dict.fromkeys(known))
    where = ", ".join(escape_bytes(str(output)) for output in outputs)
    shown = [printable(each, limit=_LONGEST_NAME) for each in names]
    some = ", ".join([*shown[:_MOST_NAMES], *(["…"] if len(names) > _MOST_NAMES else [])])
    there = f"; there are {some}" if some else ""
    raise UsageError(f"{where}: no row has a column {quoted(name)}{did_you_mean(name, shown)}{there}")
