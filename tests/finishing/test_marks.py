"""AI marks: what a finished file says of where it comes from, read from its bytes by hand."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.finishing import (
    COMPOSITE,
    GENERATED,
    SCHEME,
    failed,
    finished,
    mug,
    saved,
    with_chunks,
    with_extension,
    with_manifest,
    with_xmp,
    xmp_in,
    xmp_packet,
)

FORMATS = ["JPEG", "PNG", "WEBP"]
EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
RIGHTS = "<dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>© Müller &amp; Sohn</rdf:li></rdf:Alt></dc:rights>"


def element(mark: str) -> str:
    return f"<Iptc4xmpExt:DigitalSourceType>{SCHEME}{mark}</Iptc4xmpExt:DigitalSourceType>"


def marked(mark: str) -> str:
    return xmp_packet(element(mark) + RIGHTS).decode()


def said_in(data: bytes) -> list[str]:
    """Every digital source type in the file's XMP."""
    packet = xmp_in(data)
    if packet is None:
        return []
    return [each.text or "" for each in ElementTree.fromstring(packet.split("?>", 1)[1]).iter(EXT)]


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("mark", [GENERATED, COMPOSITE, "digitalCapture"])
def test_the_mark_that_came_survives_in_every_format(tmp_path: Path, source: str, format: str, mark: str) -> None:
    data = with_xmp(mug(64), source, marked(mark).encode())
    made, written = finished(data, tmp_path, format=format)
    assert said_in(written) == [SCHEME + mark]
    assert "© Müller &amp; Sohn" in (xmp_in(written) or "")
    assert made.notes == ()


def by_imagemagick(packet: bytes) -> bytes:
    """A PNG with its text for packets."""
    digits = f"\nxmp\n{len(packet):8}\n{packet.hex()}\n".encode()
    return with_chunks(saved(mug(64), "PNG"), (b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(digits)))


def as_gif(packet: bytes) -> bytes:
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return saved(mug(64), "GIF")[:-1] + b"!\xff\x0bXMP DataXMP" + packet + trailer + b";"


def extended(packet: bytes, more: int = 0) -> bytes:
    """A JPEG that has all but the rights in its extension."""
    names = b'<rdf:Description rdf:about="" xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{digest}"/>'
    main = xmp_packet(RIGHTS).replace(b"</rdf:RDF>", names + b"</rdf:RDF>")
    return with_extension(mug(64), main, packet.replace("© Müller".encode(), b"x" * more))


@pytest.mark.parametrize(
    "source",
    [
        by_imagemagick,
        as_gif,
        extended,
        lambda packet: with_xmp(mug(64), "WEBP", packet).replace(b"XMP ", b"XMP\0"),
        lambda packet: with_chunks(saved(mug(64), "PNG"), (b"tEXt", b"XML:com.adobe.xmp\0" + packet)),
    ],
)
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_the_mark_survives_wherever_a_program_has_put_the_packet(
    tmp_path: Path, source: Callable[[bytes], bytes], format: str
) -> None:
    made, written = finished(source(marked(GENERATED).encode()), tmp_path, format=format)
    assert said_in(written) == [SCHEME + GENERATED]
    assert "ller &amp; Sohn" in (xmp_in(written) or "")
    assert made.notes == ()


def test_an_extension_that_one_packet_of_a_jpeg_can_t_hold_is_cut_down_to_the_mark(tmp_path: Path) -> None:
    data = extended(marked(GENERATED).encode(), more=90_000)
    made, written = finished(data, tmp_path)
    assert said_in(written) == [SCHEME + GENERATED]
    assert "© Müller &amp; Sohn" in (xmp_in(written) or "")
    assert made.notes == (
        "its extended XMP is left out but for the AI mark: both are more than one packet of a JPEG holds",
    )
    assert finished(data, tmp_path, format="png")[0].notes == ()


