"""Cells and items of lists, taken apart into links and local paths, out of what tables and pages wrap links in."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeAlias

from batch_editor.files import PICTURES
from batch_editor.links.encoded import is_encoded
from batch_editor.manifest.faults import Refused, shown

IsFile: TypeAlias = Callable[[str], bool]  # of a local path

# What separates links. Glued: Google's feeds write a.jpg,https://b.jpg. Inside of a link a comma stays:
# …/w_400,h_400/cup.jpg.
_GLUE = re.compile(r"[,;|]+(?=https?://)", re.IGNORECASE)
_SEPARATOR = re.compile(rf"([\s|]+|{_GLUE.pattern})", re.IGNORECASE)
_SEPARATOR_BUT_PIPES = re.compile(rf"(\s+|{_GLUE.pattern})", re.IGNORECASE)
_TRAILING = ",;"
_AROUND = " \t\r\n\u00a0\u200b\u2060\ufeff"
_QUOTES = "\"'“”‘’«»"
STARTS_LINK = re.compile(r"https?:[/\\]|https?//|//[^/\s]+\.|www\.", re.IGNORECASE)
_STARTS_OTHER = re.compile(rf"{STARTS_LINK.pattern}|[a-z][a-z0-9+.-]+://|data:", re.IGNORECASE)
_TYPO = re.compile(r"(https?)(?::/(?=[^/])|//|:\\\\)", re.IGNORECASE)
_HOST = r"(?:[^\s/?#@:.\\]+\.)+[^\s/?#@:.\\]{2,}(?::\d{1,5})?(?:[/?#\\]|$)"
_WITHOUT_SCHEME = re.compile(rf"(//)?(?:(?<=//)|(?=www\.)){_HOST}", re.IGNORECASE)
# A space belongs to a link until the ending of a picture has come.
_ENDING = re.compile(
    rf"(?:{'|'.join(map(re.escape, (*PICTURES, '.svg', '.psd', '.pdf')))})(?:[?#].*)?$", re.IGNORECASE | re.DOTALL
)

_URL = r"https?://"
_QUOTED = r"""(?:"([^"]+)"|'([^']+)'|“([^”]+)”)"""
# What one link may be wrapped in; a cell may hold several.
_WRAPPINGS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"!?\[[^\]]*\]\(<?({_URL}[^\s<>]+?)>?(?:\s+{_QUOTED})?\)(?=[\s,;|]|!?\[|$)",  # Markdown
        rf"<({_URL}[^<>]+)>",  # a mail, or Markdown
        rf"<(?:img|a)\b[^<>]*?\b(?:src|href)\s*=\s*{_QUOTED}[^<>]*>(?:[^<>]*</a>)?",  # HTML
        rf"=\s*@?(?:_xlfn\.)?(?:IMAGE|HYPERLINK)\(\s*{_QUOTED}\s*(?:[,;][^\n|]*?)?\)(?=[\s,;|]|$)",  # a spreadsheet
        rf"(?!{_URL})(?:(?!{_URL}).)+?\s?\(({_URL}[^\s|]+?)\)(?=\s*(?:[,;|\n]|$))",  # Airtable: cup.jpg (https://…)
    )
]
_BETWEEN = re.compile(r"[\s,;|]*")
_FORMULA = re.compile(r"=\s*@?(?:_xlfn\.)?(?:IMAGE|HYPERLINK)\s*\(", re.IGNORECASE)


def pieces_of_cell(cell: str, is_file: IsFile) -> list[str]:
    """The links and paths of a cell, in order; spaces inside of a link stay there.

    Raises:
        Refused: it begins as JSON and is none, or it has text that is neither link nor path.
    """
    cell = cell.strip(_AROUND)
    if is_encoded(cell) and not _GLUE.search(cell):  # most cells
        return [cell]
    if (wrapped := _unwrapped(cell)) is not None:
        return wrapped
    if (listed := _listed(cell)) is not None:
        return pieces_of_list(listed, is_file)
    pieces = _split(cell, is_file)
    return pieces if any(map(_STARTS_OTHER.match, pieces)) else _paths(cell, pieces, is_file)


def pieces_of_list(items: list[str], is_file: IsFile) -> list[str]:
    """Items whole, but for one that is a cell of several links, come through a template.

    Raises:
        Refused: an item has text that is neither link nor path.
    """
    pieces: list[str] = []
    for item in items:
        if is_encoded(item) and not _GLUE.search(item):  # most are
            pieces.append(item)
            continue
        bare = item.strip(_AROUND)
        wrapped = _unwrapped(bare) or _listed(bare)
        parts = chain.from_iterable(map(_GLUE.split, wrapped or [item]))
        for part in (each.strip(_AROUND) for each in parts):
            if not STARTS_LINK.match(part):
                pieces += [part] if part else []
                continue
            # A pipe that doesn't separate links is one's own.
            separates = all(STARTS_LINK.match(each.lstrip(_AROUND)) for each in part.split("|") if each.strip(_AROUND))
            pieces += _split(part, is_file, by=_SEPARATOR if separates else _SEPARATOR_BUT_PIPES)
    return pieces


