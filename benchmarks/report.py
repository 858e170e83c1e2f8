"""From measurements to the tables and the plot of docs/performance.md."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from contenders import DURABLE, PIPELINE, Load
from measure import Measured

from batch_editor.records import Rate
from batch_editor.scheduling.send_policy import spacing_s

DOCS = Path(__file__).parents[1] / "docs"
MEAN_LARGE_MB = 3 * 2**20 / 1e6  # of the server's large images


@dataclass(frozen=True, slots=True)
class Comparison:
    """What each did with a load, round by round; `keeps` says what is left of it."""

    load: Load
    keeps: Mapping[str, str]
    rounds: Mapping[str, Sequence[Measured]]

    def speeds(self, name: str) -> list[float]:
        """Requests, or megabytes of images, a second."""
        work = self.load.count * (MEAN_LARGE_MB if self.load.what == "large" else 1)
        return sorted(work / each.wall_s for each in self.rounds[name])

    def ratio(self, name: str, to: str) -> float:
        """How fast, beside another in the same round; the median."""
        pairs = zip(self.rounds[name], self.rounds[to], strict=True)
        return statistics.median(other.wall_s / own.wall_s for own, other in pairs)


@dataclass(frozen=True, slots=True)
class Held:
    """A run whose answers were held back; `waiting_share` of a core was used while all waited."""

    name: str
    load: Load
    measured: Measured
    most_open: int
    waiting_share: float


@dataclass(frozen=True, slots=True)
class Paced:
    """What arrived under a rate limit, by the server's clock; and the share of a core that was used.

    `bare_share` is that of a loop which does nothing but send at that rate.
    """

    rate: str
    waiting: int
    cpu_share: float
    bare_share: float
    arrivals: Sequence[float]


@dataclass(frozen=True, slots=True)
class Stalls:
    """How late timers of the event loop were, in milliseconds."""

    load: Load
    p99_ms: float
    longest_ms: float


# Seconds of each command, round by round.
Starts = dict[str, list[float]]


def write_report(
    comparisons: Sequence[Comparison],
    starts: Starts,
    stalls: Sequence[Stalls],
    held: Sequence[Held],
    paced: Sequence[Paced],
    *,
    command: str,
) -> None:
    """Put the figures between the marks of docs/performance.md, and the plot beside it."""
    plot(comparisons, DOCS / "performance.svg")
    lines = [_where(command), "![speed](performance.svg)"]
    for comparison in comparisons:
        lines += [_heading(comparison), *_table(comparison)]
    lines += ["### Start-up", *_starts(starts)]
    lines += ["### The event loop", *_stalls(stalls), "### In flight", *_held(held), "### Rate limit", *_paced(paced)]
    page = DOCS / "performance.md"
    text = re.sub(
        r"(?s)(?<=<!-- figures -->\n).*(?=<!-- end of figures -->)",
        lambda _: "\n" + "\n\n".join(lines) + "\n\n",
        page.read_text(encoding="utf-8"),
    )
    page.write_text(text, encoding="utf-8")


def _where(command: str) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop"))
    return (
        f"`{command}` on {datetime.now(UTC):%Y-%m-%d}: {platform.system()} {platform.machine()},"
        f" {os.cpu_count()} cores shared with the server, Python {platform.python_version()}, {libraries}."
    )


def _heading(comparison: Comparison) -> str:
    load = comparison.load
    what = "Images of 2–4 MiB" if load.what == "large" else "Small answers (1 KB up, 1 KB down)"
    return f"### {what}: {load.count:,} POSTs, {load.in_flight} in flight"


def _table(comparison: Comparison) -> Iterator[str]:
    large = comparison.load.what == "large"
    other = DURABLE.name
    head = ["", "MB/s" if large else "requests/s", "CPU per request", "peak memory", f"beside {other}", "keeps"]
    rows = []
    for name, rounds in comparison.rounds.items():
        speeds = comparison.speeds(name)
        cpu_ms = statistics.median(each.cpu_s for each in rounds) / comparison.load.count * 1000
        peak = statistics.median(each.peak_mib for each in rounds)
        rows.append(
            [
                f"**{name}**" if name == PIPELINE.name else name,
                f"{statistics.median(speeds):,.0f} ({speeds[0]:,.0f}–{speeds[-1]:,.0f})",
                f"{cpu_ms:.2f} ms",
                f"{peak:,.0f} MiB",
                f"{comparison.ratio(name, other):.2f}",
                comparison.keeps[name],
            ]
        )
    yield _markdown(head, rows)


def _starts(starts: Starts) -> Iterator[str]:
    rows = [
        [name, f"{1000 * statistics.median(took):.0f} ms ({1000 * min(took):.0f}–{1000 * max(took):.0f})"]
        for name, took in starts.items()
    ]
    yield _markdown(["", "from the start of the process"], rows)


def _stalls(stalls: Sequence[Stalls]) -> Iterator[str]:
    yield _markdown(
        ["load", "p99 late", "longest stall"],
        [
            [
                f"{each.load.what}, {each.load.in_flight:,} in flight",
                f"{each.p99_ms:.1f} ms",
                f"{each.longest_ms:.1f} ms",
            ]
            for each in stalls
        ],
    )


def _held(held: Sequence[Held]) -> Iterator[str]:
    yield _markdown(
        ["", "requests", "of", "held", "most in flight", "wall", "peak memory", "CPU while waiting"],
        [
            [
                f"**{each.name}**" if each.name == PIPELINE.name else each.name,
                f"{each.load.count:,}",
                "2–4 MiB" if each.load.what.startswith("large") else "1 KB",
                f"{each.load.what.partition('-')[2]} s",
                f"{each.most_open:,}",
                f"{each.measured.wall_s:.1f} s",
                f"{each.measured.peak_mib:,.0f} MiB",
                f"{each.waiting_share:.1%} of a core",
            ]
            for each in held
        ],
    )


def _paced(paced: Sequence[Paced]) -> Iterator[str]:
    rows = []
    for each in paced:
        rate, times = Rate.parse(each.rate), sorted(each.arrivals)
        late_ms = sorted(1000 * max(0.0, after - before - spacing_s(rate)) for before, after in pairwise(times))
        steady = times[len(times) // 10 :]  # the first few may come a little early, once
        used = (len(steady) - 1) / (steady[-1] - steady[0]) * rate.period_s / rate.count
        rows.append(
            [
                each.rate,
                f"{each.waiting:,}",
                f"{most_in(times, rate.period_s)} of {rate.count}",
                f"{used:.1%}",
                f"{statistics.median(late_ms):.2f} ms",
                f"{late_ms[int(0.99 * len(late_ms))]:.2f} ms",
                f"{each.cpu_share:.1%} of a core",
                f"{each.bare_share:.1%} of a core",
            ]
        )
    head = ["limit", "waiting", "most in a window", "used", "late, p50", "late, p99", "CPU", "a bare loop's"]
    yield _markdown(head, rows)


def most_in(times: Sequence[float], length_s: float) -> int:
    """The most that any window of that length holds, wherever it starts; `times` in order."""
    first = most = 0
    for last, at in enumerate(times):
        while times[first] <= at - length_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def plot(comparisons: Sequence[Comparison], path: Path) -> None:
    """Bars of the medians, whiskers from the slowest to the fastest round."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "performance"  # or every run would name its parts anew
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(comparisons), 1, figsize=(8, 1 + 2.6 * len(comparisons)))
    for panel, comparison in zip(panels, comparisons, strict=True):
        names = list(comparison.rounds)[::-1]
        speeds = [comparison.speeds(name) for name in names]
        middle = [statistics.median(each) for each in speeds]
        whiskers = [
            [mid - each[0] for mid, each in zip(middle, speeds, strict=True)],
            [each[-1] - mid for mid, each in zip(middle, speeds, strict=True)],
        ]
        colours = ["tab:blue" if name == PIPELINE.name else "silver" for name in names]
        panel.barh(names, middle, xerr=whiskers, color=colours)
        panel.set_xlabel("MB/s" if comparison.load.what == "large" else "requests/s")
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
