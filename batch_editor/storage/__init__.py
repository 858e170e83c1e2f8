"""The output directory: bodies land in it, images are placed in it, and no reader ever sees half of one."""

from batch_editor.storage.inspect import ENDINGS, BadImage, fsync_directory, inspect_image, make_folder
from batch_editor.storage.landing import Landing
from batch_editor.storage.store import HISTORY, IMAGES, REJECTED, Store

__all__ = [
    "ENDINGS",
    "HISTORY",
    "IMAGES",
    "REJECTED",
    "BadImage",
    "Landing",
    "Store",
    "fsync_directory",
    "inspect_image",
    "make_folder",
]
