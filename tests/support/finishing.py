"""Pictures to finish, and a reading of finished files of its own: no line of it is the package's or Pillow's."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

from batch_editor.finishing import FinishedFile, FinishRules, finish_picture, read_finish

PHOTOS = Path(__file__).parents[2] / "jobs/photos"
SCHEME = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_IN_SEGMENT = 65_000
GENERATED, COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"


def photograph(size: tuple[int, int] = (512, 512), mode: str = "RGB") -> Image.Image:
    """A real photograph, of that size whatever its shape."""
    with Image.open(PHOTOS / "coffee.jpg") as image:
        return image.convert(mode).resize(size)


def mug(side: int = 1024, *, share: float = 0.9, background: str = "white", colour: str = "#30506a") -> Image.Image:
    """A round mug with soft light on it, that takes that share of a square picture."""
    picture = Image.new("RGB", (side, side), background)
    reach = round(side * share)
    at = (side - reach) // 2
    inside = Image.radial_gradient("L").resize((reach, reach)).point(lambda value: 255 - value // 2)
    shape = Image.new("L", (reach, reach), 0)
    ImageDraw.Draw(shape).ellipse((0, 0, reach - 1, reach - 1), fill=255)
    lit = Image.merge("RGB", [inside.point(lambda v, c=c: v * c // 255) for c in bytes.fromhex(colour[1:])])
    picture.paste(lit, (at, at), shape)
    return picture


def cut_out(side: int = 400) -> Image.Image:
    """A mug whose background is transparent, with a soft edge."""
    shape = Image.new("L", (side, side), 0)
    ImageDraw.Draw(shape).ellipse((side // 10, side // 10, side * 9 // 10, side * 9 // 10), fill=255)
    picture = mug(side, share=1.0)
    picture.putalpha(shape.filter(ImageFilter.GaussianBlur(3)))
    return picture


def saved(picture: Image.Image, format: str, **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **how)
    return file.getvalue()


def rules_of(beside: Path = Path(), **given: Any) -> FinishRules:
    (rules,) = read_finish({"web": given}, beside=beside)
    return rules


def finished(data: bytes, folder: Path, *, stem: str = "mug", **given: Any) -> tuple[FinishedFile, bytes]:
    """The finished file of that picture by those rules, and its bytes."""
    target = folder / "finished"
    made = finish_picture(io.BytesIO(data), target, rules_of(folder, **(given or {"background": "keep"})), stem=stem)
    return made, target.read_bytes()


def seen(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def failed(made: FinishedFile) -> dict[str, str]:
    """What was measured where a check fails, by rule."""
    return {check.rule: check.got for check in made.checks if not check.ok}


def parts(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The segments of a JPEG, up to its pixels, or the chunks of a PNG or WebP: name and content."""
    if data.startswith(b"\xff\xd8"):
        at = 2
        while data[at + 1] != 0xDA:
            length = int.from_bytes(data[at + 2 : at + 4])
            yield f"{data[at + 1]:02X}", data[at + 4 : at + 2 + length]
            at += 2 + length
    elif data.startswith(b"\x89PNG"):
        at = 8
        while at < len(data):
            length = int.from_bytes(data[at : at + 4])
            name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
            assert zlib.crc32(name + content) == int.from_bytes(data[at + 8 + length : at + 12 + length])
            yield name.decode(), content
            at += 12 + length
    else:
        assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
        assert int.from_bytes(data[4:8], "little") + 8 == len(data)
        at = 12
        while at < len(data):
            length = int.from_bytes(data[at + 4 : at + 8], "little")
            yield data[at : at + 4].decode(), data[at + 8 : at + 8 + length]
            at += 8 + length + length % 2


def xmp_in(data: bytes) -> str | None:
    """The XMP packet of a file, found where each format keeps it."""
    for name, content in parts(data):
        if name == "E1" and content.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            return content.partition(b"\0")[2].decode()
        if name == "iTXt" and content.startswith(b"XML:com.adobe.xmp\0\0\0\0\0"):
            return content[22:].decode()
        if name == "XMP ":
            return content.decode()
    return None


