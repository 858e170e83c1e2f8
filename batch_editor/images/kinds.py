"""What a file is that is no png, jpeg or webp, as people call it, by its first bytes."""

from __future__ import annotations

import re

_BY_BEGINNING = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"II+\0": "a TIFF",
    b"MM\0+": "a TIFF",
    b"8BPS": "a PSD",
    b"%PDF-": "a PDF",
    b"%!PS": "an EPS",
    b"\0\0\1\0": "an ICO",
    b"\xff\x0a": "a JPEG XL",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"PK\3\4": "a ZIP file",
}
# ISO base media files name their kind behind `ftyp`; HEIC and AVIF share the brand mif1 with others.
_BY_BRAND = {
    **dict.fromkeys((b"avif", b"avis"), "an AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC"),
    b"qt  ": "a QuickTime video",
}
_SVG = re.compile(rb"\s*(?:<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE svg[^>]*>|\s)*<svg\b", re.IGNORECASE | re.DOTALL)


def kind_of(head: bytes) -> str | None:
    """A kind of file with its article; None of one that isn't known here. A few hundred bytes are enough.

    >>> kind_of(bytes(4) + b"ftypavif"), kind_of(b"<svg>"), kind_of(b"hello")
    ('an AVIF', 'an SVG', None)
    """
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4]), 64), 4))}
        known = [kind for brand, kind in _BY_BRAND.items() if brand in brands]
        return known[0] if known else "a video"
    if _SVG.match(head.removeprefix(b"\xef\xbb\xbf")[:4096]):
        return "an SVG"
    return next((kind for beginning, kind in _BY_BEGINNING.items() if head.startswith(beginning)), None)
