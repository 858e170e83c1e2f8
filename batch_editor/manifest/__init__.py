"""Job manifests: YAML and CSV files that say what to edit, read into jobs."""

from __future__ import annotations

from batch_editor.manifest.entry import Expansion
from batch_editor.manifest.faults import Faults, Problem
from batch_editor.manifest.move import Move
from batch_editor.manifest.reader import read_manifests
from batch_editor.manifest.schema import manifest_schema

__all__ = ["Expansion", "Faults", "Move", "Problem", "manifest_schema", "read_manifests"]
