"""A preset's rules, measured on the finished file: what is met, and what is said of what isn't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from batch_editor.finishing import Check
from tests.support.finishing import COMPOSITE, GENERATED, cut_out, failed, finished, mug, photograph, saved, seen


def made_by(folder: Path, checks: str, data: bytes, *, stem: str = "mug", **given: Any) -> dict[str, Check]:
    """Every check of a preset of one's own, by rule."""
    (folder / "own.yaml").write_text(f"checks:\n  {checks}\n")
    made, _ = finished(data, folder, stem=stem, preset="own.yaml", **given)
    return {check.rule: check for check in made.checks}


@pytest.mark.parametrize(
    ("rule", "wanted", "met", "broken"),
    [
        ("formats", "[png, webp]", ("png", "png or webp"), None),
        ("formats", "[jpeg]", None, ("png", "jpeg")),
        ("longest_side_at_least", "400", ("400 pixels", "at least 400 pixels"), None),
        ("longest_side_at_least", "401", None, ("400 pixels", "at least 401 pixels")),
        ("longest_side_at_most", "400", ("400 pixels", "at most 400 pixels"), None),
        ("longest_side_at_most", "399", None, ("400 pixels", "at most 399 pixels")),
        ("shortest_side_at_least", "300", ("300 pixels", "at least 300 pixels"), None),
        ("shortest_side_at_least", "301", None, ("300 pixels", "at least 301 pixels")),
        ("pixels_at_most", "120000", ("120,000 pixels", "at most 120,000 pixels"), None),
        ("pixels_at_most", "119999", None, ("120,000 pixels", "at most 119,999 pixels")),
        ("square", "false", ("400x300", "sides that differ"), None),
        ("square", "true", None, ("400x300", "equal sides")),
        ("srgb", "true", ("sRGB", "sRGB"), None),
        ("name", r"'[a-z]+\.png'", ("mug.png", r"a name like [a-z]+\.png"), None),
        ("name", r"'[A-Z]+\.png'", None, ("mug.png", r"a name like [A-Z]+\.png")),
        ("provenance", f"[{GENERATED}]", None, ("no AI mark", GENERATED)),
        ("provenance", f"[{GENERATED}, {COMPOSITE}]", None, ("no AI mark", f"{GENERATED} or {COMPOSITE}")),
    ],
)
def test_each_rule_is_measured(
    tmp_path: Path, rule: str, wanted: str, met: tuple[str, str] | None, broken: tuple[str, str] | None
) -> None:
    check = made_by(tmp_path, f"{rule}: {wanted}", saved(photograph((400, 300)), "PNG"))[rule]
    assert (check.got, check.wanted) == (met or broken)
    assert check.ok == (met is not None)


def test_a_file_that_is_too_large_is_said(tmp_path: Path) -> None:
    check = made_by(tmp_path, "bytes_at_most: 100", saved(photograph((40, 30)), "PNG"))["bytes_at_most"]
    assert not check.ok
    assert check.got.endswith(" bytes")


def border(folder: Path, picture: Image.Image, **given: Any) -> Check:
    return made_by(folder, "white_border: true", saved(picture, "PNG"), **given)["white_border"]


@pytest.mark.parametrize(("format", "side"), [("jpeg", 200), ("png", 40), ("webp", 600)])
def test_a_white_border_stays_white_to_the_last_pixel(tmp_path: Path, format: str, side: int) -> None:
    """Of a JPEG also where the product is 10 pixels away."""
    assert border(tmp_path, mug(side), format=format).ok


def test_a_border_that_the_format_itself_darkens_is_said(tmp_path: Path) -> None:
    assert not border(tmp_path, mug(200, share=0.99), format="jpeg").ok


@pytest.mark.parametrize(
    ("place", "colour", "said"),
    [
        ((0, 0), "#fefefe", "1 of 396 at the edge aren't, such as #fefefe"),
        ((99, 0), "#fffffe", "1 of 396 at the edge aren't, such as #fffffe"),
        ((0, 57), "#ff00ff", "1 of 396 at the edge aren't, such as #ff00ff"),
        ((99, 99), "#000000", "1 of 396 at the edge aren't, such as #000000"),
        ((1, 1), "#000000", None),
    ],
)
def test_a_single_pixel_of_the_border_is_seen(
    tmp_path: Path, place: tuple[int, int], colour: str, said: str | None
) -> None:
    picture = Image.new("RGB", (100, 100), "white")
    picture.putpixel(place, tuple(bytes.fromhex(colour[1:])))
    check = border(tmp_path, picture)
    assert check == Check("white_border", said is None, said or check.wanted, "every pixel exactly #ffffff")


def test_a_white_frame_makes_no_white_background(tmp_path: Path) -> None:
    """Padding is white, and the picture in it is grey: that is two backgrounds, and no pure white one."""
    picture = mug(200, background="#f3f3f3").resize((200, 100))
    check = border(tmp_path, picture, size="300x300", pad="white", enlarge=False)
    assert not check.ok
    assert check.got == "200 of 796 at the edge aren't, such as #f3f3f3"
    picture.paste("white", (0, 0, 1, 100))
    picture.paste("white", (199, 0, 200, 100))
    check = border(tmp_path, picture, size="300x300", pad="white", enlarge=False)
    assert check.got == "396 of 596 at the picture's edge within the padding aren't, such as #f3f3f3"
    assert border(tmp_path, mug(200).resize((200, 100)), size="300x300", pad="white", enlarge=False).ok


