"""One message: a title that is enough for an SMS, and a few lines for mail and chats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from batch_editor.text import printable

# Discord takes 2,000 characters, Slack more.
_LONGEST = 1900
# An SMS holds 160 characters.
TITLE_LENGTH = 150
_LINE = 400
# Tokens of signed links stand behind the question mark.
_QUERY = re.compile(r"(\b[a-z][\w+.-]*://[^\s?#]*)[?#]\S*", re.IGNORECASE)
_USER = re.compile(r"(\b[a-z][\w+.-]*://)[^\s/@]+@", re.IGNORECASE)
# What calls everybody in Discord and Slack: a cell of a table must not.
_CALLS = re.compile(r"@(?=everyone|here|channel)|<(?=[!@#])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to people. Made of data that others wrote: `plain` goes over every line."""

    title: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, title: str, lines: Sequence[str]) -> Message:
        """A message without secrets, controls, tokens of links, or what calls a whole channel; bounded."""
        kept: list[str] = []
        room = _LONGEST - TITLE_LENGTH
        for line in (plain(each, limit=_LINE) for each in lines):
            if len(line) + 1 > room:
                break
            kept.append(line)
            room -= len(line) + 1
        return cls(plain(title, limit=TITLE_LENGTH), tuple(kept))

    @property
    def body(self) -> str:
        """All but the title."""
        return "\n".join(self.lines)

    def as_json(self) -> dict[str, str]:
        """As webhooks take it: Slack reads `text`, Discord `content`, others `summary`."""
        text = f"{self.title}\n{self.body}" if self.lines else self.title
        return {"text": text, "content": text, "summary": self.title}


def plain(text: str, *, limit: int) -> str:
    """A line that any channel takes for text.

    >>> plain("@everyone see https://cdn.example.com/a.jpg?token=x", limit=80)
    '@ everyone see https://cdn.example.com/a.jpg'
    >>> plain("See that its disk is mounted", limit=20)
    'See that its disk …'
    """
    line = _USER.sub(r"\1", _QUERY.sub(r"\1", printable(text, limit=4 * limit)))
    line = _CALLS.sub(lambda found: f"{found[0]} ", line)
    if len(line) <= limit:
        return line
    cut, blank, _ = line[: limit - 1].rpartition(" ")
    return f"{cut}{blank}…" if len(cut) > limit // 2 else f"{line[: limit - 1]}…"
