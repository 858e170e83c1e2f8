"""Finished files on a job's page: what the ledger says of them, and the files themselves."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from batch_editor.errors import StorageError
from batch_editor.ledger import Connection, FinishedRow, finished_readings, readings
from batch_editor.output import PictureStore
from batch_editor.review.pictures import NoPicture

_GONE = "the finished file is no longer what was made; `batch-editor finish OUT` makes it anew"


def finished_details(db: Connection, job_id: str) -> list[dict[str, Any]]:
    """The finished files of a job's picture as JSON, by name; those that could not be made included."""
    return [
        {
            "name": row.name,
            "url": None if row.path is None else f"/finished/{quote(row.name, safe='')}/{row.sha256}/{quote(job_id)}",
            "path": row.path,
            "format": row.format,
            "width": row.width,
            "height": row.height,
            "bytes": row.size_bytes,
            "fault": row.fault,
            "notes": orjson.loads(row.notes),
            "checks": orjson.loads(row.checks),
        }
        for row in finished_readings.finished_of(db, job_id)
    ]


class FinishedPictures:
    """The finished files of an output directory: what the ledger names, never a path that a page asks for."""

    def __init__(self, output: Path, store: PictureStore) -> None:
        self._output = output
        self._store = store

    async def read(self, name: str, sha256: str, job_id: str) -> tuple[bytes, str]:
        """A job's finished file, whose content is what it is called; and its content type.

        Raises:
            NoPicture: there is no such file.
        """
        return await asyncio.to_thread(self._read, name, sha256, job_id)

    def _read(self, name: str, sha256: str, job_id: str) -> tuple[bytes, str]:
        with readings.reading(self._output) as db:
            rows = finished_readings.finished_of(db, job_id)
        row = next((row for row in rows if (row.name, row.sha256) == (name, sha256)), None)
        if row is None or row.path is None:
            raise NoPicture("the job has no such finished file")
        return self._content(row, row.path), f"image/{row.format}"

    def _content(self, row: FinishedRow, path: str) -> bytes:
        try:
            file = self._store.open(path)
            content = b"" if file is None else file.read()
            if file is not None:
                file.close()
        except (OSError, StorageError) as error:
            raise NoPicture(f"the finished file can't be read ({error})") from error
        if hashlib.sha256(content).hexdigest() != row.sha256:
            raise NoPicture(_GONE)
        return content
