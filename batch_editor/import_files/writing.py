"""Writes the import file of a shop, and counts what is new in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import BinaryIO, NamedTuple

from batch_editor.errors import UsageError
from batch_editor.import_files.pictures import Found, Kept, New, Pictures, Several
from batch_editor.import_files.rest import Rest
from batch_editor.import_files.source import Source
from batch_editor.manifest.faults import shown
from batch_editor.shops import Format, PicturePlace, ProductRows, Seen

_SUPPLEMENTAL = ("id", "image_link", "additional_image_link")
_LINE_ENDS = str.maketrans("\t\r\n", "   ")


@dataclass
class Written:
    """What went out. `approved` and `unreviewed` count pictures that are new; `matched` those that jobs have at all.

    failing: how many finished files go out that fail a check, and the job of one of them.
    unreadable: lines of rows that stay as they are for they can't be read. absent: how many images that could go out
    the table has no place for, and the job of one of them.
    """

    approved: int = 0
    unreviewed: int = 0
    matched: int = 0
    failing: int = 0
    failing_job: str = ""
    unreadable: list[int] = field(default_factory=list)
    absent: int = 0
    absent_job: str = ""

    def count(self, found: Found) -> None:
        """A picture that wasn't met before."""
        self.matched += bool(found.jobs)
        if isinstance(found, New):
            self.approved += found.is_approved
            self.unreviewed += not found.is_approved
            if found.fails_check:
                self.failing += 1
                self.failing_job = self.failing_job or found.jobs[0]

    def miss(self, job: str) -> None:
        """An image that could go out, and has no place."""
        self.absent += 1
        self.absent_job = self.absent_job or job

    @property
    def new(self) -> int:
        """How many pictures are new."""
        return self.approved + self.unreviewed


def write_import_file(source: Source, pictures: Pictures, format: Format, out: BinaryIO, rest: Rest) -> Written:
    """The shop's table again with new pictures; of a feed, a supplemental one. Nothing of it holds if it raises.

    Memory doesn't grow with the rows, but by a number for each picture.

    Raises:
        UsageError: a picture has several new ones; or the table can't be read, or is none of these jobs'.
        OSError: it can't be read or written.
    """
    writer = _Writer(source, pictures, format, rest)
    if source.text is not None:
        source.text.write(out, writer.new_cells)
        writer.written.unreadable.extend(source.text.unreadable)
    else:
        writer.write_supplemental_feed(out)
    source.faults.raise_if_any()
    if rest.pictures and not writer.written.matched:
        raise UsageError(
            f"{source.name}: none of its {rest.pictures:,} pictures belongs to a job here ({rest.shown[0]}); expected"
            " the table that a run read, or a newer export of the same shop"
        )
    for job in pictures.ready():
        if job not in writer.jobs:
            writer.written.miss(job)
    return writer.written


class _Row(NamedTuple):
    """A row of the table: where it starts, and what its product is called and known by."""

    line: int
    label: str
    names: Sequence[str]


class _Writer:
    """Makes new cells. Each picture counts once, however often the table names it."""

    def __init__(self, source: Source, pictures: Pictures, format: Format, rest: Rest) -> None:
        self.written = Written()
        self.jobs = Seen()  # those whose picture was met
        self._source = source
        self._pictures = pictures
        self._rest = rest
        self._rows = ProductRows(format, source.table.columns)
        self._without_job = Seen()

    def new_cells(self, line: int, cells: Sequence[str]) -> Mapping[int, str]:
        """The row's cells that change, with the new addresses at the places of the old links."""
        row = _Row(line, self._rows.label(cells), self._rows.names(cells))
        changed = {}
        for column, places in groupby(self._rows.places(cells), lambda place: place.column):
            cell = "".join(self._pieces(row, cells[column], places))
            if cell != cells[column]:
                changed[column] = cell
        return changed

    def write_supplemental_feed(self, out: BinaryIO) -> None:
        """Items with a new picture: all their pictures, new and old, as Google has them in a table.

        Raises:
            UsageError: the feed's items have no id.
        """
        key, main = self._rows.id_column, self._rows.main_column
        if key is None:
            raise UsageError(f"{self._source.name}: has no id, by which a supplemental feed's items are known")
        out.write("\t".join(_SUPPLEMENTAL).encode() + b"\n")
        for line, cells, problem in self._source.table:
            if problem is not None:
                self.written.unreadable.append(line)
                continue
            row = _Row(line, self._rows.label(cells), self._rows.names(cells))
            found = [(column, link.link, self._new(row, link.link)) for column, link in self._rows.places(cells)]
            if any(new is not None for _, _, new in found):
                # A comma separates links; within one it is written otherwise.
                links = [(column, new or link.replace(",", "%2C")) for column, link, new in found]
                first = links.pop(0)[1] if links[0][0] == main else ""
                more = ",".join(link for _, link in links)
                out.write(f"{cells[key].translate(_LINE_ENDS)}\t{first}\t{more}\n".encode())

    def _pieces(self, row: _Row, cell: str, places: Iterator[PicturePlace]) -> Iterator[str]:
        end = 0
        for _, link in places:
            new = self._new(row, link.link)
            if new is not None:
                yield cell[end : link.start] + new
                end = link.end
        yield cell[end:]

    def _new(self, row: _Row, link: str) -> str | None:
        """The address of a picture's new one; None where it stays."""
        found = self._pictures.of(row.names, link)
        if self._is_first(row, link, found):
            self._count(row, link, found)
        return found.address if isinstance(found, New) else None

    def _is_first(self, row: _Row, link: str, found: Found) -> bool:
        """Whether the picture wasn't met before: by its job, or by what its product is known by where it has none."""
        if found.jobs:
            new = [self.jobs.add(job) for job in found.jobs]
        else:
            new = [self._without_job.add((name, link)) for name in row.names or ("",)]
        return all(new)

    def _count(self, row: _Row, link: str, found: Found) -> None:
        self.written.count(found)
        if isinstance(found, Several):
            jobs = [new.jobs[0] for new in found.new]
            whose = f"{shown(link)} of {row.label}" if row.label else shown(link)
            message = f"{whose} has {len(jobs)} new pictures, of the jobs {', '.join(jobs)}; choose by --only GLOB"
            self._source.faults.add(f"{self._source.name}:{row.line}", message)
        elif isinstance(found, Kept):
            self._rest.add(row.line, row.label, link, found.old)
