"""What becomes of the pixels: their place, size, colours and transparency, whatever picture comes."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms

from batch_editor.finishing import finish_picture
from batch_editor.images.pixels import fault_of
from tests.support.finishing import (
    chunk,
    cut_out,
    failed,
    finished,
    mug,
    parts,
    photograph,
    rules_of,
    saved,
    seen,
    segment,
    wide_profile,
    with_chunks,
    xmp_packet,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# As a PNG gives that of sRGB.
CHROMATICITY = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
NEAR = 6  # what JPEG of quality 90 and Lanczos may change in a plain colour


def near(colour: Any, wanted: tuple[int, ...], most: int = NEAR) -> bool:
    return len(colour) == len(wanted) and all(abs(a - b) <= most for a, b in zip(colour, wanted, strict=True))


def furthest(one: Image.Image, other: Image.Image) -> int:
    """By how much a channel of a pixel differs at most."""
    extrema: Any = ImageChops.difference(one, other).getextrema()
    return max(int(high) for _, high in (extrema if isinstance(extrema[0], tuple) else [extrema]))


@pytest.mark.parametrize(
    ("source", "rules", "expected"),
    [
        ((1000, 500), {"size": "400x400"}, (400, 200)),
        ((500, 1000), {"size": "400x400"}, (200, 400)),
        ((1000, 500), {"size": "400x400", "pad": "white"}, (400, 400)),
        ((1000, 500), {"size": "400x400", "fit": "cover"}, (400, 400)),
        ((100, 50), {"size": "400x400"}, (400, 200)),
        ((100, 50), {"size": "400x400", "enlarge": False}, (100, 50)),
        ((100, 50), {"size": "400x400", "enlarge": False, "pad": "white"}, (100, 100)),
        ((100, 50), {"size": "400x400", "enlarge": False, "fit": "cover"}, (50, 50)),
        ((100, 50), {"size": "400x300", "enlarge": False, "pad": "white"}, (100, 75)),
        ((1000, 3), {"size": "100x100"}, (100, 1)),
        ((1, 1), {"size": "50x20", "pad": "white"}, (50, 20)),
        ((1, 1), {"size": "50x20"}, (20, 20)),
        ((1, 1), {}, (1, 1)),
        ((333, 77), {}, (333, 77)),
    ],
)
def test_the_size_is_what_the_rules_ask(
    tmp_path: Path, source: tuple[int, int], rules: dict[str, Any], expected: tuple[int, int]
) -> None:
    made, data = finished(saved(photograph(source), "PNG"), tmp_path, format="jpeg", **rules)
    assert (made.width, made.height) == seen(data).size == expected
    assert [rule for rule in failed(made) if rule != "enlarged"] == []


@pytest.mark.parametrize("fit", ["contain", "cover"])
def test_a_picture_is_never_enlarged_unsaid(tmp_path: Path, fit: str) -> None:
    made, _ = finished(saved(photograph((100, 80)), "PNG"), tmp_path, size="200x200", fit=fit)
    times = "2.00" if fit == "contain" else "2.50"
    assert f"enlarged {times} times, from 100x80" in made.notes
    assert failed(made) == {"enlarged": f"{times} times"}
    kept, _ = finished(saved(photograph((400, 400)), "PNG"), tmp_path, size="200x200", fit=fit)
    assert (kept.notes, failed(kept)) == ((), {})


def test_what_is_cut_off_is_said_and_is_the_same_on_both_sides(tmp_path: Path) -> None:
    picture = Image.new("RGB", (600, 200), "blue")
    picture.paste("red", (200, 0, 400, 200))
    made, data = finished(saved(picture, "PNG"), tmp_path, size="100x100", fit="cover")
    assert made.notes == ("cut: 67% of the width",)
    file = seen(data)
    assert file.crop((3, 0, 97, 100)).getcolors() == [(94 * 100, (255, 0, 0))]
    assert furthest(file, file.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) <= 1


@pytest.mark.parametrize(("size", "box"), [((100, 50), (0, 50, 200, 150)), ((50, 100), (50, 0, 150, 200))])
def test_a_picture_lies_in_the_middle_of_its_padding(
    tmp_path: Path, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    _, data = finished(saved(Image.new("RGB", size, "red"), "PNG"), tmp_path, size="200x200", pad="#102030")
    file = seen(data)
    assert sorted(file.getcolors() or []) == [(200 * 100, (16, 32, 48)), (200 * 100, (255, 0, 0))]
    assert ImageChops.difference(file, Image.new("RGB", file.size, "#102030")).getbbox() == box


TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_is_turned_upright_and_says_no_more_of_it(tmp_path: Path, orientation: int, format: str) -> None:
    """Red on the left and green above, once it is turned as the camera says."""
    upright = Image.new("RGB", (120, 60), "blue")
    upright.paste("red", (0, 0, 60, 60))
    upright.paste("lime", (0, 0, 120, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = TURNS[orientation]
    lying = upright if turn is None else upright.transpose(turn)
    made, data = finished(saved(lying, format, exif=exif, quality=95), tmp_path)
    file = seen(data)
    assert (made.width, made.height) == file.size == (120, 60)
    assert near(file.convert("RGB").getpixel((60, 5)), (0, 255, 0), 30)
    assert near(file.convert("RGB").getpixel((20, 45)), (255, 0, 0), 30)
    assert not file.getexif()


def test_xmp_alone_turns_no_picture(tmp_path: Path) -> None:
    """Nobody shows it so: what was turned already, by a program that left the camera's XMP, would lie again."""
    says_6 = xmp_packet('<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>')
    made, _ = finished(saved(photograph((120, 60)), "JPEG", xmp=says_6), tmp_path)
    assert (made.width, made.height) == (120, 60)


