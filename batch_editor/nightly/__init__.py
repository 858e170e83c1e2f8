"""What other programs need to run manifests every night: systemd, cron, Kubernetes, GitHub Actions, Airflow."""

from batch_editor.nightly.files import NightlyFile, listed, write_all
from batch_editor.nightly.kinds import KINDS, Made, Maker
from batch_editor.nightly.schedule import ENVIRONMENT_FILE, Schedule
from batch_editor.nightly.zone import is_zone, local_zone

__all__ = [
    "ENVIRONMENT_FILE",
    "KINDS",
    "Made",
    "Maker",
    "NightlyFile",
    "Schedule",
    "is_zone",
    "listed",
    "local_zone",
    "write_all",
]
