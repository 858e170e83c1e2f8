"""Input images: what cells and lists say becomes links and local files."""

from __future__ import annotations

import base64
import binascii
import json
import re
from itertools import chain
from pathlib import Path

from batch_editor.lookup import is_local_link
from batch_editor.manifest.faults import Refused, check_text, shown
from batch_editor.manifest.local_images import MAX_BYTES, find_local_image, is_local_image
from batch_editor.manifest.odd_cells import check_is_no_error
from batch_editor.records import LocalFile

# Of glued links: Google's feeds write a.jpg,https://b.jpg. Inside of a link a comma stays: …/w_400,h_400/cup.jpg.
_GLUE = re.compile(r"[,;|]+(?=https?://)", re.IGNORECASE)
_SEPARATORS = re.compile(rf"[\s|]+|{_GLUE.pattern}", re.IGNORECASE)
_TRAILING = ",;"
_HTTP = re.compile(r"https?://", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_HOST = r"(?:\[[0-9a-f:.]+\]|[^\s\x00-\x1f\x7f-\x9f/?#@:\[\]\\]+)(?::[0-9]{1,5})?"
_LINK = re.compile(rf"https?://{_HOST}(?:[/?#][^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]*)?", re.IGNORECASE)
# Of a file whose name isn't UTF-8, as Python holds them.
_NAME_BYTES = re.compile(r"[\udc80-\udcff]")
_DATA = re.compile(r"data:image/(?:png|jpeg|webp);base64,")


def read_links(value: str | list[str], folder: Path) -> list[str | LocalFile]:
    """The input images that a cell or a list stands for, in order.

    Relative paths are relative to the folder.

    Raises:
        Refused: an entry is neither a link nor a local image that can be sent.
    """
    pieces = _pieces_of_cell(value, folder) if isinstance(value, str) else _pieces_of_list(value)
    return [_link(piece, folder) for piece in pieces]


def _pieces_of_cell(cell: str, folder: Path) -> list[str]:
    cell = cell.strip()
    if cell.startswith("["):
        return _json_array(cell)
    pieces = _split(cell)
    if len(pieces) > 1 and not _HTTP.match(cell) and is_local_image(cell, folder):
        return [cell]
    return pieces


def _pieces_of_list(items: list[str]) -> list[str]:
    """Items whole, but for one that is a cell of several links, come through a template."""
    pieces: list[str] = []
    for item in chain.from_iterable(map(_GLUE.split, items)):
        parts = _split(item)
        pieces += parts if all(map(_HTTP.match, parts)) else [item.strip()]
    return pieces


def _split(cell: str) -> list[str]:
    parts = (part.rstrip(_TRAILING) for part in _SEPARATORS.split(cell))
    return [part for part in parts if part]


def _json_array(cell: str) -> list[str]:
    try:
        items = json.loads(cell)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise Refused(f"is {shown(cell)}; expected a JSON array of links, as it starts with [")
    return _pieces_of_list(items)


def _link(text: str, folder: Path) -> str | LocalFile:
    is_link = _SCHEME.match(text) is not None and not is_local_link(text)
    check_text(text if is_link else _NAME_BYTES.sub("", text))
    if _HTTP.match(text):
        _check_http(text)
        return text
    if text[:5].lower() == "data:":
        _check_data(text)
        return text
    check_is_no_error(text)
    if is_link:
        raise Refused(f"is {shown(text)}; expected an http(s) link or a local path")
    return find_local_image(text, folder)


def _check_http(link: str) -> None:
    if _LINK.fullmatch(link):
        return
    host = re.split(r"[/?#]", link.partition("://")[2], maxsplit=1)[0]
    if "@" in host:
        raise Refused(f"is {shown(link)}; expected a link without a user name or password in it")
    if re.search(r"[\s\x00-\x1f\x7f-\x9f]", link):
        raise Refused(f"is {shown(link)}; expected a link without white space or control characters")
    raise Refused(f"is {shown(link)}; expected a link such as https://example.com/mug.jpg")


def _check_data(link: str) -> None:
    prefix = _DATA.match(link)
    if not prefix:
        raise Refused(f"is {shown(link)}; expected data:image/png, jpeg or webp in base64")
    try:
        content = base64.b64decode(link[prefix.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"is {shown(link)}, which is not base64: {error}") from error
    if not 0 < len(content) < MAX_BYTES:
        raise Refused(f"is a data link of {len(content):,} bytes; expected 1 to {MAX_BYTES - 1:,}")