KINDS = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]


@pytest.mark.parametrize("mode", KINDS)
@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP", "GIF", "MPO"])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_every_kind_of_picture_becomes_srgb_that_looks_the_same(
    tmp_path: Path, mode: str, source: str, format: str
) -> None:
    grey = Image.linear_gradient("L").resize((96, 96))
    if mode == "I;16":
        picture = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    else:
        picture = grey.convert("RGB").convert(mode)
    try:
        data = saved(picture, source)
    except (OSError, ValueError):  # such pictures there are none
        return
    if mode == "I;16" and source != "PNG":  # Pillow writes them cut off
        return
    made, written = finished(data, tmp_path, format=format)
    assert (made.format, made.width, made.height) == (format, 96, 96)
    file = seen(written)
    assert file.mode == "RGB"
    assert "icc_profile" not in file.info
    shown = file.convert("L").resize((4, 4), Image.Resampling.BOX)
    wanted = grey.resize((4, 4), Image.Resampling.BOX)
    assert furthest(shown, wanted) <= (40 if mode == "1" else NEAR)


def test_a_phone_s_picture_of_several_is_finished_by_its_first(tmp_path: Path) -> None:
    data = saved(photograph((80, 60)), "MPO", save_all=True, append_images=[Image.new("RGB", (40, 30))])
    made, _ = finished(data, tmp_path)
    assert (made.format, made.width, made.height) == ("jpeg", 80, 60)
    assert made.notes == ("further pictures behind the first, as phones write them, are left out",)


def by_formula(*colour: int) -> tuple[int, ...]:
    """What a colour of that profile is in sRGB: by its curve to linear light, to XYZ, to sRGB's light and curve."""
    light = [(value / 255) ** (563 / 256) for value in colour]
    to_xyz = ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457))
    to_srgb = ((3.13386, -1.61687, -0.49061), (-0.97877, 1.91614, 0.03345), (0.07195, -0.22899, 1.40524))
    for matrix in (to_xyz, to_srgb):
        light = [sum(a * b for a, b in zip(row, light, strict=True)) for row in matrix]
    light = [min(1.0, max(0.0, each)) for each in light]
    return tuple(round(255 * (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055)) for v in light)


