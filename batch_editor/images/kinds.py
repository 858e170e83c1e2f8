"""What a file is, by its first bytes, in the words of who made it: its name's ending is often another's."""

from __future__ import annotations

import re
import struct

# The brands of ISO files (https://mp4ra.org/registered-types/brands), which stand behind their first box's `ftyp`.
_BRANDS = {
    b"avif": "an AVIF image",
    b"avis": "an AVIF image",
    b"crx ": "a camera's raw image",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC photo"),
}
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"8BPS", "a Photoshop file (PSD)"),
    (b"BM", "a BMP image"),
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "an EPS or PostScript drawing"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    # https://www.libraw.org: Fujifilm, Olympus (three), Panasonic, Canon's older ones, Minolta, Sigma.
    *((raw, "a camera's raw image") for raw in (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM")),
    *((raw, "a camera's raw image") for raw in (b"II\x1a\0\0\0HEAPCCDR", b"FOVb")),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"PK\3\4", "a ZIP archive, or an office document"),
)
WEB_PAGE = "a web page (HTML)"
MARKUP = "an XML or HTML document"
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
# Comments, declarations and white space may stand before the first element. `(?>` takes each in one way alone: thirty
# comments could be told apart in a billion.
_MARKUP = re.compile(rb"(?>\s|<\?.*?\?>|<!--.*?-->|(?i:<!DOCTYPE)[^>\[]*(?:\[.*?\]\s*)?>)*<(?:\w+:)?(\w+)", re.DOTALL)
_DOCTYPE_HTML = re.compile(rb"(?>\s|<!--.*?-->)*<!doctype\s+html", re.IGNORECASE | re.DOTALL)
_HTML = frozenset((b"html", b"head", b"body", b"title", b"meta", b"script", b"div", b"h1"))


def kind_of(data: bytes) -> str | None:
    """What a file is, with its article; None if it isn't known. The first 4,096 bytes are enough.

    >>> kind_of(b"\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic")
    'a HEIC photo'
    >>> kind_of(b"<!DOCTYPE html><html>")
    'a web page (HTML)'
    """
    if data[4:8] == b"ftyp":
        return _of_brands(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a WebP image"
    if data[:4] in _TIFF:
        return "a camera's raw image" if _is_raw(data) else "a TIFF image"
    for beginning, kind in _BEGINNINGS:
        # Two letters are too few: a text may begin with BM. A bitmap's fields 6 to 9 are empty.
        if data.startswith(beginning) and (beginning != b"BM" or data[6:10] == b"\0\0\0\0"):
            return kind
    return _of_markup(data.removeprefix(b"\xef\xbb\xbf"))


def _of_brands(data: bytes) -> str:
    end = min(int.from_bytes(data[:4]), 256)
    # The main brand, then those that it is compatible with: `mif1` is both formats' container.
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    if not known:
        return "a video"
    return "an AVIF image" if brands[0] in (b"mif1", b"msf1") and "an AVIF image" in known else known[0]


def _is_raw(data: bytes) -> bool:
    """Whether a TIFF is a camera's raw image: it says so, or begins with a preview of itself."""
    if data[8:10] == b"CR":  # Canon
        return True
    order = _TIFF[data[:4]]
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        fields = [struct.unpack_from(f"{order}HHII", data, at + 2 + 12 * index) for index in range(min(count, 200))]
    except struct.error:  # beyond what is here, as in TIFFs of drawing programs
        return False
    # 0xC612: DNGVersion. 0xFE: NewSubfileType, 1 where the first image is a smaller copy of another.
    return any(tag == 0xC612 or (tag == 0xFE and value == 1) for tag, _, _, value in fields)


def _of_markup(data: bytes) -> str | None:
    if _DOCTYPE_HTML.match(data):
        return WEB_PAGE
    found = _MARKUP.match(data[:4096])
    if found is None:
        return None
    element = found[1].lower()
    if element in _HTML:
        return WEB_PAGE
    return "an SVG drawing" if element == b"svg" else MARKUP
