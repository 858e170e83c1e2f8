"""Which finished files jobs should have, and which of those they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from batch_editor.finishing import FinishRules, rules_from_text
from batch_editor.ledger import OF_CONFIG, Finishable, FinishedRow
from batch_editor.output import FINISHED, FinishedFiles


class Wanted(NamedTuple):
    """A finished file that is to be made, and its path. former: what the job has in its place."""

    job: Finishable
    rules: FinishRules
    path: str
    by_command: bool
    former: FinishedRow | None


class Found(NamedTuple):
    """What is to be done for a job: files to make, rows to forget with their files, and rows that change alone.

    refused: rows of files that can't be made, however often it is tried.
    """

    make: list[Wanted]
    forget: list[FinishedRow]
    change: list[FinishedRow]
    refused: list[FinishedRow]


class Asked:
    """What manifests and the config say of jobs' finished files, as the ledger has it.

    presets: what a command asks for, and nothing else then; a rule of the job's own of that name goes before it. names:
    of rules of jobs' own that it asks for.
    """

    def __init__(
        self, rules: Mapping[str, str], *, presets: Sequence[FinishRules] = (), names: Sequence[str] = ()
    ) -> None:
        self._rules = {finish: _known(text) for finish, text in rules.items()}
        self._presets = presets
        self._chosen = {*names, *(each.name for each in presets)} if presets or names else None

    @property
    def any(self) -> bool:
        """Whether any job may have finished files."""
        return bool(self._presets) or any(rules != () for rules in self._rules.values())

    @property
    def names(self) -> set[str]:
        """The names of all that manifests and the config ask for."""
        return {each.name for rules in self._rules.values() for each in rules or ()}

    def of(self, job: Finishable, files: FinishedFiles) -> Found:
        """What is to be done for a job."""
        rules = self._rules.get(OF_CONFIG if job.finish is None else job.finish, ())
        found = Found([], [], [], [])
        if rules is None:
            return found
        own = {each.name: each for each in rules}
        for name, wanted in ({each.name: each for each in self._presets} | own).items():
            if self._chosen is not None and name not in self._chosen:
                continue
            self._look(job, wanted, files, by_command=name not in own, found=found)
        for name, row in job.kept.items():
            if name not in own and (self._chosen is None or name not in self._chosen):
                self._look_at_unasked(job, row, files, found)
        return found

    def _look(
        self, job: Finishable, rules: FinishRules, files: FinishedFiles, *, by_command: bool, found: Found
    ) -> None:
        if job.image_path is None:
            return  # the file of its former picture stays, as that picture does, until there is a new one
        kept = job.kept.get(rules.name)
        path = f"{FINISHED}/{rules.name}/{job.output}{rules.ending(job.image_format)}"
        is_refused = kept is not None and _is_refused(kept, job, rules)
        if kept is None or not (is_refused or _is_as_asked(kept, job, rules, path, files)):
            found.make.append(Wanted(job, rules, path, by_command, kept))
            return
        if is_refused:
            found.refused.append(kept)
        if kept.by_command and not by_command:
            found.change.append(kept._replace(by_command=False))

    def _look_at_unasked(self, job: Finishable, row: FinishedRow, files: FinishedFiles, found: Found) -> None:
        """What a command once asked for stays while it is of the job's picture, and until somebody removes it."""
        is_of_picture = job.image_path is None or row.image_sha256 == job.image_sha256
        stands = row.path is not None and row.size_bytes is not None and files.stands(row.path, row.size_bytes)
        if not (row.by_command and is_of_picture and stands):
            found.forget.append(row)


def _known(text: str) -> tuple[FinishRules, ...] | None:
    """The rules of a text; None of one that another version has left and says otherwise, which a run takes anew."""
    try:
        return rules_from_text(text)
    except ValueError:
        return None


def _is_refused(row: FinishedRow, job: Finishable, rules: FinishRules) -> bool:
    """Whether the file could not be made for what the picture and the rules are, and both are the same."""
    return (row.path, row.rules, row.image_sha256) == (None, rules.refused, job.image_sha256)


def _is_as_asked(row: FinishedRow, job: Finishable, rules: FinishRules, path: str, files: FinishedFiles) -> bool:
    return (
        (row.rules, row.image_sha256, row.path) == (rules.digest, job.image_sha256, path)
        and row.size_bytes is not None
        and files.stands(path, row.size_bytes)
    )
