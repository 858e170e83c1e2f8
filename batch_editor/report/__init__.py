"""What runs did, as one HTML file to keep and to mail: it refers to nothing outside itself, and needs no scripts."""

from batch_editor.report.gathering import Source
from batch_editor.report.writing import write_report

__all__ = ["Source", "write_report"]
