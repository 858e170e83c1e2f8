"""The tables of docs/presets.md, from the presets' files and the keys that are known; see `reference.py`."""

from __future__ import annotations

from collections.abc import Iterable

from batch_editor.finishing import Preset, PresetRule, known_rules, load_preset, shipped_presets


def finish_keys() -> str:
    """Every key of a finished file's rules."""
    made, _ = known_rules()
    rows = [(f"`{name}`", key.about, _escaped(key.expected)) for name, key in made.items()]
    return _table(("key", "is", "expected"), [("`preset`", "rules to begin with", "a preset's name, or a path"), *rows])


def finish_checks() -> str:
    """Every rule that a preset can check."""
    _, checked = known_rules()
    rows = [(f"`{name}`", key.about, _escaped(key.expected)) for name, key in checked.items()]
    return _table(("rule", "looks at", "expected"), rows)


def finish_presets() -> str:
    """Every shipped preset with its rules."""
    return "\n\n".join(_section(load_preset(name)) for name in shipped_presets())


def _section(preset: Preset) -> str:
    made = _rules("makes", preset.makes)
    checked = _rules("checks", preset.checks)
    return f"### {preset.name}\n\n{preset.about}.\n\n{made}\n\n{checked}"


def _rules(title: str, rules: dict[str, PresetRule]) -> str:
    rows = [
        (
            f"`{name}`",
            f"`{_escaped(_written(rule.value))}`",
            _escaped(rule.says),
            f"[{rule.basis}]({rule.source}), {rule.as_of}",
        )
        for name, rule in rules.items()
    ]
    return _table((title, "", "because", "source, as of"), rows)


def _written(value: object) -> str:
    """A value as the preset's file has it."""
    if isinstance(value, tuple):
        return "x".join(map(str, value)) if isinstance(value[0], int) else f"[{', '.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, *(tuple(row) for row in rows)]
    shown = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([shown[0], "|" + "---|" * len(head), *shown[1:]])
