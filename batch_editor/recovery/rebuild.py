"""A ledger that is lost or damaged, made anew from the output manifest and the images. Sends nothing."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from batch_editor.endpoints import Endpoint, load_endpoint
from batch_editor.errors import EndpointError, LedgerError, StorageError, UsageError
from batch_editor.files import SIDE_FILES, fsync_directory
from batch_editor.images import ENDINGS
from batch_editor.ledger import FILE_NAME as LEDGER_NAME
from batch_editor.ledger import Ledger
from batch_editor.ledger.database import is_lost
from batch_editor.ledger.restore import RestoredRow, restore
from batch_editor.money import price_of
from batch_editor.naming import safe_output
from batch_editor.output import COLUMNS, COLUMNS_OF_0_1, IMAGES, PictureStore, Store, locked, picture_store, plain
from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME

# Failures that a next run sends again; what was refused for good stays failed.
_PASSING = frozenset(["connection", "timeout", "rate_limited", "server_error", "interrupted"])


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it. `missing` are images that are not on the disk, `unclaimed` those that no row names."""

    jobs: int
    images: int
    missing: int
    newer: int
    unclaimed: int
    counted_usd: float
    kept: Path | None

    def lines(self) -> Iterator[str]:
        """What to tell."""
        yield f"Rebuilt the ledger: {self.jobs} jobs, {self.images} images checked by their content"
        if self.missing:
            yield f"{self.missing} images are not where the manifest says; the next run looks for them in the history"
        if self.newer:
            yield (
                f"{self.newer} images are newer than the manifest: nothing says which requests made them, so their jobs"
                " are unknown and not sent again; look at them, --retry-failed makes them anew"
            )
        if self.unclaimed:
            yield f"{self.unclaimed} images had no name yet; they are in images/.history as unclaimed-…"
        if self.counted_usd:
            yield f"The budget of the next run begins with ${self.counted_usd:,.2f} spent, for jobs are left"
        if self.kept is not None:
            yield f"The damaged ledger is kept: {self.kept}"


def rebuild(output: Path) -> Rebuilt:
    """Make the ledger of an output directory anew from its manifest.csv, and keep the damaged one beside it. Blocks.

    Images count if their content is that of the manifest. Attempts, costs and failures are carried over; what was
    sent after the manifest was written is only known by the images that came of it.

    Raises:
        UsageError: there is no output manifest, or the ledger is sound.
        LockedError: a run is at work there.
        MachineError: the directory can't be written, or its bucket read; or a newer version wrote the ledger.
    """
    manifest, ledger = output / MANIFEST_NAME, output / LEDGER_NAME
    if not manifest.is_file():
        raise UsageError(f"{output}: no {MANIFEST_NAME} here to rebuild a ledger from")
    pictures = picture_store(output)
    store = Store(output, pictures)
    with closing(store), closing(pictures), locked(store.root):
        store.prepare()
        if not is_lost(ledger):
            raise UsageError(f"{ledger}: this ledger is sound; there is nothing to rebuild")
        owner = pictures.owner()
        reader = _Reader(pictures, manifest)
        rows = list(reader.rows())
        fresh = output / f"{LEDGER_NAME}.new"
        for ending in ("", *SIDE_FILES):
            fresh.with_name(fresh.name + ending).unlink(missing_ok=True)  # of a rebuilding that died
        made = Ledger(fresh)
        with closing(made), made.translated(), made.transaction():
            counted_usd = restore(made.connection, rows, providers=reader.providers(), now=time.time())
            if owner is not None:
                made.take_id(owner)
        kept = _put_aside(ledger)
        _make_durable(output)  # of two renamings a power cut may leave the second: a journal beside a new ledger
        fresh.replace(ledger)
        _make_durable(output)
        return Rebuilt(
            jobs=len(rows),
            images=sum(row.stands for row in rows),
            missing=sum(row.status == "succeeded" and not row.stands for row in rows),
            newer=len(reader.newer),
            unclaimed=store.keep_unclaimed(),
            counted_usd=counted_usd,
            kept=kept,
        )


