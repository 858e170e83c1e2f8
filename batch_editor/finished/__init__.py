"""Finished files of an output directory: made where they are missing or old, removed where nobody asks for them."""

from batch_editor.finished.asked import Asked, Wanted
from batch_editor.finished.command import FinishOutcome, finish_output
from batch_editor.finished.counts import FinishedSummary, finish_command, finished_summary
from batch_editor.finished.left import Left, finish_left
from batch_editor.finished.making import Maker
from batch_editor.finished.report import write_reports

__all__ = [
    "Asked",
    "FinishOutcome",
    "FinishedSummary",
    "Left",
    "Maker",
    "Wanted",
    "finish_command",
    "finish_left",
    "finish_output",
    "finished_summary",
    "write_reports",
]
