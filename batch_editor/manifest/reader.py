"""Manifests by their ending."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from batch_editor.files import YAML
from batch_editor.manifest.entry import Expansion
from batch_editor.manifest.faults import Faults
from batch_editor.manifest.standard_input import NAME, STANDARD_INPUT
from batch_editor.manifest.table_files import WANTED, NoTable, check_is_table
from batch_editor.manifest.table_manifest import read_table_manifest
from batch_editor.manifest.yaml_manifest import read_yaml_manifest
from batch_editor.records import FaultyRow, Job


def read_manifests(paths: Sequence[Path], expansion: Expansion, faults: Faults) -> Iterator[Job | FaultyRow]:
    """The jobs of the manifests in their order, lazily; what stands for a row that is left out as faulty is among them.

    A faulty entry adds faults and gives no jobs; reading continues, so that all faults are listed. Where faulty rows
    are skipped and no sound one is left, they are faults at the end. That ids and outputs are unique is the caller's to
    check.
    """
    has_jobs = False
    for path in paths:
        before, skipped = faults.total, faults.skipped.copy()
        is_empty = True
        for job in _read(Path(path), expansion, faults):
            is_empty = False
            has_jobs = has_jobs or isinstance(job, Job)
            yield job
        if is_empty and faults.total == before:
            where = NAME if path == STANDARD_INPUT else str(path)
            faults.add(where, f"has no jobs{_why(faults.skipped - skipped)}")
    if not has_jobs:
        faults.refuse_skipped()


def _why(skipped: Counter[str]) -> str:
    """Why there are no jobs, where rows were skipped."""
    if not skipped:
        return ""
    if set(skipped) == {"when"}:
        return f": when skips {f'all {skipped.total():,} rows' if skipped.total() > 1 else 'its only row'}"
    return f": all rows are skipped ({', '.join(f'{reason}: {count:,}' for reason, count in skipped.items())})"


def _read(path: Path, expansion: Expansion, faults: Faults) -> Iterator[Job | FaultyRow]:
    if path.suffix.lower() in YAML:
        return read_yaml_manifest(path, expansion, faults)
    try:
        check_is_table(str(path), Path())
    except NoTable as fault:
        wanted = f"is no manifest; expected a .yaml, {WANTED}, or - for standard input"
        faults.add(str(path), str(fault) or wanted)
        return iter(())
    return read_table_manifest(path, expansion, faults)
