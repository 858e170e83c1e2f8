"""Files of so many bytes at most, and pictures that can't be finished."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from batch_editor.finishing import CannotFinish, finish_picture
from tests.support.finishing import chunk, failed, finished, mug, photograph, rules_of, saved, seen


@pytest.mark.parametrize("format", ["jpeg", "webp"])
@pytest.mark.parametrize("share", [0.9, 0.6, 0.45])
def test_the_highest_quality_that_fits_is_taken(tmp_path: Path, format: str, share: float) -> None:
    data = saved(photograph((320, 240)), "PNG")
    whole, _ = finished(data, tmp_path, format=format)
    limit = round(whole.bytes * share)
    made, written = finished(data, tmp_path, format=format, max_bytes=limit)
    assert made.bytes == len(written) <= limit
    assert (made.width, made.height, failed(made)) == (320, 240, {})
    (note,) = made.notes
    head, _, tail = note.partition(" to ")
    quality = int(tail.partition(",")[0])
    assert (head, tail) == ("quality lowered from 90", f"{quality}, for at most {limit:,} bytes")
    above, _ = finished(data, tmp_path, format=format, quality=quality + 1)
    assert above.bytes > limit
    assert finished(data, tmp_path, format=format, quality=quality)[1] == written


@pytest.mark.parametrize(
    ("format", "limit"),
    [("jpeg", 9_000), ("jpeg", 2_000), ("webp", 6_000), ("webp", 900), ("png", 20_000), ("png", 5_000)],
)
def test_the_size_is_lowered_only_where_quality_does_not_do(tmp_path: Path, format: str, limit: int) -> None:
    data = saved(photograph((800, 600)), "PNG")
    made, written = finished(data, tmp_path, format=format, max_bytes=limit)
    assert made.bytes == len(written) <= limit
    assert made.bytes > 0.6 * limit, "and no more than is needed"
    assert abs(made.width / made.height - 4 / 3) < 0.05
    size = f"size lowered from 800x600 to {made.width}x{made.height}, for at most {limit:,} bytes"
    quality = f"quality lowered from 90 to 40, for at most {limit:,} bytes"
    assert made.notes == ((size,) if format == "png" else (quality, size))


def test_a_size_that_was_lowered_fails_its_own_check(tmp_path: Path) -> None:
    made, data = finished(
        saved(photograph(), "PNG"), tmp_path, size="500x700", pad="white", format="jpeg", max_bytes=5000
    )
    assert failed(made) == {"size": f"{made.width}x{made.height}"}
    assert seen(data).getpixel((0, 0)) == (255, 255, 255)
    assert abs(made.width / made.height - 5 / 7) < 0.01


def test_a_quality_below_the_lowest_stays(tmp_path: Path) -> None:
    made, _ = finished(saved(photograph(), "PNG"), tmp_path, format="jpeg", quality=30, max_bytes=8_000)
    assert [note for note in made.notes if "quality" in note] == []


def test_what_fits_is_not_lowered(tmp_path: Path) -> None:
    made, _ = finished(saved(mug(300), "PNG"), tmp_path, format="jpeg", max_bytes=10**6)
    assert made.notes == ()


@pytest.mark.parametrize("quality", [90, 100])
def test_noise_of_which_a_jpeg_needs_more_than_a_byte_a_pixel_is_made(tmp_path: Path, quality: int) -> None:
    noise = Image.frombytes("RGB", (400, 400), Random(1).randbytes(3 * 400 * 400))
    made, _ = finished(saved(noise, "PNG"), tmp_path, preset="amazon-main", quality=quality)
    assert made.bytes > 1.6 * 400 * 400


def png_that_promises(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def webp_that_promises(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.new("RGB", (8, 8)), "WEBP", lossless=True))
    at = data.index(b"VP8L") + 9
    struct.pack_into("<I", data, at, (width - 1) | (height - 1) << 14)
    return bytes(data)


def animated(format: str) -> bytes:
    frames = [photograph((40, 30)), mug(40).resize((40, 30)), photograph((40, 30), "L").convert("RGB")]
    return saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


WANTED = "expected a PNG, JPEG, WebP or GIF picture"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", f"an empty file; {WANTED}"),
        (b"<!DOCTYPE html><html>no</html>", f"a web page (HTML); {WANTED}"),
        (b"hello, world", f"a file that begins with b'hello, w'; {WANTED}"),
        (saved(photograph((9, 9)), "TIFF"), f"a TIFF image; {WANTED}"),
        (saved(photograph(), "JPEG")[:9000], "a jpeg that was cut short"),
        (saved(photograph(), "PNG")[:-30], "a png that was cut short"),
        (saved(photograph(), "WEBP")[:-100], "a webp that was cut short"),
        (png_that_promises(60_000, 60_000), "more pixels than the 50,000,000 that are decoded"),
        (png_that_promises(10_000, 6_000), "10000x6000 pixels, more than the 50,000,000 that are decoded"),
        (webp_that_promises(16_000, 16_000), "more pixels than the 50,000,000 that are decoded"),
        (png_that_promises(50, 50), "a png that does not decode: image file is truncated"),
        (animated("GIF"), "an animated picture; expected a still one"),
        (animated("WEBP"), "an animated picture; expected a still one"),
        (animated("PNG"), "an animated picture; expected a still one"),
        (saved(Image.new("RGBA", (9, 9), (9, 9, 9, 0)), "PNG"), "every pixel is transparent"),
        (saved(Image.new("LA", (9, 9), (9, 0)), "PNG"), "every pixel is transparent"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_picture_that_can_t_be_finished_is_said_in_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(CannotFinish) as raised:
        finished(data, tmp_path, format="jpeg", size="100x100")
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "finished").exists()


@pytest.mark.parametrize(
    ("size", "rules", "sentence"),
    [
        (
            (70_000, 2),
            {"format": "jpeg"},
            "70000x2 pixels; a jpeg holds at most 65,500 a side: give a size",
        ),
        ((2, 17_000), {"format": "webp"}, "2x17000 pixels; a webp holds at most 16,383 a side: give a size"),
        (
            (300, 300),
            {"format": "jpeg", "max_bytes": 200},
            "does not fit into 200 bytes, not even at 32 pixels and quality 40",
        ),
        ((300, 300), {"format": "png", "max_bytes": 50}, "does not fit into 50 bytes, not even at 32 pixels"),
    ],
)
def test_a_file_that_can_t_be_made_is_said(
    tmp_path: Path, size: tuple[int, int], rules: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CannotFinish) as raised:
        finished(saved(photograph(size), "PNG"), tmp_path, **rules)
    assert str(raised.value) == sentence


def test_a_flipped_byte_anywhere_is_a_sentence_or_a_file(tmp_path: Path) -> None:
    """Never another error: each of many broken files is finished, or said to be broken."""
    outcomes = set()
    for format in ("PNG", "JPEG", "WEBP", "GIF"):
        whole = saved(photograph((48, 48)), format)
        for at in range(0, len(whole), max(1, len(whole) // 120)):
            data = bytearray(whole)
            data[at] ^= 0xA5
            try:
                finished(bytes(data), tmp_path, format="webp")
                outcomes.add("finished")
            except CannotFinish:
                outcomes.add("said")
    assert outcomes == {"finished", "said"}


def test_a_file_that_can_t_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        finished(saved(photograph((9, 9)), "PNG"), tmp_path / "gone")


def test_a_source_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        finish_picture(tmp_path / "gone.png", tmp_path / "x", rules_of(size="9"), stem="x")
