"""What image files are, by their bytes: all that the package knows of Pillow, apart from the sandbox."""

from batch_editor.images.ends import ImageFormat, has_end, sniff
from batch_editor.images.header import Header, NotAnImage, TooManyPixels, read_beginning, read_header
from batch_editor.images.inspect import ENDINGS, BadImage, inspect_image
from batch_editor.images.kinds import MARKUP, WEB_PAGE, kind_of

__all__ = [
    "ENDINGS",
    "MARKUP",
    "WEB_PAGE",
    "BadImage",
    "Header",
    "ImageFormat",
    "NotAnImage",
    "TooManyPixels",
    "has_end",
    "inspect_image",
    "kind_of",
    "read_beginning",
    "read_header",
    "sniff",
]
