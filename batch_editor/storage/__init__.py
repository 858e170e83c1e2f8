"""The output directory: bodies land in it, images are placed in it, and no reader ever sees half of one."""

from batch_editor.storage.ballast import give_room_free, set_room_aside
from batch_editor.storage.inspect import ENDINGS, BadImage, fsync_directory, inspect_image, make_folder
from batch_editor.storage.landing import Landing
from batch_editor.storage.lock import locked
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
    "give_room_free",
    "inspect_image",
    "locked",
    "make_folder",
    "set_room_aside",
]
