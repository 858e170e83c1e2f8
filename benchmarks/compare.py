"""Measure the pipeline against a bare loop, curl and, with `--full`, its peers; write docs/performance.md.

Everything is run as a whole process, in turn (A B C A B C …), against one cheap server that counts what arrives.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import contenders as who
from contenders import Contender, Load
from measure import Measured, Running, Server, serving
from report import Comparison, Held, Paced, Stalls, Starts, write_report

HERE = Path(__file__).parent


class Bench:
    """A server, a folder for what the runs write, and how many rounds there are."""

    def __init__(self, server: Server, folder: Path, rounds: int) -> None:
        self._server = server
        self._folder = folder
        self._rounds = rounds
        self._runs = 0

    def compare(self, load: Load, contenders: Sequence[Contender]) -> Comparison:
        """Everybody does the load, round by round."""
        rounds: dict[str, list[Measured]] = {each.name: [] for each in contenders}
        for number in range(self._rounds):
            for each in contenders:
                print(f"{load.what}: round {number + 1} of {self._rounds}, {each.name}", flush=True)
                folder = self._fresh()
                measured = self._start(each.command(load, self._server.url, folder), folder).finished()
                self._check(each.name, measured, load if each.sends else replace(load, count=0))
                rounds[each.name].append(measured)
                if load.what == "large":  # small files stay to the end: to delete thousands slows the next run's fsync
                    shutil.rmtree(folder)
        return Comparison(load, {each.name: each.keeps for each in contenders}, rounds)

    def hold(self, load: Load, contender: Contender) -> Held:
        """One run whose answers are held back: what it costs while all of its requests are in flight."""
        print(f"{load.what}: {load.count} in flight, {contender.name}", flush=True)
        folder = self._fresh()
        process = self._start(contender.command(load, self._server.url, folder), folder)
        held_s = float(load.what.partition("-")[2])
        began_at = time.monotonic()
        while self._server.look()["requests"] < load.count and time.monotonic() < began_at + 3 * held_s:
            time.sleep(0.2)
        time.sleep(0.5)
        before, at = process.cpu_s(), time.monotonic()
        time.sleep(0.3 * held_s)
        waiting_share = (process.cpu_s() - before) / (time.monotonic() - at)
        measured = process.finished()
        most_open = self._check(contender.name, measured, load)
        shutil.rmtree(folder)
        return Held(contender.name, load, measured, most_open, waiting_share)

    def pace(self, load: Load, rate: str, for_s: float) -> Paced:
        """A run under a rate limit that always has requests waiting, until it is told to stop; and a bare loop."""
        print(f"rate limit {rate}: {load.count} waiting, {for_s:g} s", flush=True)
        folder = self._fresh()
        cpu_share, measured = self._interrupted(who.run_command(load, self._server.url, folder, rate=rate), for_s)
        books = self._server.books()
        if measured.exit_code != 130 or books["faults"]:
            sys.exit(f"rate limit {rate}: exit code {measured.exit_code}, {books['faults']}\n{measured.out[-2000:]}")
        bare_share, measured = self._interrupted(who.paced_command(load, self._server.url, rate), for_s / 5)
        if measured.exit_code:
            sys.exit(f"bare loop at {rate}: exit code {measured.exit_code}\n{measured.out[-2000:]}")
        return Paced(rate, load.count, cpu_share, bare_share, tuple(books["arrivals"]))

    def _interrupted(self, command: Sequence[str], for_s: float) -> tuple[float, Measured]:
        """What share of a core a command used for so long after its first request; then it is told to stop."""
        process = self._start(command, self._folder)
        while not self._server.look()["requests"]:
            time.sleep(0.05)
        before, at = process.cpu_s(), time.monotonic()
        time.sleep(for_s)
        cpu_share = (process.cpu_s() - before) / (time.monotonic() - at)
        process.send(signal.SIGINT)
        return cpu_share, process.finished()

    def starts(self, jobs: int) -> Starts:
        """How long a command takes that does next to nothing, and how soon a run's first request arrives."""
        manifest, load = who.manifest_of(jobs, self._folder), Load("small", jobs, jobs)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "--version": who.command_line("--version"),
            "--help": who.command_line("--help"),
            f"plan, {jobs} jobs": who.command_line("plan", str(manifest)),
        }
        took: dict[str, list[float]] = {}
        for number in range(self._rounds):
            print(f"start-up: round {number + 1} of {self._rounds}", flush=True)
            for name, command in commands.items():
                took.setdefault(name, []).append(self._start(command, self._fresh()).finished().wall_s)
            folder = self._fresh()
            process = self._start(who.run_command(load, self._server.url, folder), folder)
            process.finished()
            first_s = min(self._server.books()["arrivals"]) - process.began_at
            took.setdefault(f"first request of a run of {jobs}", []).append(first_s)
        return took

    def stalls(self, load: Load) -> Stalls:
        """How long the event loop was kept busy at once, the median of all rounds."""
        found = []
        for number in range(self._rounds):
            print(f"{load.what}: stalls, round {number + 1} of {self._rounds}", flush=True)
            folder = self._fresh()
            manifest = who.manifest_of(load.count, self._folder)
            url = f"{self._server.url}/{load.what}/v1"
            command = [sys.executable, str(HERE / "clients/probed.py"), str(manifest), url, str(load.in_flight)]
            measured = self._start([*command, str(folder)], folder).finished()
            self._check("probed", measured, load)
            found.append(json.loads(measured.out.splitlines()[-1]))
            shutil.rmtree(folder)
        p99_ms, longest_ms = (statistics.median(each[name] for each in found) for name in ("p99_ms", "longest_ms"))
        return Stalls(load, p99_ms, longest_ms)

    def _start(self, command: Sequence[str], folder: Path) -> Running:
        self._server.books()
        return Running(command, folder=folder, environment={**who.KEY, "XDG_STATE_HOME": str(self._folder / "state")})

    def _fresh(self) -> Path:
        self._runs += 1
        folder = self._folder / f"run-{self._rounds}-{self._runs}"
        folder.mkdir()
        return folder

    def _check(self, name: str, measured: Measured, load: Load) -> int:
        """See that the work was done: each request came once. Returns the most that were open together."""
        books = self._server.books()
        if measured.exit_code or books["faults"] or not books["requests"] == books["distinct"] == load.count:
            counts = {count: books[count] for count in ("requests", "distinct", "faults")}
            sys.exit(f"{name}: exit code {measured.exit_code}, {counts}\n{measured.out[-2000:]}")
        return int(books["most_open"])


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    small: Load
    large: Load
    held: Load
    bodies: Load
    paced_s: float
    waiting: int
    peers: bool


