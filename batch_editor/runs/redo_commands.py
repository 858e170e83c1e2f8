"""For each cause of failure the command that sends just its jobs again: the last run's own, with other jobs chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from batch_editor.ledger import Connection, GivenCommand
from batch_editor.ledger.cause_readings import JobsOfCause, jobs_of_cause
from batch_editor.ledger.history_readings import last_command
from batch_editor.text import shell_word

# More ids than these make a line that nobody reads: then those that begin alike are named together.
FEW_IDS, MOST_PATTERNS = 20, 50
_WITHOUT_VALUE = ("--retry-failed", "--resend-unknown", "--json", "--yes", "-y")
_WITH_VALUE = ("--redo", "--only", "--limit", "--canary")


def redo_commands(db: Connection, kinds: Iterable[str]) -> dict[str, str]:
    """A command by error kind, to be copied into a shell; none for kinds whose jobs are too many, and
    too mixed with others, to be named.

    Nothing where the last run's command isn't on record, or was no `run`.
    """
    given = last_command(db)
    if given is None or given.words[:1] != ["run"]:
        return {}
    found = {kind: jobs_of_cause(db, kind, few=FEW_IDS, most=MOST_PATTERNS) for kind in kinds}
    return {kind: _command(given, jobs) for kind, jobs in found.items() if jobs.patterns is not None or not jobs.others}


def _command(given: GivenCommand, jobs: JobsOfCause) -> str:
    words = ["batch-editor", *_kept(given.words)]
    words += ["--redo failed"] * jobs.refused + ["--redo unknown"] * jobs.unknown
    words += [f"--only {shell_word(pattern)}" for pattern in jobs.patterns or ()]
    here = given.folder == shell_word(str(Path.cwd()))
    return " ".join(words) if here else f"cd {given.folder} && {' '.join(words)}"


def _kept(words: Sequence[str]) -> Iterator[str]:
    """The words of a command but for those that choose jobs."""
    rest = iter(words)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif word not in _WITHOUT_VALUE and not word.startswith(tuple(f"{name}=" for name in _WITH_VALUE)):
            yield word
