from __future__ import annotations

import io
import random
import struct
import time
from typing import Any

import pytest
from PIL import Image

from batch_editor.images import BadImage, has_end, inspect_image, sniff


def noise(mode: str = "RGB", size: tuple[int, int] = (120, 80), seed: int = 7) -> Image.Image:
    """Pixels that hardly compress, so that a file's length is its data's."""
    bands = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    return Image.frombytes(mode, size, random.Random(seed).randbytes(size[0] * size[1] * bands))


def saved(format: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    noise(mode).save(file, format, **options)
    return file.getvalue()


def with_thumbnail() -> bytes:
    """A JPEG with another, whole one in its EXIF data, as cameras write it."""
    inner = saved("JPEG", quality=10)[:60_000]
    return saved("JPEG", exif=b"Exif\0\0" + inner)


def several() -> list[Image.Image]:
    return [noise(seed=seed) for seed in (8, 9)]


WHOLE = {
    "jpeg baseline": saved("JPEG"),
    "jpeg progressive": saved("JPEG", progressive=True),
    "jpeg optimized grey": saved("JPEG", "L", optimize=True, quality=5),
    "jpeg cmyk": saved("JPEG", "CMYK", subsampling=0),
    "jpeg restart markers": saved("JPEG", restart_marker_blocks=1),
    "jpeg with a thumbnail": with_thumbnail(),
    "jpeg with a comment that looks like an end": saved("JPEG", comment=b"\xff\xd9" * 50),
    "png": saved("PNG"),
    "png with alpha": saved("PNG", "RGBA"),
    "png of several pictures": saved("PNG", save_all=True, append_images=several()),
    "webp": saved("WEBP"),
    "webp lossless": saved("WEBP", lossless=True),
    "webp with alpha": saved("WEBP", "RGBA"),
    "webp of several pictures": saved("WEBP", save_all=True, append_images=several()),
    "webp with odd data behind": saved("WEBP", exif=b"Exif\0\0odd"),
}
WHOLE |= {f"{name}, then a few bytes": data + b"\0" * 5000 for name, data in WHOLE.items()}
MPO = saved("MPO", save_all=True, append_images=several())


def ends(data: bytes) -> bool:
    format = sniff(data)
    assert format is not None
    return has_end(io.BytesIO(data), format)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_image_has_its_end_whatever_follows(name: str) -> None:
    assert ends(WHOLE[name])


@pytest.mark.parametrize("name", [name for name in WHOLE if "then" not in name])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.99])
def test_an_image_that_was_cut_has_none(name: str, share: float) -> None:
    data = WHOLE[name]
    assert not ends(data[: max(16, int(len(data) * share))])


@pytest.mark.parametrize("name", [name for name in WHOLE if "then" not in name])
def test_the_last_two_bytes_are_missed(name: str) -> None:
    assert not ends(WHOLE[name][:-2])


def test_of_a_phones_two_pictures_the_first_counts() -> None:
    assert ends(MPO)
    assert ends(MPO[: -len(MPO) // 3])
    assert not ends(MPO[: len(MPO) // 4])


@pytest.mark.parametrize("at", [2**16 - 1, 2**16, 2**16 + 1, 2**17 - 1])
def test_an_end_that_lies_across_two_blocks_is_seen(at: int) -> None:
    scan = b"\xff\xd8\xff\xda\x00\x02"
    data = scan + b"\x01" * (at - len(scan)) + b"\xff\xd9"
    assert ends(data)
    assert not ends(data[:-1])


def test_webp_without_its_last_padding_is_whole() -> None:
    data = b"RIFF" + struct.pack("<I", 16) + b"WEBPVP8L" + struct.pack("<I", 3) + b"abc\0"
    assert ends(data)
    assert ends(data[:-1])
    assert not ends(data[:-2])


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0aaaa\0\0\0\0" * 1_000_000,
        b"\xff\xd8" + b"\xff\xe0\0\0" * 5_000_000,
        b"RIFF\xff\xff\xff\x7fWEBP" + b"aaaa\0\0\0\0" * 2_000_000,
    ],
    ids=["png", "jpeg", "webp"],
)
def test_a_file_of_nothing_but_pieces_takes_no_long_look(data: bytes) -> None:
    start = time.process_time()
    assert not ends(data)
    assert time.process_time() - start < 2


def test_a_result_with_many_bytes_behind_its_end_is_no_cut_one() -> None:
    for name in ("jpeg baseline", "png", "webp"):
        assert inspect_image(io.BytesIO(WHOLE[f"{name}, then a few bytes"]))[1:] == (120, 80)
        with pytest.raises(BadImage, match=r"^a \w+ that was cut short$"):
            inspect_image(io.BytesIO(WHOLE[name][:-2000]))
