"""What work costs in counts, which are the same on every machine and every day; seconds are not."""

from __future__ import annotations

import cProfile
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Ten, and a half for batches that come out uneven. What doesn't grow with the jobs is paid once, so that an honest
# tenfold costs less than ten times as much.
from batch_editor import Selection
from batch_editor.config import Settings
from batch_editor.ledger import Staging
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, stage_manifests

TENFOLD = 10.5


@dataclass(frozen=True)
class Counts:
    """Function calls (Python's and C's), and calls of SQLite."""

    calls: int
    statements: int


def counted(work: Callable[[], object]) -> Counts:
    """What one turn of the work costs, after a first one that fills caches and loads modules."""
    work()
    profile = cProfile.Profile()
    profile.runcall(work)
    stats = profile.getstats()
    statements = sum(entry.callcount for entry in stats if "sqlite3.Connection" in str(entry.code))
    return Counts(sum(entry.callcount for entry in stats), statements)


def peak_bytes(work: Callable[[], object]) -> int:
    """What one turn of the work holds at its worst moment, after a first one."""
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def table(folder: Path, count: int) -> Path:
    """A catalog of so many products. Nobody listens at its links: a sandbox then edits a placeholder."""
    path = folder / f"{count}.csv"
    lines = (
        f"product-{number:06},Mug {number},Put mug {number} on white,http://127.0.0.1:9/{number}.jpg,low,1024x1024"
        for number in range(count)
    )
    path.write_text("\n".join(["id,title,prompt,image_urls,quality,size", *lines]) + "\n", encoding="utf-8")
    return path


def staged(manifest: Path, **overrides: str) -> Callable[[], object]:
    """Taking a manifest in: read, expanded, checked, priced, and compared with itself. The work of each row."""

    def work() -> None:
        with Staging() as staging:
            calibration = Calibration(manifest.parent / "none")
            stage_manifests([manifest], Catalog(Settings()), Selection(overrides=overrides), calibration, staging)

    return work
