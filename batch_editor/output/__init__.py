"""The output directory: bodies land in it, are judged and published, and no reader ever sees half of one."""

from batch_editor.output.acceptance import UNCHECKED, Acceptance, Verdict
from batch_editor.output.ballast import give_room_free, set_room_aside
from batch_editor.output.landing import Landing
from batch_editor.output.lock import locked
from batch_editor.output.output_manifest import (
    COLUMNS,
    COLUMNS_OF_0_1,
    check_place,
    export_rows,
    is_output_manifest,
    plain,
    write_manifest,
)
from batch_editor.output.placing import Unplaced, keep, put, put_all, put_one, retire_gone, set_aside
from batch_editor.output.store import HISTORY, IMAGES, REJECTED, Store
from batch_editor.output.workers import Unchecked, Workers

__all__ = [
    "COLUMNS",
    "COLUMNS_OF_0_1",
    "HISTORY",
    "IMAGES",
    "REJECTED",
    "UNCHECKED",
    "Acceptance",
    "Landing",
    "Store",
    "Unchecked",
    "Unplaced",
    "Verdict",
    "Workers",
    "check_place",
    "export_rows",
    "give_room_free",
    "is_output_manifest",
    "keep",
    "locked",
    "plain",
    "put",
    "put_all",
    "put_one",
    "retire_gone",
    "set_aside",
    "set_room_aside",
    "write_manifest",
]
