"""XMP packets: the AI mark read, set and kept, and what a packet says that a finished file no longer is, left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast
from xml.etree import ElementTree

from batch_editor.finishing.marks import SCHEME

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_SOURCE_TYPE = f"{{{_EXT}}}DigitalSourceType"
_RESOURCE = f"{{{_RDF}}}resource"
_DESCRIPTION = f"{{{_RDF}}}Description"
_ABOUT = f"{{{_RDF}}}about"

# Where the C2PA manifest lies, in the file or elsewhere.
_MANIFEST = "{http://purl.org/dc/terms/}provenance"
# Of the camera's file and its pixels as they lay there: EXIF isn't kept either, with the place it was taken at.
_GONE_SPACES = ("http://ns.adobe.com/exif/1.0/", "http://ns.adobe.com/tiff/1.0/", "http://cipa.jp/exif/1.0/")
_GONE = {
    "{http://ns.adobe.com/xap/1.0/}Thumbnails",
    "{http://ns.adobe.com/xmp/note/}HasExtendedXMP",
    "{http://ns.adobe.com/photoshop/1.0/}ICCProfile",
    _MANIFEST,
}
# What readers print; a packet with others is as good to a program.
_PREFIXES = {
    "x": _META,
    "rdf": _RDF,
    "Iptc4xmpExt": _EXT,
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
}
for _prefix, _space in _PREFIXES.items():
    ElementTree.register_namespace(_prefix, _space)

_MOST_BYTES = 2**20
_MOST_DEPTH = 64


class BadXmp(ValueError):
    """The packet can't be read."""


def mark_of(packet: bytes) -> str | None:
    """The AI mark, or another digital source type, that a packet carries: the last word of its URI.

    Raises:
        BadXmp: the packet can't be read.
    """
    found = _source_types(_root(packet)) if packet.strip() else []
    return found[0].rstrip("/").rpartition("/")[2] if found else None


def names_manifest(packet: bytes) -> bool:
    """Whether a packet says where the file's C2PA manifest is.

    Raises:
        BadXmp: the packet can't be read.
    """
    root = _root(packet) if packet.strip() else ElementTree.Element("none")
    return any(each.tag == _MANIFEST or _MANIFEST in each.attrib for each in root.iter())


def renewed(packet: bytes, extension: bytes = b"", *, mark: str | None) -> bytes:
    """A packet for a finished file: what `packet` and its extension say that still holds, and that mark if given.

    Either may be empty. Empty where nothing is left to say. The same packets and mark give the same bytes.

    Raises:
        BadXmp: the packet can't be read.
    """
    root = _root(packet) if packet.strip() else ElementTree.Element(f"{{{_META}}}xmpmeta")
    rdf = _rdf(root)
    if extension.strip():
        rdf.extend(list(_rdf(_root(extension))))
    _remove_gone(root)
    if mark is not None:
        _set(rdf, SCHEME + mark)
    if not any(len(each) or set(each.attrib) - {_ABOUT} for each in rdf):
        return b""
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{text}\n<?xpacket end="r"?>'.encode()


def _root(packet: bytes) -> ElementTree.Element:
    # XMP has no document type. One is an attack by entities; a zero byte is UTF-16, which could hide it.
    if len(packet) > _MOST_BYTES or b"<!" in packet.replace(b"<!--", b"") or b"\0" in packet.rstrip(b"\0"):
        raise BadXmp("larger than 1 MiB, or no plain XML in UTF-8")
    parser: ElementTree.XMLPullParser[ElementTree.Element] = ElementTree.XMLPullParser(("start", "end"))
    depth, root = 0, None
    try:
        parser.feed(packet.strip(b"\0 \t\r\n"))
        parser.close()
        for event, element in cast("Iterator[tuple[str, ElementTree.Element]]", parser.read_events()):
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            if depth > _MOST_DEPTH:
                raise BadXmp(f"nested deeper than {_MOST_DEPTH}")
    except ElementTree.ParseError as error:
        raise BadXmp("no well-formed XML") from error
    if root is None:
        raise BadXmp("no well-formed XML")
    return root


def _rdf(root: ElementTree.Element) -> ElementTree.Element:
    rdf = root if root.tag == f"{{{_RDF}}}RDF" else root.find(f".//{{{_RDF}}}RDF")
    return ElementTree.SubElement(root, f"{{{_RDF}}}RDF") if rdf is None else rdf


def _source_types(root: ElementTree.Element) -> list[str]:
    found: list[str] = []
    for element in root.iter():
        found += [value.strip() for name, value in element.attrib.items() if name == _SOURCE_TYPE]
        if element.tag == _SOURCE_TYPE:
            found.append((element.get(_RESOURCE) or element.text or "").strip())
    return [each for each in found if each]


def _remove_gone(root: ElementTree.Element) -> None:
    for parent in list(root.iter()):
        for name in [name for name in parent.attrib if _is_gone(name)]:
            del parent.attrib[name]
        for child in [child for child in parent if _is_gone(child.tag)]:
            parent.remove(child)


def _is_gone(name: str) -> bool:
    return name in _GONE or name[1:].partition("}")[0] in _GONE_SPACES


def _set(rdf: ElementTree.Element, uri: str) -> None:
    for parent in list(rdf.iter()):
        parent.attrib.pop(_SOURCE_TYPE, None)
        for child in [child for child in parent if child.tag == _SOURCE_TYPE]:
            parent.remove(child)
    description = rdf.find(_DESCRIPTION)
    if description is None:
        description = ElementTree.SubElement(rdf, _DESCRIPTION, {_ABOUT: ""})
    ElementTree.SubElement(description, _SOURCE_TYPE).text = uri
