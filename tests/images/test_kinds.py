"""What files are called, by their bytes."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from batch_editor.images import kind_of


def drawn(format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(file, format)
    return file.getvalue()


def iso(main: bytes, *compatible: bytes) -> bytes:
    brands = main + bytes(4) + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4) + b"ftyp" + brands + b"\0\0\0\x20meta"


def tiff(order: str, *fields: tuple[int, int]) -> bytes:
    byteorder = "little" if order == "II" else "big"
    words = [order.encode(), (42).to_bytes(2, byteorder), (8).to_bytes(4, byteorder)]  # type: ignore[arg-type]
    words.append(len(fields).to_bytes(2, byteorder))  # type: ignore[arg-type]
    for tag, value in fields:
        words += [tag.to_bytes(2, byteorder), (4).to_bytes(2, byteorder)]  # type: ignore[arg-type]
        words += [(1).to_bytes(4, byteorder), value.to_bytes(4, byteorder)]  # type: ignore[arg-type]
    return b"".join(words)


KINDS = {
    "png": (drawn("PNG"), "a PNG image"),
    "jpeg": (drawn("JPEG"), "a JPEG image"),
    "webp": (drawn("WEBP"), "a WebP image"),
    "gif": (drawn("GIF"), "a GIF image"),
    "bmp": (drawn("BMP"), "a BMP image"),
    "tiff": (drawn("TIFF"), "a TIFF image"),
    "tiff, big-endian": (tiff("MM", (0x100, 40)), "a TIFF image"),
    "tiff whose directory is at its end": (b"II*\0\xff\xff\xff\x00rest", "a TIFF image"),
    "avif": (drawn("AVIF"), "an AVIF image"),
    "ico": (drawn("ICO"), "an icon (ICO)"),
    "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n\0\0", "a JPEG 2000 image"),
    "jpeg xl": (b"\xff\x0a\xf8\x1f", "a JPEG XL image"),
    "heic of a phone": (iso(b"heic", b"mif1", b"heic"), "a HEIC photo"),
    "heic by its compatible brand": (iso(b"mif1", b"heic"), "a HEIC photo"),
    "avif by its compatible brand": (iso(b"mif1", b"avif", b"miaf"), "an AVIF image"),
    "video": (iso(b"isom", b"mp42"), "a video"),
    "canon's cr3": (iso(b"crx ", b"isom"), "a camera's raw image"),
    "canon's cr2": (b"II*\0\x10\0\0\0CR\x02\0", "a camera's raw image"),
    "nikon's nef": (tiff("MM", (0xFE, 1), (0x10F, 0)), "a camera's raw image"),
    "adobe's dng": (tiff("II", (0xFE, 0), (0xC612, 4)), "a camera's raw image"),
    "fuji's raf": (b"FUJIFILMCCD-RAW 0201", "a camera's raw image"),
    "psd": (b"8BPS\0\1", "a Photoshop file (PSD)"),
    "pdf": (b"%PDF-1.7\n", "a PDF document"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    "svg behind its declarations": (
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by hand -->\n<!DOCTYPE svg PUBLIC '-//W3C'>\n<svg:svg/>",
        "an SVG drawing",
    ),
    "web page": (b"\n<!doctype HTML>\n<title>Sign in</title>", "a web page (HTML)"),
    "web page without a doctype": (b"<html><body>", "a web page (HTML)"),
    "web page behind comments": (b"<!-- a -->\n<!-- b -->\n<!doctype html><p>Hello", "a web page (HTML)"),
    "piece of a web page": (b"<!-- a --><div class=login>", "a web page (HTML)"),
    "hundreds of comments": (b"<!---->" * 500 + b"nothing", None),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML or HTML document"),
    "zip": (b"PK\3\4\x14\0", "a ZIP archive, or an office document"),
    "text that begins as a bitmap does": (b"BMW on white", None),
    "json": (b'{"error": "no"}', None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_called_what_its_bytes_say(name: str) -> None:
    data, kind = KINDS[name]
    assert kind_of(data) == kind
    assert kind_of(data[:4096]) == kind
