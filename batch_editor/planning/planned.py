"""A plan together with what it was made of, for those who look closer while that is there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.config import Settings
from batch_editor.ledger import Staging
from batch_editor.planning.catalog import Catalog, Selection
from batch_editor.planning.plan import Plan
from batch_editor.records import Redo


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, the staged jobs that it is of, and what was asked for.

    The staging is gone when `make_plan` returns. `sources`: the other output directories that count.
    """

    plan: Plan
    staging: Staging
    catalog: Catalog
    settings: Settings
    manifests: Sequence[Path]
    selection: Selection
    output: Path
    sources: Sequence[Path]
    redo: Collection[Redo]
