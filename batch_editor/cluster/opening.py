"""Opens what calls functions: processes of this machine, or a cluster."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from batch_editor.cluster.address import LOCAL, cluster_address
from batch_editor.cluster.cluster_pool import ClusterPool
from batch_editor.errors import UsageError
from batch_editor.processes import PROCESSES, Pool, Processes


def pool_on(on: str, shared: Path | None, *, processes: int = PROCESSES) -> Pool:
    """What calls functions there; close it. Blocks while a cluster is connected to and its nodes are looked at.

    on: `local`, `ray` or `ray=HOST:PORT`. shared: a folder that the nodes of a cluster have as well, under the same
        path; None: files travel with the calls. processes: how many there are on this machine.

    Raises:
        UsageError: Ray isn't installed, there is no such cluster, or a node of it isn't fit.
        MachineError: no process can be started to speak with it, or `shared` can't be written.
    """
    if on == LOCAL:
        return Processes(processes)
    if not _has_ray():
        raise UsageError(f"--on {on} needs Ray, which isn't installed: pip install 'batch_editor[ray]'")
    return ClusterPool(cluster_address(on), shared)


def _has_ray() -> bool:
    try:
        return find_spec("ray") is not None
    except ValueError:  # set to None by whoever wants it to be absent
        return False
