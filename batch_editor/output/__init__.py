"""The output directory: bodies land in it, are judged and published, and no reader ever sees half of one."""

from batch_editor.output.acceptance import UNCHECKED, Acceptance, Verdict
from batch_editor.output.ballast import give_room_free, set_room_aside
from batch_editor.output.landing import Landing
from batch_editor.output.lock import locked
from batch_editor.output.store import HISTORY, IMAGES, REJECTED, Store
from batch_editor.output.workers import Unchecked, Workers

__all__ = [
    "HISTORY",
    "IMAGES",
    "REJECTED",
    "UNCHECKED",
    "Acceptance",
    "Landing",
    "Store",
    "Unchecked",
    "Verdict",
    "Workers",
    "give_room_free",
    "locked",
    "set_room_aside",
]
