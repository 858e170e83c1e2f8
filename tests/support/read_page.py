"""A page of HTML as a browser reads it, and whether anything in it leads out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

VOID = {"meta", "img", "br"}


class Read(HTMLParser):
    """A page as a browser reads it: its texts, its tables, its attributes; every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.texts.append(data)
        if self._open and self._open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def table(self, first: str) -> list[list[str]]:
        """The table whose head begins so, without its head."""
        return next(table[1:] for table in self.tables if table[0][0] == first)


def nothing_leads_out(page: Read, html: str) -> None:
    assert "script" not in page.tags
    leading = {"src", "href", "srcset", "action", "poster", "data", "xlink:href", "background", "formaction"}
    assert all(value.startswith("data:image/webp;base64,") for _, name, value in page.attributes if name in leading)
    assert [name for _, name, _ in page.attributes if name.startswith("on")] == []
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert re.findall(r"url\(|@import|https?:", style) == []
    assert {"iframe", "object", "embed", "link", "base", "form"}.isdisjoint(page.tags)