def test_what_is_seen_through_is_not_white(tmp_path: Path) -> None:
    assert not border(tmp_path, cut_out(100)).ok
    assert border(tmp_path, cut_out(100), background="white").ok


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (2, 9)])
def test_the_smallest_pictures_have_a_border(tmp_path: Path, size: tuple[int, int]) -> None:
    assert border(tmp_path, Image.new("RGB", size, "white")).ok
    count = min(size[0] * size[1], 2 * sum(size) - 4) if min(size) > 1 else size[0] * size[1]
    grey = border(tmp_path, Image.new("RGB", size, "#eeeeee"))
    assert grey.got == f"{count} of {count} at the edge aren't, such as #eeeeee"


def product(folder: Path, picture: Image.Image, least: float = 0.85, **given: Any) -> Check:
    return made_by(folder, f"product_at_least: {least}", saved(picture, "PNG"), **given)["product_at_least"]


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(("share", "ok"), [(0.5, False), (0.84, False), (0.86, True), (1.0, True)])
def test_the_product_s_share_is_measured(tmp_path: Path, format: str, share: float, ok: bool) -> None:
    check = product(tmp_path, mug(500, share=share), format=format)
    assert check.ok == ok
    assert abs(float(check.got.partition("%")[0]) / 100 - share) < 0.008
    assert check.wanted == "at least 85%"


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("box", [(100, 300, 520, 340), (300, 80, 330, 500), (0, 0, 420, 420), (579, 579, 999, 999)])
def test_the_longer_side_counts_wherever_the_product_stands(
    tmp_path: Path, format: str, box: tuple[int, int, int, int]
) -> None:
    picture = Image.new("RGB", (1000, 1000), "white")
    ImageDraw.Draw(picture).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill="#222222")
    check = product(tmp_path, picture, format=format)
    assert abs(float(check.got.partition("%")[0]) - 42.0) <= 0.8


def test_specks_in_the_background_are_no_product(tmp_path: Path) -> None:
    picture = mug(1000, share=0.5)
    for at in range(5, 1000, 90):
        picture.putpixel((at, at * 7 % 1000), (90, 90, 90))
    assert product(tmp_path, picture).got == "50.0% of the longer side"


def test_a_product_on_another_background_is_not_told(tmp_path: Path) -> None:
    check = product(tmp_path, photograph())
    assert check == Check(
        "product_at_least", ok=False, got="not known, for the background isn't white", wanted="at least 85%"
    )


def test_a_product_isn_t_scaled_to_look_larger(tmp_path: Path) -> None:
    made, data = finished(saved(mug(1200, share=0.5), "PNG"), tmp_path, stem="B000123456.MAIN", preset="amazon-main")
    assert failed(made) == {"product_at_least": "50.0% of the longer side"}
    assert seen(data).size == (1200, 1200)


@pytest.mark.parametrize(
    ("source", "stem", "said"),
    [
        (saved(mug(1200), "PNG"), "B000123456.MAIN", {}),
        (saved(mug(1200), "WEBP", quality=100), "B000123456.MAIN", {}),
        (saved(cut_out(1200), "PNG"), "B000123456.MAIN", {"product_at_least": "80.9% of the longer side"}),
        (saved(mug(1200), "PNG"), "mug", {"name": "mug.jpg"}),
        (saved(mug(900), "PNG"), "B000123456.MAIN", {"longest_side_at_least": "900 pixels"}),
        (
            saved(mug(1200, background="#fdfdfd"), "PNG"),
            "B000123456.MAIN",
            {"white_border": "4,796 of 4,796 at the edge aren't, such as #fdfdfd"},
        ),
        (
            saved(photograph((1200, 1200)), "PNG"),
            "B000123456.MAIN",
            {"white_border": None, "product_at_least": "not known, for the background isn't white"},
        ),
    ],
)
def test_amazon_s_main_image(tmp_path: Path, source: bytes, stem: str, said: dict[str, str | None]) -> None:
    made, data = finished(source, tmp_path, stem=stem, preset="amazon-main")
    found = failed(made)
    assert found.keys() == said.keys()
    assert {rule: got for rule, got in found.items() if said[rule] is not None and got != said[rule]} == {}
    assert made.format == "jpeg"
    assert data.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("size", [(1024, 1024), (1024, 1536), (1536, 1024), (3000, 1000)])
def test_shopify_s_square_is_one_and_is_never_enlarged(tmp_path: Path, size: tuple[int, int]) -> None:
    made, data = finished(saved(mug(400).resize(size), "PNG"), tmp_path, preset="shopify-square")
    side = min(2048, max(size))
    assert seen(data).size == (side, side)
    assert failed(made) == {}


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.7, {"product_at_least": "70.0% of the longer side"}),
        (0.74975, {"product_at_least": "74.9% of the longer side"}),
        (0.75, {}),
        (0.9, {}),
        (0.90025, {"product_at_most": "90.1% of the longer side"}),
        (1.0, {"product_at_most": "100.0% of the longer side"}),
    ],
)
def test_google_s_share_of_the_product_has_two_ends(tmp_path: Path, share: float, said: dict[str, str]) -> None:
    picture = Image.new("RGB", (4000, 500), "white")
    picture.paste((20, 40, 60), (0, 100, round(4000 * share), 400))
    assert failed(finished(saved(picture, "PNG"), tmp_path, preset="google", provenance="generated")[0]) == said


def test_google_s_rules_ask_for_the_mark(tmp_path: Path) -> None:
    data = saved(mug(1024, share=0.85), "PNG")
    assert failed(finished(data, tmp_path, preset="google")[0]) == {"provenance": "no AI mark"}
    for provenance in ("composite", "generated"):
        assert failed(finished(data, tmp_path, preset="google", provenance=provenance)[0]) == {}
