"""Ledger rows → the output manifest, whole and atomically, a row at a time: pandas is imported for Parquet alone."""

from __future__ import annotations

import csv
import heapq
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from itertools import chain
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal, NamedTuple

import orjson

from batch_editor.errors import StorageError, UsageError
from batch_editor.files import expect_regular, fsync_directory, open_regular
from batch_editor.ledger import Connection, JobRow, files_from, readings, shard_of
from batch_editor.output.verdict_lookup import verdicts_of
from batch_editor.records import LOCAL
from batch_editor.shard import WHOLE
from batch_editor.text import escape_bytes
from batch_editor.verdicts import Picture, Verdict, read_verdicts

FILE_NAME = "manifest.csv"
Format = Literal["csv", "jsonl", "parquet"]

# What people said of the image; its finished files, and how far it is from its input: empty until something fills them.
_SINCE_0_1 = ("verdict", "verdict_note", "finished", "fidelity")
COLUMNS = (
    *("job_id", "status", "output_path", "http_status", "attempts", "latency_s"),
    *("estimated_cost_usd", "actual_cost_usd", "possibly_billed", "error_kind", "error", "reused_from"),
    *("started_at", "finished_at", "width", "height", "format", "bytes", "sha256"),
    *("request_id", "fingerprint", "endpoint"),
    *_SINCE_0_1,
)
COLUMNS_OF_0_1 = COLUMNS[: -len(_SINCE_0_1)]
# Whole numbers that may be absent: pandas would otherwise make 200.0 of 200.
_INTEGERS = ["http_status", "attempts", "possibly_billed", "width", "height", "bytes"]
# What a spreadsheet takes for a formula, also in the full-width forms that some of them fold.
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_BARE_RETURN = re.compile(r"\r(?!\n)")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")


def write_manifest(db: Connection, path: Path) -> None:
    """The output manifest as CSV: whole under its name, or not there at all. Blocks.

    Raises:
        StorageError: the disk refuses to read or write.
        VerdictsError: the verdicts beside it can't be read.
    """
    verdicts = verdicts_of(db, path.parent)
    temporary = _temporary(path)
    try:
        try:
            # Prompts and links are nobody else's.
            temporary.unlink(missing_ok=True)  # whatever it is, nothing is written through it
            with os.fdopen(os.open(temporary, _FRESH, 0o660), "wb") as file:
                export_rows(db, file, "csv", verdicts=verdicts)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            fsync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: can't be written ({error.strerror})") from error


def check_place(path: Path) -> None:
    """See that the output manifest can take its place. Before anything is paid for: it is written at the end.

    Raises:
        StorageError: something other than a file stands there.
        VerdictsError: what it tells of verdicts can't be read.
    """
    read_verdicts(path.parent)
    for place in (path, _temporary(path)):
        try:
            with suppress(FileNotFoundError):
                expect_regular(place)
        except OSError as error:
            raise StorageError(f"{place}: can't be written ({error.strerror})") from error


def _temporary(path: Path) -> Path:
    # Always the same name: so one that a run left when it died doesn't stay.
    return path.with_name(f".{path.name}.part")


def is_output_manifest(path: Path) -> bool:
    """Whether a file is there and begins as an output manifest does."""
    start = ",".join(COLUMNS[:3]).encode()
    try:
        with open(path, "rb", opener=open_regular) as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def export_rows(
    db: Connection, file: IO[bytes], format: Format, *, verdicts: Mapping[Picture, Verdict] = MappingProxyType({})
) -> None:
    """Every job of the manifest, a row each, in manifest order; one row in memory at a time, but for Parquet.

    CSV is for people and their spreadsheets, so formulas are defused; JSON lines and Parquet hold values as they
    are. Parquet needs pyarrow. `verdicts` are those of `verdicts_of`.
    """
    export_tables([ExportedOutput(None, db, verdicts)], file, format)


class ExportedOutput(NamedTuple):
    """An output directory to be exported: its path, as the column `output` has it; its ledger, and what people said."""

    output: str | None
    db: Connection
    verdicts: Mapping[Picture, Verdict]


def export_tables(outputs: Sequence[ExportedOutput], file: IO[bytes], format: Format) -> None:
    """As `export_rows`, the rows of several output directories as one table, see `joined_table`."""
    names, rows = joined_table(outputs)
    if format == "csv":
        _write_csv(file, names, rows)
    elif format == "jsonl":
        file.writelines(
            orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE) for row in rows
        )
    else:
        _write_parquet(file, names, rows)


