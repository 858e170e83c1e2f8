"""Which files of an output directory are old, and needed by nobody."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.errors import LedgerError
from batch_editor.output import HISTORY, PAGE_CACHE, REJECTED, KeptFile, PictureStore, files_below
from batch_editor.recovery.rebuild import read_rows

# How names of former pictures and of answers end: `.history/mug.<12 digits>.png`, `unclaimed-<12 digits>.png`. What is
# called otherwise isn't this program's.
_NAMED = re.compile(r"[.-]([0-9a-f]{12})\.[a-z]+")
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class OldFiles:
    """What is to go: files by where they lie. pictures: the first digits of the former ones' SHA-256."""

    history: Sequence[KeptFile]
    rejected: Sequence[KeptFile]
    cache: Sequence[KeptFile]
    pictures: Sequence[str]

    @property
    def by_folder(self) -> Mapping[str, Sequence[KeptFile]]:
        """Files by the folder that they are removed from."""
        return {HISTORY: self.history, REJECTED: self.rejected, PAGE_CACHE: self.cache}


def find_old(root: Path, pictures: PictureStore, *, before: float, in_use: Container[str]) -> OldFiles:
    """Files that lie where they are since before that instant, in seconds since 1970.

    A picture may lie in the history under the names of several jobs: it goes when it is old under each of them. in_use:
    the first digits of those that stay, however old.

    Raises:
        StorageError: the disk or the bucket refuses to list them.
    """
    by_content: defaultdict[str, list[KeptFile]] = defaultdict(list)
    for digits, file in _named(pictures.kept(HISTORY)):
        by_content[digits].append(file)
    former = {
        digits: files
        for digits, files in by_content.items()
        if digits not in in_use and all(each.since < before for each in files)
    }
    return OldFiles(
        history=[each for files in former.values() for each in files],
        rejected=[each for _, each in _named(pictures.kept(REJECTED)) if each.since < before],
        cache=[each for each in files_below(root, PAGE_CACHE) if each.since < before],
        pictures=list(former),
    )


def pictures_of_rows(manifest: Path) -> set[str]:
    """The first digits of the SHA-256 of all pictures that the output manifest names; none where there is none.

    After a run that died they may be others than the ledger's.

    Raises:
        LedgerError: it can't be read.
    """
    try:
        with manifest.open(encoding="utf-8", newline="") as file:
            rows = read_rows(file)
            _, header = next(rows, (1, ["sha256"]))
            at = header.index("sha256")
            return {row[at][:_DIGITS] for _, row in rows if len(row) > at}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError) as error:
        raise LedgerError(f"{manifest}: can't be read as an output manifest ({error}); a run writes it anew") from error


def _named(files: Iterable[KeptFile]) -> Iterator[tuple[str, KeptFile]]:
    for file in files:
        name = file.path.rpartition("/")[2]
        if match := _NAMED.fullmatch(name, max(0, name.rfind(".") - _DIGITS - 1)):
            yield match[1], file