def _make_durable(folder: Path) -> None:
    try:
        fsync_directory(folder)
    except OSError as error:
        raise StorageError(f"{folder}: can't be written ({error.strerror})", transient=False) from error


def _put_aside(ledger: Path) -> Path | None:
    """Give a damaged ledger another name, with what SQLite keeps beside it and would write into a new one."""
    kept, aside = None, f"{ledger.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    for ending in ("", *SIDE_FILES):
        path = ledger.with_name(ledger.name + ending)
        with suppress(FileNotFoundError):
            name = ledger.with_name(aside + ending)
            os.rename(path, name)  # noqa: PTH104  # of a link the link itself
            kept = kept or name
    return kept


class _Reader:
    """An output manifest's rows as what they tell, compared with the images."""

    def __init__(self, pictures: PictureStore, manifest: Path) -> None:
        self._pictures = pictures
        self._manifest = manifest
        self._written_at = manifest.stat().st_mtime
        self._endpoints: dict[str, Endpoint | None] = {}
        self.newer: list[str] = []

    def rows(self) -> Iterator[RestoredRow]:
        """Every row, in order. Several images are looked at at a time.

        Raises:
            LedgerError: the file is no output manifest.
        """
        threads = self._pictures.executor
        yield from (threads.map if threads else map)(self._from_row, self._cells())

    def _cells(self) -> Iterator[dict[str, str]]:
        try:
            with self._manifest.open(encoding="utf-8", newline="") as file:
                rows = read_rows(file)
                _, header = next(rows, (1, []))
                if not set(COLUMNS_OF_0_1) <= set(header):
                    raise LedgerError(f"{self._manifest}: not an output manifest; expected the columns {COLUMNS[0]}, …")
                for line, row in rows:
                    if len(row) > len(header):
                        raise ValueError(f"line {line} has more cells than the header")
                    cells = dict(zip_longest(header, row, fillvalue=""))
                    yield {name: plain(cell) for name, cell in cells.items()}
        except (OSError, ValueError) as error:
            raise LedgerError(f"{self._manifest}: can't be read as an output manifest ({error})") from error

    def providers(self) -> dict[str, str]:
        """The providers of the endpoints that the rows named, where these are known."""
        return {name: endpoint.provider for name, endpoint in self._endpoints.items() if endpoint is not None}

    def _from_row(self, row: Mapping[str, str]) -> RestoredRow:
        endpoint = self._endpoint(row["endpoint"])
        columns = [name for name in row if name not in COLUMNS and not name.startswith("row.")]
        names = {column.removeprefix("param."): column for column in columns}
        params = {name: _value(endpoint, name, row[column]) for name, column in names.items()}
        expected_usd, each_usd = _prices(endpoint, params)
        status, path = row["status"], row["output_path"] or None
        kind, error = row["error_kind"], row["error"]
        if kind == "invalid_row" and path is not None:  # it keeps what was done before its row had a fault
            status, kind, error = "succeeded", "", ""
        restored = RestoredRow(
            job_id=row["job_id"],
            owner=row["reused_from"] or row["job_id"],
            output=_output(path, row["job_id"]),
            fingerprint=row["fingerprint"],
            endpoint=row["endpoint"],
            params=params,
            extras={name.removeprefix("row."): cell for name, cell in row.items() if name.startswith("row.")},
            status=status,
            attempts=int(row["attempts"] or 0),
            possibly_billed=int(row["possibly_billed"] or 0),
            passing=status == "failed" and kind in _PASSING and row["http_status"] != "500",
            expected_usd=float(row["estimated_cost_usd"] or 0) or expected_usd,
            each_usd=max(each_usd, float(row["estimated_cost_usd"] or 0)),
            cost_usd=float(row["actual_cost_usd"]) if row["actual_cost_usd"] and not row["reused_from"] else None,
            stands=path is not None and self._pictures.content_sha256(path) == row["sha256"],
            image_path=path,
            sent_at=_instant(row["started_at"]),
            ended_at=_instant(row["finished_at"]),
            latency_s=float(row["latency_s"]) if row["latency_s"] else None,
            columns={
                "error_kind": kind or None,
                "error": error or None,
                **{name: row[name] or None for name in ("request_id", "sha256", "format")},
                **{name: int(row[name]) if row[name] else None for name in _WHOLE},
            },
        )
        return self._with_newer_image(restored) if status in ("pending", "failed") else restored

    def _with_newer_image(self, restored: RestoredRow) -> RestoredRow:
        """What a run made that did not come to its end: an image under the job's name that the manifest knows not."""
        for ending in ENDINGS.values():
            path = f"{IMAGES}/{restored.output}{ending}"
            written_at = self._pictures.written_at(path)
            if written_at is not None and written_at > self._written_at:
                self.newer.append(path)
                name = path.rpartition("/")[2]
                error = f"{name} is newer than the manifest; nothing says which request made it"
                return replace(
                    restored,
                    status="unknown",
                    attempts=restored.attempts + 1,
                    possibly_billed=restored.possibly_billed + 1,
                    columns={**restored.columns, "error_kind": "interrupted", "error": error},
                )
        return restored

    def _endpoint(self, name: str) -> Endpoint | None:
        if name not in self._endpoints:
            try:
                self._endpoints[name] = load_endpoint(name)
            except EndpointError:  # a file of somebody's own, that only the job manifest names
                self._endpoints[name] = None
        return self._endpoints[name]


