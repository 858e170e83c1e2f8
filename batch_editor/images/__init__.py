"""What image files are, by their bytes: all that the package knows of Pillow, apart from the sandbox."""

import warnings

from batch_editor.images.ends import ImageFormat, has_end, sniff
from batch_editor.images.header import Header, NotAnImage, TooManyPixels, read_beginning, read_header
from batch_editor.images.inspect import ENDINGS, BadImage, inspect_image

# Pillow warns of large pictures (from 89 million pixels on) and of odd chunks. Users can't act on either.
warnings.filterwarnings("ignore", module=r"PIL\.")

__all__ = [
    "ENDINGS",
    "BadImage",
    "Header",
    "ImageFormat",
    "NotAnImage",
    "TooManyPixels",
    "has_end",
    "inspect_image",
    "read_beginning",
    "read_header",
    "sniff",
]
