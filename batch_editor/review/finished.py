"""Finished files on a job's page: what the ledger says of them, and the files themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from batch_editor.errors import StorageError
from batch_editor.ledger import Connection, finished_readings, readings
from batch_editor.output import PictureStore
from batch_editor.review.pictures import NoPicture


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


def read_finished(output: Path, store: PictureStore, name: str, sha256: str, job_id: str) -> tuple[bytes, str]:
    """A job's finished file, whose content is what it is called, and its content type. Blocks.

    What the ledger names, never a path that a page asks for.

    Raises:
        NoPicture: there is no such file.
    """
    with readings.reading(output) as db:
        rows = finished_readings.finished_of(db, job_id)
    row = next((row for row in rows if (row.name, row.sha256) == (name, sha256)), None)
    if row is None or row.path is None:
        raise NoPicture("the job has no such finished file")
    content = _content(store, row.path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise NoPicture("the finished file is no longer what was made; `batch-editor finish OUT` makes it anew")
    return content, f"image/{row.format}"


def _content(store: PictureStore, path: str) -> bytes:
    try:
        file = store.open(path)
        if file is None:
            return b""
        with file:
            return file.read()
    except (OSError, StorageError) as error:
        raise NoPicture(f"the finished file can't be read ({error})") from error
