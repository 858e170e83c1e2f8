"""From an output directory to a shop's import file, in its place or on a stream."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from batch_editor.errors import StorageError, UsageError
from batch_editor.files import whole_file
from batch_editor.import_files.addresses import address_of_output
from batch_editor.import_files.pictures import Files, FinishedFiles, OutputPictures, Pictures, expect_finished
from batch_editor.import_files.rest import SHOWN, Rest
from batch_editor.import_files.source import Source, source_table
from batch_editor.import_files.writing import Written, write_import_file
from batch_editor.ledger import readings
from batch_editor.output import is_kept, verdicts_of
from batch_editor.shops import Format
from batch_editor.text import many

_COPIED = 2**20


@dataclass(frozen=True, slots=True)
class ImportFile:
    """What to make: for which shop, at which address it finds the output directory, and of which images.

    public_url: `{output}` in it stands for an output directory's name.

    approved: approved ones alone. only: those of jobs whose id matches one of these patterns, if there are any.
    source: the shop's table, if it isn't the one that the last run read. finished: of which name the finished files go
    out, in place of the images themselves.
    """

    format: Format
    public_url: str
    approved: bool = False
    only: Sequence[str] = ()
    source: Path | None = None
    finished: str | None = None


def export_for_shop(outputs: Sequence[Path], wanted: ImportFile, target: Path | IO[bytes]) -> list[str]:
    """Write a shop's import file, whole and at once or not at all; return what to say of it, a line each. Blocks.

    Of several output directories, such as the shards of a manifest, whichever has a picture's job gives its new one.

    Pictures that stay as they are are listed beside the file, in `FILE.rest.csv`; of a stream's, the lines tell the
    first ones.

    Raises:
        UsageError: there is no table to write again, or it has none of these jobs; or several images are for one place.
        StorageError: a file can't be read or written.
        LedgerError, VerdictsError: what is known of the images can't be read.
    """
    with ExitStack() as stack:
        opened = [_opened(output, wanted, stack) for output in outputs]
        source = source_table(outputs, wanted.format, wanted.source, stack)
        if wanted.finished is not None:
            expect_finished(opened, wanted.finished)
        pictures = Pictures(opened, wanted.format, approved=wanted.approved, only=wanted.only)
        runs = [(output, readings.last_run(each.db)) for output, each in zip(outputs, opened, strict=True)]
        rehearsed = [
            f"warning: {output} is a rehearsal's: its images are no edits"
            for output, run in runs
            if run and run.sandbox
        ]
        if isinstance(target, Path):
            beside = target.with_name(f"{target.name}.rest.csv")
            _expect_no_table(target, beside, source, outputs)
            said = _write_file(source, pictures, wanted, target, beside)
        else:
            said = _write_stream(source, pictures, wanted, target, ", ".join(map(str, outputs)))
        return [*rehearsed, *said]


def _opened(output: Path, wanted: ImportFile, stack: ExitStack) -> OutputPictures:
    db = stack.enter_context(readings.reading(output))
    public_url = address_of_output(wanted.public_url, output.absolute().name)
    files = Files(public_url) if wanted.finished is None else FinishedFiles(public_url, db, wanted.finished)
    return OutputPictures(db, verdicts_of(db, output), files)


def _expect_no_table(target: Path, beside: Path, source: Source, outputs: Sequence[Path]) -> None:
    """See that the import file doesn't take the place of a shop's table.

    An earlier import file in which every picture stayed holds the same; it has its list beside it.

    Raises:
        UsageError: it would.
        StorageError: what stands there can't be read.
    """
    if not target.is_file():
        return
    try:
        is_table = (Path(source.name).exists() and target.samefile(source.name)) or (
            not beside.exists() and any(_holds_table(target, output) for output in outputs)
        )
    except OSError as error:
        raise StorageError(f"{target}: can't be read ({error.strerror})") from error
    if is_table:
        raise UsageError(f"{target}: is the shop's table itself, which has the old pictures; choose another --to FILE")


def _holds_table(path: Path, output: Path) -> bool:
    with path.open("rb") as file:
        return is_kept(output, file)


def _write_file(source: Source, pictures: Pictures, wanted: ImportFile, target: Path, beside: Path) -> Iterator[str]:
    try:
        with whole_file(target) as file, tempfile.TemporaryFile() as listed:
            rest = Rest(listed)
            written = write_import_file(source, pictures, wanted.format, file, rest)
            rest.end()
            if rest.pictures:
                listed.seek(0)
                with whole_file(beside) as copy:
                    shutil.copyfileobj(listed, copy, _COPIED)
            else:
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{target}: can't be written ({error.strerror or error})") from error
    yield from _said(str(target), source, written, rest)
    if rest.pictures:
        yield f"{_kept(rest)}; listed in {beside}"


def _write_stream(
    source: Source, pictures: Pictures, wanted: ImportFile, target: IO[bytes], name: str
) -> Iterator[str]:
    with tempfile.TemporaryFile() as whole, tempfile.TemporaryFile() as listed:
        rest = Rest(listed)
        written = write_import_file(source, pictures, wanted.format, whole, rest)
        rest.end()
        whole.seek(0)
        shutil.copyfileobj(whole, target, _COPIED)
    yield from _said(name, source, written, rest)
    if rest.pictures:
        more = " (the first ones)" if rest.pictures > SHOWN else ""
        yield f"{_kept(rest)}; --to FILE lists them in FILE.rest.csv{more}:"
        yield from (f"  {line}" for line in rest.shown)


def _said(name: str, source: Source, written: Written, rest: Rest) -> Iterator[str]:
    total = written.new + rest.pictures
    judged = f" ({written.approved:,} approved, {written.unreviewed:,} not reviewed)" if written.new else ""
    yield f"{name}: {written.new:,} of {many(total, 'picture')} new{judged}"
    if written.unreadable:
        rows = many(len(written.unreadable), "row")
        yield f"warning: {rows} of {source.name} can't be read and stay as in it, first at line {written.unreadable[0]}"
    if written.failing:
        files = (
            "1 finished file fails a check"
            if written.failing == 1
            else f"{written.failing:,} finished files fail checks"
        )
        yield f"warning: {files}, such as job {written.failing_job}'s; its report in finished/ says which"
    if written.absent:
        images = "1 image has" if written.absent == 1 else f"{written.absent:,} images have"
        yield f"warning: {images} no place in {source.name}, such as job {written.absent_job}'s"


def _kept(rest: Rest) -> str:
    reasons = ", ".join(f"{why}: {count:,}" for why, count in rest.reasons.most_common())
    stay = "stays as it is" if rest.pictures == 1 else "stay as they are"
    return f"{rest.pictures:,} {stay} ({reasons})"
