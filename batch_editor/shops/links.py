"""A cell's links, one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# A comma, semicolon or white space separates where a link begins behind it, for links may hold all three; a pipe and a
# line end always do. `\,` is WooCommerce's comma within a link.
_LINK_AHEAD = r"(?=https?://)"
# A match begins where white space does: from each blank on, a cell of many would be looked through again.
_BETWEEN = re.compile(rf"(?<!\s)(?:(?:\s*+(?<!\\)[,;]\s*+|\s++){_LINK_AHEAD}|\s*+\|\s*+|\s*[\r\n]+\s*+)", re.IGNORECASE)
# WooCommerce takes names of files as well, so that a comma and a blank separate too.
_BETWEEN_OR_COMMA = re.compile(_BETWEEN.pattern + r"|(?<!\\),\s+", re.IGNORECASE)
# What a link has, and the name of a file. A cell without says that there is no picture: `placeholder`, `N/A`.
_IN_LINKS = re.compile(r"[.:]")
_SEPARATORS = re.compile(r"[,;|\s]")
_HARMLESS = ",;| \t\r\n"


class LinkPlace(NamedTuple):
    """A link of a cell, and where its text begins and ends there."""

    link: str
    start: int
    end: int


def links_in(cell: str, *, commas: bool = False) -> list[str]:
    r"""The links of a cell, in order; local paths count as links. With `commas` a comma and a blank always separate.

    What has neither a dot nor a colon is no link and no file: it is left out.

    >>> links_in("https://s.example/a.jpg,https://s.example/w_200,h_300/b.jpg; https://s.example/c.jpg,")
    ['https://s.example/a.jpg', 'https://s.example/w_200,h_300/b.jpg', 'https://s.example/c.jpg']
    >>> links_in("photos/red mug, large.jpg")
    ['photos/red mug, large.jpg']
    >>> links_in(r"https://s.example/w_200\,h_300/b.jpg, hoodie-2.jpg", commas=True)
    ['https://s.example/w_200,h_300/b.jpg', 'hoodie-2.jpg']
    >>> links_in("placeholder")
    []
    """
    return [place.link for place in link_places(cell, commas=commas)]


def link_places(cell: str, *, commas: bool = False) -> list[LinkPlace]:
    """The same with their places in the cell.

    >>> link_places(" a.jpg | b.jpg")
    [LinkPlace(link='a.jpg', start=1, end=6), LinkPlace(link='b.jpg', start=9, end=14)]
    """
    text = cell.strip()
    if not text:
        return []
    before = cell.index(text[0])
    if not _SEPARATORS.search(text):
        return [LinkPlace(text, before, before + len(text))] if _IN_LINKS.search(text) else []
    found, start = [], 0
    for end, after in _ends(text, _BETWEEN_OR_COMMA if commas else _BETWEEN):
        piece = text[start:end]
        written = piece.strip(_HARMLESS)
        if _IN_LINKS.search(written):
            place = before + start + len(piece) - len(piece.lstrip(_HARMLESS))
            found.append(LinkPlace(written.replace("\\,", ","), place, place + len(written)))
        start = after
    return found


def _ends(text: str, between: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Where each piece of a text ends, and where the next one begins."""
    yield from (separator.span() for separator in between.finditer(text))
    yield len(text), len(text)
