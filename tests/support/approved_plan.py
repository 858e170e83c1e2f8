"""Plans that are saved, and approved, for runs on a bench."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batch_editor import Selection
from batch_editor.planning import PlanFile, SavedPlan, SaveTo, make_plan, save_plan
from batch_editor.records import Redo
from batch_editor.runs.spent_places import spent_file
from batch_editor.sandbox import Sandbox
from tests.support.bench import Bench, Job

SAVED_AT = 1_795_000_000.0


def save(
    bench: Bench,
    wanted: Sequence[Job] | Path,
    provider: Sandbox | str | None = None,
    *,
    by: str | None = "Mara Lind",
    redo: Sequence[Redo] = (),
    reuse: Sequence[Path] = (),
    selection: Selection | None = None,
    out: Path | None = None,
    name: str = "plan.json",
    **flags: Any,
) -> Path:
    """The file of these jobs' plan. `flags` are those of `Bench.settings`."""
    path, found = bench.folder / name, list[SavedPlan]()
    manifest = wanted if isinstance(wanted, Path) else bench.write(wanted)
    make_plan(
        [manifest],
        bench.settings(provider, **flags),
        output=out or bench.out,
        redo=redo,
        reuse=reuse,
        selection=selection,
        look=lambda planned: found.append(save_plan(planned, SaveTo(path, by), now=SAVED_AT)),
    )
    assert [each.path for each in found] == [path]
    return path


def spent_of(path: Path) -> Path:
    """The file in which what is spent of a plan is counted."""
    return spent_file(path, PlanFile.read(path).plan_id)
