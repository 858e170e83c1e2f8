"""Ray clusters on this machine, a few processes each. A core and 80 MB of shared memory a node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.support.bench import KEY
from tests.support.command import ROOT

_MEMORY = 80 << 20
_STARTS_S = 60
# A node that is killed is known to be gone after two seconds, not fifteen. One that is only slow has its usual 10 s.
_NOTICES = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}
# Where nodes find functions of tests and benchmarks.
_MODULES = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])}


class Nodes:
    """A cluster, by Ray's own class for tests."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address
        self.on = f"ray={cluster.address}"

    @classmethod
    @contextmanager
    def started(cls, **head: Any) -> Iterator[Self]:
        """With its head, whose environment has a key, as a pod's may."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        from ray.cluster_utils import Cluster  # here: it takes handlers of signals

        try:
            cluster = Cluster(
                initialize_head=True,
                head_node_args={
                    "num_cpus": 1,
                    "object_store_memory": _MEMORY,
                    "include_dashboard": False,
                    "_system_config": _NOTICES,
                    "env_vars": {"SEGMIND_API_KEY": KEY, **_MODULES},
                    **head,
                },
            )
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        nodes = cls(cluster)
        try:
            yield nodes
        finally:
            for node in [*cluster.worker_nodes, cluster.head_node]:
                nodes.kill(node)
            cluster.shutdown()

    def add(self, **how: Any) -> Any:
        """One more node."""
        return self._cluster.add_node(**{"object_store_memory": _MEMORY, "env_vars": _MODULES, **how})

    def kill(self, node: Any) -> None:
        """What a machine that is gone leaves of it: nothing."""
        if node is not None and node in (self._cluster.head_node, *self._cluster.worker_nodes):
            self._cluster.remove_node(node, allow_graceful=False)

    def kill_head(self) -> None:
        self.kill(self._cluster.head_node)

    @contextmanager
    def elsewhere(self, hidden: Path) -> Iterator[None]:
        """One more node for as long as the block lasts, which has an empty disk in the place of that folder."""
        join = f"{Path(sys.executable).parent / 'ray'} start --address={self.address} --num-cpus=1 --block"
        started = subprocess.Popen(
            [
                "unshare",
                "--mount",
                "sh",
                "-c",
                f"mount -t tmpfs none {hidden} && exec {join} --object-store-memory={_MEMORY}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait_for(len(self._alive()) + 1)
            yield
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            started.wait()

    def _wait_for(self, count: int) -> None:
        give_up_at = time.monotonic() + _STARTS_S
        while len(self._alive()) < count:
            assert time.monotonic() < give_up_at, "no node came"
            time.sleep(0.1)

    def _alive(self) -> list[Any]:
        return [each for each in self._cluster.global_state.node_table() if each["Alive"]]
