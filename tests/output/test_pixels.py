"""What pixels say of an image, with real photographs and pictures made wrong on purpose."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageOps

from batch_editor.images.pixels import MAX_PIXELS, fault_of
from batch_editor.sandbox.images import Edit, cut_inside, edited

PHOTOS = sorted((Path(__file__).parents[2] / "jobs/photos").glob("*.jpg"))
UNCHANGED = "the input came back unchanged"


def photo(path: Path = PHOTOS[0], size: tuple[int, int] | None = None) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.fit(image.convert("RGB"), size or image.size, Image.Resampling.LANCZOS)


def cut_out() -> Image.Image:
    """A photograph with a hole in its alpha channel."""
    image = photo()
    alpha = Image.new("L", image.size, 255)
    ImageDraw.Draw(alpha).ellipse((10, 10, 200, 200), fill=0)
    image.putalpha(alpha)
    return image


def saved(folder: Path, image: Image.Image, format: str = "PNG", **how: Any) -> Path:
    path = folder / f"image.{format.lower()}"
    image.save(path, format, **({"compress_level": 1} if format == "PNG" else {}), **how)
    return path


def fault(path: Path, *, transparent: bool = False, inputs: tuple[Path, ...] = ()) -> str | None:
    return fault_of(path, format=path.suffix[1:], transparent=transparent, inputs=inputs)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_photograph_has_no_fault(tmp_path: Path, path: Path, format: str) -> None:
    assert fault(saved(tmp_path, photo(path), format)) is None


@pytest.mark.parametrize("format", ["png", "webp"])
def test_pixels_that_end_early_are_found_by_decoding(tmp_path: Path, format: Any) -> None:
    path = tmp_path / f"cut.{format}"
    path.write_bytes(cut_inside(saved(tmp_path, photo(), format.upper()).read_bytes(), format))
    with Image.open(path) as image:
        image.verify()
    assert str(fault(path)).startswith(f"a {format} that does not decode: ")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.new("RGB", (64, 64), "white"), "blank: every pixel is #ffffff"),
        (Image.new("L", (64, 64), 7), "blank: every pixel is #070707"),
        (Image.new("P", (64, 64), 0), "blank: every pixel is #000000"),
        (Image.new("RGBA", (64, 64), (1, 2, 3, 255)), "blank: every pixel is #010203ff"),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_one_colour_is_blank(tmp_path: Path, image: Image.Image, said: str) -> None:
    assert fault(saved(tmp_path, image)) == said
    image.putpixel((9, 9), 200 if image.mode in "LP" else (200, 0, 0))
    image.putpalette([channel for step in range(256) for channel in (step,) * 3]) if image.mode == "P" else None
    assert fault(saved(tmp_path, image)) is None


def test_16_bits_of_grey_are_not_blank_because_8_would_be(tmp_path: Path) -> None:
    assert fault(saved(tmp_path, Image.linear_gradient("L").convert("I;16").point(lambda step: step + 1000))) is None


def test_a_picture_that_is_transparent_all_over_is_blank_whatever_lies_under_it(tmp_path: Path) -> None:
    image = photo()
    image.putalpha(0)
    assert fault(saved(tmp_path, image)) == "blank: every pixel is transparent"


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparency_is_an_alpha_channel_that_is_seen_through(tmp_path: Path, format: str) -> None:
    assert fault(saved(tmp_path, cut_out(), format), transparent=True) is None
    painted = photo()
    ImageDraw.Draw(painted).rectangle((0, 0, 99, 99), fill="lightgrey")
    said = "asked for a transparent background, got no alpha channel"
    assert fault(saved(tmp_path, painted, format), transparent=True) == said
    assert fault(saved(tmp_path, painted, format)) is None


def test_an_alpha_channel_that_hides_nothing_is_no_transparency(tmp_path: Path) -> None:
    image = photo()
    image.putalpha(Image.linear_gradient("L").resize(image.size).point([200 + step // 5 for step in range(256)]))
    said = "asked for a transparent background, got an alpha channel without a transparent pixel"
    assert fault(saved(tmp_path, image), transparent=True) == said


def test_a_palette_with_a_transparent_colour_is_transparency(tmp_path: Path) -> None:
    path = saved(tmp_path, photo().quantize(64), transparency=0)
    assert fault(path, transparent=True) is None


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_more_pixels_than_are_decoded_are_told_by_the_header(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("1", (10_000, 10_000)))
    assert path.stat().st_size < 200_000
    assert fault(path) == f"10000x10000 pixels, more than the {MAX_PIXELS:,} that are decoded"


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [None, (1024, 1024), (1536, 1024)], ids=str)
@pytest.mark.parametrize(
    ("format", "how"), [("PNG", {}), ("JPEG", {"quality": 75}), ("WEBP", {"quality": 80})], ids=lambda value: str(value)
)
@pytest.mark.slow
def test_the_input_is_known_again_scaled_cropped_and_encoded_anew(
    tmp_path: Path, path: Path, size: tuple[int, int] | None, format: str, how: dict[str, Any]
) -> None:
    returned = saved(tmp_path, photo(path, size), format, **how)
    other = PHOTOS[PHOTOS.index(path) - 1]
    assert fault(returned, inputs=(other,)) is None
    assert fault(returned, inputs=(other, path)) == UNCHANGED


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
@pytest.mark.parametrize("change", ["toned", "patch", "light", "alpha"])
@pytest.mark.slow
def test_an_edit_is_no_unchanged_input(tmp_path: Path, path: Path, change: str) -> None:
    image = photo(path, (1024, 1024))
    match change:
        case "toned":
            edit = Edit(prompt="a", size=image.size, format="png", quality=95, transparent=False, stamp="0" * 64)
            image = Image.open(io.BytesIO(edited(image, edit)))
        case "patch":
            ImageDraw.Draw(image).rectangle((500, 500, 530, 530), fill="magenta")
        case "light":
            image = image.point([min(255, round(1.06 * step)) for step in range(256)] * 3)
        case "alpha":
            alpha = Image.new("L", image.size, 255)
            ImageDraw.Draw(alpha).rectangle((0, 0, 1023, 200), fill=0)
            image.putalpha(alpha)
    assert fault(saved(tmp_path, image), inputs=(path,)) is None


def test_an_input_with_transparency_is_known_again_whatever_lies_under_it(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    cut_out().save(source)
    returned = Image.new("RGBA", photo().size, (9, 200, 9, 0))
    returned.alpha_composite(cut_out())
    assert fault(saved(tmp_path, returned, "WEBP", quality=90), inputs=(source,)) == UNCHANGED
    assert fault(saved(tmp_path, photo()), inputs=(source,)) is None


def test_a_phone_s_picture_that_lies_on_its_side_is_known_again_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    source = tmp_path / "phone.jpg"
    photo().rotate(90, expand=True).save(source, exif=exif, quality=95)
    assert fault(saved(tmp_path, photo()), inputs=(source,)) == UNCHANGED


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_an_input_that_is_gone_or_no_picture_any_more_is_not_compared(tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "mug.png"
    if content is not None:
        source.write_bytes(content)
    assert fault(saved(tmp_path, photo()), inputs=(source,)) is None


def test_a_file_that_cannot_be_read_is_no_fault_of_its_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fault(tmp_path / "gone.png")
