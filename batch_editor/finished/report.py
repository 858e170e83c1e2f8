"""Reports of finished files: a table beside them, with what each one's checks say."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from batch_editor.errors import StorageError
from batch_editor.files import whole_file
from batch_editor.ledger import Connection, FinishedRow, finished_readings
from batch_editor.output import FINISHED, defused

FILE_NAME = "report.csv"
COLUMNS = ("job_id", "file", "fault", "failed_checks", "width", "height", "format", "bytes", "sha256", "notes")


def write_reports(db: Connection, root: Path) -> None:
    """Write `finished/NAME/report.csv` of each name, whole or not at all; remove those of names without a file. Blocks.

    A row a job in the manifest's order, a column for each rule that is checked: `ok`, or what was found and wanted.

    Raises:
        StorageError: the disk refuses.
    """
    names = finished_readings.finished_names(db)
    folder = root / FINISHED
    try:
        for name in names:
            (folder / name).mkdir(parents=True, exist_ok=True)
            if (folder / name).resolve() != root.resolve() / FINISHED / name:
                raise StorageError(f"{folder / name}: a link that leads elsewhere; expected a folder")
            with whole_file(folder / name / FILE_NAME) as file:
                _write(file, db, name)
        for left in folder.glob(f"*/{FILE_NAME}"):
            if left.parent.name not in names:
                left.unlink()
                with suppress(OSError):  # not empty
                    left.parent.rmdir()
        with suppress(OSError):
            folder.rmdir()
    except OSError as error:
        raise StorageError(f"{folder}: a report can't be written ({error.strerror})") from error


def _write(file: BinaryIO, db: Connection, name: str) -> None:
    rules = _rules(finished_readings.finished_rows(db, name))
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"check.{rule}" for rule in rules)])
        for row in finished_readings.finished_rows(db, name):
            writer.writerow([defused(cell) if isinstance(cell, str) else cell for cell in _cells(row, rules)])
    finally:
        text.detach()  # flushes; the file is the caller's


def _rules(rows: Iterable[FinishedRow]) -> list[str]:
    """The rules that any of the files was checked by, in the order in which they are first met."""
    return list(dict.fromkeys(check["rule"] for row in rows for check in orjson.loads(row.checks)))


def _cells(row: FinishedRow, rules: list[str]) -> list[Any]:
    found = {check["rule"]: _said(check) for check in orjson.loads(row.checks)}
    return [
        *(row.job_id, row.path, row.fault, None if row.path is None else row.failing),
        *(row.width, row.height, row.format, row.size_bytes, row.sha256),
        "; ".join(orjson.loads(row.notes)) or None,
        *(found.get(rule) for rule in rules),
    ]


def _said(check: dict[str, Any]) -> str:
    return "ok" if check["ok"] else f"{check['got']}; wanted {check['wanted']}"
