"""Links as RFC 3986 and IDNA 2008 want them, made of links as people, shops and spreadsheets write them."""

from __future__ import annotations

import re
from urllib.parse import quote

# Part of what a ledger's requests are hashed by: change it with whatever `encoded` makes of a link.
VERSION = 1

# What a link may hold as it stands; `&amp;` and `&#38;` are HTML for an `&`. The group isn't possessive: before Python
# 3.11.5 `(?:…)*+` takes what it shouldn't (https://github.com/python/cpython/issues/106052), as `%` without its digits.
_PLAIN = r"[A-Za-z0-9._~!$'()*+,;=:@/?-]*+"
_SOUND = rf"{_PLAIN}(?:(?:&(?!amp;|#)|%[0-9A-Fa-f]{{2}}){_PLAIN})*"
_SOUND_LINK = rf"https?://(?:\[[0-9A-Fa-f:.]+\])?{_SOUND}(?:#{_SOUND})?(?<![',;])"
_IS_SOUND = re.compile(_SOUND_LINK)
_LINK = re.compile(r"(https?)://([^/?#\\]*)([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)
_AMPERSAND = re.compile(r"&(?:amp;|#0*38;|#x0*26;)+", re.IGNORECASE)
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Zero-width spaces, soft hyphens and byte order marks come with copied text, and are seen by nobody. Joiners and marks
# of direction are meant within words of some scripts, and never at a link's ends.
_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff]")
_UNSEEN_AT_ENDS = "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_BEHIND = "\"'“”’»,; \t\r\n" + _UNSEEN_AT_ENDS
_IN_PATH = "%/:@!$&'()*+,;=~"
_BEHIND_PATH = f"{_IN_PATH}?"


def encoded(link: str) -> str:
    """The http(s) link, encoded: non-ASCII text and what has no place in a link as percent signs, the host by IDNA.

    What is encoded already stays, byte by byte, for a signature may be over it. An encoded link is its own encoding.

    >>> encoded("HTTPS://müller.example/My Cup – 50%.jpg?a=1&amp;b=ü")
    'https://xn--mller-kva.example/My%20Cup%20%E2%80%93%2050%25.jpg?a=1&b=%C3%BC'
    >>> encoded("https://example.com/a%20b.jpg?Signature=x%2Fy~z")
    'https://example.com/a%20b.jpg?Signature=x%2Fy~z'

    Raises:
        ValueError: the host can be no name, or white space that isn't a space is inside; the message says which.
    """
    if is_encoded(link):
        return link
    found = _LINK.fullmatch(_AMPERSAND.sub("&", _UNSEEN.sub("", link)).rstrip(_BEHIND))
    if found is None:
        return link
    scheme, authority, path, query, fragment = found.groups(default="")
    rest = path + query + fragment
    if "\u00a0" in rest or "\u202f" in rest:
        raise ValueError("has a non-breaking space in it; write %20, or %C2%A0 if the file's name really has one")
    if unprintable := re.search(r"[^\S ]|[\x00-\x1f\x7f-\x9f]", authority + rest):
        raise ValueError(f"has white space or a control character in it ({unprintable[0]!a}); write it as %XX")
    path = _percent_encoded(path.replace("\\", "/"), safe=_IN_PATH)
    # The first character is the ? or # that begins them.
    query = query[:1] + _percent_encoded(query[1:], safe=_BEHIND_PATH)
    fragment = fragment[:1] + _percent_encoded(fragment[1:], safe=_BEHIND_PATH)
    return f"{scheme.lower()}://{_ascii_host(authority)}{path}{query}{fragment}"


def is_encoded(text: str) -> bool:
    """Whether a text is one http(s) link that `encoded` doesn't change."""
    return _IS_SOUND.fullmatch(text) is not None


def as_encoded(text: str) -> str:
    """A link as `encoded` has it; any other text, and a link that can't be encoded, as it is.

    >>> as_encoded("https://example.com/ü.jpg"), as_encoded("https://example.com/ü.jpg is blue")
    ('https://example.com/%C3%BC.jpg', 'https://example.com/ü.jpg is blue')
    """
    # A prompt may begin with a link; a link has no white space in it.
    if text[:4].lower() != "http" or is_encoded(text) or not re.fullmatch(r"(?i:https?)://\S+", text):
        return text
    try:
        return encoded(text)
    except ValueError:
        return text


def _percent_encoded(text: str, *, safe: str) -> str:
    return quote(_LONE_PERCENT.sub("%25", text), safe=safe)


def _ascii_host(authority: str) -> str:
    if authority.isascii():
        return authority
    import idna  # its tables take a while to load, and few hosts need them

    host, colon, port = authority.partition(":")
    try:
        return idna.encode(host, uts46=True).decode() + colon + port
    except idna.IDNAError as error:
        raise ValueError(f"has the host {host!r}, which can be no internet name ({error})") from error
