"""What a finished file says of where its picture comes from: by the picture's metadata and the rule."""

from __future__ import annotations

from batch_editor.finishing.decode import Decoded
from batch_editor.finishing.manifests import marks_of
from batch_editor.finishing.marks import COMPOSITE, GENERATED, SET_MARKS
from batch_editor.finishing.rules import Format, Provenance
from batch_editor.finishing.xmp import BadXmp, mark_of, renewed

# A segment of a JPEG holds 65,533 bytes, 29 of which say that it is XMP.
_MOST_IN_JPEG = 65_504


def packet_for(source: Decoded, provenance: Provenance, format: Format) -> tuple[bytes, list[str]]:
    """The finished file's XMP packet, empty for none, and what is to be said of it."""
    notes: list[str] = []
    if source.manifest:
        notes.append("its C2PA manifest is lost: it is signed for the file that came")
    if provenance == "none":
        return b"", notes
    mark = SET_MARKS.get(provenance)
    kept = source.xmp
    try:
        said = mark_of(kept)
    except BadXmp as error:
        notes.append(f"its XMP can't be read and is left out: {error}")
        kept, said = b"", None
    if mark is None and said is None and source.manifest:
        mark = _of_manifest(source.manifest, notes)
    packet = renewed(kept, mark=mark)
    if format == "jpeg" and len(packet) > _MOST_IN_JPEG:
        notes.append(f"its XMP is left out but for the AI mark: {len(packet):,} bytes are more than a JPEG holds")
        known = [each for each in (COMPOSITE, GENERATED) if each == (mark or said)]
        packet = renewed(b"", mark=known[0] if known else None)
    return packet, notes


def _of_manifest(manifest: bytes, notes: list[str]) -> str | None:
    """The one AI mark that the lost manifest names, which the file then carries as XMP."""
    marks = sorted(marks_of(manifest))
    if len(marks) == 1:
        notes.append(f"what the manifest said of AI is kept as XMP: {marks[0]}")
        return marks[0]
    if marks:
        notes.append(f"the manifest named {' and '.join(marks)}: neither is kept; set provenance to one of them")
    return None
