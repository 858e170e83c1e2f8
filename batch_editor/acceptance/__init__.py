"""Whether an image is what was asked for: by its header always, by its pixels where `checks: full` says so."""

from batch_editor.acceptance.acceptance import UNCHECKED, Acceptance, Verdict
from batch_editor.acceptance.workers import Unchecked, Workers

__all__ = ["UNCHECKED", "Acceptance", "Unchecked", "Verdict", "Workers"]
