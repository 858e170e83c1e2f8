"""A workflow of GitHub Actions, on a runner of one's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from batch_editor.nightly.files import NightlyFile
from batch_editor.nightly.schedule import NUMBER, Schedule, words

# A day, in minutes: the run's deadline is sooner, and ends it without losing what is in flight.
_LONGEST_MIN = 1440
# The number of a shard, which GitHub puts in before a shell sees it: one of those that the matrix lists.
_NUMBER = "${{ matrix.shard }}"


def github_files(schedule: Schedule, _: Path | None) -> tuple[NightlyFile, ...]:
    """`NAME.yml`, for `.github/workflows`."""
    lines = [f"# {line}" for line in schedule.about()]
    return (NightlyFile(f"{schedule.name}.yml", "\n".join([*lines, *_notes(schedule), *_workflow(schedule)]) + "\n"),)


def _notes(schedule: Schedule) -> Iterator[str]:
    yield "# On a runner of your own: a hosted runner's disk is new each night, and would buy every picture again."
    yield "# The output directory is outside of the workspace, which a checkout empties:"
    yield f"# {_output(schedule)}".replace(NUMBER, "I")
    if schedule.shards:
        label = _label(schedule).replace(_NUMBER, "I")
        yield f"# The runner of shard I has the label {label}, for a shard's ledger is on one disk."
    yield "# Don't cancel it: GitHub waits for ten seconds, and what is in flight then is paid for and dropped."
    yield "# To stop it, send the process a SIGTERM on the runner."


def _output(schedule: Schedule) -> Path:
    return schedule.directory / schedule.run_output


def _label(schedule: Schedule) -> str:
    return f"{schedule.name}-{_NUMBER}"


def _workflow(schedule: Schedule) -> Iterator[str]:
    log = str(schedule.directory / schedule.log)
    command = words((*schedule.program, *schedule.arguments(output=str(_output(schedule)), log=log)))
    yield f"name: {schedule.name}"
    yield '"on":'
    yield "  schedule:"
    yield f"    - cron: {json.dumps(schedule.cron)}"
    yield f"      timezone: {json.dumps(schedule.zone)}"
    yield "  workflow_dispatch: {}"
    yield "permissions:"
    yield "  contents: read"
    yield "concurrency:"
    yield f"  group: {schedule.name}"
    yield "  cancel-in-progress: false"
    yield "jobs:"
    yield "  run:"
    if schedule.shards:
        yield "    strategy:"
        yield "      fail-fast: false"
        yield "      matrix:"
        yield f"        shard: [{', '.join(map(str, range(schedule.shards)))}]"
        yield f"    runs-on: [self-hosted, {json.dumps(_label(schedule))}]"
    else:
        yield "    runs-on: self-hosted"
    yield f"    timeout-minutes: {_LONGEST_MIN}"
    yield "    env:"
    yield f"      TZ: {json.dumps(schedule.zone)}"
    for name in schedule.secrets:
        yield f"      {name}: ${{{{ secrets.{name} }}}}"
    yield "    steps:"
    yield "      - uses: actions/checkout@v4"
    yield "      - name: Run"
    if below := _below_repository(schedule.directory):
        yield f"        working-directory: {json.dumps(_literal(below), ensure_ascii=False)}"
    run = json.dumps(_literal(command), ensure_ascii=False)
    yield f"        run: {run.replace(NUMBER, _NUMBER)}"


def _below_repository(directory: Path) -> str:
    """The working directory as seen from the root of its repository; empty at the root, or where there is none."""
    root = next((each for each in (directory, *directory.parents) if (each / ".git").exists()), directory)
    return "" if root == directory else directory.relative_to(root).as_posix()


def _literal(text: str) -> str:
    """The text with no expression of GitHub's in it: within quotes of the shell, `$` and `{{` are taken apart."""
    return re.sub(r"\$(?=\{\{)", "$''", text)


def github_steps(schedule: Schedule, folder: Path | None) -> Iterator[str]:
    """What to do with the file."""
    if folder is None:
        yield f"Save it as .github/workflows/{schedule.name}.yml (or use --to .github/workflows)"
    for setting, path in schedule.config_paths:
        if not Path(path).is_absolute():
            yield (
                f"{setting} in the config is {path}, which would be in the workspace, and a checkout empties that: name"
                f" an absolute path, such as {schedule.directory / path}"
            )
    for name in schedule.secrets:
        yield f'printf %s "${name}" | gh secret set {name}'
    if schedule.shards:
        labels = f"{schedule.name}-0 to {schedule.name}-{schedule.shards - 1}"
        where = "Settings, Actions, Runners of the repository"
        yield f"Commit it, and have a runner for each of the labels {labels}: {where}"
    else:
        yield "Commit it, and have a runner on this machine, as yourself: Settings, Actions, Runners of the repository"
