"""The finished file against its rules: everything is measured on the file as it lies on disk."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from batch_editor.finishing.colours import colours_of
from batch_editor.finishing.compose import Placing
from batch_editor.finishing.finished_file import CannotFinish, Check
from batch_editor.finishing.marks import SET_MARKS
from batch_editor.finishing.measure import product_share, ring_not_white
from batch_editor.finishing.rules import Checks, FinishRules
from batch_editor.finishing.xmp import BadXmp, mark_of
from batch_editor.images.pixels import PILLOW_ERRORS


@dataclass(frozen=True, slots=True)
class Found:
    """A finished file, read again: its format in lower case, its pixels, its bytes, its AI mark, its colours."""

    format: str
    pixels: Image.Image
    bytes: int
    mark: str | None
    colours: str


def read_again(data: bytes, rules: FinishRules) -> Found:
    """What a finished file holds. Pixels are decoded where a rule looks at them; elsewhere the header says enough.

    Raises:
        CannotFinish: it can't be read, which is a fault of what wrote it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            if rules.checks.white_border or rules.checks.product_at_least or rules.checks.product_at_most:
                image.load()
            xmp = image.info.get("xmp", b"")
            mark = mark_of(xmp.encode() if isinstance(xmp, str) else xmp)
            return Found((image.format or "").lower(), image, len(data), mark, _colours(image))
    except (BadXmp, *PILLOW_ERRORS) as error:
        raise CannotFinish(f"the finished file can't be read: {error}") from error


def _colours(image: Image.Image) -> str:
    if image.mode not in ("RGB", "RGBA"):
        return image.mode
    icc = image.info.get("icc_profile")
    return colours_of(icc) if icc else "sRGB"


def checks_of(found: Found, rules: FinishRules, placing: Placing, *, name: str) -> tuple[Check, ...]:
    """Every rule, in the order in which they are written; `name` is the file's."""
    return (*_made(found, rules, placing), *_sides(found, rules), *_seen(found, rules, placing, name))


def _made(found: Found, rules: FinishRules, placing: Placing) -> Iterator[Check]:
    width, height = found.pixels.size
    if rules.size:
        yield _size(rules, width, height)
        if rules.enlarge:
            got = f"{placing.enlarged:.2f} times" if placing.enlarged > 1 else "not enlarged"
            yield Check("enlarged", placing.enlarged <= 1, got, "not enlarged")
    if rules.format:
        yield Check("format", found.format == rules.format, found.format, rules.format)
    if rules.max_bytes:
        yield _at_most("max_bytes", found.bytes, rules.max_bytes, "bytes")
    mark = SET_MARKS.get(rules.provenance)
    if mark and not rules.checks.provenance:
        yield Check("provenance", found.mark == mark, found.mark or "no AI mark", mark)


def _size(rules: FinishRules, width: int, height: int) -> Check:
    """Exactly the size where the picture fills it or is padded to it; else within it, along one side."""
    assert rules.size is not None, "asked for by the caller"
    wide, high = rules.size
    wanted, got = f"{wide}x{high}", f"{width}x{height}"
    if rules.fit == "contain" and rules.pad is None:
        ok = width <= wide and height <= high and (not rules.enlarge or width == wide or height == high)
        return Check("size", ok, got, f"within {wanted}")
    if rules.enlarge:
        return Check("size", (width, height) == (wide, high), got, wanted)
    # Of the same shape, as near as whole pixels come to it.
    shape = abs(width * high - height * wide) <= max(wide, high)
    return Check("size", shape and width <= wide and height <= high, got, f"at most {wanted}, in that shape")


def _sides(found: Found, rules: FinishRules) -> Iterator[Check]:
    checks = rules.checks
    width, height = found.pixels.size
    longest, shortest = max(width, height), min(width, height)
    if checks.formats:
        yield Check("formats", found.format in checks.formats, found.format, " or ".join(checks.formats))
    if checks.longest_side_at_least:
        yield _at_least("longest_side_at_least", longest, checks.longest_side_at_least)
    if checks.longest_side_at_most:
        yield _at_most("longest_side_at_most", longest, checks.longest_side_at_most, "pixels")
    if checks.shortest_side_at_least:
        yield _at_least("shortest_side_at_least", shortest, checks.shortest_side_at_least)
    if checks.pixels_at_most:
        yield _at_most("pixels_at_most", width * height, checks.pixels_at_most, "pixels")
    if checks.bytes_at_most:
        yield _at_most("bytes_at_most", found.bytes, checks.bytes_at_most, "bytes")
    if checks.square is not None:
        wanted = "equal sides" if checks.square else "sides that differ"
        yield Check("square", (width == height) == checks.square, f"{width}x{height}", wanted)


def _at_least(rule: str, got: int, wanted: int) -> Check:
    return Check(rule, got >= wanted, f"{got:,} pixels", f"at least {wanted:,} pixels")


def _at_most(rule: str, got: int, wanted: int, unit: str) -> Check:
    return Check(rule, got <= wanted, f"{got:,} {unit}", f"at most {wanted:,} {unit}")


def _seen(found: Found, rules: FinishRules, placing: Placing, name: str) -> Iterator[Check]:
    checks = rules.checks
    if checks.white_border:
        yield _border(found.pixels, placing)
    if checks.product_at_least or checks.product_at_most:
        yield from _product(found.pixels, checks)
    if checks.srgb:
        yield Check("srgb", found.colours == "sRGB", found.colours, "sRGB")
    if checks.name:
        yield Check("name", re.fullmatch(checks.name, name) is not None, name, f"a name like {checks.name}")
    if checks.provenance:
        got = found.mark or "no AI mark"
        yield Check("provenance", found.mark in checks.provenance, got, " or ".join(checks.provenance))


def _border(pixels: Image.Image, placing: Placing) -> Check:
    """The file's edge; and the picture's own within the padding, for a white frame isn't a white background."""
    wanted = "every pixel exactly #ffffff"
    wrong, total, example = ring_not_white(pixels, (0, 0, *pixels.size))
    where = "at the edge"
    if not wrong and placing.box != (0, 0, *pixels.size):
        wrong, total, example = ring_not_white(pixels, placing.box)
        where = "at the picture's edge within the padding"
    if wrong:
        return Check(
            "white_border", ok=False, got=f"{wrong:,} of {total:,} {where} aren't, such as {example}", wanted=wanted
        )
    return Check("white_border", ok=True, got=wanted, wanted=wanted)


def _product(pixels: Image.Image, checks: Checks) -> Iterator[Check]:
    share = product_share(pixels)
    for rule, wanted in (("product_at_least", checks.product_at_least), ("product_at_most", checks.product_at_most)):
        if not wanted:
            continue
        at_least = rule == "product_at_least"
        got = "not known, for the background isn't white"
        if share is not None:  # never rounded to what is wanted: 84.96 % are 84.9 %
            thousandths = (math.floor if at_least else math.ceil)(round(share * 1000, 6))
            got = f"{thousandths / 10:.1f}% of the longer side"
        ok = share is not None and (share >= wanted if at_least else share <= wanted)
        yield Check(rule, ok, got, f"at {'least' if at_least else 'most'} {wanted:.0%}")
