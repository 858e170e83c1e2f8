"""What the rest of a catalog costs at the successor, when the provider has refused a retired endpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batch_editor.config import Settings
from batch_editor.errors import BatchEditorError
from batch_editor.planning.catalog import Selection
from batch_editor.planning.estimate import make_plan
from batch_editor.records import Redo
from batch_editor.text import many


@dataclass(frozen=True, slots=True)
class Offer:
    """What is left of the manifests: how many requests, and their expected USD at either endpoint.

    faults: why the successor can't take the manifests as they are, None where it can.
    """

    endpoint: str
    successor: str
    requests: int
    before_usd: float
    after_usd: float | None
    faults: str | None = None

    def as_json(self, command: str) -> dict[str, Any]:
        """The `move` object of `run --json`."""
        after = None if self.after_usd is None else round(self.after_usd, 6)
        return {
            "endpoint": self.endpoint,
            "successor": self.successor,
            "requests": self.requests,
            "cost_usd": {"before": round(self.before_usd, 6), "after": after},
            "command": command,
        }

    def lines(self, command: str) -> Iterator[str]:
        """The offer for people, with the command that takes it."""
        left = many(self.requests, "request")
        yield f"Left: {left}, expected ${self.before_usd:,.2f} with {self.endpoint}"
        if self.after_usd is None:
            yield f"With {self.successor} the manifest has faults:"
            yield from (f"  {line}" for line in (self.faults or "").splitlines())
        else:
            yield f"With its successor {self.successor}: ${self.after_usd:,.2f}; what is done is kept"
        yield f"To move: {command}"


def offer_of_successor(
    manifests: Sequence[Path],
    settings: Settings,
    *,
    selection: Selection,
    output: Path | None,
    redo: Collection[Redo] = (),
    reuse: Sequence[Path] = (),
    rehearsal: bool = False,
) -> Offer | None:
    """What moving the rest of the manifests to the successor of their endpoint comes to. Sends nothing. Blocks.

    None where no endpoint of theirs has a successor, or a manifest can't be read again, as a pipe can't.
    """
    if not all(manifest.is_file() for manifest in manifests):
        return None

    def planned(settings: Settings, selection: Selection) -> Any:
        """The plan under other settings."""
        return make_plan(
            manifests, settings, selection=selection, output=output, redo=redo, reuse=reuse, rehearsal=rehearsal
        )

    try:
        before = planned(settings, selection)
    except BatchEditorError:  # it was sound when the run began, and has been edited since
        return None
    named = {group.endpoint for group in before.groups}
    retired = next((each for each in before.retires if each.successor and each.endpoint in named), None)
    if retired is None or retired.successor is None:
        return None
    offer = Offer(retired.endpoint, retired.successor, before.requests, before.cost.expected_usd, None)
    try:
        after = planned(
            settings.model_copy(update={"endpoint": retired.successor}), replace(selection, endpoint=retired.successor)
        )
    except BatchEditorError as error:
        return replace(offer, faults=str(error))
    return replace(offer, after_usd=after.cost.expected_usd)
