"""What a finished file says of where its picture comes from: by the picture's metadata and the rule."""

from __future__ import annotations

from batch_editor.finishing.decode import Decoded
from batch_editor.finishing.manifests import marks_of
from batch_editor.finishing.marks import COMPOSITE, GENERATED, SET_MARKS
from batch_editor.finishing.packets import Packets
from batch_editor.finishing.rules import Format, Provenance
from batch_editor.finishing.xmp import BadXmp, mark_of, names_manifest, renewed

# A segment of a JPEG holds 65,533 bytes, 29 of which say that it is XMP.
_MOST_IN_JPEG = 65_504


def packet_for(source: Decoded, provenance: Provenance, format: Format) -> tuple[bytes, list[str]]:
    """The finished file's XMP packet, empty for none, and what is to be said of it."""
    notes: list[str] = []
    kept, said, is_linked = _read(source.xmp, notes)
    if source.manifest:
        notes.insert(0, "its C2PA manifest is lost: it is signed for the file that came")
    elif is_linked:
        notes.append("its link to a C2PA manifest is left out: that is signed for the file that came")
    if provenance == "none":
        return b"", [note for note in notes if "C2PA" in note]
    mark = SET_MARKS.get(provenance)
    if mark is None and said is None and source.manifest:
        mark = _of_manifest(source.manifest, notes)
    packet = renewed(*kept, mark=mark)
    known = next((each for each in (COMPOSITE, GENERATED) if each == (mark or said)), None)
    if format == "jpeg" and kept.extension and len(packet) > _MOST_IN_JPEG:
        notes.append("its extended XMP is left out but for the AI mark: both are more than one packet of a JPEG holds")
        packet = renewed(kept.packet, mark=known)
    if format == "jpeg" and len(packet) > _MOST_IN_JPEG:
        notes.append(f"its XMP is left out but for the AI mark: {len(packet):,} bytes are more than a JPEG holds")
        packet = renewed(b"", mark=known)
    return packet, notes


def _read(xmp: Packets, notes: list[str]) -> tuple[Packets, str | None, bool]:
    """What of it can be read, the mark that it carries, and whether it names a C2PA manifest."""
    try:
        said, is_linked = mark_of(xmp.packet), names_manifest(xmp.packet)
    except BadXmp as error:
        notes.append(f"its XMP can't be read and is left out: {error}")
        xmp, said, is_linked = Packets(), None, False
    try:
        return xmp, said or mark_of(xmp.extension), is_linked
    except BadXmp as error:
        notes.append(f"its extended XMP can't be read and is left out: {error}")
        return xmp._replace(extension=b""), said, is_linked


def _of_manifest(manifest: bytes, notes: list[str]) -> str | None:
    """The one AI mark that the lost manifest names, which the file then carries as XMP."""
    marks = sorted(marks_of(manifest))
    if len(marks) == 1:
        notes.append(f"what the manifest said of AI is kept as XMP: {marks[0]}")
        return marks[0]
    if marks:
        notes.append(f"the manifest named {' and '.join(marks)}: neither is kept; set provenance to one of them")
    return None
