"""One nightly run: which command, where, when, and how long it may take to end when it is stopped."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.errors import UsageError
from batch_editor.text import quoted

# Where a key waits for the runs that nobody starts by hand. It must not go into a repository.
ENVIRONMENT_FILE = "batch-editor.env"
# Beyond the provider's longest answer: to save what came, and to write the output manifest.
_SAVING_S = 60.0
# In the words of a command it stands for a shard's number, until that is said as the program has it that starts all
# shards. No shell quotes it.
NUMBER = "@shard@"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One nightly run.

    name: what its units, jobs and files are called.
    hour, minute, zone: when, by the clock of that time zone.
    directory: the working directory; relative paths of the command are relative to it.
    program: how the program is started on this machine.
    manifests, output: paths as the command has them.
    options: the options of `run` that hold for the first run too, as words; paths among them are in `paths`.
    nightly: those of every night alone, but `--log-file` and `--expect-ledger`.
    secrets: the environment's variables that every night needs: the key's, unless it comes from a file that the config
    names, those of addresses that are notified, those of a bucket.
    timeout_s: of one attempt, in seconds.
    shards: how many processes divide the manifest; 0: one does all of it.
    made_by: the command that made this schedule, for its readers.
    """

    name: str
    hour: int
    minute: int
    zone: str
    directory: Path
    program: tuple[str, ...]
    manifests: tuple[str, ...]
    output: str
    options: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    nightly: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    timeout_s: float
    made_by: str
    shards: int = 0

    def __post_init__(self) -> None:
        """See that every word can stand in a file of lines.

        Raises:
            UsageError: one can't, or a variable has a name that no shell takes.
        """
        if self.shards and (held := next((each for each in self._given if NUMBER in each), None)):
            raise UsageError(f"{quoted(held)}: holds {NUMBER}, which stands for a shard's number here")
        for name in self.secrets:
            if not _VARIABLE.fullmatch(name):
                raise UsageError(
                    f"{quoted(name)}: expected the name of an environment variable, such as SEGMIND_API_KEY"
                )
        for word in (*self.command(), str(self.directory), self.made_by):
            if _CONTROL.search(word):
                raise UsageError(
                    f"{quoted(word)}: holds a line break, or what isn't text, and can't stand in a schedule; what is"
                    " set for the jobs can stand in the manifest, and a file can be renamed"
                )

    @property
    def _given(self) -> tuple[str, ...]:
        return (*self.manifests, self.output, *self.options, *self.nightly, self.name)

    @property
    def stop_s(self) -> int:
        """Seconds that a run needs to stop: what is in flight is paid for, and is waited for."""
        return math.ceil(self.timeout_s + _SAVING_S)

    @property
    def cron(self) -> str:
        """When, as cron writes it."""
        return f"{self.minute} {self.hour} * * *"

    @property
    def clock(self) -> str:
        """When, for people."""
        return f"{self.hour:02d}:{self.minute:02d} {self.zone}"

    @property
    def log(self) -> str:
        """The file of the log, in the working directory; of shards one each."""
        return f"{self.name}-{NUMBER}.jsonl" if self.shards else f"{self.name}.jsonl"

    @property
    def run_output(self) -> str:
        """The output directory of a run: of shards one each."""
        return f"{self.output}-{NUMBER}-of-{self.shards}" if self.shards else self.output

    def arguments(self, *, output: str | None = None, log: str | None = None) -> tuple[str, ...]:
        """The arguments of every night's run; with another output directory or log where that is given."""
        quiet = ("--progress", "none", "--log-file", log or self.log)
        return (*self._first(output or self.run_output), *self.nightly, "--expect-ledger", *quiet)

    def command(self) -> tuple[str, ...]:
        """Every night's command on this machine."""
        return (*self.program, *self.arguments())

    def first_command(self, environment: Path | None) -> str:
        """The command of the first run, as a shell takes it: by hand, with somebody to look at it.

        With an environment file it is in parentheses, so that the key doesn't stay in the shell it is typed into. `I`
        stands for a shard's number.
        """
        steps = [f"cd {shlex.quote(str(self.directory))}"]
        if environment is not None:
            steps.append(_read_environment(environment))
        steps.append(words([word.replace(NUMBER, "I") for word in (*self.program, *self._first(self.run_output))]))
        command = " && ".join(steps)
        return command if environment is None else f"({command})"

    def has_ledger(self) -> bool:
        """Whether something has run in the output directory, so that no first run is needed."""
        outputs = [self.run_output.replace(NUMBER, str(number)) for number in range(self.shards or 1)]
        return all((self.directory / output / "ledger.sqlite3").exists() for output in outputs)

    def about(self) -> Iterator[str]:
        """What the file is, in lines for its head."""
        shards = f", in {self.shards} shards" if self.shards else ""
        yield f"batch-editor: {' '.join(self.manifests)} every night at {self.clock}{shards}."
        yield f"Made by: {self.made_by}"

    def outside(self) -> list[str]:
        """The paths of the command that don't lie in the working directory."""
        named = (*self.manifests, self.output, *self.paths)
        return [each for each in named if Path(each).is_absolute() or ".." in Path(each).parts]

    def _first(self, output: str) -> tuple[str, ...]:
        shard = ("--shard", f"{NUMBER}/{self.shards}") if self.shards else ()
        return ("run", *self.manifests, "-o", output, *self.options, *shard)


def shell_line(schedule: Schedule, environment: Path | None) -> str:
    """Every night's command as one line of a POSIX shell, with the key from an environment file."""
    steps = [f"cd {shlex.quote(str(schedule.directory))}", f"export TZ={schedule.zone}"]
    if environment is not None:
        steps.append(_read_environment(environment))
    steps.append(f"exec {words(schedule.command())}")
    return " && ".join(steps)


def _read_environment(file: Path) -> str:
    return f"set -a && . {shlex.quote(str(file))} && set +a"


def words(arguments: Sequence[str]) -> str:
    """Arguments as a POSIX shell reads them back."""
    # Not as bash alone writes what nobody sees.
    return " ".join(map(shlex.quote, arguments))


def environment_file(schedule: Schedule) -> str:
    """The text of an environment file without its values, as shells and systemd read it."""
    head = "# The environment of nightly runs. Only you may read it (chmod 600), and it belongs into no repository.\n"
    return head + "".join(f"{name}=''\n" for name in schedule.secrets)


def secret_values(schedule: Schedule) -> str:
    """The variables and their values, as a shell gives them to `printf`."""
    return " ".join(f'{name} "${name}"' for name in schedule.secrets)
