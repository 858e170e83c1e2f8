"""A service and its timer for the user's own systemd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from batch_editor.errors import UsageError
from batch_editor.nightly.files import NightlyFile
from batch_editor.nightly.schedule import Schedule, words

# A run that is killed again and again (out of memory) isn't started for ever: four times in half a day.
_STARTS, _WITHIN = 4, "12h"
_PLAIN = re.compile(r"[\w@+=:,./-]+", re.ASCII)


def systemd_files(schedule: Schedule, environment: Path | None) -> tuple[NightlyFile, ...]:
    """`NAME.service` and `NAME.timer`. `environment`: the environment file, if the key comes from one.

    Raises:
        UsageError: a path can't be written into a unit.
    """
    return (
        NightlyFile(f"{schedule.name}.service", "\n".join(_service(schedule, environment)) + "\n"),
        NightlyFile(f"{schedule.name}.timer", "\n".join(_timer(schedule)) + "\n"),
    )


def _service(schedule: Schedule, environment: Path | None) -> Iterator[str]:
    yield from (f"# {line}" for line in schedule.about())
    yield "# A unit of your own systemd; it runs while you aren't logged in after: loginctl enable-linger"
    yield ""
    yield "[Unit]"
    yield f"Description=batch-editor, {_specifiers(' '.join(schedule.manifests))}"
    yield f"StartLimitIntervalSec={_WITHIN}"
    yield f"StartLimitBurst={_STARTS}"
    yield ""
    yield "[Service]"
    yield "Type=oneshot"
    yield f"WorkingDirectory={_path(schedule.directory)}"
    yield f"Environment=TZ={schedule.zone}"
    if environment is not None:
        yield "# Only you may read it (mode 600)."
        yield f"EnvironmentFile={_pattern(environment)}"
    program, *arguments = schedule.command()
    # What is started is a path, in which `$` means nothing.
    yield f"ExecStart={' '.join([_word(program).replace('$$', '$'), *map(_word, arguments)])}"
    yield "# 4: stopped with work left, by the deadline or the budget; 143: told to stop. The next night resumes;"
    yield "# where it was the budget, once that has room: a day's has by itself, a run's when you raise it."
    yield "SuccessExitStatus=4 143"
    yield "# Killed, out of memory: run again, which resumes and buys nothing twice."
    yield "Restart=on-abnormal"
    yield "RestartSec=60"
    yield "# What is in flight is paid for: it is waited for as long as an attempt may take, and saved."
    yield "KillMode=mixed"
    yield f"TimeoutStopSec={schedule.stop_s}"


def _timer(schedule: Schedule) -> Iterator[str]:
    yield from (f"# {line}" for line in schedule.about())
    yield ""
    yield "[Unit]"
    yield f"Description=batch-editor, {_specifiers(' '.join(schedule.manifests))}, every night"
    yield ""
    yield "[Timer]"
    yield f"OnCalendar=*-*-* {schedule.hour:02d}:{schedule.minute:02d}:00 {schedule.zone}"
    yield "# A night that the machine slept through is made up for when it wakes."
    yield "Persistent=true"
    yield ""
    yield "[Install]"
    yield "WantedBy=timers.target"


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _word(word: str) -> str:
    r"""A word of a command line, see systemd.service(5), COMMAND LINES.

    >>> print(_word("50% of $HOME"), _word('say "hi"'), _word("a\\b"))
    "50%% of $$HOME" "say \"hi\"" "a\\b"
    """
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_specifiers(escaped)}"'


def _path(path: Path) -> str:
    """A path as a whole value, which knows neither quotes nor escapes."""
    text = str(path)
    if text != text.strip() or text.endswith("\\"):
        raise UsageError(f"{text!r}: a unit of systemd can't name a path that ends in white space or a backslash")
    return _specifiers(text)


def _pattern(path: Path) -> str:
    """A path where a unit takes a pattern of the shell, see glob(7)."""
    return re.sub(r"([*?\[\\])", r"\\\1", _path(path))


def systemd_steps(schedule: Schedule, folder: Path | None) -> Iterator[str]:
    """What to do with the files; None: they are printed alone."""
    units = "~/.config/systemd/user"
    if folder is None:
        yield f"Save both in {units} (or use --to {units})"
    elif folder.resolve() != Path(units).expanduser():
        linked = [str((folder / f"{schedule.name}.{kind}").absolute()) for kind in ("service", "timer")]
        yield f"systemctl --user link {words(linked)}"
    yield "systemctl --user daemon-reload"
    yield f"systemctl --user enable --now {schedule.name}.timer"
    yield "loginctl enable-linger    # or it runs only while you are logged in"
    yield f"systemctl --user start {schedule.name}.service    # to try it"
    yield f"journalctl --user -u {schedule.name}    # what it said"
