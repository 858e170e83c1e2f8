"""A DAG of Airflow, 2.7 or newer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from batch_editor.nightly.files import NightlyFile
from batch_editor.nightly.schedule import Schedule, shell_line

_DAG = '''\
from datetime import datetime
from zoneinfo import ZoneInfo

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator


class Command(BashOperator):
    """A command as it stands: its braces are the manifest's, and no templates of Airflow."""

    template_fields = ()
    template_ext = ()


with DAG(
    dag_id={name},
    description={description},
    schedule={cron},
    start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo({zone})),
    catchup=False,
    max_active_runs=1,
    default_args={{"retries": 0}},
):
    Command(task_id="run", bash_command={command})
'''


def airflow_files(schedule: Schedule, environment: Path | None) -> tuple[NightlyFile, ...]:
    """`NAME.py`, for the folder of DAGs."""
    text = _DAG.format(
        name=_literal(schedule.name),
        description=_literal(f"batch-editor, {' '.join(schedule.manifests)}, every night"),
        cron=_literal(schedule.cron),
        zone=_literal(schedule.zone),
        command=_literal(shell_line(schedule, environment)),
    )
    about = "\n".join(f"# {line}" for line in (*schedule.about(), *_notes(schedule)))
    return (NightlyFile(f"{re.sub(r'[^a-z0-9_]', '_', schedule.name)}.py", f"{about}\n{text}"),)


def _notes(schedule: Schedule) -> Iterator[str]:
    yield f"{schedule.directory} has to be on a disk that all workers share, or on the only worker: another disk"
    yield "would have no ledger. What is in flight is paid for; a worker that is told to stop waits for it only with"
    yield f"AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME={schedule.stop_s}"


def _literal(text: str) -> str:
    """As a literal of Python."""
    return repr(text)


def airflow_steps(schedule: Schedule, folder: Path | None) -> Iterator[str]:
    """What to do with the file."""
    if folder is None:
        yield "Save it in the folder of your DAGs (or use --to)"
    yield f"Set AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME={schedule.stop_s} for the workers"
