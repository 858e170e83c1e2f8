"""A CronJob, and the volumes that it works in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from batch_editor.errors import UsageError
from batch_editor.nightly.files import NightlyFile
from batch_editor.nightly.schedule import Schedule, secret_values, words

# As the Dockerfile has them.
_CATALOG, _STATE, _USER = "/catalog", "/state", 1000
# A night that couldn't begin within the hour is left to the next one.
_LATEST_S = 3600


def kubernetes_files(schedule: Schedule, _: Path | None) -> tuple[NightlyFile, ...]:
    """`NAME.yaml`: the CronJob, and a claim for the catalog and one for what the runs of one key share.

    Raises:
        UsageError: a path of the command lies outside of the working directory, which is the volume.
    """
    if outside := schedule.outside():
        raise UsageError(
            f"{outside[0]} lies outside of {schedule.directory}, which is the volume {_CATALOG} in Kubernetes; run this"
            " where all files are below the working directory"
        )
    lines = [f"# {line}" for line in schedule.about()]
    lines += _notes(schedule)
    lines += [*_cron_job(schedule), "---", *_claim(schedule.name, "20Gi"), "---"]
    lines += _claim(f"{schedule.name}-state", "100Mi")
    return (NightlyFile(f"{schedule.name}.yaml", "\n".join(lines) + "\n"),)


def _notes(schedule: Schedule) -> Iterator[str]:
    yield f"# {_CATALOG} is the working directory: manifests, config.yaml and {schedule.output} are on its volume."
    yield "# That has to be a disk of one node (ReadWriteOnce): on NFS the ledger isn't safe."


def _cron_job(schedule: Schedule) -> Iterator[str]:
    yield "apiVersion: batch/v1"
    yield "kind: CronJob"
    yield "metadata:"
    yield f"  name: {schedule.name}"
    yield "spec:"
    yield f"  schedule: {_text(schedule.cron)}"
    yield f"  timeZone: {_text(schedule.zone)}"
    yield "  concurrencyPolicy: Forbid"
    yield f"  startingDeadlineSeconds: {_LATEST_S}"
    yield "  successfulJobsHistoryLimit: 3"
    yield "  failedJobsHistoryLimit: 7"
    yield "  jobTemplate:"
    yield "    spec:"
    yield "      backoffLimit: 0  # the next night resumes; exit code 4 is a deadline or a budget"
    yield "      template:"
    yield "        spec:"
    yield from (f"          {line}" for line in _pod(schedule))


def _pod(schedule: Schedule) -> Iterator[str]:
    yield "restartPolicy: Never"
    yield f"terminationGracePeriodSeconds: {schedule.stop_s}  # what is in flight is paid for, and is waited for"
    yield f"securityContext: {{runAsNonRoot: true, runAsUser: {_USER}, runAsGroup: {_USER}, fsGroup: {_USER}}}"
    yield "containers:"
    yield "  - name: batch-editor"
    yield "    image: batch-editor  # of the Dockerfile, where your cluster finds it"
    yield f"    workingDir: {_CATALOG}"
    yield "    args:"
    yield from (f"      - {_argument(word)}" for word in schedule.arguments())
    yield "    env:"
    yield f"      - {{name: TZ, value: {_text(schedule.zone)}}}"
    for name in schedule.secrets:
        secret = f"secretKeyRef: {{name: {schedule.name}, key: {name}}}"
        yield f"      - {{name: {name}, valueFrom: {{{secret}}}}}"
    yield "    volumeMounts:"
    yield f"      - {{name: catalog, mountPath: {_CATALOG}}}"
    yield f"      - {{name: state, mountPath: {_STATE}}}"
    yield "volumes:"
    yield f"  - {{name: catalog, persistentVolumeClaim: {{claimName: {schedule.name}}}}}"
    yield f"  - {{name: state, persistentVolumeClaim: {{claimName: {schedule.name}-state}}}}"


def _claim(name: str, size: str) -> Iterator[str]:
    yield "apiVersion: v1"
    yield "kind: PersistentVolumeClaim"
    yield "metadata:"
    yield f"  name: {name}"
    yield "spec:"
    yield "  accessModes: [ReadWriteOnce]"
    yield "  resources:"
    yield f"    requests: {{storage: {size}}}"


def _text(text: str) -> str:
    """As a string of YAML, whatever it looks like: JSON's are YAML's too."""
    return json.dumps(text, ensure_ascii=False)


def _argument(word: str) -> str:
    """An argument of a container, where `$(NAME)` would be a variable. A plain option stays easy to find."""
    escaped = word.replace("$(", "$$(")
    return escaped if word.startswith("--") and word[2:].replace("-", "").isalpha() else _text(escaped)


def kubernetes_steps(schedule: Schedule, folder: Path | None) -> Iterator[str]:
    """What to do with the file; the first run is a job of it that expects no ledger."""
    name = schedule.name
    file = f"{name}.yaml" if folder is None else str(folder / f"{name}.yaml")
    if folder is None:
        yield f"Save it as {file}"
    if schedule.secrets:
        create = f"kubectl create secret generic {name} --from-env-file=/dev/stdin"
        yield f"printf '%s=%s\\n' {secret_values(schedule)} | {create}"
    yield f"kubectl apply -f {words([file])}"
    yield f"Copy the manifest and what it names onto the volume {name}"
    yield (
        f"First run: kubectl create job {name}-first --from=cronjob/{name} --dry-run=client -o yaml"
        " | grep -v -- '- --expect-ledger' | kubectl create -f -"
    )
