"""Links to pages where people look at a file that somebody shares: no picture comes from there, but a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from batch_editor.manifest.faults import Refused
from batch_editor.text import printable

_Direct = Callable[[SplitResult, "re.Match[str]"], "str | None"]


@dataclass(frozen=True, slots=True)
class _Page:
    """Pages of a service: their hosts and what may follow, what they are, and the direct link of the file, if any."""

    where: re.Pattern[str]
    what: str
    direct: _Direct = lambda _parts, _found: None
    advice: str = ""


def _with_query(parts: SplitResult, *, without: tuple[str, ...] = (), **more: str) -> str:
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in without]
    return urlunsplit(parts._replace(query=urlencode([*kept, *more.items()]), fragment=""))


def _drive(parts: SplitResult, found: re.Match[str]) -> str:
    key = dict(parse_qsl(parts.query)).get("resourcekey")
    return f"https://drive.google.com/uc?export=download&id={found['id']}" + (f"&resourcekey={key}" if key else "")


_DOWNLOAD = "download the picture, and name the file or put it where pictures are served"
_COPY = "in the browser open the picture's menu, copy the image address and write that"
_FOLDER = "name the picture's own link, not its folder's"
_PAGES = [
    _Page(re.compile(r"(?:drive|docs)\.google\.com/file/(?:u/\d+/)?d/(?P<id>[\w-]+)"), "a Google Drive page", _drive),
    _Page(re.compile(r"drive\.google\.com/open\?(?:.*&)?id=(?P<id>[\w-]+)"), "a Google Drive page", _drive),
    _Page(re.compile(r"drive\.google\.com/drive/"), "a Google Drive folder", advice=_FOLDER),
    _Page(re.compile(r"(?:www\.)?dropbox\.com/(?:scl/fo|sh)/"), "a Dropbox folder", advice=_FOLDER),
    _Page(
        re.compile(r"(?:www\.)?dropbox\.com/(?:scl/fi|s)/(?!.*[?&](?:raw|dl)=1(?:[&#]|$))"),
        "a Dropbox page",
        lambda parts, _: _with_query(parts, without=("dl", "raw"), raw="1"),
    ),
    _Page(
        re.compile(r"[\w-]+\.sharepoint\.com/:[a-z]:/(?!.*[?&]download=1(?:[&#]|$))"),
        "a OneDrive or SharePoint page",
        lambda parts, _: _with_query(parts, download="1"),
    ),
    _Page(
        re.compile(r"onedrive\.live\.com/(?:embed|redir)\?"),
        "a OneDrive page",
        lambda parts, _: urlunsplit(parts._replace(path="/download")),
    ),
    _Page(re.compile(r"(?:1drv\.ms/|onedrive\.live\.com/(?!download))"), "a OneDrive page", advice=_DOWNLOAD),
    _Page(re.compile(r"photos\.(?:app\.goo\.gl|google\.com)/"), "a Google Photos page", advice=_DOWNLOAD),
    _Page(re.compile(r"(?:www\.)?(?:icloud\.com/|share\.icloud\.com/)"), "an iCloud page", advice=_DOWNLOAD),
    _Page(re.compile(r"(?:we\.tl/|(?:[\w-]+\.)?wetransfer\.com/)"), "a WeTransfer page", advice=_DOWNLOAD),
    _Page(
        re.compile(r"(?:[\w-]+\.)*box\.com/s/\w"),
        "a Box page",
        advice="its direct link, which ends in .jpg or .png, is in Box's settings of the shared link",
    ),
    _Page(re.compile(r"(?:www\.)?imgur\.com/(?!\w+\.\w+$)"), "an Imgur page", advice=_COPY),
    _Page(re.compile(r"(?:ibb\.co|postimg\.cc)/"), "a picture host's page", advice=_COPY),
    _Page(re.compile(r"(?:www\.)?(?:flickr\.com/photos|pinterest\.[\w.]+/pin)/"), "a photo page", advice=_COPY),
    _Page(
        re.compile(r"(?:www\.)?(?:unsplash|pexels)\.com/(?:[\w-]+/)?photos?/(?!.*/download)"),
        "a photo page",
        advice=_COPY,
    ),
    _Page(
        re.compile(r"github\.com/(?P<repository>[^/]+/[^/]+)/blob/(?P<path>[^?#]+)"),
        "a GitHub page",
        lambda _, found: f"https://raw.githubusercontent.com/{found['repository']}/{found['path']}",
    ),
]


# A quick look that never misses one: of nearly every link it is all.
_HOSTS = re.compile(
    r"(?:.+\.)?(?:google\.com|goo\.gl|dropbox\.com|sharepoint\.com|live\.com|1drv\.ms|icloud\.com|we\.tl|wetransfer\.com"
    r"|box\.com|github\.com|imgur\.com|ibb\.co|postimg\.cc|flickr\.com|pinterest\.[\w.]+|unsplash\.com|pexels\.com)",
    re.IGNORECASE,
)


@lru_cache(maxsize=1000)
def _may_have_pages(host: str) -> bool:
    return _HOSTS.fullmatch(host) is not None


def refuse_share_page(link: str) -> None:
    """Let pass every link but one to a page of a service that is known to show files rather than to send them.

    Raises:
        Refused: it is one; the message has the direct link of the picture, where there is one.
    """
    host, slash, rest = link.partition("://")[2].partition("/")
    if not _may_have_pages(host):
        return
    for page in _PAGES:
        if found := page.where.match(host.lower() + slash + rest):
            direct = page.direct(urlsplit(link), found)
            said = f"is {printable(link.partition('?')[0], limit=120)!r}, {page.what} and no picture"
            raise Refused(f"{said}; {page.advice}" if direct is None else f"{said}; its direct link is {direct}")
