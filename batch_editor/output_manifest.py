"""Ledger rows → the output manifest, whole and atomically. The only importer of pandas."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import orjson

from batch_editor.errors import StorageError, UsageError
from batch_editor.ledger import readings
from batch_editor.records import LOCAL

if TYPE_CHECKING:
    import pandas as pd

FILE_NAME = "manifest.csv"
Format = Literal["csv", "jsonl", "parquet"]

COLUMNS = (
    *("job_id", "status", "output_path", "http_status", "attempts", "latency_s"),
    *("estimated_cost_usd", "actual_cost_usd", "possibly_billed", "error_kind", "error", "reused_from"),
    *("started_at", "finished_at", "width", "height", "format", "bytes", "sha256"),
    *("request_id", "fingerprint", "endpoint"),
)
# Whole numbers that may be absent: pandas would otherwise write 200 as 200.0.
_INTEGERS = ["http_status", "attempts", "possibly_billed", "width", "height", "bytes"]
# What a spreadsheet takes for a formula, also in the full-width forms that some of them fold.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = r"[+-]?\d+(?:[.,]\d+)?"


def write_manifest(db: sqlite3.Connection, path: Path) -> None:
    """The output manifest as CSV: whole under its name, or not there at all. Blocks.

    Raises:
        StorageError: the disk is in the way.
    """
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".manifest-", encoding="utf-8", newline="", delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                export_rows(db, file, "csv")
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o660 & ~_umask())  # prompts and links are nobody else's
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: can't be written ({error.strerror})") from error


def is_output_manifest(path: Path) -> bool:
    """Whether a file is there and begins as an output manifest does."""
    start = ",".join(COLUMNS[:3]).encode()
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def export_rows(db: sqlite3.Connection, file: IO[Any], format: Format) -> None:
    """Every job of the manifest, a row each, in manifest order, a chunk of rows in memory at a time.

    CSV is for people and their spreadsheets, so formulas are defused; JSON lines and Parquet hold values as they
    are. Parquet needs pyarrow and a binary file.
    """
    import pandas as pd  # here, not above: it takes half a second, which only a run's end should pay for

    parameters, extras = readings.columns(db)
    names = [*COLUMNS, *parameters, *(f"row.{name}" for name in extras)]
    frames = _frames(pd, db, names, parameters)
    if format == "parquet":
        if find_spec("pyarrow") is None:
            raise UsageError("export to parquet needs pyarrow; run: pip install 'batch_editor[parquet]'")
        pd.concat(list(frames), ignore_index=True).to_parquet(file, index=False)
        return
    for first, frame in _firsts(frames):
        if format == "csv":
            _defused(frame).to_csv(file, header=first, index=False, lineterminator="\n")
        else:
            frame.to_json(file, orient="records", lines=True, force_ascii=False)


def _frames(pd: Any, db: sqlite3.Connection, names: Sequence[str], parameters: Sequence[str]) -> Iterator[pd.DataFrame]:
    links = readings.uploads(db)
    empty = True
    for chunk in readings.rows(db):
        empty = False
        frame = pd.DataFrame([_row(row, links, parameters) for row in chunk], columns=names, dtype=object)
        yield frame.astype(dict.fromkeys(_INTEGERS, "Int64"))
    if empty:
        yield pd.DataFrame(columns=names)


def _firsts(frames: Iterator[pd.DataFrame]) -> Iterator[tuple[bool, pd.DataFrame]]:
    for number, frame in enumerate(frames):
        yield number == 0, frame


def _row(row: Mapping[str, Any], links: Mapping[str, str], parameters: Sequence[str]) -> dict[str, Any]:
    """A row of the output manifest from a row of the ledger.

    A job that took another one's image sent nothing and cost nothing: so sums over a column are right.
    """
    reused = row["owner"] != row["job_id"]
    succeeded = row["status"] == "succeeded"
    cells = {
        "job_id": row["job_id"],
        "status": row["status"],
        "output_path": row["output_path"],
        "http_status": row["http_status"],
        "attempts": 0 if reused else row["attempts"],
        "latency_s": None if reused or row["latency_s"] is None else round(row["latency_s"], 3),
        "estimated_cost_usd": _estimated(row, reused=reused),
        "actual_cost_usd": (0.0 if reused else row["cost_usd"]) if succeeded else None,
        "possibly_billed": 0 if reused else row["possibly_billed"],
        "error_kind": row["error_kind"],
        "error": row["error"],
        "reused_from": row["owner"] if reused else None,
        "started_at": readings.iso(row["sent_at"]),
        "finished_at": readings.iso(row["ended_at"]),
        "bytes": row["size_bytes"],
        **{
            name: row[name] for name in ("width", "height", "format", "sha256", "request_id", "fingerprint", "endpoint")
        },
    }
    params, files = orjson.loads(row["params"]), orjson.loads(row["files"])
    for name in parameters:
        cells[name] = _cell(params.get(name), files, links)
    cells.update((f"row.{name}", value) for name, value in orjson.loads(row["extras"]).items())
    return cells


def _estimated(row: Mapping[str, Any], *, reused: bool) -> float | None:
    """What the price list says the job cost: empty while that is open."""
    if row["status"] in ("pending", "unknown"):
        return None
    return round(row["expected_usd"], 6) if row["status"] == "succeeded" and not reused else 0.0


def _cell(value: Any, files: Mapping[str, Sequence[str]], links: Mapping[str, str]) -> Any:
    """A parameter as it was sent: a local file by its uploaded link, or by its path if it was sent inline."""
    if isinstance(value, list):
        return "|".join(str(_cell(item, files, links)) for item in value)
    if isinstance(value, str) and value.startswith(LOCAL):
        sha256 = value.removeprefix(LOCAL)
        return links.get(sha256) or files[sha256][0]
    if isinstance(value, str) and value.startswith("data:") and len(value) > 100:
        return f"{value[:60]}…"
    return value


def _defused(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells that a spreadsheet would run get a leading apostrophe; plain numbers don't need one."""
    frame = frame.copy()
    for name in frame.columns:
        if name in _INTEGERS:
            continue
        cells = frame[name].map(lambda cell: cell if isinstance(cell, str) else "")
        # The writer doesn't quote a cell for a bare \r, which ends the row for whoever reads it.
        broken = cells.str.contains("\r", regex=False)
        cells[broken] = cells[broken].str.replace("\r(?!\n)", "\n", regex=True)
        frame.loc[broken, name] = cells[broken]
        live = cells.str.startswith(_FORMULA) & ~cells.str.fullmatch(_NUMBER)
        frame.loc[live, name] = "'" + cells[live]
    return frame


def plain(cell: str) -> str:
    """A cell of the CSV without the apostrophe that defused it.

    >>> plain("'=1+1"), plain("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
