"""Makes the finished files of an output directory from its pictures, without a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_editor.cluster.address import LOCAL
from batch_editor.cluster.opening import pool_on
from batch_editor.errors import UsageError
from batch_editor.finished.asked import Asked
from batch_editor.finished.counts import FinishedSummary, finished_summary
from batch_editor.finished.left import Left, finish_left
from batch_editor.finished.making import Maker
from batch_editor.finished.report import write_reports
from batch_editor.finishing import FinishFaults, FinishRules, read_finish, rules_to_text, shipped_presets
from batch_editor.ledger import FILE_NAME, Ledger, readings
from batch_editor.output import FinishedFiles, locked, picture_store, write_manifest
from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.text import many


@dataclass(frozen=True, slots=True)
class FinishOutcome:
    """What was done, and how the finished files stand since."""

    output: Path
    left: Left
    finished: FinishedSummary

    @property
    def exit_code(self) -> int:
        """1 if any file could not be made. A check that fails is reported, and changes nothing."""
        return 1 if self.left.failed else 0

    def as_json(self) -> dict[str, Any]:
        """The `--json` object of `finish`."""
        return {
            "output": str(self.output),
            "exit_code": self.exit_code,
            "made": self.left.made,
            "failed": self.left.failed,
            "removed": self.left.removed,
            "finished": self.finished.as_json(),
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        removed = f", {self.left.removed:,} that nobody asks for any more removed" if self.left.removed else ""
        yield f"Made {many(self.left.made, 'file')}{removed}"
        yield from self.finished.lines(self.output)
        if self.finished.counts:
            yield f"Reports: {self.output / 'finished' / 'NAME' / 'report.csv'}"


def finish_output(
    output: Path,
    config: Sequence[FinishRules] | None,
    presets: Sequence[str],
    *,
    say: Callable[[str], None],
    on: str = LOCAL,
) -> FinishOutcome:
    """Make the finished files that are missing or old; pictures stay as they are. Blocks.

    config: what the config says of jobs of which the manifest says nothing; None: what it said at the last run holds.
    presets: names of a manifest's or config's rules, or presets: only these are made then.
    on: where they are made: `local`, `ray` or `ray=HOST:PORT`.

    Raises:
        UsageError: there is no ledger, a preset or the cluster can't be used, or nobody asks for finished files.
        LockedError: another process is at work on the output directory.
        MachineError: the disk or the ledger refuses.
    """
    if not readings.begun(output):
        raise UsageError(f"{output}: no ledger here; expected the output directory of a run")
    with locked(output), closing(Ledger(output / FILE_NAME)) as ledger, ledger.translated():
        if config is not None:
            with ledger.transaction():
                ledger.finished.use_config(rules_to_text(config))
        asked = _asked(ledger, presets)
        if not asked.any and not ledger.finished.has_any():
            shipped = shipped_presets()
            raise UsageError(
                f"{output}: neither its manifest nor the config asks for finished files; expected finish: there, or"
                f" --preset {', '.join(shipped[:-1])} or {shipped[-1]}"
            )
        with closing(picture_store(output)) as pictures:
            pictures.prepare(ledger.id, say)
            files = FinishedFiles(output, pictures)
            with closing(pool_on(on, pictures.folder, processes=os.cpu_count() or 1)) as pool:
                left = finish_left(ledger, files, Maker(files, pool), asked, at_once=pool.count, say=say)
            write_reports(ledger.connection, output)
            write_manifest(ledger.connection, output / MANIFEST_NAME)
            pictures.keep_manifest(output / MANIFEST_NAME)
        return FinishOutcome(output, left, finished_summary(ledger.connection))


def _asked(ledger: Ledger, presets: Sequence[str]) -> Asked:
    texts = ledger.finished.rules()
    known = Asked(texts).names
    others = [each for each in presets if each not in known]
    try:
        rules = read_finish(others, beside=Path())
    except FinishFaults as error:
        raise UsageError(
            "\n".join(f"--preset{fault.partition('.preset')[2] or f': {fault}'}" for fault in error.faults)
        ) from error
    return Asked(texts, presets=rules, names=[each for each in presets if each in known])
