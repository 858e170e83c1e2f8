// Plots over time, by uPlot. What they show stands in the table below them as well.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { columns } from "./course.js";
import { byId } from "./elements.js";
import { count, duration, money, pace, seconds } from "./format.js";

const HEIGHT = 180;
// Seconds between two marks of the time axis.
const MARKS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800];
const PLOTS = {
  images: { series: [["Images", "--accent"], ["Plan", "--muted", true]], value: (number) => count(Math.round(number)) },
  cost: {
    // In this order, so that the one that is surer lies above the other.
    series: [["With possibly billed", "--rejected"], ["Confirmed", "--accent"], ["Plan", "--muted", true]],
    value: money,
  },
  pace: { series: [["Images a minute", "--accent"], ["Limit", "--muted", true]], value: pace, steps: true },
  latency: { series: [["95 % within", "--rejected"], ["Half within", "--accent"]], value: seconds },
};
const made = new Map();

/** `status` gives the limit, where a run is at work. */
export function showPlots(figures, status) {
  const all = columns(figures);
  const { buckets } = figures;
  const starts = buckets.map((bucket) => bucket.at_s);
  const end = buckets.length ? buckets.at(-1).at_s + buckets.at(-1).length_s : 0;
  const per = buckets.map((bucket) => bucket.per_min);
  const limit = status?.limit_per_min ?? null;
  draw("images", [all.x, all.images, all.planned]);
  draw("cost", [all.x, all.upTo, all.usd, all.plannedUsd]);
  draw("pace", [[...starts, end], [...per, per.at(-1) ?? null], [...starts, end].map(() => limit)]);
  const middles = buckets.map((bucket) => bucket.at_s + bucket.length_s / 2);
  draw("latency", [middles, buckets.map((bucket) => bucket.p95_s), buckets.map((bucket) => bucket.p50_s)]);
}

function draw(name, data) {
  const place = byId(`plot-${name}`);
  const known = made.get(name);
  if (known) {
    known.setData(data);
    return;
  }
  const { series, value, steps } = PLOTS[name];
  const colour = (variable) => getComputedStyle(document.body).getPropertyValue(variable).trim();
  const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const plot = new uPlot(
    {
      width: Math.max(200, place.clientWidth),
      height: HEIGHT,
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
      cursor: { y: false, drag: { x: false, y: false } },
      series: [
        { label: "After", value: (_, number) => (number === null ? "" : duration(number)) },
        ...series.map(([label, variable, dashed]) => ({
          label,
          stroke: () => colour(variable),
          width: 2,
          dash: dashed ? [6, 4] : undefined,
          points: { show: name === "latency" },
          spanGaps: name === "latency",
          paths: steps && !dashed ? uPlot.paths.stepped({ align: 1 }) : undefined,
          value: (_, number) => (number === null || number === undefined ? "" : value(number)),
        })),
      ],
      axes: [
        { ...axis, values: (_, splits) => splits.map(duration), space: 70, incrs: MARKS, size: 28 },
        { ...axis, values: (_, splits) => splits.map(value), size: 62 },
      ],
    },
    data,
    place,
  );
  plot.root.querySelector("canvas").setAttribute("role", "img");
  plot.root.querySelector("canvas").setAttribute("aria-label", `${series.map(([label]) => label).join(", ")}; the numbers are in the table below`);
  made.set(name, plot);
  new ResizeObserver(() => plot.setSize({ width: Math.max(200, place.clientWidth), height: HEIGHT })).observe(place);
}

for (const other of ["(prefers-color-scheme: dark)", "print"])
  matchMedia(other).addEventListener("change", () => made.forEach((plot) => plot.redraw()));
