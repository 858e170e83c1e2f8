"""Input images: cells and lists become links, and local files become what is known of them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import Literal

from batch_editor.encoded_links import encoded
from batch_editor.images import NotAnImage, TooManyPixels, has_end, read_header, sniff
from batch_editor.manifest.faults import Refused, check_text, shown
from batch_editor.manifest.link_cells import STARTS_LINK, IsFile, pieces_of_cell, pieces_of_list, with_scheme
from batch_editor.manifest.odd_cells import check_is_no_error
from batch_editor.manifest.share_pages import refuse_share_page
from batch_editor.records import LocalFile

MAX_BYTES = 50_000_000  # the provider's limit is "under 50 MB each"

_HTTP = re.compile(r"https?://", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)(?:://|(?<=blob):)", re.IGNORECASE)
_WHY_NOT = {
    "file": "file:// is for this machine alone. Write the path itself, without file://",
    "blob": "a blob: link is known to one browser's window alone. Save the picture, and name the file",
}
_WANTED = "expected an http(s) link or a local path"
_HOST = r"(?:\[[0-9a-f:.]+\]|[^\s\x00-\x1f\x7f-\x9f/?#@:\[\]\\]+)(?::[0-9]{1,5})?"
_LINK = re.compile(rf"https?://{_HOST}(?:[/?#][^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]*)?", re.IGNORECASE)
_EXAMPLE = "a link such as https://example.com/mug.jpg"
_AROUND_LINKS = " \t\r\n\u00a0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\"'“”‘’«»"
_PICTURE = re.compile(r"\.(?:jpe?g|png|webp)$", re.IGNORECASE)
_DATA = re.compile(r"data:image/(?:png|jpeg|webp);base64,")
_FORMATS: dict[str, Literal["png", "jpeg", "webp"]] = {
    "PNG": "png",
    "JPEG": "jpeg",
    "MPO": "jpeg",  # a phone's JPEG with a second picture behind the first
    "WEBP": "webp",
}


def read_links(value: str | list[str], folder: Path) -> list[str | LocalFile]:
    """The input images that a cell or a list stands for, in order.

    Relative paths are relative to the folder.

    Raises:
        Refused: an entry is neither a link nor a local image that can be sent.
    """

    def is_file(text: str) -> bool:
        return os.path.isfile(folder / text)  # noqa: PTH113  # never raises

    pieces = pieces_of_cell(value, is_file) if isinstance(value, str) else pieces_of_list(value, is_file)
    return [_link(piece, folder, is_file) for piece in pieces]


def _link(text: str, folder: Path, is_file: IsFile) -> str | LocalFile:
    check_text(text)
    if not _HTTP.match(text):
        text = with_scheme(_unquoted(text), is_file)
    if _HTTP.match(text):
        return _checked(text)
    if text[:5].lower() == "data:":
        _check_data(text)
        return text
    check_is_no_error(text)
    if scheme := _SCHEME.match(text):
        raise Refused(f"is {shown(text)}; {_WHY_NOT.get(scheme[1].lower(), _WANTED)}")
    return _local_file(text, folder)


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
    if not _LINK.fullmatch(link):
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


def _local_file(text: str, folder: Path) -> LocalFile:
    path = folder / text
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"is {shown(text)}, which is no file; expected an image")
        if not 0 < found.st_size < MAX_BYTES:
            raise Refused(f"is {shown(text)}, which has {found.st_size:,} bytes; expected 1 to {MAX_BYTES - 1:,}")
        # rsync and cp -p give another file the same time of change; nothing sets the time at which they did so.
        version = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        return _inspected(str(path.absolute()), version, found.st_size, text)
    except FileNotFoundError as error:
        raise Refused(f"is {shown(text)}; there is no such file (paths are relative to the manifest)") from error
    except OSError as error:
        raise Refused(f"is {shown(text)}, which can't be read: {error.strerror or error}") from error


# A catalog names the same logo or mask in each row; 4,096 records take about 2 MB.
@lru_cache(maxsize=4096)
def _inspected(path: str, version: tuple[int, ...], size_bytes: int, text: str) -> LocalFile:
    """What is known of a local image; looked at again only once it has changed."""
    with open(path, "rb") as file:  # noqa: PTH123
        promised = sniff(file.read(12))
        if promised is not None and not has_end(file, promised):
            raise Refused(f"is {shown(text)}, a {promised.upper()} that was cut short; copy or download it again")
        file.seek(0)
        try:
            header = read_header(file, formats=("PNG", "JPEG", "WEBP"))
        except TooManyPixels as error:
            raise Refused(f"is {shown(text)}, which has more than 178 million pixels") from error
        except NotAnImage as error:
            raise Refused(f"is {shown(text)}, which is no PNG, JPEG or WEBP image") from error
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LocalFile(
        *(path, digest, _FORMATS[header.format], header.width, header.height),
        has_alpha=header.has_alpha,
        size_bytes=size_bytes,
    )
