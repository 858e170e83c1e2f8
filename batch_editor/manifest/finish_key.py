"""What a manifest, or a command line, says of a job's finished files."""

from __future__ import annotations

from pathlib import Path

from batch_editor.finishing import FinishFaults, read_finish, rules_to_text
from batch_editor.manifest.values import Fixed
from batch_editor.strict_yaml import Value, YamlFault, parse_yaml

KEY = "finish"


def finish_source(value: Value, folder: Path) -> Fixed | None:
    """The rules that a manifest gives, as text, the same for every row; None where it says nothing.

    `folder` is what paths of presets are relative to.

    Raises:
        FinishFaults: with all that is wrong with them, each a sentence of its own.
    """
    return None if value is None else Fixed(rules_to_text(read_finish(value, beside=folder)))


def finish_in(text: str, folder: Path) -> Fixed:
    """The same from a command line: `amazon-main,google`, `[amazon-main]`, `{web: {size: 1600x1600}}`, or `[]`.

    Raises:
        FinishFaults: it is none of these, or has faults.
    """
    if not text.strip().startswith(("[", "{")):
        presets = [each.strip() for each in text.split(",")]
        return Fixed(rules_to_text(read_finish(presets, beside=folder)))
    try:
        value = parse_yaml(text.encode(errors="replace"))
    except YamlFault as fault:
        raise FinishFaults(f"finish can't be read: {fault}") from fault
    return Fixed(rules_to_text(read_finish(value, beside=folder)))
