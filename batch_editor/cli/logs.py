"""The log: JSON lines in a file, plain lines on standard error with -v. No key ever reaches either."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path

from pythonjsonlogger.core import LogData
from pythonjsonlogger.orjson import OrjsonFormatter

from batch_editor.cli.output import tell
from batch_editor.errors import StorageError
from batch_editor.text import escape_all, escape_bytes, printable, redact

# Controls of eight bits, which some terminals obey, and what ends a line or turns its direction elsewhere.
_CONTROLS = re.compile(r"[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINE = 2000
_MODE = 0o660
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
        """The record as a line: JSON escapes a terminal's first 32 controls, and no others."""
        return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", redact(super().format(record)))


class Lines(logging.Formatter):
    """One readable line a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        said = {name: value for name, value in _carried(record).items() if value is not None}
        carried = " ".join(f"{name}={_rounded(value)}" for name, value in said.items())
        return printable(f"{datetime.now():%H:%M:%S} {record.getMessage()} {carried}", limit=_LINE)


def _rounded(value: object) -> object:
    """Seconds and dollars as people read them; the file has all digits.

    >>> _rounded(3.0809003339963965), _rounded(0.1596), _rounded("mug")
    (3.0809, 0.1596, 'mug')
    """
    return round(value, 4) if isinstance(value, float) else value


class _Console(logging.Handler):
    """Lines for whoever watches: a bar that moves there makes room for them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say it in a line."""
        self._say(self.format(record))


class _File(WatchedFileHandler):
    """A file that says once if it can't be written, and is begun anew where somebody has moved or removed it."""

    _is_told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; where the file can't be begun anew, as where it can't be written."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def _open(self) -> TextIOWrapper:
        # Prompts and links are nobody else's.
        return open(self.baseFilename, "a", encoding="utf-8", opener=partial(os.open, mode=_MODE))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say it the first time."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_told:
            self._is_told = True
            tell(f"warning: --log-file {self.baseFilename}: can't be written ({error.strerror}); the log has gaps")


def set_up_logging(file: Path | None, *, say: Callable[[str], None] | None) -> None:
    """Send the package's log to a file, in lines to `say`, or nowhere.

    Raises:
        StorageError: the file can't be opened.
    """
    log = logging.getLogger("batch_editor")
    log.handlers.clear()
    log.propagate = False
    # Where nobody listens, no record is made: they would be a tenth of what an attempt costs.
    log.setLevel(logging.DEBUG if file is not None else logging.INFO if say is not None else logging.CRITICAL)
    log.addHandler(logging.NullHandler())
    if file is not None:
        try:
            handler: logging.Handler = _File(file, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"--log-file {file}: can't be written ({error.strerror})") from error
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
    if say is not None:
        console = _Console(say)
        console.setFormatter(Lines())
        log.addHandler(console)


def _carried(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
