"""What becomes of rejected images, in figures and for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from batch_editor.text import many


@dataclass(frozen=True, slots=True)
class Redos:
    """What becomes of the chosen jobs' rejected images.

    sent: how many are made again. held: how many are not, by what became of the same redo before: it was refused for
    good (`failed`), or may have been billed in vain (`unknown`). lost: how many can't be, by the endpoint that made
    them, and why.
    """

    sent: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """The same for people."""
        if not (self.sent or self.held or self.lost):
            yield "no image of the chosen jobs is rejected"
        if self.sent:
            yield f"made again, rejected: {many(self.sent, 'image')}"
        for state, count in self.held.items():
            became = {"failed": "was refused", "unknown": "may have been billed"}[state]
            yield (
                f"rejected, but their redo {became} before: {count:,}; another note makes another redo,"
                f" --redo {state} sends the same again"
            )
        for why, count in self.lost.items():
            yield f"rejected, but not to be made again: {count:,}, {why}"
