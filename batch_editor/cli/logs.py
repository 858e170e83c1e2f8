"""The log: JSON lines in a file, plain lines on standard error with -v. No key ever reaches either."""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TextIO

from pythonjsonlogger.core import LogData
from pythonjsonlogger.orjson import OrjsonFormatter

from batch_editor.cli.output import tell
from batch_editor.errors import StorageError
from batch_editor.text import escape_all, escape_bytes, redact

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class JsonLines(OrjsonFormatter):
    """One JSON object a record: time, level, event, and whatever the event carries."""

    def __init__(self) -> None:
        renamed = {"levelname": "level", "message": "event"}
        super().__init__(
            ["levelname", "message"],
            timestamp="ts",
            rename_fields=renamed,
            json_default=lambda value: escape_bytes(str(value)),
        )

    def process_log_record(self, log_data: LogData) -> LogData:
        """The record's fields, when it was first; levels are written small."""
        return escape_all({"ts": log_data["ts"], **log_data, "level": log_data["level"].lower()})  # type: ignore[no-any-return]

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        return redact(super().format(record))


class Lines(logging.Formatter):
    """One readable line a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        carried = " ".join(f"{name}={value}" for name, value in _carried(record).items() if value is not None)
        return redact(f"{datetime.now():%H:%M:%S} {record.getMessage()} {carried}".rstrip())


class _Console(logging.StreamHandler[TextIO]):
    """Standard error, if anybody hears it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Nothing, where it can't be written; logging would print a traceback for each record."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _File(logging.FileHandler):
    """A file that says once if it can't be written."""

    _is_told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say it the first time."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_told:
            self._is_told = True
            tell(f"warning: --log-file {self.baseFilename}: can't be written ({error.strerror}); the log has gaps")


def set_up_logging(file: Path | None, *, verbose: bool) -> None:
    """Send the package's log to a file, to standard error, or nowhere.

    Raises:
        StorageError: the file can't be opened.
    """
    log = logging.getLogger("batch_editor")
    log.handlers.clear()
    log.propagate = False
    # Where nobody listens, no record is made: they would be a tenth of what an attempt costs.
    log.setLevel(logging.DEBUG if file is not None else logging.INFO if verbose else logging.CRITICAL)
    log.addHandler(logging.NullHandler())
    if file is not None:
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o660))  # prompts and links are nobody else's
            handler: logging.Handler = _File(file, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"--log-file {file}: can't be written ({error.strerror})") from error
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
    if verbose:
        console = _Console(sys.stderr)
        console.setFormatter(Lines())
        console.setLevel(logging.INFO)
        log.addHandler(console)


def _carried(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
