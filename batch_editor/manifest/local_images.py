"""Local files as input images: found by their names, and what is known of them."""

from __future__ import annotations

import hashlib
import stat
from functools import lru_cache
from pathlib import Path
from typing import Literal

from batch_editor.files import PICTURES, NotThere, find_file
from batch_editor.images import NotAnImage, TooManyPixels, has_end, kind_of, read_header, sniff
from batch_editor.manifest.faults import Refused, shown
from batch_editor.records import LocalFile

MAX_BYTES = 50_000_000  # the provider's limit is "under 50 MB each"

_FORMATS: dict[str, Literal["png", "jpeg", "webp"]] = {
    "PNG": "png",
    "JPEG": "jpeg",
    "MPO": "jpeg",  # a phone's JPEG with a second picture behind the first
    "WEBP": "webp",
}


def is_local_image(text: str, folder: Path) -> bool:
    """Whether there is a file that a text as a whole is meant for, see `find_file`."""
    try:
        return find_file(text, folder).is_file()
    except (OSError, ValueError):
        return False


def find_local_image(text: str, folder: Path) -> LocalFile:
    """What is known of the image that a path relative to the folder is meant for, see `find_file`.

    Raises:
        Refused: there is none, or none that can be sent.
    """
    try:
        path = find_file(text, folder, endings=PICTURES)
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"is {shown(text)}, which is no file; expected an image")
        if not 0 < found.st_size < MAX_BYTES:
            raise Refused(f"is {shown(text)}, which has {found.st_size:,} bytes; expected 1 to {MAX_BYTES - 1:,}")
        # rsync and cp -p give another file the same time of change; nothing sets the time at which they did so.
        version = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        return _inspected(str(path.absolute()), version, found.st_size, text)
    except NotThere as error:
        where = error.hint or " (paths are relative to the manifest)"
        raise Refused(f"is {shown(text)}; there is no such file{where}") from error
    except OSError as error:
        raise Refused(f"is {shown(text)}, which can't be read: {error.strerror or error}") from error


# A catalog names the same logo or mask in each row; 4,096 records take about 2 MB.
@lru_cache(maxsize=4096)
def _inspected(path: str, version: tuple[int, ...], size_bytes: int, text: str) -> LocalFile:
    """What is known of a local image; looked at again only once it has changed."""
    with open(path, "rb") as file:  # noqa: PTH123
        head = file.read(4096)
        promised = sniff(head)
        if promised is not None and not has_end(file, promised):
            raise Refused(f"is {shown(text)}, a {promised.upper()} that was cut short; copy or download it again")
        file.seek(0)
        try:
            header = read_header(file, formats=("PNG", "JPEG", "WEBP"))
        except TooManyPixels as error:
            raise Refused(f"is {shown(text)}, which has more than 178 million pixels") from error
        except NotAnImage as error:
            raise Refused(f"is {shown(text)}, which {_what_instead(head)}") from error
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LocalFile(
        *(path, digest, _FORMATS[header.format], header.width, header.height),
        has_alpha=header.has_alpha,
        size_bytes=size_bytes,
    )


def _what_instead(head: bytes) -> str:
    """What a file is that is no PNG, JPEG or WebP, and what to do."""
    kind = kind_of(head)
    if kind is None or sniff(head) in ("png", "jpeg", "webp"):
        return "is no PNG, JPEG or WEBP image"
    is_picture = not kind.endswith(("(HTML)", "HTML document", "office document", "video"))
    return f"is {kind}; {'save it as JPEG, PNG or WebP' if is_picture else 'expected a JPEG, PNG or WEBP image'}"
