from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from batch_editor.sandbox import body_sha256, read_stamp
from batch_editor.sandbox.images import Edit, ImageFormat, Size, edited, placeholder
from tests.support.sandbox_client import bench, body, data_link, png

STAMP = "0123456789abcdef" * 4


def edit(**changes: Any) -> Edit:
    usual = {
        "prompt": "a mug on a marble table",
        "size": (120, 80),
        "format": "png",
        "quality": 90,
        "transparent": False,
        "stamp": STAMP,
    }
    return Edit(**{**usual, **changes})


def photo(size: Size = (120, 80)) -> Image.Image:
    """Colours without two alike, so that every change shows."""
    red, green = Image.linear_gradient("L").resize(size), Image.radial_gradient("L").resize(size)
    return Image.merge("RGB", (red, green, Image.linear_gradient("L").rotate(90).resize(size)))


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_a_picture_has_the_format_the_size_and_the_stamp(image_format: ImageFormat, tmp_path: Path) -> None:
    path = tmp_path / "edited"
    path.write_bytes(edited(photo(), edit(format=image_format, size=(77, 51))))
    with Image.open(path) as image:
        assert (image.format, image.size) == (image_format.upper(), (77, 51))
    assert read_stamp(path) == STAMP


def test_a_picture_of_other_making_has_no_stamp(tmp_path: Path) -> None:
    path = tmp_path / "own.png"
    path.write_bytes(png())
    with pytest.raises(ValueError, match=r"own\.png: has no stamp of a sandbox"):
        read_stamp(path)


def test_the_same_edit_gives_the_same_bytes() -> None:
    assert edited(photo(), edit()) == edited(photo(), edit())


def test_another_prompt_or_another_input_gives_another_picture() -> None:
    pictures = {
        opened(data).tobytes()
        for data in (
            edited(photo(), edit()),
            edited(photo(), edit(prompt="a cup")),
            edited(photo().rotate(180), edit()),
        )
    }
    assert len(pictures) == 3


def test_the_prompt_stands_on_a_picture_that_is_large_enough() -> None:
    plain, captioned = (
        opened(edited(photo(), edit(size=(300, 240), prompt=prompt))) for prompt in ("x", "x" + " word" * 40)
    )
    strip = (20, 180, 280, 235)
    assert plain.crop(strip).tobytes() != captioned.crop(strip).tobytes()


def test_quality_shrinks_a_jpeg() -> None:
    fine, coarse = (len(edited(photo(), edit(format="jpeg", quality=quality))) for quality in (95, 0))
    assert coarse < fine / 2


@pytest.mark.parametrize("image_format", ["png", "webp"])
def test_transparent_has_transparent_and_opaque_pixels(image_format: ImageFormat) -> None:
    alpha = opened(edited(photo(), edit(format=image_format, transparent=True))).getchannel("A")
    assert alpha.getextrema() == (0, 255)
    assert alpha.getpixel((0, 0)) == 0


def test_a_plain_background_is_keyed_out_around_the_subject() -> None:
    product = Image.new("RGB", (120, 80), "white")
    ImageDraw.Draw(product).rectangle((40, 20, 79, 59), fill="maroon")
    alpha = opened(edited(product, edit(transparent=True))).getchannel("A")
    assert (alpha.getpixel((20, 40)), alpha.getpixel((60, 40))) == (0, 255)


def test_opaque_has_no_alpha() -> None:
    assert opened(edited(photo(), edit())).mode == "RGB"


def test_only_where_the_masks_alpha_is_0_the_picture_changes() -> None:
    mask = Image.new("RGBA", (120, 80), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 60, 80))
    mask.paste((0, 0, 0, 1), (0, 0, 10, 10))
    masked, whole = opened(edited(photo(), edit(), mask=mask)), opened(edited(photo(), edit()))
    kept, changed, faint = (60, 0, 120, 80), (10, 10, 60, 80), (0, 0, 10, 10)
    assert masked.crop(kept).tobytes() == photo().crop(kept).tobytes()
    assert masked.crop(faint).tobytes() == photo().crop(faint).tobytes()
    assert masked.crop(changed).tobytes() == whole.crop(changed).tobytes()


def test_a_transparent_input_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (120, 80), (0, 0, 0, 0))
    assert edited(clear, edit()) == edited(Image.new("RGB", (120, 80), "white"), edit())


def test_placeholders_differ_by_their_link() -> None:
    first, second = (placeholder("no input", seed=seed).tobytes() for seed in ("http://a", "http://b"))
    assert first != second


@pytest.mark.parametrize(
    ("input_size", "size", "made"),
    [
        ((60, 40), "1024x1024", (102, 102)),
        ((60, 40), "1024x1536", (102, 154)),
        ((60, 40), "auto", (154, 102)),
        ((40, 60), "auto", (102, 154)),
        ((60, 55), "auto", (102, 102)),
    ],
)
async def test_the_size_is_the_one_asked_for_or_the_inputs_nearest(input_size: Size, size: str, made: Size) -> None:
    async with bench(size_scale=0.1) as lab:
        reply = await lab.edit(size=size, image_urls=[data_link(png(input_size))])
    assert reply.image.size == made


async def test_an_unscaled_picture_has_the_very_size() -> None:
    async with bench(size_scale=1.0) as lab:
        assert (await lab.edit(size="1536x1024", output_format="jpeg")).image.size == (1536, 1024)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
async def test_over_the_wire_format_and_stamp_are_those_of_the_body(output_format: str) -> None:
    async with bench() as lab:
        reply = await lab.edit(output_format=output_format)
    assert reply.headers["Content-Type"] == f"image/{output_format}"
    assert reply.image.format == output_format.upper()
    assert read_stamp(io.BytesIO(reply.data)) == body_sha256(body(output_format=output_format))


async def test_over_the_wire_a_mask_protects_the_input() -> None:
    opaque = data_link(png((60, 40), (0, 0, 0, 255), "RGBA"))
    async with bench() as lab:
        image = (await lab.edit(mask=opaque)).image
    assert image.getextrema() == ((0, 0), (0, 0), (128, 128))


async def test_over_the_wire_transparency_arrives() -> None:
    async with bench() as lab:
        image = (await lab.edit(background="transparent", output_format="webp")).image
    assert image.getchannel("A").getextrema()[0] == 0
