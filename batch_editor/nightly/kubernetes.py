"""A CronJob, and the volumes that it works in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from batch_editor.errors import UsageError
from batch_editor.nightly.files import NightlyFile
from batch_editor.nightly.schedule import NUMBER, Schedule, is_outside, secret_values, words

# As the Dockerfile has them.
_CATALOG, _STATE, _USER = "/catalog", "/state", 1000
# The number of a pod's shard, which Kubernetes gives to each pod of an Indexed Job.
_NUMBER = "$(JOB_COMPLETION_INDEX)"
# A night that couldn't begin within the hour is left to the next one.
_LATEST_S = 3600


def kubernetes_files(schedule: Schedule, _: Path | None) -> tuple[NightlyFile, ...]:
    """`NAME.yaml`: the CronJob, and a claim for the catalog and one for what the runs of one key share.

    Of shards each has a pod of its own, and all share the catalog's volume.

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
    mode = "ReadWriteMany" if schedule.shards else "ReadWriteOnce"
    lines += [*_cron_job(schedule), "---", *_claim(schedule.name, "20Gi", mode)]
    if not schedule.shards:
        lines += ["---", *_claim(f"{schedule.name}-state", "100Mi", mode)]
    return (NightlyFile(f"{schedule.name}.yaml", "\n".join(lines) + "\n"),)


def _notes(schedule: Schedule) -> Iterator[str]:
    if schedule.shards:
        count = schedule.shards
        yield f"# {_CATALOG} is the working directory: manifests, config.yaml and for each shard an output directory,"
        yield f"# {schedule.output}-0-of-{count} and so on, are on its volume, which all pods share"
        yield "# (ReadWriteMany). Its locks have to hold over nodes, as those of NFSv4 and CephFS do: then a pod"
        yield "# that is started twice ends with 5."
        yield f"# Without such a volume, make a schedule for each shard, with a volume of one node: --shard 0/{count}."
        return
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
    if schedule.shards:
        yield "      completionMode: Indexed"
        yield f"      completions: {schedule.shards}"
        yield f"      parallelism: {schedule.shards}"
        yield "      backoffLimitPerIndex: 0  # the next night resumes; a shard that fails (4: a budget) stops no other"
    else:
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
    if schedule.shards:
        yield "  - {name: state, emptyDir: {}}  # each shard has a part of the rate, and shares it with nobody"
    else:
        yield f"  - {{name: state, persistentVolumeClaim: {{claimName: {schedule.name}-state}}}}"


def _claim(name: str, size: str, mode: str) -> Iterator[str]:
    yield "apiVersion: v1"
    yield "kind: PersistentVolumeClaim"
    yield "metadata:"
    yield f"  name: {name}"
    yield "spec:"
    yield f"  accessModes: [{mode}]"
    yield "  resources:"
    yield f"    requests: {{storage: {size}}}"


def _text(text: str) -> str:
    """As a string of YAML, whatever it looks like: JSON's are YAML's too."""
    return json.dumps(text, ensure_ascii=False)


def _argument(word: str) -> str:
    """An argument of a container, where `$(NAME)` would be a variable. A plain option stays easy to find."""
    escaped = word.replace("$(", "$$(")
    if word.startswith("--") and word[2:].replace("-", "").isalpha():
        return escaped
    return _text(escaped).replace(NUMBER, _NUMBER)


def kubernetes_steps(schedule: Schedule, folder: Path | None) -> Iterator[str]:
    """What to do with the file; the first run is a job of it that expects no ledger."""
    name = schedule.name
    file = f"{name}.yaml" if folder is None else str(folder / f"{name}.yaml")
    if folder is None:
        yield f"Save it as {file}"
    if schedule.secrets:
        create = f"kubectl create secret generic {name} --from-env-file=/dev/stdin"
        yield f"printf '%s=%s\\n' {secret_values(schedule)} | {create}"
    for setting, path in schedule.config_paths:
        if is_outside(path) and not Path(path).is_relative_to(_CATALOG):
            yield f"{setting} in the config is {path}, which isn't in a pod: name a file relative to {_CATALOG}"
    yield f"kubectl apply -f {words([file])}"
    yield f"Copy the manifest and what it names onto the volume {name}"
    yield (
        f"First run: kubectl create job {name}-first --from=cronjob/{name} --dry-run=client -o yaml"
        " | grep -v -- '- --expect-ledger' | kubectl create -f -"
    )