def test_an_extension_that_can_t_be_read_costs_itself_alone(tmp_path: Path) -> None:
    made, written = finished(extended(b"<no xml"), tmp_path)
    assert "© Müller &amp; Sohn" in (xmp_in(written) or "")
    assert made.notes == ("its extended XMP can't be read and is left out: no well-formed XML",)


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(
    ("provenance", "had", "has"),
    [
        ("keep", None, []),
        ("keep", GENERATED, [GENERATED]),
        ("composite", None, [COMPOSITE]),
        ("composite", GENERATED, [COMPOSITE]),
        ("generated", None, [GENERATED]),
        ("generated", COMPOSITE, [GENERATED]),
        ("none", None, []),
        ("none", GENERATED, []),
    ],
)
def test_the_rule_sets_keeps_or_strips_the_mark(
    tmp_path: Path, format: str, provenance: str, had: str | None, has: list[str]
) -> None:
    data = with_xmp(mug(64), "PNG", marked(had).encode()) if had else saved(mug(64), "PNG")
    made, written = finished(data, tmp_path, format=format, provenance=provenance)
    assert said_in(written) == [SCHEME + mark for mark in has]
    assert [check.rule for check in made.checks if check.rule == "provenance"] == (
        ["provenance"] if provenance in ("composite", "generated") else []
    )
    assert failed(made) == {}
    if provenance == "none":
        assert xmp_in(written) is None


@pytest.mark.parametrize(
    "inner",
    [
        element(GENERATED),
        f"<Iptc4xmpExt:DigitalSourceType rdf:resource='{SCHEME}{GENERATED}'/>",
        element(GENERATED) + element(GENERATED),
    ],
)
def test_however_a_mark_is_written_another_one_replaces_it(tmp_path: Path, inner: str) -> None:
    data = with_xmp(mug(64), "PNG", xmp_packet(inner))
    assert said_in(finished(data, tmp_path, provenance="composite")[1]) == [SCHEME + COMPOSITE]
    own = finished(data, tmp_path, preset="google")[0]
    assert "provenance" not in failed(own)


def test_a_mark_that_is_an_attribute_is_read_and_replaced(tmp_path: Path) -> None:
    packet = xmp_packet("").replace(
        b'rdf:about=""', f'rdf:about="" Iptc4xmpExt:DigitalSourceType="{SCHEME}{GENERATED}"'.encode()
    )
    data = with_xmp(mug(64), "PNG", packet)
    made, kept = finished(data, tmp_path, preset="google")
    assert "provenance" not in failed(made)
    assert SCHEME + GENERATED in (xmp_in(kept) or "")
    _, written = finished(data, tmp_path, provenance="composite")
    assert said_in(written) == [SCHEME + COMPOSITE]
    assert GENERATED + '"' not in (xmp_in(written) or "")


def test_what_no_longer_holds_is_left_out_of_the_rest(tmp_path: Path) -> None:
    inner = "<tiff:Orientation>6</tiff:Orientation><exif:GPSLatitude>48,8N</exif:GPSLatitude>" + RIGHTS
    made, written = finished(with_xmp(mug(64), "JPEG", xmp_packet(inner)), tmp_path)
    packet = xmp_in(written) or ""
    assert "Müller" in packet
    assert "Orientation" not in packet
    assert "GPSLatitude" not in packet
    assert made.notes == ()


def test_a_packet_of_which_nothing_is_left_is_none(tmp_path: Path) -> None:
    data = with_xmp(mug(64), "JPEG", xmp_packet("<tiff:Orientation>1</tiff:Orientation>"))
    assert xmp_in(finished(data, tmp_path)[1]) is None


@pytest.mark.parametrize("source", [*FORMATS, "GIF"])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(
    ("named", "provenance", "has", "said"),
    [
        ([], "keep", [], []),
        ([GENERATED], "keep", [GENERATED], [f"what the manifest said of AI is kept as XMP: {GENERATED}"]),
        (
            ["digitalCapture", COMPOSITE],
            "keep",
            [COMPOSITE],
            [f"what the manifest said of AI is kept as XMP: {COMPOSITE}"],
        ),
        (
            [GENERATED, COMPOSITE],
            "keep",
            [],
            [f"the manifest named {COMPOSITE} and {GENERATED}: neither is kept; set provenance to one of them"],
        ),
        ([GENERATED], "composite", [COMPOSITE], []),
        ([GENERATED], "none", [], []),
    ],
)
def test_a_lost_manifest_is_said(
    tmp_path: Path, source: str, format: str, named: list[str], provenance: str, has: list[str], said: list[str]
) -> None:
    data = with_manifest(saved(mug(64), source), *named)
    made, written = finished(data, tmp_path, format=format, provenance=provenance)
    lost = "its C2PA manifest is lost: it is signed for the file that came"
    assert sorted(made.notes) == sorted([lost, *said])
    assert said_in(written) == [SCHEME + mark for mark in has]
    assert b"c2pa" not in written


