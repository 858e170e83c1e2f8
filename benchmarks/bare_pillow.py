"""The least that makes the same pixels, without the package: what `benchmarks/finishing.py` compares with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image


def finish_barely(source: Path, target: Path, rules: Any, *, stem: str) -> str:
    """Decode, resize, pad, encode."""
    with Image.open(source) as image:
        picture = image.convert("RGB")
    if rules.size:
        ratio = min(rules.size[0] / picture.width, rules.size[1] / picture.height)
        size = rules.size
        if ratio > 1 and not rules.enlarge:
            size, ratio = (round(rules.size[0] / ratio), round(rules.size[1] / ratio)), 1.0
        if ratio != 1:
            picture = picture.resize(
                (round(picture.width * ratio), round(picture.height * ratio)), Image.Resampling.LANCZOS
            )
        if rules.pad and picture.size != size:
            canvas = Image.new("RGB", size, rules.pad)
            canvas.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
            picture = canvas
    if rules.format == "jpeg":
        full = bool(rules.checks.white_border)
        subsampling = "4:4:4" if full else "4:2:0"
        picture.save(target, "JPEG", quality=90, progressive=True, optimize=True, subsampling=subsampling)
    else:
        picture.save(target, rules.format.upper(), quality=90, method=4)
    return stem