SHORT = Plan(
    rounds=5,
    small=Load("small", 3000, 64),
    large=Load("large", 150, 32),
    held=Load("held-10", 1000, 1000),
    bodies=Load("large-5", 500, 500),
    paced_s=10,
    waiting=2000,
    peers=False,
)
FULL = Plan(
    rounds=5,
    small=Load("small", 20_000, 64),
    large=Load("large", 1000, 32),
    held=Load("held-60", 1000, 1000),
    bodies=Load("large-5", 2000, 2000),
    paced_s=70,
    waiting=10_000,
    peers=True,
)


def main() -> None:
    """Run, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="with peers, and at full size: about half an hour")
    plan = FULL if parser.parse_args().full else SHORT
    peers = [who.HTTPX, who.SCRAPY] if plan.peers else []
    if plan.peers:
        who.install_peers()
    with serving() as server, tempfile.TemporaryDirectory(dir=HERE) as folder:
        bench = Bench(server, Path(folder), plan.rounds)
        Bench(server, Path(folder), 1).compare(Load("small", 20, 20), [who.PIPELINE])  # compiles what is imported
        comparisons = [
            bench.compare(
                plan.small,
                [
                    who.PIPELINE,
                    who.DURABLE,
                    who.CEILING,
                    who.CEILING_NEW,
                    who.CEILING_ASYNCIO,
                    who.CURL,
                    who.NAIVE,
                    *peers,
                ],
            ),
            bench.compare(
                plan.large,
                [
                    who.PIPELINE,
                    who.DURABLE,
                    who.CEILING,
                    who.CURL,
                    who.NAIVE,
                    who.DISK,
                    *peers,
                    *([who.IMG2DATASET] if peers else []),
                ],
            ),
        ]
        starts = bench.starts(10)
        waited_for = Load("held-2", 1000, 1000)
        stalls = [bench.stalls(load) for load in (plan.small, plan.large, waited_for)]
        held = [bench.hold(plan.held, each) for each in (who.PIPELINE, who.CEILING)]
        held += [bench.hold(plan.bodies, each) for each in (who.PIPELINE, who.CEILING)]
        waiting = Load("held-0.5", plan.waiting, plan.waiting)
        paced = [bench.pace(waiting, rate, plan.paced_s) for rate in ("1000/min", "10/s", "100/s")]
    write_report(comparisons, starts, stalls, held, paced, command="make bench-full" if plan.peers else "make bench")


if __name__ == "__main__":
    main()
