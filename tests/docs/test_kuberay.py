"""The manifest for KubeRay that the documentation shows.

Its pods are held against Kubernetes' schema. KubeRay's own is in no package of Python's: its keys are listed here.
"""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.docs.pages import PAGES, ROOT

(MANIFEST,) = (
    yaml.safe_load(text)
    for text in re.findall(r"^```yaml\n(.*?)^```", PAGES["kubernetes"], re.DOTALL | re.MULTILINE)
    if "kind: RayJob" in text
)
CLUSTER = MANIFEST["spec"]["rayClusterSpec"]
GROUPS = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]


def test_its_keys_are_kuberays() -> None:
    assert (MANIFEST["apiVersion"], MANIFEST["kind"]) == ("ray.io/v1", "RayJob")
    assert set(MANIFEST["spec"]) == {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "rayClusterSpec"}
    assert set(CLUSTER) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    assert set(CLUSTER["headGroupSpec"]) == {"rayStartParams", "template"}
    (workers,) = CLUSTER["workerGroupSpecs"]
    counts = {"replicas", "minReplicas", "maxReplicas"}
    assert set(workers) == {"groupName", *counts, "rayStartParams", "template"}
    assert workers["minReplicas"] >= 1  # or no node is there to be looked at
    for group in GROUPS:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


@pytest.mark.parametrize("group", GROUPS, ids=["head", "workers"])
def test_its_pods_are_kubernetes_pods(group: dict[str, Any]) -> None:
    document = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "any"}, "template": group["template"]}
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    container: dict[str, Any] = group["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "RAY_USAGE_STATS_ENABLED", "value": "0"}]
    assert "/mnt/catalog" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_it_has_the_version_that_is_locked() -> None:
    lock = (ROOT / "requirements-ray.lock").read_text(encoding="utf-8")
    assert f"\nray=={CLUSTER['rayVersion']} " in lock
