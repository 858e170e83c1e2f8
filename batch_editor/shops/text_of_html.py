"""HTML as text, as a description is read aloud: without markup, scripts and styles."""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape

_BLOCKS = (
    {"address", "article", "aside", "blockquote", "body", "br", "center", "dd", "details", "div", "dl", "dt"}
    | {"fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html"}
    | {"legend", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr"}
    | {"ul"}
)
_BREAKS = dict.fromkeys(_BLOCKS, "\n") | {"td": " ", "th": " "}
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\ufeff"))  # soft hyphens, places where a line may break
# Comments, elements whose content is no text, declarations, and tags; the second group is the name of a tag. What is
# never closed goes on to the end. Not the standard library's parser: in Python 3.11 its time grows with the square of
# what a broken tag is followed by, so that 100 kB of "<p " take minutes; and for a plain description it takes six times
# as long. Here no character is looked at more than a few times: each alternative, once begun, consumes what it saw.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style|template|title)\b[^>]*+(?:>|\Z).*?(?:</\1[^>]*+(?:>|\Z)|\Z)"
    r"|<[!?][^>]*+(?:>|\Z)"
    # Not `(?:…)*+`, which before Python 3.11.5 takes what it shouldn't.
    r"""|</?([a-z][\w:-]*+)[^<>"']*+(?:(?:"[^"]{0,2000}+"|'[^']{0,2000}+'|["'])[^<>"']*+)*(?:>|(?=<)|\Z)""",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_TAG = re.compile(r"<[a-zA-Z/!?]")


@lru_cache(maxsize=8)  # the rows of one product share its description
def text_of_html(html: str) -> str:
    r"""The text of a piece of HTML: blocks and `<br>` begin a new line, entities are characters, white space is one.

    Text that isn't HTML keeps its lines.

    >>> text_of_html("<p>Stoneware,&nbsp;0.3&nbsp;l</p><ul><li>red</li><li>dish&shy;washer-safe</li></ul>")
    'Stoneware, 0.3 l\nred\ndishwasher-safe'
    >>> text_of_html("<style>p { color: red }</style>Wool <b>&amp;</b> silk<br>5 < 6")
    'Wool & silk\n5 < 6'
    """
    if _TAG.search(html):
        parts = _MARKUP.split(html.replace("\n", " ").replace("\r", " "))  # line ends are white space as any other
        texts = parts[::3]
        if "&" in html:
            texts = [unescape(text) if "&" in text else text for text in texts]
        breaks = [_BREAKS.get(tag.lower(), "") if tag else "" for tag in parts[2::3]]
        text = "".join(part for pair in zip(texts, [*breaks, ""], strict=True) for part in pair)
    else:
        text = unescape(html).replace("\r", "\n")
    if not text.isascii():
        text = text.translate(_INVISIBLE)
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return "\n".join(filter(None, lines))
