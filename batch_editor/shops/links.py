"""A cell's links, one by one."""

from __future__ import annotations

import re

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
    if not _SEPARATORS.search(cell):
        return [cell] if _IN_LINKS.search(cell) else []
    between = _BETWEEN_OR_COMMA if commas else _BETWEEN
    found = (each.strip(_HARMLESS).replace("\\,", ",") for each in between.split(cell))
    return [link for link in found if _IN_LINKS.search(link)]
