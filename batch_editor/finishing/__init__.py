"""From a picture to a finished file, by rules: size, padding, format, colours, AI marks; and what is checked of it.

Knows nothing of jobs, ledgers or output directories: a picture comes in, a file goes out.
"""

from batch_editor.finishing.finish import finish_picture
from batch_editor.finishing.finished_file import CannotFinish, Check, FinishedFile
from batch_editor.finishing.presets import Preset, PresetRule, load_preset, shipped_presets
from batch_editor.finishing.reading import finish_schema, read_finish
from batch_editor.finishing.rules import Checks, FinishRules
from batch_editor.finishing.stored import rules_from_text, rules_to_text
from batch_editor.finishing.values import FinishFaults, known_rules

__all__ = [
    "CannotFinish",
    "Check",
    "Checks",
    "FinishFaults",
    "FinishRules",
    "FinishedFile",
    "Preset",
    "PresetRule",
    "finish_picture",
    "finish_schema",
    "known_rules",
    "load_preset",
    "read_finish",
    "rules_from_text",
    "rules_to_text",
    "shipped_presets",
]
