"""What a comparison has come to: a table of the ways, and a contact sheet to look at."""

from batch_editor.compare.results import Cell, ComparisonResults, WayResults, read_results
from batch_editor.compare.sheet import FILE_NAME, write_sheet

__all__ = ["FILE_NAME", "Cell", "ComparisonResults", "WayResults", "read_results", "write_sheet"]
