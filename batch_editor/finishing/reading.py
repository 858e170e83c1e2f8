"""What the value of `finish` means, in a manifest or the config: rules, or all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batch_editor.errors import did_you_mean
from batch_editor.finishing.presets import load_preset, shipped_presets
from batch_editor.finishing.rules import TRANSPARENT, FinishRules
from batch_editor.finishing.values import MAKES, FinishFaults, Wrong, shown
from batch_editor.images.pixels import MAX_PIXELS
from batch_editor.naming import collision_key, safe_output

_KEYS = ("preset", *MAKES)
_MOST_NAME = 64


def read_finish(value: object, *, beside: Path) -> tuple[FinishRules, ...]:
    """The rules of each finished file: from `{NAME: {…}}`, or a list of presets; of an empty list none.

    Paths of presets are relative to `beside`, the folder of the manifest or config.

    Raises:
        FinishFaults: with all faults, each as `finish.NAME.size is '…'; expected …`.
    """
    faults: list[str] = []
    if isinstance(value, (list, tuple)):
        entries = _of_list(value, faults)
    elif isinstance(value, Mapping):
        entries = [(str(name), each) for name, each in value.items()]
    else:
        raise FinishFaults(f"finish is {shown(value)}; expected a mapping of names, or a list of presets")
    rules: list[FinishRules] = []
    names: dict[str, str] = {}
    for name, entry in entries:
        place = f"finish.{name}"
        if safe_output(name, folders=False) != name or len(name) > _MOST_NAME or name.startswith("."):
            faults.append(f"{place} can't be a folder's name; expected letters, digits, - and _, such as web-2000")
        elif (first := names.get(collision_key(name))) is not None:
            faults.append(f"{place} would have the same folder as finish.{first}; give one another name")
        names.setdefault(collision_key(name), name)
        rules += _entry(name, entry, place, beside, faults)
    if faults:
        raise FinishFaults(*faults)
    return tuple(rules)


def _of_list(value: list[object] | tuple[object, ...], faults: list[str]) -> list[tuple[str, object]]:
    entries: list[tuple[str, object]] = []
    for number, each in enumerate(value, start=1):
        if isinstance(each, str) and each:
            entries.append((Path(each).stem, {"preset": each}))
        else:
            faults.append(f"finish[{number}] is {shown(each)}; expected a preset: {', '.join(shipped_presets())}")
    return entries


def _entry(name: str, entry: object, place: str, beside: Path, faults: list[str]) -> list[FinishRules]:
    if not isinstance(entry, Mapping) or not entry:
        hint = f" (did you mean {{preset: {name}}}?)" if name in shipped_presets() else ""
        said = "empty" if isinstance(entry, Mapping) else shown(entry)
        faults.append(f"{place} is {said}; expected rules, such as {{size: 2000x2000, format: jpeg}}{hint}")
        return []
    before = len(faults)
    given: dict[str, Any] = {}
    for key, written in entry.items():
        if key not in _KEYS:
            faults.append(f"{place}.{key} is unknown{did_you_mean(str(key), _KEYS)}")
        elif key != "preset":
            try:
                given[key] = MAKES[key].read(written)
            except Wrong as wrong:
                faults.append(f"{place}.{key} is {shown(written)}; expected {MAKES[key].expected}{wrong.hint}")
    made, checks = _of_preset(entry, place, beside, faults)
    faults += _contradictions(given, made | given, place)
    if len(faults) > before:
        return []
    preset = str(entry["preset"]) if "preset" in entry else None
    return [FinishRules.model_validate({**made, **given, "name": name, "preset": preset, "checks": checks})]


def _of_preset(
    entry: Mapping[Any, object], place: str, beside: Path, faults: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    if "preset" not in entry:
        return {}, {}
    said = entry["preset"]
    if not isinstance(said, str) or not said:
        faults.append(f"{place}.preset is {shown(said)}; expected {', '.join(shipped_presets())}, or a path")
        return {}, {}
    try:
        preset = load_preset(str(said), beside=beside)
    except FinishFaults as wrong:
        faults += [
            f"{place}.preset {each}" if each.startswith("is ") else f"{place}.preset: {each}" for each in wrong.faults
        ]
        return {}, {}
    return (
        {key: rule.value for key, rule in preset.makes.items()},
        {key: rule.value for key, rule in preset.checks.items()},
    )


def _contradictions(given: dict[str, Any], whole: dict[str, Any], place: str) -> list[str]:
    """Rules that nothing comes of: `given` are those written here, `whole` has the preset's too."""
    faults = [
        f"{place}.{key} does nothing without a size; add one, such as size: 2000x2000"
        for key in ("fit", "pad", "enlarge")
        if key in given and "size" not in whole
    ]
    if given.get("fit") == "cover" and "pad" in given:
        faults.append(f"{place}.pad does nothing with fit: cover, which leaves nothing to pad; leave one of them out")
    width, height = whole.get("size", (1, 1))
    if width * height > MAX_PIXELS and (whole.get("enlarge", True) or "pad" in whole):
        faults.append(f"{place}.size is {width}x{height}; a file has at most {MAX_PIXELS:,} pixels: give a smaller one")
    if whole.get("pad") == TRANSPARENT and whole.get("format") == "jpeg":
        faults.append(f"{place}.pad is transparent, which JPEG can't be; expected format: png or webp, or another pad")
    if given.get("format") == "png" and "quality" in given:
        faults.append(f"{place}.quality does nothing with format: png, which loses nothing; leave one of them out")
    return faults


def finish_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) of a `finish`: a mapping of names, or a list of presets."""
    preset = {
        "description": "a shipped preset, or the path of one's own",
        "anyOf": [{"enum": shipped_presets()}, {"type": "string", "pattern": r"\.ya?ml$"}],
    }
    keys = {name: {**key.schema, "description": key.about} for name, key in MAKES.items()}
    entry = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {"preset": preset, **keys},
    }
    return {
        "description": "finished files beside the picture, by name; or a list of presets; []: none",
        "anyOf": [{"type": "object", "additionalProperties": entry}, {"type": "array", "items": preset}],
    }
