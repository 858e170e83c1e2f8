"""A line of a crontab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from batch_editor.errors import UsageError
from batch_editor.nightly.files import NightlyFile
from batch_editor.nightly.schedule import Schedule, shell_line, words
from batch_editor.nightly.zone import local_zone

# Debian's cron refuses a longer command; others take more.
_LONGEST = 998


def cron_files(schedule: Schedule, environment: Path | None) -> tuple[NightlyFile, ...]:
    """`NAME.cron`, a piece of a crontab.

    Raises:
        UsageError: the line is longer than cron takes.
    """
    return (NightlyFile(f"{schedule.name}.cron", "\n".join(_lines(schedule, environment)) + "\n"),)


def _lines(schedule: Schedule, environment: Path | None) -> Iterator[str]:
    command = _escaped(shell_line(schedule, environment))
    if len(command) > _LONGEST:
        raise UsageError(
            f"the crontab's line would have {len(command)} characters; cron takes {_LONGEST}. What is set by --set can"
            " stand in the manifest, other options in the config"
        )
    yield from (f"# {line}" for line in schedule.about())
    yield "# Two nights can't overlap: the second one ends at once, with exit code 5. cron mails what a run prints."
    if schedule.zone != local_zone():
        yield f"# Not every cron knows CRON_TZ: Debian's goes by the machine's clock, {local_zone()}."
    # In any case: one of another schedule above it would hold for this line too.
    yield f"CRON_TZ={schedule.zone}"
    yield f"{schedule.cron}  {command}"


def _escaped(command: str) -> str:
    r"""The command as a crontab has it. A bare `%` would be a line break there.

    Some crons drop a backslash before another one too. So none stands before one: within quotes, `\` is followed by
    an end and a new beginning of them.

    >>> print(_escaped("date '+%H'"), _escaped("echo 'a\\\\b'"))
    date '+\%H' echo 'a\''\''b'
    """
    return command.replace("\\", "\\''").replace("%", "\\%")


def cron_steps(schedule: Schedule, folder: Path | None) -> Iterator[str]:
    """What to do with the file."""
    file = f"{schedule.name}.cron" if folder is None else str(folder / f"{schedule.name}.cron")
    if folder is None:
        yield f"Save it as {file}"
    yield f"(crontab -l 2>/dev/null; cat {words([file])}) | crontab -"
    if schedule.zone != local_zone():
        yield (
            f"See that your cron knows CRON_TZ (man 5 crontab): Debian's doesn't, and starts this at"
            f" {schedule.hour:02d}:{schedule.minute:02d} {local_zone()}; systemd's timers know the zone"
        )
