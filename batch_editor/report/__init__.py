"""HTML files to keep and to mail: what runs did, and what a plan would do. They refer to nothing outside themselves."""

from batch_editor.report.gathering import Source
from batch_editor.report.plan_gathering import Commands
from batch_editor.report.plan_writing import write_plan_report
from batch_editor.report.writing import write_report

__all__ = ["Commands", "Source", "write_plan_report", "write_report"]
