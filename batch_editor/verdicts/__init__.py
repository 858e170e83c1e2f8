"""Verdicts: what people said of the images, a SQLite file beside the ledger, which `review` alone writes."""

from batch_editor.verdicts.entries import UNCHANGED, Picture, Unchanged, Verdict, VerdictWord
from batch_editor.verdicts.file import FILE_NAME, Verdicts, read_verdicts

__all__ = [
    "FILE_NAME",
    "UNCHANGED",
    "Picture",
    "Unchanged",
    "Verdict",
    "VerdictWord",
    "Verdicts",
    "read_verdicts",
]