def joined_table(outputs: Sequence[ExportedOutput]) -> tuple[list[str], Iterator[list[Any]]]:
    """The columns of the output manifest, and its rows, one at a time; values are as they are.

    With `output` behind the fixed columns, to which `output_path` is relative, where there are several. Shards of one
    number are in the manifest's order; others one after the other.
    """
    columns = [readings.columns(each.db) for each in outputs]
    parameters = list(dict.fromkeys(name for names, _ in columns for name in names))
    extras = list(dict.fromkeys(name for _, names in columns for name in names))
    named = [] if len(outputs) == 1 else ["output"]
    names = [*COLUMNS, *named, *map(column_of, parameters), *(f"row.{name}" for name in extras)]
    tables = [_rows(each, parameters, extras, is_named=bool(named)) for each in outputs]
    shards = {shard_of(each.db) for each in outputs}
    of_one = WHOLE not in shards and len({shard.count if shard is not None else None for shard in shards}) == 1
    joined = heapq.merge(*tables, key=itemgetter(0)) if of_one else chain.from_iterable(tables)
    return names, (cells for _, cells in joined)


def _rows(
    exported: ExportedOutput, parameters: Sequence[str], extras: Sequence[str], *, is_named: bool
) -> Iterator[tuple[int, list[Any]]]:
    """The rows of an output directory, each with its job's position in the manifest."""
    links = readings.uploads(exported.db)
    for row in readings.rows(exported.db):
        cells = _cells(row, links, parameters, extras, exported.verdicts)
        if is_named:
            cells.insert(len(COLUMNS), exported.output)
        yield row.position, cells


def column_of(parameter: str) -> str:
    """The column of a parameter, which may be named as one of the others.

    >>> column_of("quality"), column_of("width")
    ('quality', 'param.width')
    """
    return f"param.{parameter}" if parameter in COLUMNS else parameter


def _write_csv(file: IO[bytes], names: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([defused(cell) if isinstance(cell, str) else cell for cell in row])
    finally:
        text.detach()  # flushes; the file is the caller's


def _write_parquet(file: IO[bytes], names: list[str], rows: Iterator[Sequence[Any]]) -> None:
    if find_spec("pyarrow") is None:
        raise UsageError("export to parquet needs pyarrow; run: pip install pyarrow")
    import pandas as pd  # here, not above: it takes half a second and 80 MB

    frame = pd.DataFrame(list(rows), columns=names, dtype=object)
    frame.astype(dict.fromkeys(_INTEGERS, "Int64")).to_parquet(file, index=False)


def _cells(
    row: JobRow,
    links: Mapping[str, str],
    parameters: Sequence[str],
    extras: Sequence[str],
    verdicts: Mapping[Picture, Verdict],
) -> list[Any]:
    """A row of the output manifest from a row of the ledger.

    A job that took another one's image sent nothing and cost nothing: so sums over a column are right.
    """
    reused = row.owner != row.job_id
    succeeded = row.status == "succeeded"
    verdict = verdicts.get(Picture(row.fingerprint, row.sha256 or "")) if verdicts and row.output_path else None
    params, others = orjson.loads(row.params), orjson.loads(row.extras)
    values = map(params.get, parameters)
    if row.files != "{}" or '"data:' in row.params:
        files = files_from(row.files)
        values = map(partial(_shown, files=files, links=links), values)
    return [
        *(row.job_id, row.status, row.output_path, row.http_status),
        0 if reused else row.attempts,
        None if reused or row.latency_s is None else round(row.latency_s, 3),
        _estimated(row, reused=reused),
        (0.0 if reused else row.cost_usd) if succeeded else None,
        0 if reused else row.possibly_billed,
        *(row.error_kind, row.error, row.owner if reused else None),
        *(readings.iso(row.sent_at), readings.iso(row.ended_at)),
        *(row.width, row.height, row.format, row.size_bytes, row.sha256),
        *(row.request_id, row.fingerprint, row.endpoint),
        *((verdict.verdict, verdict.note) if verdict else (None, None)),
        *(row.finished, None),
        *["|".join(map(str, value)) if isinstance(value, list) else value for value in values],
        *map(others.get, extras),
    ]


def _estimated(row: JobRow, *, reused: bool) -> float | None:
    """What the price list says the job cost: empty while that is open."""
    if row.status in ("pending", "unknown"):
        return None
    return round(row.expected_usd, 6) if row.status == "succeeded" and not reused else 0.0


def _shown(value: Any, files: Mapping[str, Sequence[str]], links: Mapping[str, str]) -> Any:
    """A parameter as it was sent: a local file by its uploaded link, or by its path if it was sent inline."""
    if isinstance(value, list):
        return [_shown(item, files, links) for item in value]
    if isinstance(value, str) and value.startswith(LOCAL):
        sha256 = value.removeprefix(LOCAL)
        return links.get(sha256) or escape_bytes(files[sha256][0])
    if isinstance(value, str) and value.startswith("data:") and len(value) > 100:
        return f"{value[:60]}…"
    return value


def defused(text: str) -> str:
    """A cell that a spreadsheet would run gets a leading apostrophe; a plain number doesn't need one."""
    if "\r" in text:  # the writer doesn't quote a cell for a bare one, which ends the row for whoever reads it
        text = _BARE_RETURN.sub("\n", text)
    return f"'{text}" if text[:1] in _FORMULA and not _NUMBER.fullmatch(text) else text


def plain(cell: str) -> str:
    """A cell of the CSV without the apostrophe that defused it.

    >>> plain("'=1+1"), plain("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and cell[1:2] in _FORMULA else cell
