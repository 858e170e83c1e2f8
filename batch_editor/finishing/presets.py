"""Presets: files of rules, each rule with where it is documented and as of when."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from batch_editor.errors import did_you_mean
from batch_editor.finishing.values import CHECKS, MAKES, FinishFaults, Key, Wrong, shown
from batch_editor.strict_yaml import Block, Text, YamlFault, read_yaml

Basis = Literal["documented", "inferred"]

_SHIPPED = Path(__file__).parent / "presets"
_TOP = ("about", "makes", "checks")
_OF_A_RULE = ("value", "source", "as_of", "basis", "says")


class PresetRule(BaseModel):
    """One rule of a preset: its value, and who says so. `basis`: whether `source` says it or it follows from there."""

    model_config = ConfigDict(frozen=True)

    value: Any
    source: str | None = None
    as_of: str | None = None
    basis: Basis = "documented"
    says: str = ""


class Preset(BaseModel):
    """A preset: `makes` are rules by which a file is made, `checks` those that it is measured against."""

    model_config = ConfigDict(frozen=True)

    name: str
    about: str = ""
    makes: dict[str, PresetRule]
    checks: dict[str, PresetRule]


def shipped_presets() -> list[str]:
    """The presets that come with the package, by name."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_preset(name_or_path: str, *, beside: Path = Path()) -> Preset:
    """A shipped preset by its name, or one of your own by its file's path, which is relative to `beside`.

    Raises:
        FinishFaults: there is none, it can't be read, or it has faults: all of them.
    """
    if name_or_path in shipped_presets():
        return _read(_SHIPPED / f"{name_or_path}.yaml", name_or_path)
    if name_or_path.lower().endswith((".yaml", ".yml")):
        return _read(beside / name_or_path, name_or_path)
    known = shipped_presets()
    hint = did_you_mean(name_or_path, known)
    raise FinishFaults(f"is {shown(name_or_path)}; expected {', '.join(known)}, or a path such as ./own.yaml{hint}")


def _read(path: Path, said: str) -> Preset:
    try:
        document = read_yaml(path)
    except OSError as error:
        raise FinishFaults(f"{said} can't be read: {error.strerror}") from error
    except YamlFault as fault:
        raise FinishFaults(*(f"{said}:{each.place}: {each}" for each in (fault, *fault.more))) from fault
    faults: list[str] = []
    if not isinstance(document, Block):
        raise FinishFaults(f"{said} is {shown(document)}; expected a mapping with the keys {', '.join(_TOP)}")
    faults += [f"{said}: {each!r} is unknown{did_you_mean(each, _TOP)}" for each in document if each not in _TOP]
    makes = _rules(document.get("makes"), "makes", MAKES, said, faults)
    checks = _rules(document.get("checks"), "checks", CHECKS, said, faults)
    if not faults and not makes and not checks:
        faults.append(f"{said} has no rule; expected some below makes or checks")
    if faults:
        raise FinishFaults(*faults)
    about = document.get("about")
    return Preset(name=path.stem, about=str(about or ""), makes=makes, checks=checks)


def _rules(block: object, part: str, known: dict[str, Key], said: str, faults: list[str]) -> dict[str, PresetRule]:
    if block is None:
        return {}
    if not isinstance(block, Block):
        faults.append(f"{said}: {part} is {shown(block)}; expected a mapping of rules")
        return {}
    rules: dict[str, PresetRule] = {}
    for name, written in block.items():
        if name not in known:
            faults.append(f"{said}: {part}.{name} is unknown{did_you_mean(name, list(known))}")
            continue
        rule = _rule(written, f"{part}.{name}", known[name], said, faults)
        if rule is not None:
            rules[name] = rule
    return rules


def _rule(written: object, name: str, key: Key, said: str, faults: list[str]) -> PresetRule | None:
    """A rule that is written as its value alone, or as a mapping with it."""
    fields: dict[str, Any] = dict(written) if isinstance(written, Block) else {"value": written}
    before = len(faults)
    line = getattr(written, "line", None)
    place = f"{said}:{line}" if line else said
    faults += [
        f"{place}: {name}.{each} is unknown{did_you_mean(each, _OF_A_RULE)}"
        for each in fields
        if each not in _OF_A_RULE
    ]
    basis = fields.setdefault("basis", "documented")
    if basis not in get_args(Basis):
        faults.append(f"{place}: {name}.basis is {shown(basis)}; expected documented or inferred")
    try:
        fields["value"] = key.read(fields.get("value"))
    except Wrong as wrong:
        faults.append(f"{place}: {name} is {shown(fields.get('value'))}; expected {key.expected}{wrong.hint}")
    if len(faults) > before:
        return None
    return PresetRule(**{each: str(value) if isinstance(value, Text) else value for each, value in fields.items()})
