"""Small pictures of any that providers and cameras make, upright; nothing of what is no picture."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_editor.images.thumbnails import NoThumbnail, thumbnail


def written(path: Path, image: Image.Image, form: str, **how: Any) -> Path:
    image.save(path, form, **how)
    return path


def small(path: Path, length: int = 320) -> Image.Image:
    image = Image.open(io.BytesIO(thumbnail(path, length=length)))
    assert image.format == "WEBP"
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1024, 1024), (320, 320)),
        ((1536, 1024), (320, 213)),
        ((1000, 10), (320, 3)),
        ((3000, 1), (320, 1)),
        ((100, 50), (100, 50)),
        ((1, 1), (1, 1)),
    ],
)
def test_the_longer_side_is_at_most_so_long(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert small(written(tmp_path / "picture", Image.new("RGB", size, "navy"), "PNG")).size == expected


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "MPO"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "I;16", "CMYK"])
def test_every_kind_of_picture_is_shown(tmp_path: Path, form: str, mode: str) -> None:
    image = Image.new(mode, (500, 400), 1)
    try:
        path = written(tmp_path / "picture", image, form)
    except (OSError, KeyError, ValueError):  # such pictures there are none
        return
    assert small(path).size == (320, 256)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_stands_upright(tmp_path: Path, orientation: int, form: str) -> None:
    """Red on the left, when it is turned as the camera says; and the turn isn't said once more."""
    upright = Image.new("RGB", (400, 200), "blue")
    upright.paste("red", (0, 0, 200, 200))
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(inverse[orientation]) if orientation in inverse else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = small(written(tmp_path / "photo", stored, form, exif=exif))
    assert found.size == (320, 160)
    assert 0x0112 not in found.getexif()
    left, right = (found.convert("RGB").getpixel((x, 80)) for x in (20, 300))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] > 200 > 60 > left[2]
    assert right[2] > 200 > 60 > right[0]


def test_transparency_stays(tmp_path: Path) -> None:
    image = Image.new("RGBA", (640, 640), (255, 0, 0, 0))
    image.paste((0, 255, 0, 255), (0, 0, 320, 640))
    found = small(written(tmp_path / "picture", image, "PNG")).convert("RGBA")
    assert [found.getpixel((x, 100))[3] for x in (50, 300)] == [255, 0]  # type: ignore[index]  # four bands


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that promises so many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bomb(10_000, 10_000), "10000x10000 pixels, more than the 50,000,000 that are decoded"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG, WebP or GIF that can be read"),
        (b"", "no PNG, JPEG, WebP or GIF that can be read"),
        (bomb(100_000, 100_000), "a picture that can't be read: "),
        (bomb(2_000, 2_000), "a picture that can't be read: "),
    ],
    ids=["large", "svg", "empty", "bomb", "cut"],
)
def test_what_is_no_picture_is_said(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "picture").write_bytes(data)
    with pytest.raises(NoThumbnail) as caught:
        thumbnail(tmp_path / "picture", length=320)
    assert str(caught.value).startswith(message)


def test_no_path_of_this_machine_is_told(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"nothing")
    with pytest.raises(NoThumbnail) as caught:
        thumbnail(tmp_path / "picture", length=320)
    assert str(tmp_path) not in str(caught.value)