def with_scheme(text: str, is_file: IsFile) -> str:
    """A link whose scheme is mistyped or left out, with it; any other text, and a local file's path, as it is.

    >>> with_scheme("//cdn.example/c.jpg", lambda _: False), with_scheme("https//h.example/c.jpg", lambda _: False)
    ('https://cdn.example/c.jpg', 'https://h.example/c.jpg')
    """
    if typo := _TYPO.match(text):
        return text if is_file(text) else f"{typo[1]}://{text[typo.end() :]}"
    if _WITHOUT_SCHEME.match(text):
        return text if is_file(text) else f"https://{text.removeprefix('//')}"
    return text


def _unwrapped(cell: str) -> list[str] | None:
    """The links of a cell that consists of wrapped ones; None of any other.

    Raises:
        Refused: it is a formula that doesn't name its link.
    """
    if not ("(" in cell or "<" in cell) or STARTS_LINK.match(cell):
        return None
    for wrapping in _WRAPPINGS:
        links, at = [], 0
        while at < len(cell) and (found := wrapping.match(cell, at)):
            links.append(next(group for group in found.groups() if group).strip())
            between = _BETWEEN.match(cell, found.end())
            at = between.end() if between else found.end()
        if links and at == len(cell):
            return links
    if _FORMULA.match(cell):
        raise Refused(
            f"is {shown(cell)}, a formula that doesn't hold the link itself;"
            " write the link, or save the table with the links as text"
        )
    return None


def _listed(cell: str) -> list[str] | None:
    """The links of a cell that is a list or an object of JSON or Python; None of any other cell.

    >>> _listed("['a.jpg', 'b.jpg']"), _listed('[{"id": 7, "src": "https://h.example/c.jpg", "alt": "Cup"}]')
    (['a.jpg', 'b.jpg'], ['https://h.example/c.jpg'])

    Raises:
        Refused: it begins as a list and is none of links.
    """
    if not cell.startswith(("[", "{")):
        return None
    found: object = None
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(cell)
            break
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    links = [_only_link(item) for item in (found if isinstance(found, list) else [found])]
    if None not in links:
        return [link for link in links if link is not None]
    if cell.startswith("["):
        raise Refused(f"is {shown(cell)}; expected a JSON array of links, as it starts with [")
    return None


def _only_link(item: object) -> str | None:
    """A text itself, or the one link among what an object has, as shops and databases describe a picture."""
    if isinstance(item, dict):
        links = [each for each in item.values() if isinstance(each, str) and STARTS_LINK.match(each)]
        return links[0] if len(links) == 1 else None
    return item if isinstance(item, str) else None


def _paths(cell: str, pieces: list[str], is_file: IsFile) -> list[str]:
    """The local paths of a cell without links: spaces, commas and semicolons may be a name's own."""
    if len(pieces) <= 1 and is_file(cell):
        return pieces
    if is_file(cell):
        return [cell]
    parts = [part.strip(_AROUND + _QUOTES) for part in re.split(r"[,;|\n]", cell) if part.strip(_AROUND + _QUOTES)]
    return parts if all(map(is_file, parts)) or not any(map(is_file, pieces)) else pieces


def _split(cell: str, is_file: IsFile, *, by: re.Pattern[str] = _SEPARATOR) -> list[str]:
    """Pieces between white space and separators; words that can't stand alone belong to the link before them."""
    pieces: list[str] = []
    is_open = False  # whether a next word may belong to the last piece
    for separator, raw in _words(cell, by):
        word = raw.rstrip(_TRAILING)
        if not word.strip(_QUOTES):
            continue
        starts = STARTS_LINK.match(word.lstrip(_QUOTES)) is not None
        is_link = pieces and STARTS_LINK.match(pieces[-1].lstrip(_QUOTES))
        if starts or not is_link or is_file(word):
            pieces.append(word)
        elif is_open and not separator.strip(" \u00a0\u202f"):
            pieces[-1] += separator + word
        elif _ENDING.search(word):
            pieces.append(word)  # a path; whether there is such a file is seen to later
        else:
            raise Refused(
                f"is {shown(cell)}, where {shown(word)} follows a link and is none;"
                " white space inside of a link is written %20, what isn't part of it goes into another column"
            )
        is_open = raw == word and not _ENDING.search(pieces[-1])
    return pieces


def _words(cell: str, by: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Each word with what separates it from the one before."""
    parts = ["", *by.split(cell)]
    yield from zip(parts[::2], parts[1::2], strict=True)
