"""Plots as SVG, to stand within a page: drawn from the figures of runs, and readable on paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from batch_editor.ledger.figure_readings import Figures
from batch_editor.text import duration

WIDTH, HEIGHT = 520, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 24, 24
_MARKS_S = (
    *(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 43_200),
    *(86_400, 2 * 86_400, 7 * 86_400, 30 * 86_400),
)
_MARKS = 6

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plot: where it has no value, it has a gap. `kind`: main, second or plan, as the page styles them."""

    label: str
    kind: str
    points: Sequence[Point]
    is_stepped: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot over seconds of work; `unit` writes a value."""

    title: str
    lines: Sequence[Line]
    unit: Callable[[float], str]

    @property
    def svg(self) -> str:
        """The drawing; its texts are escaped."""
        return "\n".join(_drawn(self))


def plots(figures: Figures) -> list[Plot]:
    """Images and cost beside the plan, images a minute, and latencies; those that have something to show."""
    ends_s = [0.0, *(each.at_s + each.length_s for each in figures.buckets)]
    sums = [each.sums for each in figures.buckets]
    images = [*accumulate((each.images for each in sums), initial=0.0)]
    usd = [*accumulate((each.confirmed_usd for each in sums), initial=0.0)]
    up_to = [*accumulate((each.confirmed_usd + each.possibly_usd for each in sums), initial=0.0)]
    plan = figures.plan
    by_plan = [
        [Line("Plan", "plan", [(0.0, 0.0), (max(plan.plan_s, 1.0), float(value))])] if plan.plan_requests else []
        for value in (plan.plan_requests, plan.plan_usd)
    ]
    middles_s = [each.at_s + each.length_s / 2 for each in figures.buckets]
    latencies = [
        Line("Half within", "main", list(zip(middles_s, (each.p50_s for each in sums), strict=True))),
        Line("95 % within", "second", list(zip(middles_s, (each.p95_s for each in sums), strict=True))),
    ]
    pace = [(each.at_s, each.per_min) for each in figures.buckets]
    last = [(ends_s[-1], pace[-1][1])] if pace else []
    cost = [Line("Confirmed", "main", list(zip(ends_s, usd, strict=True)))]
    if up_to[-1] > usd[-1]:
        cost.append(Line("With possibly billed", "second", list(zip(ends_s, up_to, strict=True))))
    return [
        Plot("Images", [Line("Images", "main", list(zip(ends_s, images, strict=True))), *by_plan[0]], _count),
        Plot("Cost", [*cost, *by_plan[1]], _usd),
        Plot("Images a minute", [Line("Images a minute", "main", [*pace, *last], is_stepped=True)], _count),
        Plot("Seconds an image took", latencies, lambda value: f"{_count(value)} s"),
    ]


def _drawn(plot: Plot) -> Iterator[str]:
    xs = [x for line in plot.lines for x, y in line.points if y is not None]
    ys = [y for line in plot.lines for _, y in line.points if y is not None]
    most_x, most_y = max(xs, default=1.0) or 1.0, max(ys, default=1.0) or 1.0
    step_x, step_y = _mark_s(most_x), _nice(most_y / 4)
    top = math.ceil(most_y / step_y - 1e-9) * step_y

    def x_of(x: float) -> float:
        return _LEFT + x / most_x * (WIDTH - _LEFT - _RIGHT)

    def y_of(y: float) -> float:
        return HEIGHT - _BOTTOM - y / top * (HEIGHT - _TOP - _BOTTOM)

    about = escape(f"{plot.title}: {', '.join(line.label for line in plot.lines)}")
    yield f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{about}">'
    for number in range(round(top / step_y) + 1):
        y = y_of(number * step_y)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 3.5:.1f}" class="y">{escape(plot.unit(number * step_y))}</text>'
    for number in range(int(most_x / step_x) + 1):
        x = x_of(number * step_x)
        yield f'<text x="{x:.1f}" y="{HEIGHT - 6}" class="x">{_after(number * step_x)}</text>'
    at = _LEFT
    for line in plot.lines:
        yield f'<path class="line {line.kind}" d="M{at} 10h18"/>'
        yield f'<text x="{at + 23}" y="13.5">{escape(line.label)}</text>'
        at += 38 + 6 * len(line.label)
    for line in reversed(plot.lines):  # the first one lies above the others
        yield f'<path class="line {line.kind}" d="{_path(line, x_of, y_of)}"/>'
        yield from _alone(line, x_of, y_of)
    yield "</svg>"


def _path(line: Line, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> str:
    parts, pen_is_down = [], False
    for x, y in line.points:
        if y is None:
            pen_is_down = False
            continue
        if pen_is_down and line.is_stepped:
            parts.append(f"H{x_of(x):.1f}V{y_of(y):.1f}")
        else:
            parts.append(f"{'L' if pen_is_down else 'M'}{x_of(x):.1f} {y_of(y):.1f}")
        pen_is_down = True
    return "".join(parts)


def _alone(line: Line, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> Iterator[str]:
    """A dot where a value has none beside it: a line of one point isn't seen."""
    values = [None, *(y for _, y in line.points), None]
    for number, (x, y) in enumerate(line.points):
        if y is not None and values[number] is None and values[number + 2] is None:
            yield f'<circle class="{line.kind}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="2.5"/>'


def _after(seconds: float) -> str:
    """As briefly as there is room for.

    >>> _after(120.0), _after(3600.0), _after(90.0)
    ('2m', '1h', '1m 30s')
    """
    return duration(seconds).removesuffix(" 0s").removesuffix(" 0m").removesuffix(" 0h")


def _mark_s(most: float) -> float:
    return next((each for each in _MARKS_S if most / each <= _MARKS), most / _MARKS)


def _nice(step: float) -> float:
    """The next of 1, 2, 5, 10, … that isn't smaller.

    >>> _nice(0.3), _nice(7)
    (0.5, 10.0)
    """
    power = 10.0 ** math.floor(math.log10(step))
    return next(each * power for each in (1, 2, 5, 10) if each * power >= step * (1 - 1e-9))


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.3g}"


def _usd(value: float) -> str:
    return f"${value:,.2f}" if value >= 1 or not value else f"${value:,.3f}"
