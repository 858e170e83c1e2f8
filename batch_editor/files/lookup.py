"""Files that a name is meant for: other systems write capitals, accents and separators otherwise.

A name that is there as it stands costs one look. For the others folders are listed, each once.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes

from batch_editor.naming import collision_key
from batch_editor.text import escape_bytes, quoted

# Names that are held at a time, about 300 bytes each; a folder of more is only asked for names as they stand.
MOST_NAMES = 250_000
# Folders `Photos` and `photos` beside each other are looked through both; more than a few are nobody's meaning.
_MOST_FOLDERS = 8
_SHOWN = 3
# What a person calls a picture, whether the provider takes it or not.
PICTURES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".heif"),
    *(".tif", ".tiff", ".bmp", ".jfif"),
)
TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".jsonl", ".ndjson", ".xml")
YAML = (".yaml", ".yml")
MANIFESTS = (*YAML, *TABLES)
# A backslash that begins no byte as `escape_bytes` writes it.
_SEPARATORS = re.compile(r"\\(?!x[89a-f][0-9a-f])")
_LOCAL_LINK = re.compile(r"file:(?://(?:localhost)?(?=/)|(?=/(?!/)))", re.IGNORECASE)


class NotThere(FileNotFoundError):
    """No file, or more than one, is what a name is meant for; `candidates` are what may be."""

    def __init__(self, candidates: Sequence[str]) -> None:
        super().__init__("there is no such file")
        self.candidates = tuple(candidates)

    @property
    def hint(self) -> str:
        """The tail of a message: ` (did you mean 'cup.JPG' or 'Cup.jpg'?)`, or nothing."""
        named = [quoted(each) for each in self.candidates[:_SHOWN]]
        return f" (did you mean {' or '.join(named)}?)" if named else ""


def find_file(text: str, folder: Path, *, endings: Sequence[str] = ()) -> Path:
    r"""The file that a path below the folder is meant for: itself, or the only one whose name differs in capitals, in
    how accents are encoded, in `\` for `/`, in `%20` for a space, or in white space around it. Also of a `file:` link.
    Blocks.

    Bytes that aren't UTF-8 may be written as messages write them, as `\xe9`. Candidates may have one of the other
    endings.

    Raises:
        NotThere: there is none, or more than one.
        OSError: what stands there can't be looked at.
    """
    path = folder / text
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (NotADirectoryError, ValueError):  # a folder of the path is a file; a NUL
        return path
    else:
        return path
    found: dict[str, None] = {}
    for spelling in _spellings(text):
        # Not all that differs is a difference: two spellings may lead to one file.
        found.update(dict.fromkeys(_matching(spelling, folder)))
        if len(found) == 1:
            return folder / next(iter(found))
        if found:
            break
    raise NotThere(list(found) or list(_with_other_endings(text.strip(), folder, endings)))


def is_local_link(text: str) -> bool:
    """Whether a text is a `file:` link, such as `file:///home/tom/cup.png`."""
    return _LOCAL_LINK.match(text.strip()) is not None


def _spellings(text: str) -> Iterator[str]:
    """The text, then what it may be meant for."""
    stripped = text.strip()
    if local := _LOCAL_LINK.match(stripped):
        stripped = _percent_decoded(stripped[local.end() :])
    yield stripped
    if "\\" in stripped:
        yield stripped.replace("\\", "/")
        yield _SEPARATORS.sub("/", stripped)
    if "%" in stripped:  # as exports of notes and web pages write paths
        yield _percent_decoded(stripped)


def _percent_decoded(text: str) -> str:
    return os.fsdecode(unquote_to_bytes(os.fsencode(text)))


def _matching(text: str, folder: Path) -> list[str]:
    """Files below the folder whose paths are taken for that text."""
    *parents, name = text.split("/")
    heads = [""]
    for part in parents:
        named = (f"{head}{each}/" for head in heads for each in _alike(part, folder / head))
        heads = [head for head in named if os.path.isdir(folder / head)][:_MOST_FOLDERS]  # noqa: PTH112  # never raises
    return [f"{head}{each}" for head in heads for each in (_alike(name, folder / head) if name else ())]


def _alike(name: str, folder: Path) -> list[str]:
    """The entries of a folder that are taken for a name; it itself alone where it is there."""
    if name in ("", ".", "..") or os.path.lexists(folder / name):
        return [name]
    return _listings.of(folder).get(_key(name), [])


def _with_other_endings(text: str, folder: Path, endings: Sequence[str]) -> Iterator[str]:
    """Files that are named as that one but for one of these endings."""
    text = text.replace("\\", "/")
    stem, dot, ending = text.rpartition(".")
    if not dot or "/" in ending:
        stem = text
    for other in endings:
        yield from _matching(f"{stem}{other}", folder)


def _key(name: str) -> str:
    return collision_key(escape_bytes(name)).strip()


class _Listings:
    """The names in folders by their keys, each folder listed once until it changes."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int], dict[str, list[str]]] = OrderedDict()
        self._held = 0
        self._one_at_a_time = threading.Lock()  # a host may plan on several threads

    def of(self, folder: Path) -> dict[str, list[str]]:
        """The names in a folder; none where it can't be listed, or holds too many."""
        with self._one_at_a_time:
            try:
                found = folder.stat()
                version = (str(folder), found.st_ino, found.st_mtime_ns)
                if version not in self._known:
                    self._known[version] = self._listed(folder)
                    self._held += 1 + len(self._known[version])
            except OSError:
                return {}
            self._known.move_to_end(version)
            while len(self._known) > 1 and self._held > MOST_NAMES:
                _, names = self._known.popitem(last=False)
                self._held -= 1 + len(names)
            return self._known[version]

    @staticmethod
    def _listed(folder: Path) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries, 1):
                if number > MOST_NAMES:
                    return {}
                names.setdefault(_key(entry.name), []).append(entry.name)
        return {key: sorted(each) for key, each in names.items()}


_listings = _Listings()
