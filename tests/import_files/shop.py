"""A shop's table, an output directory made of it, and what goes back."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from batch_editor.import_files import ImportFile, address, export_for_shop
from batch_editor.ledger import readings
from batch_editor.shops import Format
from batch_editor.verdicts import FILE_NAME as VERDICTS
from batch_editor.verdicts import Picture, Verdicts, VerdictWord
from tests.support.done_output import done_output

AT = "https://cdn.example.com/spring"


class Shop:
    """What lies in the folder: tables, and the output directory `out`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.target = folder / "import.csv"

    def table(self, text: str | bytes, name: str = "table.csv") -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def run(self, text: str | bytes, name: str = "table.csv", **how: Any) -> Path:
        """As if a run had read this table, and made all of it but what `how` says; the table."""
        table = self.table(text, name)
        done_output(self.out, [table], **how)
        return table

    def export(self, format: Format, *, at: str = AT, **wanted: Any) -> list[str]:
        """Write the import file; what is said of it, with the folder as `.`."""
        lines = export_for_shop([self.out], ImportFile(format, at, **wanted), self.target)
        return [line.replace(str(self.folder), ".") for line in lines]

    def jobs(self) -> list[tuple[str, str]]:
        """The old link of each job that has its image, and where that is found."""
        with readings.reading(self.out) as db:
            return [
                (orjson.loads(row.extras)["image"], address(AT, row.output_path, row.sha256 or ""))
                for row in readings.rows(db)
                if row.output_path is not None
            ]

    def addresses(self) -> dict[str, str]:
        """Where the image of each job is found."""
        with readings.reading(self.out) as db:
            return {
                row.job_id: address(AT, row.output_path, row.sha256 or "")
                for row in readings.rows(db)
                if row.output_path is not None
            }

    def judge(self, verdicts: Mapping[str, VerdictWord], note: str | None = None) -> None:
        with readings.reading(self.out) as db:
            pictures = {row.job_id: Picture(row.fingerprint, row.sha256 or "") for row in readings.rows(db)}
        file = Verdicts(self.out / VERDICTS)
        for job, verdict in verdicts.items():
            file.give([pictures[job]], verdict=verdict, note=note, by="tess", now=1.0)
        file.close()

    def rest(self) -> list[list[str]]:
        """The list of pictures that stay, without its header; nothing where there is no such file."""
        path = self.target.with_name("import.csv.rest.csv")
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        assert header == ["line", "product", "image", "job_id", "status", "error_kind", "reason"]
        return rows


def replaced(text: str, new: Mapping[str, str]) -> str:
    """The text with new links in the places of old ones."""
    for old, link in new.items():
        text = text.replace(old, link)
    return text
