"""Writes before-and-after.jpg from what `make demo` has made: `.venv/bin/python docs/images/before_and_after.py`."""

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
PHOTOGRAPH = ROOT / "jobs/photos/coffee.jpg"
EDITED = [ROOT / "outputs/demo/images/MUG-01" / name for name in ("beach.png", "studio.png")]
HEIGHT, GAP = 300, 12


def strip() -> Image.Image:
    """The photograph, and what the sandbox made of it, side by side."""
    pictures = []
    for path in (PHOTOGRAPH, *EDITED):
        with Image.open(path) as opened:
            width = round(opened.width * HEIGHT / opened.height)
            pictures.append(opened.convert("RGB").resize((width, HEIGHT), Image.Resampling.LANCZOS))
    made = Image.new("RGB", (sum(each.width for each in pictures) + GAP * (len(pictures) - 1), HEIGHT), "white")
    left = 0
    for picture in pictures:
        made.paste(picture, (left, 0))
        left += picture.width + GAP
    return made


if __name__ == "__main__":
    strip().save(Path(__file__).with_name("before-and-after.jpg"), quality=88, optimize=True)
