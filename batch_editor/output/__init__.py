"""The output directory: bodies are staged in it, checked and published, and no reader ever sees half of one."""

from batch_editor.output.acceptance import UNCHECKED, Acceptance, Verdict
from batch_editor.output.disk_reserve import free_disk_reserve, take_disk_reserve
from batch_editor.output.disk_retry import DiskRetry
from batch_editor.output.finished_files import FinishedFiles
from batch_editor.output.kept_files import PAGE_CACHE, KeptFile, files_below, remove_file
from batch_editor.output.kept_tables import INPUTS, is_kept, keep_table
from batch_editor.output.lock import Holder, holder_of, locked, process_at_work
from batch_editor.output.output_manifest import (
    COLUMNS,
    COLUMNS_OF_0_1,
    ExportedOutput,
    check_place,
    defused,
    export_rows,
    export_tables,
    is_output_manifest,
    joined_table,
    plain,
    write_manifest,
)
from batch_editor.output.page_cache import (
    THUMBNAIL_LENGTH,
    find_input,
    forget_input,
    input_key,
    place_in_cache,
    thumbnail_key,
)
from batch_editor.output.picture_places import images_in, picture_store, picture_store_for_run, record_place, recorded
from batch_editor.output.picture_store import (
    FINISHED,
    HISTORY,
    IMAGES,
    REJECTED,
    NewName,
    PictureStore,
    image_path,
)
from batch_editor.output.placing import Unplaced, keep, put, put_all, put_one, retire_gone, set_aside
from batch_editor.output.staged_file import StagedFile
from batch_editor.output.store import Store
from batch_editor.output.taking import Taken, has_image, take_images
from batch_editor.output.verdict_lookup import VerdictCounts, count_verdicts, under_present_names, verdicts_of

__all__ = [
    "COLUMNS",
    "COLUMNS_OF_0_1",
    "FINISHED",
    "HISTORY",
    "IMAGES",
    "INPUTS",
    "PAGE_CACHE",
    "REJECTED",
    "THUMBNAIL_LENGTH",
    "UNCHECKED",
    "Acceptance",
    "DiskRetry",
    "ExportedOutput",
    "FinishedFiles",
    "Holder",
    "KeptFile",
    "NewName",
    "PictureStore",
    "StagedFile",
    "Store",
    "Taken",
    "Unplaced",
    "Verdict",
    "VerdictCounts",
    "check_place",
    "count_verdicts",
    "defused",
    "export_rows",
    "export_tables",
    "files_below",
    "find_input",
    "forget_input",
    "free_disk_reserve",
    "has_image",
    "holder_of",
    "image_path",
    "images_in",
    "input_key",
    "is_kept",
    "is_output_manifest",
    "joined_table",
    "keep",
    "keep_table",
    "locked",
    "picture_store",
    "picture_store_for_run",
    "place_in_cache",
    "plain",
    "process_at_work",
    "put",
    "put_all",
    "put_one",
    "record_place",
    "recorded",
    "remove_file",
    "retire_gone",
    "set_aside",
    "take_disk_reserve",
    "take_images",
    "thumbnail_key",
    "under_present_names",
    "verdicts_of",
    "write_manifest",
]
