"""Finished files judged by other programs: their pixels by ImageMagick and libvips, their metadata by ExifTool.

Debian's packages imagemagick, libvips-tools and libimage-exiftool-perl. Not in `make test`: see the Makefile.
"""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from batch_editor.finishing import FinishedFile, finish_picture
from tests.support.finishing import COMPOSITE, GENERATED, PHOTOS, SCHEME, cut_out, failed, mug, rules_of

COFFEE, CAT = PHOTOS / "coffee.jpg", PHOTOS / "chelsea.jpg"


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def finished(source: Path, target: Path, **given: Any) -> FinishedFile:
    return finish_picture(source, target, rules_of(**given), stem="B000123456.MAIN")


def tags(path: Path) -> dict[str, Any]:
    """Every tag that ExifTool finds, as `Group:Name`, unworded."""
    found: dict[str, Any] = json.loads(run("exiftool", "-j", "-n", "-G1", path))[0]
    return found


def likeness_db(one: Path, other: Path) -> float:
    """How near two pictures are, by ImageMagick: 40 is nearly the same, infinity is the same."""
    # It ends with 1 where they differ.
    done = subprocess.run(
        ["compare", "-metric", "PSNR", str(one), str(other), "null:"], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    said = done.stderr.split()[0]
    return math.inf if said in ("inf", "0") else float(said)


def darkest_at_the_edge(path: Path) -> list[float]:
    """The lowest channel along each side, from 0 to 1, by ImageMagick."""
    width, height = map(int, run("identify", "-format", "%w %h", path).split())
    sides = [f"{width}x1+0+0", f"{width}x1+0+{height - 1}", f"1x{height}+0+0", f"1x{height}+{width - 1}+0"]
    return [float(run("convert", path, "-crop", side, "-format", "%[fx:minima]", "info:")) for side in sides]


@pytest.mark.parametrize(("format", "named"), [("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_size_format_and_colours_are_as_asked(tmp_path: Path, format: str, named: str) -> None:
    target = tmp_path / f"x.{format}"
    finished(
        COFFEE, target, size="500x700", pad="#204060", format=format, **({} if format == "png" else {"quality": 80})
    )
    said = run("identify", "-format", "%m %w %h %[colorspace] %z", target).split()
    assert said == [named, "500", "700", "sRGB", "8"]
    assert run("convert", target, "-format", "%[pixel:p{3,3}]", "info:").startswith(
        "srgb(32,64,96)" if format == "png" else "srgb("
    )
    if format == "jpeg":
        assert run("identify", "-format", "%[interlace] %Q", target) == "JPEG 80"


def test_a_png_that_nothing_is_asked_of_has_the_same_pixels(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    run("convert", COFFEE, source)
    finished(source, tmp_path / "x.png", background="keep")
    assert likeness_db(source, tmp_path / "x.png") == math.inf


def test_smaller_pixels_are_those_of_libvips(tmp_path: Path) -> None:
    made = finished(COFFEE, tmp_path / "x.png", size="300", format="png")
    force = ["--height", str(made.height), "--size", "force"]
    run("vips", "thumbnail", COFFEE, tmp_path / "vips.png", str(made.width), *force)
    assert likeness_db(tmp_path / "x.png", tmp_path / "vips.png") > 36


@pytest.mark.parametrize("size", [200, 450, 900])
def test_pixels_of_another_size_are_those_of_imagemagick(tmp_path: Path, size: int) -> None:
    made = finished(COFFEE, tmp_path / "x.png", size=str(size), format="png")
    run("convert", COFFEE, "-filter", "Lanczos", "-resize", f"{made.width}x{made.height}!", tmp_path / "theirs.png")
    assert likeness_db(tmp_path / "x.png", tmp_path / "theirs.png") > 36


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_imagemagick_does(tmp_path: Path, orientation: int) -> None:
    lying = tmp_path / "lying.jpg"
    run("convert", CAT, "-quality", "95", lying)
    run("exiftool", "-q", "-n", "-overwrite_original", f"-Orientation={orientation}", "-GPSLatitude=48", lying)
    run("convert", lying, "-auto-orient", tmp_path / "upright.png")
    finished(lying, tmp_path / "x.png", format="png")
    assert likeness_db(tmp_path / "x.png", tmp_path / "upright.png") > 45
    assert [name for name in tags(tmp_path / "x.png") if "GPS" in name or "Orientation" in name] == []


ALIKE = ["--intent", "relative", "--black-point-compensation"]


@pytest.mark.parametrize("space", ["cmyk", "p3"])
def test_colours_are_converted_as_libvips_does(tmp_path: Path, space: str) -> None:
    other, ours, theirs = tmp_path / "other.jpg", tmp_path / "ours.png", tmp_path / "theirs.png"
    exported = f"{other}[Q=98,subsample-mode=off]"
    run("vips", "icc_export", COFFEE, exported, "--output-profile", space, *ALIKE)
    made = finished(other, ours, format="png")
    run("vips", "icc_transform", other, f"{theirs}[strip]", "srgb", "--embedded", *ALIKE)
    assert likeness_db(ours, theirs) > 32
    assert likeness_db(ours, COFFEE) > 25
    assert any(note.startswith("colours converted from ") for note in made.notes)
    assert [name for name in tags(ours) if name.startswith("ICC")] == []


@pytest.mark.parametrize(
    "kind", ["-depth 16", "-colorspace Gray", "-colorspace Gray -depth 16", "-type Bilevel", "-colors 7"]
)
def test_whatever_imagemagick_writes_looks_the_same(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source.png"
    run("convert", COFFEE, *kind.split(), source)
    finished(source, tmp_path / "x.png", format="png")
    assert likeness_db(source, tmp_path / "x.png") > 45


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_what_was_transparent_is_white_to_another_program(tmp_path: Path, format: str) -> None:
    source, target = tmp_path / "source.png", tmp_path / f"x.{format}"
    cut_out(600).save(source)
    finished(source, target, background="white", format=format)
    assert darkest_at_the_edge(target) == [1, 1, 1, 1]
    run("convert", source, "-background", "white", "-flatten", tmp_path / "theirs.png")
    assert likeness_db(target, tmp_path / "theirs.png") > 35


@pytest.mark.parametrize(
    ("background", "share", "white"), [("white", 0.9, True), ("white", 0.97, True), ("#fefefe", 0.9, False)]
)
def test_the_border_is_white_where_it_is_said_to_be(tmp_path: Path, background: str, share: float, white: bool) -> None:
    source, target = tmp_path / "source.png", tmp_path / "B000123456.MAIN.jpg"
    mug(1200, share=share, background=background).save(source)
    made = finished(source, target, preset="amazon-main")
    assert (darkest_at_the_edge(target) == [1, 1, 1, 1]) == white
    assert failed(made).keys() == (set() if white else {"white_border"})


def test_the_product_s_share_is_that_of_imagemagick_s_trim(tmp_path: Path) -> None:
    source, target = tmp_path / "source.png", tmp_path / "x.jpg"
    mug(1000, share=0.7).save(source)
    made = finished(source, target, preset="amazon-main")
    trimmed = int(run("convert", target, "-fuzz", "6%", "-trim", "-format", "%w", "info:"))
    assert abs(float(failed(made)["product_at_least"].partition("%")[0]) - trimmed / 10) <= 0.6


NAME = "XMP-iptcExt:DigitalSourceType"


@pytest.mark.parametrize("source", ["jpg", "png", "webp"])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_a_mark_that_exiftool_wrote_is_read_by_it_again(tmp_path: Path, source: str, format: str) -> None:
    picture, target = tmp_path / f"source.{source}", tmp_path / f"x.{format}"
    run("convert", COFFEE, picture)
    written = [
        f"-{NAME}={SCHEME}{GENERATED}",
        "-XMP-dc:Rights=© Müller & Sohn",
        "-XMP-dc:Creator=Ada",
        "-EXIF:Make=Camera",
    ]
    run("exiftool", "-q", "-overwrite_original", *written, picture)
    finished(picture, target, format=format, size="300")
    found = tags(target)
    assert (found[NAME], found["XMP-dc:Rights"], found["XMP-dc:Creator"]) == (
        SCHEME + GENERATED,
        "© Müller & Sohn",
        "Ada",
    )
    assert "IFD0:Make" not in found
    assert "ExifTool:Warning" not in found


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(("provenance", "mark"), [("composite", COMPOSITE), ("generated", GENERATED), ("none", None)])
def test_a_mark_that_the_rules_set_is_read_by_exiftool(
    tmp_path: Path, format: str, provenance: str, mark: str | None
) -> None:
    target = tmp_path / f"x.{format}"
    finished(COFFEE, target, format=format, provenance=provenance)
    found = tags(target)
    assert found.get(NAME) == (mark and SCHEME + mark)
    assert "ExifTool:Warning" not in found