def test_a_manifest_behind_bytes_that_fill_up_is_seen(tmp_path: Path) -> None:
    data = with_manifest(saved(mug(64), "JPEG"), GENERATED)
    made, written = finished(data[:2] + b"\xff\xff" + data[2:], tmp_path)
    assert "its C2PA manifest is lost: it is signed for the file that came" in made.notes
    assert said_in(written) == [SCHEME + GENERATED]


@pytest.mark.parametrize("provenance", ["keep", "none"])
def test_a_manifest_that_lies_elsewhere_is_lost_as_well(tmp_path: Path, provenance: str) -> None:
    packet = xmp_packet(RIGHTS).replace(
        b'rdf:about=""', b'rdf:about="" xmlns:t="http://purl.org/dc/terms/" t:provenance="https://example.com/a.c2pa"'
    )
    made, written = finished(with_xmp(mug(64), "JPEG", packet), tmp_path, provenance=provenance)
    assert made.notes == ("its link to a C2PA manifest is left out: that is signed for the file that came",)
    assert b"a.c2pa" not in written


def test_a_mark_in_xmp_counts_for_more_than_a_lost_manifest(tmp_path: Path) -> None:
    data = with_manifest(with_xmp(mug(64), "PNG", marked(COMPOSITE).encode()), GENERATED)
    made, written = finished(data, tmp_path, format="jpeg")
    assert said_in(written) == [SCHEME + COMPOSITE]
    assert made.notes == ("its C2PA manifest is lost: it is signed for the file that came",)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"no xml", "no well-formed XML"),
        (b"<a><b></a>", "no well-formed XML"),
        (BOMB, "larger than 1 MiB, or no plain XML in UTF-8"),
        (BOMB.decode().encode("utf-16"), "larger than 1 MiB, or no plain XML in UTF-8"),
        (b"<a>" * 70 + b"</a>" * 70, "nested deeper than 64"),
    ],
)
def test_xmp_that_can_t_be_read_costs_itself_alone(tmp_path: Path, packet: bytes, why: str) -> None:
    data = with_xmp(mug(64), "WEBP", packet)
    made, written = finished(data, tmp_path, format="jpeg", provenance="generated")
    assert made.notes == (f"its XMP can't be read and is left out: {why}",)
    assert said_in(written) == [SCHEME + GENERATED]


@pytest.mark.parametrize(("mark", "has"), [(GENERATED, [GENERATED]), ("digitalCapture", [])])
def test_xmp_that_a_jpeg_can_t_hold_is_cut_down_to_the_mark(tmp_path: Path, mark: str, has: list[str]) -> None:
    inner = element(mark) + f"<dc:description>{'long ' * 14_000}</dc:description>"
    made, written = finished(with_xmp(mug(64), "PNG", xmp_packet(inner)), tmp_path, format="jpeg")
    assert said_in(written) == [SCHEME + each for each in has]
    (note,) = made.notes
    assert note.startswith("its XMP is left out but for the AI mark: 7")
    assert note.endswith(" bytes are more than a JPEG holds")
    whole, png = finished(with_xmp(mug(64), "PNG", xmp_packet(inner)), tmp_path, format="png")
    assert said_in(png) == [SCHEME + mark]
    assert whole.notes == ()


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_the_mark_counts_in_the_file_s_size(tmp_path: Path, format: str) -> None:
    rules: dict[str, Any] = {"format": format, "provenance": "generated"}
    plain, _ = finished(saved(mug(300), "PNG"), tmp_path, format=format)
    made, data = finished(saved(mug(300), "PNG"), tmp_path, max_bytes=plain.bytes, **rules)
    assert len(data) <= plain.bytes
    assert said_in(data) == [SCHEME + GENERATED]
    assert any("lowered" in note for note in made.notes)