@pytest.mark.parametrize("colour", [(180, 120, 90), (90, 180, 120), (60, 70, 200), (250, 250, 250), (10, 200, 30)])
def test_colours_of_a_wide_profile_become_those_of_srgb(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    picture = Image.new("RGB", (64, 64), colour)
    made, data = finished(saved(picture, "PNG", icc_profile=wide_profile()), tmp_path)
    assert made.notes == ("colours converted from Wide RGB to sRGB",)
    assert near(seen(data).getpixel((9, 9)), by_formula(*colour), 2)
    assert "iCCP" not in dict(parts(data))


def test_a_profile_of_three_megabytes_costs_no_picture(tmp_path: Path) -> None:
    data = saved(photograph((90, 70)), "PNG", icc_profile=wide_profile() + os.urandom(3_000_000))
    made, _ = finished(data, tmp_path)
    assert made.notes == ("colours converted from Wide RGB to sRGB",)
    (tmp_path / "answer.png").write_bytes(data)
    assert fault_of(tmp_path / "answer.png", format="png", transparent=False, inputs=[]) is None


def test_white_stays_exactly_white_through_a_profile(tmp_path: Path) -> None:
    _, data = finished(saved(Image.new("RGB", (64, 64), "white"), "PNG", icc_profile=wide_profile()), tmp_path)
    assert seen(data).getcolors() == [(64 * 64, (255, 255, 255))]


def test_alpha_outlives_a_profile(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (64, 64), (180, 120, 90, 77))
    _, data = finished(saved(picture, "PNG", icc_profile=wide_profile()), tmp_path)
    assert near(seen(data).getpixel((9, 9)), (*by_formula(180, 120, 90), 77), 1)


def test_an_srgb_profile_changes_no_pixel(tmp_path: Path) -> None:
    picture = photograph((90, 70))
    made, data = finished(saved(picture, "PNG", icc_profile=SRGB), tmp_path)
    assert made.notes == ()
    assert seen(data).tobytes() == picture.tobytes()


@pytest.mark.parametrize(
    ("profile", "notes"),
    [
        (wide_profile("sRGB exchanged"), ("colours converted from sRGB exchanged to sRGB",)),
        (SRGB.replace("sRGB".encode("utf-16-be"), "tiny".encode("utf-16-be")), ()),
    ],
    ids=["sRGB by name", "sRGB by colours"],  # profiles hold the second in which they were made
)
def test_a_profile_is_known_by_its_colours_and_not_by_its_name(
    tmp_path: Path, profile: bytes, notes: tuple[str, ...]
) -> None:
    picture = Image.new("RGB", (64, 64), (90, 180, 120))
    made, data = finished(saved(picture, "PNG", icc_profile=profile), tmp_path)
    assert made.notes == notes
    assert near(seen(data).getpixel((9, 9)), by_formula(90, 180, 120) if notes else (90, 180, 120), 2)


UNREADABLE = "a colour profile that can't be read: the colours are taken for sRGB"
BY = "colours that the PNG gives by {} alone: they are taken for sRGB"


@pytest.mark.parametrize(
    ("chunks", "note"),
    [
        ([(b"iCCP", b"broken\0\0no stream of zlib")], UNREADABLE),
        ([(b"cICP", bytes([12, 13, 0, 1]))], BY.format("cICP")),
        ([(b"cICP", bytes([1, 13, 0, 1]))], None),
        ([(b"gAMA", struct.pack(">I", 100_000))], BY.format("gAMA")),
        ([(b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", struct.pack(">8I", *CHROMATICITY))], None),
        ([(b"cHRM", struct.pack(">8I", *CHROMATICITY[:2], 68_000, *CHROMATICITY[3:]))], BY.format("cHRM")),
        ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))], None),
    ],
)
def test_colours_of_a_png_that_are_not_looked_at_are_said(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], note: str | None
) -> None:
    made, _ = finished(with_chunks(saved(photograph((20, 20)), "PNG"), *chunks), tmp_path)
    assert made.notes == ((note,) if note else ())


def test_a_profile_of_which_a_part_is_missing_is_said(tmp_path: Path) -> None:
    plain = saved(photograph((20, 20)), "JPEG")
    first_of_two = segment(0xE2, b"ICC_PROFILE\0\1\2" + wide_profile()[:100])
    assert finished(plain[:2] + first_of_two + plain[2:], tmp_path)[0].notes == (UNREADABLE,)


