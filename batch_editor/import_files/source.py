"""The table that goes back into the shop: the one that the last run read, or one that is given."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from batch_editor.errors import StorageError, UsageError
from batch_editor.files import NotThere, open_regular
from batch_editor.import_files.text_table import TextTable
from batch_editor.manifest.faults import Faults
from batch_editor.manifest.table import Table
from batch_editor.manifest.table_files import file_of, find_table, table_in
from batch_editor.manifest.table_read import TableFile
from batch_editor.output import INPUTS
from batch_editor.shops import Format, ShopError, check, recognize

_TEXT = (".csv", ".tsv", ".txt")
_FEED = ".xml"
# What they hold besides texts (formats, formulas, numbers) no shop reads, and a writer of them wouldn't keep.
_WITH_LOSS = dict.fromkeys((".xlsx", ".xlsm"), "an Excel workbook") | dict.fromkeys((".jsonl", ".ndjson"), "JSON Lines")
_KEPT = ".gz"


@dataclass(frozen=True, slots=True)
class Source:
    """A shop's table: one of text, or a feed, by the name that messages call it."""

    name: str
    table: Table
    text: TextTable | None
    faults: Faults


def source_table(outputs: Sequence[Path], format: Format, given: Path | None, stack: ExitStack) -> Source:
    """The given table, or the newest one of this shop among those that runs on the output directory read.

    Of several output directories it has to be the same one. `stack` closes it. What a run kept may be given as well.
    Blocks.

    Raises:
        UsageError: there is none or more than one, or it can't be written back.
        StorageError: what is kept is damaged.
    """
    path = _newest_of_all(outputs, format) if given is None else _found(given)
    file = _opened(path, stack)
    faults = Faults()
    if file.ending in _TEXT:
        text = stack.enter_context(TextTable(file, str(path), faults))
        source = Source(str(path), text.table, text, faults)
    elif file.ending == _FEED:
        source = Source(str(path), stack.enter_context(table_in(file, str(path), faults)), None, faults)
    else:
        raise UsageError(f"{path}: {_why_not(file)}")
    faults.raise_if_any()
    if not source.table.is_usable:
        raise UsageError(f"{path}: is empty; expected a {format.label}")
    try:
        check(format, source.table.columns)
    except ShopError as error:
        raise UsageError(f"{path}:{source.table.header_line}: {error}") from error
    return source


def _why_not(file: TableFile) -> str:
    """Why a table can't be written back."""
    kind = _WITH_LOSS.get(file.ending)
    if kind is None:
        return "isn't the table of a shop; expected a .csv, .tsv, .txt or .xml file"
    return (
        f"{kind} can't be written again with all else as it was; export the table from the shop as CSV, or save this"
        " one as CSV UTF-8, and give that: --from FILE"
    )


def _found(given: Path) -> Path:
    try:
        return Path(find_table(str(given), Path()))
    except NotThere as error:
        raise UsageError(f"{given}: there is no such file{error.hint}") from error


def _newest_of_all(outputs: Sequence[Path], format: Format) -> Path:
    kept = [_newest(output, format) for output in outputs]
    if len({path.name for path in kept}) > 1:  # it is called by its content
        listed = "".join(f"\n  {path}" for path in kept)
        raise UsageError(
            f"the newest runs read different tables of this shop; run all of them on the same one, or choose by --from"
            f" FILE:{listed}"
        )
    return kept[0]


def _newest(output: Path, format: Format) -> Path:
    """The newest kept table of a shop. Those of one run have the same time."""
    try:
        kept = [(each.stat().st_mtime_ns, each) for each in (output / INPUTS).glob(f"*{_KEPT}")]
    except OSError as error:
        raise StorageError(f"{output / INPUTS}: can't be read ({error.strerror})") from error
    newest_first = sorted(kept, key=lambda each: (-each[0], each[1].name))
    for _, of_one_run in groupby(newest_first, key=lambda each: each[0]):
        of_shop = [path for _, path in of_one_run if _is_of(format, path)]
        if len(of_shop) > 1:
            listed = "".join(f"\n  {path}" for path in of_shop)
            raise UsageError(
                f"{output}: the last run read {len(of_shop)} tables of this shop; choose by --from FILE:{listed}"
            )
        if of_shop:
            return of_shop[0]
    raise UsageError(f"{output}: no run has read a {format.label} here; give the shop's table: --from FILE")


def _is_of(format: Format, path: Path) -> bool:
    with ExitStack() as stack:
        table = stack.enter_context(table_in(_opened(path, stack), str(path), Faults()))
        found = recognize(table.columns).format
        if found is not None:
            return found is format
        try:
            check(format, table.columns)
        except ShopError:
            return False
        return table.is_usable


def _opened(path: Path, stack: ExitStack) -> TableFile:
    """The file of a table; of a kept one, unpacked.

    Raises:
        UsageError: it is no table's.
        StorageError: what is kept is damaged.
    """
    if path.suffix == _KEPT:
        return _unpacked(path, stack)
    file = file_of(str(path), Path())
    if file is None:
        raise UsageError(f"{path}: pictures; expected the table of a shop")
    return file


def _unpacked(path: Path, stack: ExitStack) -> TableFile:
    ending = Path(path.stem).suffix
    try:
        copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="batch-editor-", suffix=ending))  # noqa: SIM115  # the stack closes it
        digest = hashlib.sha256()
        with gzip.open(path) as packed:
            for block in iter(partial(packed.read, 2**20), b""):
                digest.update(block)
                copy.write(block)
        copy.flush()
    except (OSError, EOFError, zlib.error) as error:
        raise StorageError(f"{path}: can't be unpacked ({error}); give the shop's table: --from FILE") from error
    if digest.hexdigest() != path.name.partition(".")[0]:
        raise StorageError(f"{path}: isn't what its name says any more; give the shop's table: --from FILE")

    def opened() -> BinaryIO:
        """The copy, opened anew."""
        return open(copy.name, "rb", opener=open_regular)

    return TableFile(Path(copy.name), ending, opened)
