"""What a schedule is made for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from batch_editor.nightly.airflow import airflow_files, airflow_steps
from batch_editor.nightly.cron import cron_files, cron_steps
from batch_editor.nightly.files import NightlyFile
from batch_editor.nightly.github import github_files, github_steps
from batch_editor.nightly.kubernetes import kubernetes_files, kubernetes_steps
from batch_editor.nightly.schedule import ENVIRONMENT_FILE, Schedule, environment_file, secret_values
from batch_editor.nightly.systemd import systemd_files, systemd_steps
from batch_editor.shard import MOST_SHARDS
from batch_editor.text import shell_word


@dataclass(frozen=True, slots=True)
class Made:
    """The files of a schedule, and what to do with them, in order."""

    files: tuple[NightlyFile, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Maker:
    """What makes the files for one program.

    has_environment: the key is in an environment file, not among that program's secrets.
    first_by_hand: the first run is made on this machine, or on that of each shard.
    most_shards: how many shards of a manifest it starts, each on a machine of its own; 0: one machine is all.
    """

    files: Callable[[Schedule, Path | None], tuple[NightlyFile, ...]]
    steps: Callable[[Schedule, Path | None], Iterator[str]]
    has_environment: bool = True
    first_by_hand: bool = True
    most_shards: int = 0

    def make(self, schedule: Schedule, folder: Path | None) -> Made:
        """The schedule's files. `folder`: where they will be written; None: they are printed alone.

        Raises:
            UsageError: that program can't have it so.
        """
        environment = None
        if self.has_environment and schedule.secrets:
            environment = (schedule.directory if folder is None else folder.absolute()) / ENVIRONMENT_FILE
        files = self.files(schedule, environment)
        if environment is not None and folder is not None:
            files = (*files, NightlyFile(ENVIRONMENT_FILE, environment_file(schedule), secret=True))
        return Made(files, tuple(self._steps(schedule, folder, environment)))

    def _steps(self, schedule: Schedule, folder: Path | None, environment: Path | None) -> Iterator[str]:
        if environment is not None:
            yield _key_step(schedule, environment, is_written=folder is not None)
        if self.first_by_hand and schedule.has_ledger():
            there = f"{schedule.output} has its ledger" if not schedule.shards else "Each shard has its ledger"
            yield f"{there}, so a first run isn't needed"
        elif self.first_by_hand:
            where = ", for each shard I on its machine" if schedule.shards else ""
            command = schedule.first_command(environment)
            yield f"First run, by hand{where}, for every night expects its ledger: {command}"
        yield from self.steps(schedule, folder)


def _key_step(schedule: Schedule, environment: Path, *, is_written: bool) -> str:
    file = shell_word(str(environment))
    if is_written:
        names = ", ".join(schedule.secrets)
        return (
            f"Put {names} into {file}, between the quotes; only you may read it (mode 600), and it belongs into no"
            " repository"
        )
    values = secret_values(schedule)
    return f"""(umask 077 && printf "%s='%s'\\n" {values} > {file})    # mode 600; keep it out of repositories"""


KINDS: Mapping[str, Maker] = {
    "systemd": Maker(systemd_files, systemd_steps),
    "cron": Maker(cron_files, cron_steps),
    "kubernetes": Maker(
        kubernetes_files, kubernetes_steps, has_environment=False, first_by_hand=False, most_shards=MOST_SHARDS
    ),
    # A matrix of theirs has 256 jobs at most.
    "github": Maker(github_files, github_steps, has_environment=False, most_shards=256),
    "airflow": Maker(airflow_files, airflow_steps),
}
