"""How one run is to be made, besides its settings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batch_editor.ledger import GivenCommand
from batch_editor.planning import Selection
from batch_editor.records import Redo
from batch_editor.runs.progress import Progress, Quiet


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How one run is to be made, besides its settings.

    selection: which jobs of the manifests, and what is set for all of them.
    output: the output directory; default `<outputs.directory>/<stem of the first manifest>`.
    history: other output directories, whose charges and latencies count for the plan.
    redo: what is sent again, see `Redo`.
    reuse: other output directories, whose images are taken where they are of the same requests.
    sandbox: a rehearsal: nothing is paid, and its results make room for real ones.
    check_inputs: look at every input link first; requests with a faulty one fail unsent.
    yes: continue without asking where many done jobs would be made again, or the manifest looks like another one.
    expect_ledger: begin nothing where the output directory has no ledger yet; its disk may not be mounted.
    progress: who is shown where the run is; lines alone, on standard error, by default.
    signals: let the first SIGINT, SIGTERM or SIGHUP stop the run gently; for whole processes.
    plan: the file of an approved plan: nothing else is sent, and no more spent by all runs with it than was approved.
    command: the command line that asks for the run, to be kept on record; None where there is none.
    """

    selection: Selection = field(default_factory=Selection)
    output: Path | None = None
    history: Sequence[Path] = ()
    redo: Collection[Redo] = ()
    reuse: Sequence[Path] = ()
    sandbox: bool = False
    check_inputs: bool = False
    yes: bool = False
    expect_ledger: bool = False
    progress: Progress = field(default_factory=Quiet)
    signals: bool = False
    plan: Path | None = None
    command: GivenCommand | None = None
