"""The process that speaks with a Ray cluster: `python -m batch_editor.cluster.ray_driver FD`. The one importer of Ray.

Apart from the process that sends requests: Ray aborts its driver when the cluster's head is lost, and takes signals.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, WorkerCrashedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from batch_editor.cluster.address import WITHIN, host_and_port
from batch_editor.cluster.calls import Opened, Opening, Outcome, carried_out, prove

# Ray itself tries an address where nobody listens for minutes.
_CONNECT_S = 10


def main() -> None:
    """Serve until the other side is gone."""
    connection = Connection(int(sys.argv[1]))
    opening: Opening = connection.recv()
    listening = host_and_port(opening.address)
    try:
        if listening is not None:
            socket.create_connection(listening, _CONNECT_S).close()
        ray.init(opening.address, configure_logging=False, logging_level=logging.CRITICAL, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        where = "on this machine" if listening is None else f"at {opening.address}"
        connection.send(Opened(faults=(f"no Ray cluster {where}: {_first_line(error)}; {WITHIN}",)))
        return
    opened = _opened(opening)
    connection.send(opened)
    if not opened.faults:
        _serve(connection, opening)


def _serve(connection: Connection, opening: Opening) -> None:
    task = ray.remote(num_cpus=1, max_retries=opening.retries)(carried_out)
    lock = threading.Lock()  # of the connection's sending side
    while True:
        try:
            number, call = connection.recv()
        except (EOFError, OSError):  # the latter where it left outcomes unread
            return
        future = task.remote(call, opening.proof, opening.limit_s).future()
        future.add_done_callback(partial(_answer, connection, lock, number))
        del call, future  # a picture may be in it


def _answer(connection: Connection, lock: threading.Lock, number: int, future: Future[Any]) -> None:
    outcome = _outcome(future)
    with lock:
        try:
            connection.send((number, outcome))
        except OSError:  # the other side is gone, which `_serve` sees too
            return


def _outcome(future: Future[Any]) -> Outcome:
    match future.exception():
        case None:
            outcome: Outcome = future.result()
            return outcome
        case WorkerCrashedError() | OutOfMemoryError() | NodeDiedError():
            return Outcome(failed="its process ended")
        case error:
            return Outcome(refused=f"Ray: {_first_line(error)}")


def _opened(opening: Opening) -> Opened:
    """See that each node is fit, all of them at once. One that is lost meanwhile is none."""
    task = ray.remote(num_cpus=0, max_retries=0)(prove)
    asked = {}
    for node in _nodes():
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        asked[node] = task.options(scheduling_strategy=there).remote(opening.proof, node)
    if asked:
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=opening.start_s)
    faults = {node: _fault(ref, opening, node) for node, ref in asked.items()}
    nodes = {node: found for node, found in _nodes().items() if node in faults}
    if not nodes:
        return Opened(faults=("the Ray cluster has no node with a core for tasks; expected one at least",))
    return Opened(
        cores=sum(int(found["Resources"]["CPU"]) for found in nodes.values()),
        faults=tuple(
            f"node {found['NodeManagerHostname']} ({found['NodeName']}) {faults[node]}"
            for node, found in nodes.items()
            if faults[node] is not None
        ),
    )


def _nodes() -> dict[str, Any]:
    """The nodes by their ids that are there and can have tasks."""
    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1}


def _fault(ref: Any, opening: Opening, node: str) -> str | None:
    try:
        found: str | None = ray.get(ref, timeout=0)
    except TimeoutError:
        return f"hasn't answered for {opening.start_s:g} s; see `ray status`"
    except RayError as error:
        return f"can't call batch_editor ({_first_line(error)}); install it on every node"
    if found is not None:
        return found
    folder = opening.proof.folder
    if folder is None:
        return None
    try:
        if (folder / node).read_text(encoding="ascii") == opening.proof.token:
            return None
    except OSError:
        pass
    return (
        f"writes to another {folder.parent} than the driver's; mount the same folder at that path on every node, or"
        " keep pictures in a bucket (outputs.images)"
    )


def _first_line(error: object) -> str:
    """What an error says, without the traceback that Ray appends."""
    error = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).removesuffix(" traceback: Traceback (most recent call last):")


if __name__ == "__main__":
    main()
