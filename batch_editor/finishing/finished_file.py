"""What came of finishing a picture."""

from __future__ import annotations

from dataclasses import dataclass

from batch_editor.finishing.rules import Format


class CannotFinish(ValueError):
    """The picture can't be read, or can't be made what the rules ask; the message says which, in a sentence."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule, whether the finished file meets it, what was measured and what was wanted, in words."""

    rule: str
    ok: bool
    got: str
    wanted: str


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """The file as it lies on disk. `notes`: what was lost or done beyond the rules' words; `checks`: each rule's."""

    format: Format
    width: int
    height: int
    bytes: int
    sha256: str
    notes: tuple[str, ...]
    checks: tuple[Check, ...]