def with_manifest(data: bytes, *marks: str) -> bytes:
    """The picture with a C2PA manifest in it that names those marks. It is signed by nobody."""
    # As in CBOR: each text behind its length, and at once what comes next.
    named = b"".join(b"\x78" + bytes([len(SCHEME + mark)]) + (SCHEME + mark).encode() + b"mwhen" for mark in marks)
    begin = b"jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\x03c2pa\0"
    # So far down that the first mark begins in one segment of a JPEG, and ends in the next.
    box = begin + bytes(_IN_SEGMENT - 20 - len(begin)) + named
    box = struct.pack(">I", len(box) + 4) + box
    if data.startswith(b"\xff\xd8"):
        head, rest, segments = box[:8], box[8:], b""
        for number, at in enumerate(range(0, len(rest), _IN_SEGMENT), start=1):
            content = b"JP\0\x01" + struct.pack(">I", number) + head + rest[at : at + _IN_SEGMENT]
            segments += b"\xff\xeb" + struct.pack(">H", len(content) + 2) + content
        return data[:2] + segments + data[2:]
    if data.startswith(b"\x89PNG"):
        return with_chunks(data, (b"caBX", box))
    if data.startswith(b"GIF"):
        blocks = b"".join(bytes([len(box[at : at + 255])]) + box[at : at + 255] for at in range(0, len(box), 255))
        return data[:-1] + b"!\xff\x0bC2PA_GIF\1\0\0" + blocks + b"\0;"
    chunk = b"C2PA" + struct.pack("<I", len(box)) + box + b"\0" * (len(box) % 2)
    return b"RIFF" + struct.pack("<I", len(data) - 8 + len(chunk)) + data[8:] + chunk


def chunk(name: bytes, content: bytes) -> bytes:
    """A PNG's."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """The PNG with these chunks behind its head."""
    return png[:33] + b"".join(chunk(*each) for each in chunks) + png[33:]


def segment(marker: int, content: bytes) -> bytes:
    """A JPEG's."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_extension(picture: Image.Image, main: bytes, extension: bytes) -> bytes:
    """A JPEG whose XMP is too large for a segment: the packet `main`, which ends in `{digest}`, and pieces of more."""
    digest = hashlib.md5(extension).hexdigest().upper().encode()  # as the format asks
    plain, head = saved(picture, "JPEG"), b"http://ns.adobe.com/xmp/extension/\0" + digest
    pieces = [
        segment(0xE1, head + struct.pack(">II", len(extension), at) + extension[at : at + 60_000])
        for at in range(0, len(extension), 60_000)
    ]
    first = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main.replace(b"{digest}", digest))
    return plain[:2] + first + b"".join(reversed(pieces)) + plain[2:]


def xmp_packet(inner: str) -> bytes:
    """A packet with that inside its only description, as programs write it."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
        ' xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f'{inner}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def with_xmp(picture: Image.Image, format: str, packet: bytes) -> bytes:
    """A file with that XMP packet."""
    if format == "PNG":
        return with_chunks(saved(picture, "PNG"), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    return saved(picture, format, xmp=packet)


def wide_profile(called: str = "Wide RGB") -> bytes:
    """An ICC profile (version 2) whose colours reach beyond sRGB: those of Adobe RGB (1998), whatever it is called."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    text = called.encode()
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(4 + 4 + 2 + 1 + 67)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + b"\0\0"  # a gamma of 563/256
    tags = {
        b"desc": desc + b"\0" * (-len(desc) % 4),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": b"XYZ \0\0\0\0" + fixed(0.95045, 1.0, 1.08905),
        b"rXYZ": b"XYZ \0\0\0\0" + fixed(0.60974, 0.31111, 0.01947),
        b"gXYZ": b"XYZ \0\0\0\0" + fixed(0.20528, 0.62567, 0.06087),
        b"bXYZ": b"XYZ \0\0\0\0" + fixed(0.14919, 0.06322, 0.74457),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    whole = 128 + 4 + len(table) + len(body)
    head = struct.pack(">I", whole) + bytes(4) + b"\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
