"""Input images: what cells and lists say becomes links and local files."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from batch_editor.files import is_local_link
from batch_editor.links.encoded import encoded
from batch_editor.manifest.faults import Refused, check_text, shown
from batch_editor.manifest.link_cells import STARTS_LINK, IsFile, pieces_of_cell, pieces_of_list, with_scheme
from batch_editor.manifest.local_images import MAX_BYTES, find_local_image, is_local_image
from batch_editor.manifest.odd_cells import check_is_no_error, oddity_of
from batch_editor.manifest.share_pages import refuse_share_page
from batch_editor.records import LocalFile

_HTTP = re.compile(r"https?://", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)(?:://|(?<=blob):)", re.IGNORECASE)
_WHY_NOT = {
    "file": "file:// is for this machine alone. Write the path itself, without file://",
    "blob": "a blob: link is known to one browser's window alone. Save the picture, and name the file",
}
_WANTED = "expected an http(s) link or a local path"
_HOST = r"(?:\[[0-9a-f:.]+\]|[^\s\x00-\x1f\x7f-\x9f/?#@:\[\]\\]+)(?::[0-9]{1,5})?"
_HAS_HOST = re.compile(rf"https?://{_HOST}(?:[/?#]|\Z)", re.IGNORECASE)  # what is encoded is sound behind it
# Of a file whose name isn't UTF-8, as Python holds them.
_NAME_BYTES = re.compile(r"[\udc80-\udcff]")
_EXAMPLE = "a link such as https://example.com/mug.jpg"
_AROUND_LINKS = " \t\r\n\u00a0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\"'“”‘’«»"
_PICTURE = re.compile(r"\.(?:jpe?g|png|webp)$", re.IGNORECASE)
_DATA = re.compile(r"data:image/(?:png|jpeg|webp);base64,")


def read_links(value: str | list[str], folder: Path) -> list[str | LocalFile]:
    """The input images that a cell or a list stands for, in order.

    Relative paths are relative to the folder.

    Raises:
        Refused: an entry is neither a link nor a local image that can be sent.
    """

    def is_file(text: str) -> bool:
        """Whether a text is meant for a local file."""
        return is_local_image(text, folder)

    pieces = pieces_of_cell(value, is_file) if isinstance(value, str) else pieces_of_list(value, is_file)
    return [_link(piece, folder, is_file) for piece in pieces]


def _link(text: str, folder: Path, is_file: IsFile) -> str | LocalFile:
    if _HTTP.match(text):
        check_text(text)
        return _checked(text)
    text = with_scheme(_unquoted(text), is_file)
    scheme = None if is_local_link(text) else _SCHEME.match(text)
    check_text(text if scheme else _NAME_BYTES.sub("", text))
    if _HTTP.match(text):
        return _checked(text)
    if text[:5].lower() == "data:":
        _check_data(text)
        return text
    check_is_no_error(text)
    if scheme:
        raise Refused(f"is {shown(text)}; {_WHY_NOT.get(scheme[1].lower(), _WANTED)}")
    if (oddity_of(text) == "placeholder" or not text.strip("-–— ")) and not is_file(text):
        raise Refused(f"is {shown(text)}, which is no link; leave the cell empty, or skip such rows by when")
    return find_local_image(text, folder)


def _unquoted(text: str) -> str:
    """A link without quotes around it, and without what nobody sees there."""
    bare = text.strip(_AROUND_LINKS)
    return bare if STARTS_LINK.match(bare) else text


def _checked(text: str) -> str:
    """A link as it is sent."""
    try:
        link = encoded(text)
    except ValueError as error:
        raise Refused(f"is {shown(text)}, which {error}") from error
    if not _HAS_HOST.match(link):
        host = re.split(r"[/?#]", link.partition("://")[2], maxsplit=1)[0]
        wanted = "a link without a user name or password in it" if "@" in host else _EXAMPLE
        raise Refused(f"is {shown(text)}; expected {wanted}")
    before, _, fragment = link.partition("#")
    if _PICTURE.search(fragment) and not _PICTURE.search(before):
        raise Refused(
            f"is {shown(text)}; what stands behind # is never sent. Write the # as %23 if it belongs to the file's name"
        )
    refuse_share_page(link)
    return link


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