@pytest.mark.parametrize(
    ("mode", "profile", "note"),
    [
        ("RGB", b"no profile", "a colour profile that can't be read: the colours are taken for sRGB"),
        ("CMYK", b"", "CMYK without a colour profile: converted to sRGB by a plain formula"),
        ("CMYK", wide_profile(), "a colour profile for RGB in a picture of CMYK: it is left out"),
        ("RGB", LAB, "a colour profile for Lab in a picture of RGB: it is left out"),
    ],
    ids=["no profile", "none", "of another space", "of a space that no file has"],
)
def test_colours_that_nothing_is_known_of_are_said(tmp_path: Path, mode: str, profile: bytes, note: str) -> None:
    data = saved(Image.new(mode, (20, 20), 0), "JPEG", icc_profile=profile)
    assert finished(data, tmp_path)[0].notes == (note,)


def test_16_bits_are_scaled_and_said(tmp_path: Path) -> None:
    picture = Image.new("I;16", (20, 20), 32_896)
    made, data = finished(saved(picture, "PNG"), tmp_path)
    assert made.notes == ("16 bits a channel became 8",)
    assert seen(data).getpixel((3, 3)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("kind", "depth", "clear", "other"),
    [
        (0, 1, [0], [1]),
        (0, 1, [1], [0]),
        (0, 2, [1], [2]),
        (0, 2, [3], [1]),
        (0, 4, [5], [15]),
        (0, 4, [15], [5]),
        (0, 8, [9], [200]),
        (0, 16, [4_660], [4_661]),
        (0, 16, [0], [65_535]),
        (2, 8, [9, 8, 7], [9, 8, 70]),
        (2, 16, [4_660, 300, 65_000], [4_660, 300, 9_000]),
        (2, 16, [200, 200, 200], [51_400, 51_400, 51_400]),
    ],
)
def test_the_one_colour_that_a_png_calls_transparent_is(
    tmp_path: Path, kind: int, depth: int, clear: list[int], other: list[int]
) -> None:
    """The upper half of it."""
    rows = []
    for colour in (clear, clear, other, other):
        bits = "".join(f"{value:0{depth}b}" for value in colour * 8)
        rows.append(b"\0" + int(bits, 2).to_bytes(len(bits) // 8))
    head = struct.pack(">IIBBBBB", 8, 4, depth, kind, 0, 0, 0)
    named = (b"IHDR", head), (b"tRNS", struct.pack(f">{len(clear)}H", *clear)), (b"IDAT", zlib.compress(b"".join(rows)))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in (*named, (b"IEND", b"")))
    alpha = seen(finished(png, tmp_path)[1]).getchannel("A")
    assert [alpha.getpixel((3, y)) for y in range(4)] == [0, 0, 255, 255]


@pytest.mark.parametrize("source", ["PNG", "WEBP"])
@pytest.mark.parametrize(
    ("rules", "corner", "note"),
    [
        ({"format": "jpeg"}, (255, 255, 255), "what was transparent became #ffffff, for JPEG has no transparency"),
        (
            {"format": "jpeg", "size": "300x400", "pad": "#204060"},
            (32, 64, 96),
            "what was transparent became #204060, as the padding is",
        ),
        (
            {"format": "png", "size": "400", "pad": "#204060"},
            (32, 64, 96),
            "what was transparent became #204060, as the padding is",
        ),
        ({"format": "webp", "size": "400", "pad": "#204060", "background": "white"}, (255, 255, 255), None),
        ({"format": "jpeg", "background": "white"}, (255, 255, 255), None),
        ({"format": "png", "background": "white"}, (255, 255, 255), None),
        ({"format": "png"}, (0,), None),
        ({"format": "webp"}, (0,), None),
        ({"format": "png", "size": "500x300", "pad": "transparent"}, (0,), None),
    ],
)
def test_what_is_transparent_is_kept_or_becomes_what_the_rules_say(
    tmp_path: Path, source: str, rules: dict[str, Any], corner: tuple[int, ...], note: str | None
) -> None:
    made, data = finished(saved(cut_out(), source, lossless=True), tmp_path, **rules)
    pixel: Any = seen(data).getpixel((0, 0))
    assert near(pixel if len(corner) == 3 else pixel[3:], corner, 1)
    assert [said for said in made.notes if "transparen" in said] == ([note] if note else [])


def test_the_edge_of_a_cut_out_has_no_fringe_of_its_hidden_colour(tmp_path: Path) -> None:
    """Where nothing is seen the file may say black: made smaller, it mustn't darken the edge."""
    picture = cut_out(400)
    hidden = picture.copy()
    hidden.paste((0, 0, 0, 0), mask=picture.getchannel("A").point(lambda alpha: 255 * (alpha == 0)))
    files = [
        seen(finished(saved(each, "PNG"), tmp_path, size="100", background="white")[1]) for each in (picture, hidden)
    ]
    assert furthest(*files) <= 2


def test_padding_of_a_jpeg_that_stays_one_can_t_be_transparent(tmp_path: Path) -> None:
    made, data = finished(saved(photograph((100, 50)), "JPEG"), tmp_path, size="100x100", pad="transparent")
    assert "the padding is #ffffff, for JPEG has no transparency" in made.notes
    assert seen(data).getpixel((50, 2)) == (255, 255, 255)


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    wanted=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    mode=st.sampled_from(["RGB", "RGBA", "L", "P", "LA"]),
    fit=st.sampled_from(["contain", "cover", "pad"]),
    enlarge=st.booleans(),
    format=st.sampled_from(["jpeg", "png", "webp"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_size_and_shape_hold_for_any_picture(
    tmp_path: Path,
    size: tuple[int, int],
    wanted: tuple[int, int],
    mode: str,
    fit: str,
    enlarge: bool,
    format: str,
) -> None:
    rules: dict[str, Any] = {"size": "{}x{}".format(*wanted), "enlarge": enlarge, "format": format}
    rules |= {"pad": "white"} if fit == "pad" else {"fit": fit}
    made, data = finished(saved(photograph(size).convert(mode), "PNG"), tmp_path, **rules)
    file = seen(data)
    assert (made.width, made.height) == file.size
    assert made.bytes == len(data)
    ratios = wanted[0] / size[0], wanted[1] / size[1]
    grown = (max if fit == "cover" else min)(ratios) > 1
    assert ("enlarged" in failed(made)) == (grown and enlarge)
    assert any("not enlarged" in note for note in made.notes) == (grown and not enlarge and fit != "contain")
    if fit == "contain":
        scale = min(*ratios) if enlarge else min(1.0, *ratios)
        assert all(abs(side - max(1, was * scale)) <= 0.51 for side, was in zip(file.size, size, strict=True))
    elif enlarge or not grown:
        assert file.size == wanted
    assert "size" not in failed(made)


def test_the_same_rules_make_the_same_bytes(tmp_path: Path) -> None:
    data = saved(mug(300), "PNG")
    for format in ("jpeg", "png", "webp"):
        files = [finished(data, tmp_path, format=format, size="200x240", pad="white")[1] for _ in range(2)]
        assert files[0] == files[1]


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_a_finished_file_carries_no_camera_s_data(tmp_path: Path, format: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    exif[0x8825] = {1: "N", 2: (48.0, 0.0, 0.0)}
    data = saved(photograph((60, 60)), "JPEG", exif=exif, comment=b"shot at home", dpi=(300, 300))
    _, written = finished(data, tmp_path, format=format)
    assert {"exif", "icc_profile", "comment", "xmp"}.isdisjoint(seen(written).info)
    assert {name for name, _ in parts(written)} <= {
        *("E0", "DB", "C0", "C2", "C4", "DD"),
        *("IHDR", "IDAT", "IEND"),
        *("VP8 ", "VP8X", "ALPH"),
    }


def test_jpegs_are_progressive(tmp_path: Path) -> None:
    _, data = finished(saved(photograph((60, 60)), "PNG"), tmp_path, format="jpeg")
    names = [name for name, _ in parts(data)]
    assert "C2" in names
    assert "C0" not in names


def test_a_path_or_an_open_file_is_the_same(tmp_path: Path) -> None:
    data = saved(photograph((60, 60)), "PNG")
    (tmp_path / "source.png").write_bytes(data)
    one = finish_picture(tmp_path / "source.png", tmp_path / "one", rules_of(size="30"), stem="x")
    other = finish_picture(io.BytesIO(data), tmp_path / "other", rules_of(size="30"), stem="x")
    assert one == other
    assert (tmp_path / "source.png").read_bytes() == data
