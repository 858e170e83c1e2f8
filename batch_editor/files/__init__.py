"""Files and folders of this machine: opened safely, made durable, and found by what a name is meant for."""

from batch_editor.files.database_files import SIDE_FILES, OpenFiles, expect_side_files
from batch_editor.files.lookup import MANIFESTS, PICTURES, TABLES, YAML, NotThere, find_file, is_local_link
from batch_editor.files.regular import (
    NotAFile,
    expect_regular,
    fsync_directory,
    let_go,
    make_folder,
    open_regular,
    path_from_text,
    path_to_text,
    require_posix,
)
from batch_editor.files.whole_file import whole_file

__all__ = [
    "MANIFESTS",
    "PICTURES",
    "SIDE_FILES",
    "TABLES",
    "YAML",
    "NotAFile",
    "NotThere",
    "OpenFiles",
    "expect_regular",
    "expect_side_files",
    "find_file",
    "fsync_directory",
    "is_local_link",
    "let_go",
    "make_folder",
    "open_regular",
    "path_from_text",
    "path_to_text",
    "require_posix",
    "whole_file",
]
