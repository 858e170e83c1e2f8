"""Job manifests: YAML files and tables (CSV, XLSX, JSON Lines, XML, pictures) that say what to edit, read into jobs."""

from __future__ import annotations

from batch_editor.manifest.entry import Expansion
from batch_editor.manifest.faults import Faults, Problem
from batch_editor.manifest.move import Move, plain_move
from batch_editor.manifest.reader import read_manifests
from batch_editor.manifest.redo_prompt import redo_prompt_of
from batch_editor.manifest.schema import manifest_schema
from batch_editor.manifest.standard_input import STANDARD_INPUT, gather_standard_input
from batch_editor.manifest.table_files import FORMATS, TableFormat, default_output_name
from batch_editor.manifest.table_read import TableFile, TableRead

__all__ = [
    "FORMATS",
    "STANDARD_INPUT",
    "Expansion",
    "Faults",
    "Move",
    "Problem",
    "TableFile",
    "TableFormat",
    "TableRead",
    "default_output_name",
    "gather_standard_input",
    "manifest_schema",
    "plain_move",
    "read_manifests",
    "redo_prompt_of",
]