# A cell, and what ends it.
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",]*))(,|\Z)')


def read_rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file as `csv.writer` writes them, each with the number of its first line; blank ones left out.

    Not by the csv module: it has one limit for cells, which a whole process shares, and an output manifest may hold
    longer ones, for the cells of a YAML file's rows have none.

    Raises:
        ValueError: a quote is never closed, or stands within a cell that does not begin with one.
    """
    held: list[str] = []
    starts = quotes = 0
    for number, line in enumerate(lines, 1):
        starts = starts if held else number
        held.append(line)
        quotes += line.count('"')
        if quotes % 2:
            continue
        if row := "".join(held).rstrip("\r\n"):
            yield starts, _quoted(row, starts) if quotes else row.split(",")
        held, quotes = [], 0
    if held:
        raise ValueError(f"line {starts} opens a quote that is never closed")


def _quoted(row: str, line: int) -> list[str]:
    cells, at, end = [], 0, ","
    while end:
        match = _CELL.match(row, at)
        if match is None:
            raise ValueError(f"line {line} has a quote within a cell that does not begin with one")
        quoted, bare, end = match.groups()
        cells.append(bare if quoted is None else quoted.replace('""', '"'))
        at = match.end()
    return cells


_WHOLE = ("http_status", "bytes", "width", "height")


def _value(endpoint: Endpoint | None, name: str, cell: str) -> Any:
    parameter = endpoint.parameters.get(name) if endpoint else None
    if not cell:
        return None
    if parameter is None:
        return cell
    if parameter.type == "links":
        return cell.split("|")
    try:
        return parameter.parse(cell)
    except ValueError:
        return cell


def _prices(endpoint: Endpoint | None, params: Mapping[str, Any]) -> tuple[float, float]:
    if endpoint is None:
        return 0.0, 0.0
    prompt = str(params.get(endpoint.prompt or "") or "")
    known = {**endpoint.unsent_defaults, **params}
    price = price_of(endpoint.prices, known, inputs=endpoint.inputs_of(params), prompt_length=len(prompt))
    return price.expected_usd, price.max_usd


def _output(path: str | None, job_id: str) -> str:
    if path is None:
        return safe_output(job_id, folders=False)
    return path.removeprefix(f"{IMAGES}/").rpartition(".")[0]


def _instant(text: str) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
