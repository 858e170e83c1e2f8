"""Finished files a second on a Ray cluster of two nodes with a core each, on this machine, beside bare Pillow.

    make test-ray  # once, for Ray itself
    python benchmarks/cluster.py [--pictures 400]

Bare Pillow works in two processes, without Ray. All work in turns on the same tenths of the pictures, so that what else
runs on the machine slows each. CPU is that of the process which asks, and of the one that speaks with Ray, a task: what
bounds how many nodes one command keeps busy.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bare_pillow import finish_barely
from finishing import ROOT, RULES, TURNS, made_pictures

from batch_editor.cluster.cluster_pool import ClusterPool
from batch_editor.finishing import FinishRules, finish_picture, read_finish
from batch_editor.processes import NewFile, Pool, Processes
from tests.ray.clusters import Nodes

CORES = 2


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    options = parser.parse_args()
    (rules,) = read_finish({"web": RULES["amazon-main"]}, beside=ROOT)
    with tempfile.TemporaryDirectory() as made, Nodes.started() as nodes:
        nodes.add()
        pictures = made_pictures(Path(made), options.pictures)
        local = Processes(CORES)
        try:
            # One after the other: on a node with one core Ray ends the workers of one driver for those of another.
            for name, shared in (("shared folder", Path(made)), ("files that travel", None)):
                pool = ClusterPool(nodes.address, shared)
                try:
                    measure(name, pool, local, rules, pictures, Path(made))
                finally:
                    pool.close()
        finally:
            local.close()


def measure(
    name: str, pool: ClusterPool, local: Pool, rules: FinishRules, pictures: Sequence[Path], folder: Path
) -> None:
    """All ways in turns, and what a call costs."""
    ways = {
        "bare Pillow": partial(timed, local, finish_barely, rules, folder),
        "this machine": partial(timed, local, finish_picture, rules, folder),
        name: partial(timed, pool, finish_picture, rules, folder),
    }
    seconds = dict.fromkeys(ways, 0.0)
    for way in ways.values():  # once unmeasured: workers start and import
        way(pictures[: 4 * CORES])
    for turn in range(TURNS):
        for each, way in ways.items():
            seconds[each] += way(pictures[turn::TURNS])
    for each, taken in seconds.items():
        rate, ratio = len(pictures) / taken, seconds["bare Pillow"] / taken
        print(f"{each:18} {rate:6.1f}/s, {60 * rate / CORES:5.0f} a minute and core; {ratio:.2f} of bare Pillow")
    asking, speaking = cpu_of_a_call(pool)
    print(f"{name:18} CPU a task that does nothing: {asking:.2f} ms here, {speaking:.2f} ms of the driver", flush=True)


def timed(
    pool: Pool, function: Callable[..., object], rules: FinishRules, target: Path, pictures: Sequence[Path]
) -> float:
    """Seconds for all of them."""

    def one(path: Path) -> None:
        new = NewFile(target / f"{path.stem}.finished")
        new.unlink(missing_ok=True)
        pool.call(function, path, new, rules, stem=path.stem)

    began_at = time.perf_counter()
    with ThreadPoolExecutor(pool.count) as threads:
        for _ in threads.map(one, pictures):
            pass
    return time.perf_counter() - began_at


def cpu_of_a_call(pool: ClusterPool, calls: int = 1_000) -> tuple[float, float]:
    """Milliseconds of CPU a call: of this process, and of the one that speaks with Ray."""
    with ThreadPoolExecutor(pool.count) as threads:
        before, spoken = time.process_time(), cpu_s(pool.driver_pid)
        for _ in threads.map(lambda number: pool.call(abs, number), range(calls)):
            pass
        return 1e3 * (time.process_time() - before) / calls, 1e3 * (cpu_s(pool.driver_pid) - spoken) / calls


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
