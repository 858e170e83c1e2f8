"""Small pictures of pictures, for pages. To be called in a process of its own, for decoders crash and hang."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from batch_editor.images.pixels import FORMATS, MAX_PIXELS, PILLOW_ERRORS

QUALITY = 78


class NoThumbnail(ValueError):
    """The file is no picture that can be shown, or one of too many pixels; the message says which."""


def thumbnail(path: Path, *, length: int, quality: int = QUALITY) -> bytes:
    """The picture as a WebP whose longer side has at most so many pixels, turned as its EXIF says.

    Raises:
        NoThumbnail: there is no picture in the file.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise NoThumbnail(f"{image.width}x{image.height} pixels, more than the {MAX_PIXELS:,} that are decoded")
            image.draft("RGB", (2 * length, 2 * length))  # a JPEG is decoded at a fraction of its size
            image.thumbnail((length, length), reducing_gap=2.0)
            small = ImageOps.exif_transpose(image)
            small = small.convert("RGBA" if small.has_transparency_data else "RGB")
            data = io.BytesIO()
            small.save(data, "WEBP", quality=quality, method=2)
    except NoThumbnail:
        raise
    except UnidentifiedImageError as error:  # its text is the file's path
        raise NoThumbnail("no PNG, JPEG, WebP or GIF that can be read") from error
    except PILLOW_ERRORS as error:
        raise NoThumbnail(f"a picture that can't be read: {error}") from error
    return data.getvalue()
