"""What output directories have on record, as tables of pandas: what was spent, and the results."""

from batch_editor.frames.grouping import MONEY, By, Spent
from batch_editor.frames.outputs import spent_by
from batch_editor.frames.result_table import results
from batch_editor.frames.shared import shared_by

__all__ = ["MONEY", "By", "Spent", "results", "shared_by", "spent_by"]
